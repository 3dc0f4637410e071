"""Time the statistics beside scipy and beside plain loops that do the same.

    python -m benchmarks.statistics_speed [--rows 1000000]

Prints a Markdown table of processor seconds, all threads together, which other work on the machine does not stretch.
Ratios come from timing the slower way on fewer resamples and scaling up.
"""

import argparse
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analysis.scoring.comparisons import judged_families, macro_or_class
from analysis.scoring.pairs import rules_of
from analysis.scoring.units import Ratios, method_units
from analysis.statistics.intervals import seed_weights, unit_weights
from analysis.statistics.rank_association import rank_association
from analysis.study.runs import AnalysisPlan, RunData, StudyTables
from analysis.topics import scores
from analysis.topics.leaders import leaders
from analysis.topics.method_comparison import comparison_tests
from analysis.topics.ranking import resampled_scores

STRATA, MEASURES = (5, 5, 6), 4
METHODS, SEEDS, GROUPS, CLASSES, RESAMPLES = 20, 10, 100, 5, 10_000
LOOP_RESAMPLES = 20
ALL = 10**9  # more than there are: scipy then lists every pairing


@dataclass(frozen=True)
class Timing:
    """One row of the table.

    Args:
        what: The work.
        seconds: Of ours, processor time.
        aim: Seconds it may take.
        other: What it is compared with.
        ratio: Seconds of that / ours; NaN where nothing is compared.
    """

    what: str
    seconds: float
    aim: float
    other: str = ""
    ratio: float = float("nan")


def seconds_of(work: Callable[[], object]) -> float:
    """Run once and return seconds of processor time, which other work on the machine does not stretch."""
    started = time.process_time()
    work()
    return time.process_time() - started


def rho(x: np.ndarray, y: np.ndarray) -> float:
    """Return Spearman's rho as scipy computes it."""
    found: Any = stats.spearmanr(x, y)
    return float(found.statistic)


def time_association() -> list[Timing]:
    """Exact stratified association of one bias with four measures, against scipy and a loop."""
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(len(STRATA)), STRATA)
    bias, measures = rng.normal(size=len(label)), rng.normal(size=(MEASURES, len(label)))

    def ours() -> None:
        for measure in measures:
            rank_association(bias, measure, alpha=0.05, permutations=1, rng=rng, strata=list(label))

    def mean_rho(x: np.ndarray) -> float:
        return sum(rho(x[label == s], measures[0][label == s]) for s in range(len(STRATA))) / len(STRATA)

    def loop() -> None:  # scipy has no permutation within strata: the loop is what one writes instead
        for _ in range(LOOP_RESAMPLES):
            mean_rho(np.concatenate([rng.permutation(bias[label == s]) for s in range(len(STRATA))]))

    one = (bias[label == 2], measures[0][label == 2])
    scipy_s = seconds_of(
        lambda: stats.permutation_test(one[:1], lambda x: rho(x, one[1]), permutation_type="pairings", n_resamples=ALL)
    )
    ours_one = seconds_of(lambda: rank_association(*one, alpha=0.05, permutations=1, rng=rng))
    seconds = seconds_of(ours)
    looped = seconds_of(loop) / LOOP_RESAMPLES * MEASURES * RESAMPLES
    name = f"exact Spearman and Kendall over ({', '.join(map(str, STRATA))}) classes, {MEASURES} measures"
    return [
        Timing(name, seconds, 2.0, f"plain loop, {RESAMPLES} draws instead of all, Spearman alone", looped / seconds),
        Timing(
            "exact Spearman and Kendall, 6 classes",
            ours_one,
            2.0,
            "scipy.stats.permutation_test, all pairings, Spearman alone",
            scipy_s / ours_one,
        ),
    ]


