"""`python -m imbalance_bench.cli` is the console script `imbalance-bench`."""

from imbalance_bench.cli.start import start

start()
