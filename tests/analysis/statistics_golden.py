"""Golden values of statistics, computed by R and by other packages: see the scripts in `golden/`."""

import csv
from functools import lru_cache
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent / "golden"
DARWIN = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48.0])

# rounding first base, Hollander and Wolfe 1973, p. 140: seconds of 22 players for three ways, low is better
ROUNDING = np.array(
    [
        *(5.40, 5.50, 5.55, 5.85, 5.70, 5.75, 5.20, 5.60, 5.50, 5.55, 5.50, 5.40, 5.90, 5.85, 5.70, 5.45, 5.55, 5.60),
        *(5.40, 5.40, 5.35, 5.45, 5.50, 5.35, 5.25, 5.15, 5.00, 5.85, 5.80, 5.70, 5.25, 5.20, 5.10, 5.65, 5.55, 5.45),
        *(5.60, 5.35, 5.45, 5.05, 5.00, 4.95, 5.50, 5.50, 5.40, 5.45, 5.55, 5.50, 5.55, 5.55, 5.35, 5.45, 5.50, 5.55),
        *(5.50, 5.45, 5.25, 5.65, 5.60, 5.40, 5.70, 5.65, 5.55, 6.30, 6.30, 6.25),
    ]
).reshape(22, 3)

# inputs of golden/posthoc.py
POSTHOC_SCORES = np.array(
    [
        [0.71, 0.74, 0.69, 0.80],
        [0.62, 0.61, 0.60, 0.66],
        [0.55, 0.59, 0.58, 0.57],
        [0.81, 0.83, 0.79, 0.84],
        [0.44, 0.49, 0.40, 0.49],
        [0.90, 0.91, 0.88, 0.93],
        [0.67, 0.66, 0.65, 0.70],
    ]
)
POSTHOC_DIFFERENCES = np.array([0.012, -0.004, 0.021, 0.007, 0.016, -0.011, 0.009, 0.002, 0.018, 0.005, -0.002, 0.013])


def r_value(key: str) -> float:
    """Return a value that golden/comparisons.R printed."""
    return _values("comparisons_r.csv")[key]


def posthoc_value(key: str) -> float:
    """Return a value that golden/posthoc.py printed."""
    return _values("posthoc_python.csv")[key]


def hierarchical_value(key: str) -> float:
    """Return a value that golden/hierarchical.R printed."""
    return _values("hierarchical_r.csv")[key]


@lru_cache
def _values(name: str) -> dict[str, float]:
    lines = [line for line in (GOLDEN / name).read_text().splitlines() if not line.startswith("#")]
    return {row["key"]: float(row["value"]) for row in csv.DictReader(lines)}
