"""Which methods lead, and which cannot be distinguished from them.

The method with the greatest mean over the runs that all methods share leads. As the leader is known only after looking
at the results, each test of another method against it is corrected as if all pairs of methods had been tested. Methods
that are not shown to be behind the leader share its tier.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from analysis.schema import table
from analysis.schema.names import MACRO
from analysis.scoring.comparisons import PairTest, pair_tests
from analysis.scoring.estimates import LEVEL
from analysis.scoring.metrics import mean_over_occurring
from analysis.scoring.pairs import rules_of, study_pairing, unit_dice
from analysis.scoring.scored_images import Pairing
from analysis.scoring.units import UnitCounts
from analysis.statistics.corrections import holm
from analysis.study.runs import AnalysisPlan, StudyTables
from analysis.topics.context import Context, TopicResult
from analysis.verdicts import Topic, Verdict, Word

TIERS = 2  # best and second; everything below is "behind"
MARKS = {(1, True): "best", (1, False): "shared_best", (2, True): "second", (2, False): "shared_second"}


def leaders(tables: StudyTables, units: dict[str, UnitCounts], plan: AnalysisPlan, unit: str) -> pd.DataFrame:
    """Sort the methods of each model into tiers, macro and per class.

    Args:
        tables: The study.
        units: Counts of every method by unit.
        plan: The plan; its alpha decides.
        unit: `group` or `image`.

    Returns:
        Table `leaders`.
    """
    rows: list[dict[str, Any]] = []
    for model in dict.fromkeys(run.model for run in tables.data):
        methods = [method for method in tables.methods if tables.runs_of(method)[0].model == model]
        pairing = study_pairing(tables, units, unit)
        tiers = _Tiers(tables, methods, plan, pairing)
        shared = pairing.together(methods) or [unit_dice(units[method]) for method in methods]
        means = {method: _mean_dice(dice) for method, dice in zip(methods, shared, strict=True)}
        for column, name in [(len(tables.class_names), MACRO), *enumerate(tables.class_names)]:
            of_class = {method: float(values[column]) for method, values in means.items()}
            rows += [{"model": model, "class": name} | row for row in tiers.of(name, of_class)]
    return pd.DataFrame(rows)


class _Tiers:
    """Sorts the methods of one model."""

    def __init__(self, tables: StudyTables, methods: Sequence[str], plan: AnalysisPlan, pairing: Pairing) -> None:
        self._methods, self._plan, self._pairing, self._names = methods, plan, pairing, tables.class_names

    def of(self, name: str, means: dict[str, float]) -> list[dict[str, Any]]:
        """Return the rows of one class or macro, best first; methods without a score come last, without a mark."""
        candidates = sorted(
            (method for method in means if np.isfinite(means[method])), key=lambda method: -means[method]
        )
        absent = [method for method in means if not np.isfinite(means[method])]
        rows: list[dict[str, Any]] = []
        if len(self._methods) == 1:
            return [self._empty(method, mean, "") | {"mark": "alone"} for method, mean in means.items()]
        for tier in range(1, TIERS + 1 if candidates else 1):
            tested_rows = [self._test(name, method, candidates[0], means[method]) for method in candidates]
            behind = [row for row in tested_rows if row["p_corrected"] < self._plan.alpha and row["difference"] < 0]
            tier_rows = [row for row in tested_rows if row not in behind]
            rows += [row | {"mark": MARKS[tier, len(tier_rows) == 1]} for row in tier_rows]
            candidates = [row["method"] for row in behind]
            # a method may be behind although one with a smaller, less certain mean is not: then no method is second
            if not candidates or tier == TIERS or tier_rows[-1]["mean"] < behind[0]["mean"]:
                rows += [row | {"mark": "behind"} for row in behind]
                break
        return rows + [self._empty(method, np.nan, "") | {"mark": "absent"} for method in absent]

    def _test(self, name: str, method: str, leader: str, mean: float) -> dict[str, Any]:
        """Test a method against the leader of its tier; the leader itself is not tested."""
        row = self._empty(method, mean, leader)
        if method == leader:
            return row
        test = self._compare(name, method, leader)
        if test is None or not np.isfinite(test.p):
            return row | {"p_corrected": 1.0}  # not paired, so not distinguished
        low, high = test.uncertainty.interval(LEVEL)
        row |= {"n_units": test.n_units, "difference": test.uncertainty.estimate, "low": low, "high": high}
        return row | {"p": test.p, "p_corrected": min(1.0, test.p * row["family"])}

    def _compare(self, name: str, method: str, leader: str) -> PairTest | None:
        """Compare on one class or macro alone: who leads differs between classes."""
        pairs = self._pairing.pair(method, leader)
        if pairs is None:
            return None
        if name == MACRO:
            return pair_tests(pairs, self._names, rules_of(self._plan), {}, only=MACRO)[0]
        return pair_tests(pairs.of_class(self._names.index(name)), (name,), rules_of(self._plan), {}, only=name)[0]

    def _empty(self, method: str, mean: float, leader: str) -> dict[str, Any]:
        n = len(self._methods)
        missing = dict.fromkeys(("n_units", "difference", "low", "high", "p", "p_corrected"), np.nan)
        return {"method": method, "mean": mean, "leader": leader, **missing, "family": n * (n - 1) // 2}


def _mean_dice(dice: np.ndarray) -> np.ndarray:
    """Return (K + 1,): the mean over units of Dice per class, seeds averaged, and its mean over the classes.

    Args:
        dice: (S, U, K) float64, NaN where the class does not occur in the unit.
    """
    dice = dice.mean(axis=0)
    n = np.isfinite(dice).sum(axis=0)
    by_class = np.where(n > 0, np.nansum(dice, axis=0) / np.maximum(n, 1), np.nan)
    return np.append(by_class, mean_over_occurring(by_class[None])[0])


def analyze(context: Context) -> TopicResult:
    """Sort methods into tiers; the macro row of each model becomes a verdict."""
    frame = table("leaders", leaders(context.study, context.units, context.plan, context.unit))
    overall = frame[frame["class"] == MACRO]
    verdicts = [
        leader_verdict(str(model), rows, context.plan)
        for model, rows in overall.groupby("model", sort=False)
        if len(rows) > 1
    ]
    pairs = table("pairwise", all_pairs(context.study, context.units, context.plan, overall, context.unit))
    return TopicResult({"leaders": frame, "pairwise": pairs}, tuple(verdicts))


def all_pairs(
    tables: StudyTables, units: dict[str, UnitCounts], plan: AnalysisPlan, overall: pd.DataFrame, unit: str
) -> list[dict[str, object]]:
    """Test every pair of methods of a model on macro Dice; table `pairwise`.

    Args:
        tables: The study.
        units: Counts of every method by unit.
        plan: The plan.
        overall: Macro rows of table `leaders`, which name the methods of each model.
        unit: `group` or `image`.
    """
    rows, pairing = [], study_pairing(tables, units, unit)
    for model, rows_of_model in overall.groupby("model", sort=False):
        tests = []
        for first, second in combinations(rows_of_model["method"], 2):
            pairs = pairing.pair(first, second)
            if pairs is not None:
                tests.append((first, second, pair_tests(pairs, tables.class_names, rules_of(plan), {}, only=MACRO)[0]))
        adjusted = holm(np.array([test.p for _, _, test in tests], dtype=np.float64))
        for (first, second, test), p_holm in zip(tests, adjusted, strict=True):
            low, high = test.uncertainty.interval(LEVEL)
            keys = {"model": model, "method_a": first, "method_b": second}
            rows.append(
                keys
                | {"difference": test.uncertainty.estimate, "low": low, "high": high, "p": test.p, "p_holm": p_holm}
            )
    return rows


def leader_verdict(model: str, rows: pd.DataFrame, plan: AnalysisPlan) -> Verdict:
    """Say whether one method stands out on macro Dice."""
    first = rows["method"].iloc[0]
    shared = rows.loc[rows["mark"] == "shared_best", "method"].tolist()
    if not np.isfinite(rows["mean"].iloc[0]):
        word = Word.NOT_TESTABLE
        sentence = "No method leads: none has a macro Dice, as no scored image holds a class."
    elif shared:
        others = ", ".join(shared[1:])
        word = Word.UNDECIDED
        sentence = f"{first} has the greatest macro Dice; {others} cannot be told from it."
    else:
        word = Word.BETTER
        sentence = f"{first} has the greatest macro Dice, and every other method is shown to be behind it."
    rule = (
        "better: the p of each other method against the leader, over units, seeds and folds, times the number of pairs "
        f"of methods is below {plan.alpha:g}, its mean smaller; not_testable: no method has a score; else undecided"
    )
    numbers = {"mean": rows["mean"].iloc[0], "methods": len(rows), "family": int(rows["family"].iloc[0])}
    return Verdict(
        topic=Topic.LEADERS,
        aspect=model,
        method=str(first),
        subject=str(first),
        word=word,
        sentence=sentence,
        numbers=numbers,
        rule=rule,
    )