def time_bootstrap() -> list[Timing]:
    """Crossed bootstrap of pooled macro Dice of many methods, against a loop."""
    rng = np.random.default_rng(0)
    shape, occurs = (SEEDS, GROUPS, CLASSES), np.ones((GROUPS, CLASSES), dtype=np.int64)
    parts = {f"method {i}": Ratios(rng.random(shape), 1 + rng.random(shape), occurs) for i in range(METHODS)}
    found: list[np.ndarray] = []

    def ours() -> None:
        unit, seed = unit_weights(GROUPS, RESAMPLES, 0), seed_weights(SEEDS, RESAMPLES, 0)
        found.append(resampled_scores(parts, unit, seed))

    seconds = seconds_of(ours)
    unit, seed = unit_weights(GROUPS, RESAMPLES, 0), seed_weights(SEEDS, RESAMPLES, 0)
    looped = np.zeros((LOOP_RESAMPLES, METHODS))

    def loop() -> None:
        for b in range(LOOP_RESAMPLES):
            groups, seeds = (np.repeat(np.arange(len(w[b])), w[b].astype(int)) for w in (unit, seed))
            for m, each in enumerate(parts.values()):
                above, below = (values[seeds][:, groups].sum(axis=1) for values in (each.numerator, each.denominator))
                looped[b, m] = (above / below).mean(axis=0).mean()

    each = seconds_of(loop) / LOOP_RESAMPLES
    np.testing.assert_allclose(found[0][:LOOP_RESAMPLES, :, -1], looped)
    what = f"{RESAMPLES} crossed resamples of {METHODS} methods x {SEEDS} seeds x {GROUPS} groups x {CLASSES} classes"
    return [Timing(what, seconds, 10.0, "plain NumPy loop over resamples", each * RESAMPLES / seconds)]


def time_million_rows(rows: int) -> list[Timing]:
    """The frames part of `analyze`: scores, comparisons, leaders and their intervals from image x class counts."""
    runs = METHODS * SEEDS
    images = max(1, rows // (runs * CLASSES))
    rng = np.random.default_rng(0)
    tables, plan = _study(images, rng), AnalysisPlan("m0", 0.05, 0.01, 10_000, 100_000, 0, 0.5, 2.0, "auto")
    units: dict[str, scores.UnitCounts] = {}
    steps: dict[str, Callable[[], object]] = {
        "arranging the counts": lambda: units.update(method_units(tables, "group")),
        "scores of runs": lambda: scores.class_scores(tables),
        "scores of methods with intervals": lambda: scores.method_scores(tables, units),
        "scores of units": lambda: scores.unit_scores(tables, units),
        "comparisons and equivalence": lambda: judged_families(
            comparison_tests(tables, units, plan, "group"), macro_or_class, rules_of(plan)
        ),
        "leaders": lambda: leaders(tables, units, plan, "group"),
    }
    timings = [Timing(f"- {name}", seconds_of(step), float("nan")) for name, step in steps.items()]
    total = sum(timing.seconds for timing in timings)
    return [Timing(f"{runs * images * CLASSES} rows of counts ({runs} runs)", total, 20.0), *timings]


def _study(images: int, rng: np.random.Generator) -> StudyTables:
    """Return a study of random counts in memory: 10 images per group."""
    ids = [f"i{i:04d}" for i in range(images)]
    frame = pd.DataFrame({"image_id": np.repeat(ids, CLASSES), "class_id": np.tile(np.arange(CLASSES), images)})
    frame["group_id"] = [f"g{int(each[1:]) // 10:03d}" for each in frame["image_id"]]
    frame["split"] = "test"
    data = []
    for m in range(METHODS):
        for seed in range(SEEDS):
            tp, fp, fn = rng.integers(1, 60_000, size=(3, len(frame)))
            counts = frame.assign(tp=tp, fp=fp, fn=fn, n_valid=tp + fp + fn)
            keys = (f"{m:04d}{seed:08d}", f"m{m}", f"m{m}", "class_query", 0, seed)
            data.append(RunData(*keys, manifest={}, counts=counts, ledger=pd.DataFrame()))
    names = tuple("abcde"[:CLASSES])
    dataset = {"groups_known": True}
    return StudyTables(pd.DataFrame(), tuple(data), names, ((True,) * CLASSES,), dataset, "test")


def row(timing: Timing) -> str:
    """Return one row of the table."""
    aim = "" if np.isnan(timing.aim) else f"{timing.aim:g}"
    ratio = "" if np.isnan(timing.ratio) else f"{timing.ratio:.0f}"
    return f"| {timing.what} | {timing.seconds:.2f} | {aim} | {timing.other} | {ratio} |"


def main() -> None:
    """Parse the command line, time, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="image x class rows of counts")
    options = parser.parse_args()
    print("| work | seconds | aim | against | times slower |\n|---|---|---|---|---|")
    for timings in (time_association, time_bootstrap, lambda: time_million_rows(options.rows)):
        print("\n".join(map(row, timings())), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"\nPeak memory of the process: {peak:.2f} GB (aim 2).")


if __name__ == "__main__":
    main()
