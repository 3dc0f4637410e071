"""Independent generators: worlds written apart from `benchmarks.calibration`, judged through `ib.explain`, `ib.compare`.

Whoever builds a test tends to simulate what the test expects. These worlds share no line with the calibration: effects
are not normal, measures are not linear in what they measure, families are unequal, and a few are meant to break things.
"""
