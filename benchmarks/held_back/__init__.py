"""Independent generators: worlds that `benchmarks.calibration` does not share, through `ib.explain` and `ib.compare`.

Whoever builds a test tends to simulate what the test expects. These worlds share no line with the calibration: effects
are not normal, measures are not linear in what they measure, families are unequal, and a few are meant to break things.
"""
