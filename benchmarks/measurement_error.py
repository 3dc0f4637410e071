"""Regression calibration beside SIMEX where only a difficulty acts, and it is measured with error.

    python -m benchmarks.measurement_error [--studies 600] [--seed 0]

Frequency is measured without error, goes with the difficulty, and does nothing itself: its slope given the difficulty
is 0. Printed are the median of its estimated slope, the median size of its error, and how often a t test on a
delete-one jackknife rejects 0 at 5 %. `analyze` takes the larger p of the plain and the calibrated test.

Sources:
    Cook and Stefanski 1994, "Simulation-extrapolation estimation in parametric measurement error models"; Carroll et
    al. 2006, sections 4.2 (regression calibration) and 5.3 (extrapolants).
"""

import argparse
from collections.abc import Callable

import numpy as np
from scipy import stats

from analysis.statistics.measurement_error import calibrated

ADDED = np.array([0.5, 1.0, 1.5, 2.0])  # variance of added errors / that of the errors there are
REMEASURED = 100
Extrapolant = Callable[[np.ndarray, np.ndarray], float]


def quadratic(added: np.ndarray, slopes: np.ndarray) -> float:
    """Extrapolate to no error along a parabola, as the package simex does by default."""
    return float(np.polyval(np.polyfit(added, slopes, 2), -1.0))


def rational(added: np.ndarray, slopes: np.ndarray) -> float:
    """Extrapolate along a + b / (c + added), which is exact for linear models; the parabola where that has a pole."""
    best, found = np.inf, quadratic(added, slopes)
    for c in np.geomspace(1.05, 60, 200):  # a and b are linear given c
        design = np.column_stack([np.ones(len(added)), 1 / (c + added)])
        coefficients, *_ = np.linalg.lstsq(design, slopes, rcond=None)
        left = float(((slopes - design @ coefficients) ** 2).sum())
        if left < best:
            best, found = left, float(coefficients[0] + coefficients[1] / (c - 1))
    return found


def slope(y: np.ndarray, tested: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Return the slope of `tested` in the regression on both, (...,): arrays of shape (..., n)."""
    y, t, g = (each - each.mean(axis=-1, keepdims=True) for each in (y, tested, given))
    tt, gg, tg = (np.sum(a * b, axis=-1) for a, b in ((t, t), (g, g), (t, g)))
    return (np.sum(t * y, axis=-1) * gg - np.sum(g * y, axis=-1) * tg) / (tt * gg - tg**2)


def simex(
    y: np.ndarray,
    tested: np.ndarray,
    given: np.ndarray,
    error_sd: float,
    extrapolate: Extrapolant,
    rng: np.random.Generator,
) -> float:
    """Return the slope of `tested` given the truth behind `given`, which is measured with error of a known size.

    Args:
        y: (n,) outcome.
        tested: (n,) measured without error.
        given: (n,) measured with error.
        error_sd: Standard deviation of that error.
        extrapolate: From slopes with errors added to none.
        rng: Of the added errors.
    """
    noise = rng.normal(size=(REMEASURED, 1, len(y)))
    noise -= noise.mean(axis=0)  # what chance adds on average is known to be nothing
    wrong = given + error_sd * np.sqrt(ADDED)[:, None] * noise
    slopes = slope(np.broadcast_to(y, wrong.shape), np.broadcast_to(tested, wrong.shape), wrong).mean(axis=0)
    plain = float(slope(y, tested, given))
    return extrapolate(np.concatenate([[0.0], ADDED]), np.concatenate([[plain], slopes]))


def calibrated_slope(y: np.ndarray, tested: np.ndarray, given: np.ndarray, error_sd: float) -> float:
    """Return the same by regression calibration; NaN where so little is true that nothing can be told."""
    trust = max(1 - error_sd**2 / float(given.var(ddof=1)), 1e-3)
    true = calibrated(given[:, None], tested[:, None], np.array([trust]), np.ones(1))
    return float("nan") if true is None else float(slope(y, tested, true[:, 0]))


def compared(classes: int, studies: int, seed: int) -> dict[str, tuple[float, float, float]]:
    """Return the median, the median size and the rejections of the slope of frequency, by way of correcting it."""
    rng, error_sd = np.random.default_rng(seed), np.sqrt(1 / 0.6 - 1)
    ways = {
        "none": lambda y, f, d: float(slope(y, f, d)),
        "regression calibration": lambda y, f, d: calibrated_slope(y, f, d, error_sd),
        "SIMEX, quadratic": lambda y, f, d: simex(y, f, d, error_sd, quadratic, np.random.default_rng(1)),
        "SIMEX, rational": lambda y, f, d: simex(y, f, d, error_sd, rational, np.random.default_rng(1)),
    }
    found: dict[str, list[tuple[float, bool]]] = {name: [] for name in ways}
    for _ in range(studies):
        f, other, error, noise = rng.normal(size=(4, classes))
        true = 0.7 * f + np.sqrt(0.51) * other
        d, y = true + error_sd * error, true + 0.3 * noise
        for name, way in ways.items():
            whole = way(y, f, d)
            kept = [np.arange(classes) != c for c in range(classes)]
            without = np.array([way(y[rows], f[rows], d[rows]) for rows in kept])
            jackknife = np.sqrt((classes - 1) * without.var()) if np.isfinite(without).all() else np.inf
            beyond = abs(whole) / jackknife > stats.t.ppf(0.975, classes - 3)
            found[name].append((whole, bool(beyond)))
    table = {}
    for name, rows in found.items():
        slopes = np.array([row[0] for row in rows])
        known = slopes[np.isfinite(slopes)]
        table[name] = tuple(
            float(each) for each in (np.median(known), np.median(np.abs(known)), np.mean([r[1] for r in rows]))
        )
    return table


def main() -> None:
    """Parse the command line, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("| classes | correction | median slope (truth 0) | median size of its error | rejected at 5 % |")
    print("|---|---|---|---|---|")
    for classes in (12, 20, 40):
        for name, (middle, size, rejected) in compared(classes, options.studies, options.seed).items():
            print(f"| {classes} | {name} | {middle:.2f} | {size:.2f} | {rejected:.1%} |", flush=True)


if __name__ == "__main__":
    main()
