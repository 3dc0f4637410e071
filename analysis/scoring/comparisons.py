"""Paired comparisons of methods: tests, Holm's correction, the verdicts, and the units that carry them.

One rule gives p value, interval and verdict. The p value inverts the interval of `statistics.intervals`; Holm's
step-down correction turns it into the level of the interval that decides. The verdict is better or worse where the
interval of that level excludes 0, and equivalent where the interval of the corrected two one-sided tests lies inside
the margin. Interval and verdict therefore cannot disagree. Sign flips and Wilcoxon's test, which test symmetry about 0,
are reported beside them.

Rows are plain dictionaries until they are corrected together: a study has one family for macro Dice (all methods) and
one for classes (all methods x classes), each at alpha.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any, Literal

import numpy as np
from scipy import stats

from analysis.schema.names import MACRO
from analysis.scoring.estimates import LEVEL, with_interval
from analysis.scoring.image_rows import Folds
from analysis.scoring.influence import Influence
from analysis.scoring.metrics import mean_over_occurring
from analysis.scoring.units import Ratios
from analysis.statistics.corrections import holm_multipliers
from analysis.statistics.effect_size import cliffs_delta, wilcoxon_p
from analysis.statistics.equivalence import bayesian_signed_rank, tost
from analysis.statistics.intervals import Uncertainty, level_after_correction
from analysis.statistics.sign_flip import sign_flip_p, smallest_sign_flip_p
from analysis.verdicts import Word
from imbalance_bench.seeding import generator

POSTERIOR_DRAWS = 4000  # standard error of a posterior probability: at most .008


@dataclass(frozen=True)
class Rules:
    """What was decided before anything was compared.

    Args:
        alpha: Level of each family.
        margin: Half width of the region of practical equivalence, in the unit of the scores.
        permutations: Monte Carlo sign flips where all cannot be listed.
        seed: Seed of every random procedure.
    """

    alpha: float = 0.05
    margin: float = 0.01
    permutations: int = 10_000
    seed: int = 0


@dataclass(frozen=True)
class PairedScores:
    """Scores of two methods on the same units and seeds.

    Args:
        method: (S, U, K) float64, NaN where the class does not occur in the unit.
        control: The same for the control.
        units: U ids.
        folds: The folds that tested the units; None with one fold.
        apart: The scores of each test of `folds`, as if it were a unit of its own; None where no folds share units.
    """

    method: np.ndarray
    control: np.ndarray
    units: tuple[str, ...]
    folds: Folds | None = None
    apart: "PairedScores | None" = None

    @property
    def difference(self) -> np.ndarray:
        """Method minus control, (S, U, K) float64."""
        return self.method - self.control

    def of_class(self, class_id: int) -> "PairedScores":
        """Return the scores of one class alone."""
        apart = None if self.apart is None else self.apart.of_class(class_id)
        method, control = (scores[..., [class_id]] for scores in (self.method, self.control))
        return replace(self, method=method, control=control, apart=apart)

    def without(self, unit: int) -> "PairedScores":
        """Return the scores of all units but one, by its index."""
        left = self._of_units(np.arange(len(self.units)) != unit)
        if self.folds is None:
            return left
        apart = None if self.apart is None else self.apart._of_units(self.folds.unit != unit)
        return replace(left, folds=self.folds.without(unit), apart=apart)

    def influence(self, of: Literal["difference", "method", "control"] = "difference") -> Influence:
        """Return how much each unit contributes to the mean difference, or to the mean score of one of the two."""
        apart = None if self.apart is None else difference_influence(getattr(self.apart, of))
        return difference_influence(getattr(self, of)).over(self.folds, apart)

    def _of_units(self, chosen: np.ndarray) -> "PairedScores":
        """Return the scores of some of the units, (U,) bool, without their folds."""
        units = tuple(compress(self.units, chosen))
        return PairedScores(self.method[:, chosen], self.control[:, chosen], units)


@dataclass(frozen=True)
class PairTest:
    """The test of one difference: a class, or macro, of one pair of methods.

    Args:
        keys: What identifies the row, such as method, control and class.
        pairs: The scores.
        column: Index of the class; K: macro.
        uncertainty: The difference and its errors.
        p: Two-sided p value of no difference.
        p_tost: p value of a difference beyond the margin.
    """

    keys: dict[str, Any]
    pairs: PairedScores
    column: int
    uncertainty: Uncertainty
    p: float
    p_tost: float

    @property
    def unit_indices(self) -> np.ndarray:
        """Indices of the units in which the class occurs; for macro, any class."""
        occurs = np.isfinite(self.pairs.method[0])
        return np.flatnonzero(occurs.any(axis=1) if self.column == occurs.shape[1] else occurs[:, self.column])

    @property
    def n_units(self) -> int:
        """The number of these units."""
        return len(self.unit_indices)


def difference_influence(difference: np.ndarray) -> Influence:
    """Return how much each unit contributes to the mean difference of each class and to macro.

    Args:
        difference: (S, U, K) float64, NaN where the class does not occur in the unit.
    """
    occurs = np.isfinite(difference[0])
    return Influence.of(Ratios(np.nan_to_num(difference), occurs[None].astype(np.float64), occurs.astype(np.int64)))


def pair_tests(
    pairs: PairedScores, class_names: Sequence[str], rules: Rules, keys: dict[str, Any], *, only: str | None = None
) -> list[PairTest]:
    """Test two methods against each other.

    Args:
        pairs: Scores of both.
        class_names: K names.
        rules: The rules.
        keys: What identifies the pair; `class` is added.
        only: Test only this class, or only macro.

    Returns:
        Macro first, then every class.
    """
    influence, rows = pairs.influence(), []
    for column, name in [(len(class_names), MACRO), *enumerate(class_names)]:
        if only in (None, name):
            uncertainty = influence.uncertainty(column)
            class_keys = keys | {"class": name}
            rows.append(
                PairTest(
                    class_keys,
                    pairs,
                    column,
                    uncertainty,
                    uncertainty.p_of_zero(),
                    uncertainty.p_of_relevance(rules.margin),
                )
            )
    return rows


def compared_scores(test: PairTest, first: str, second: str) -> dict[str, float]:
    """Return the two scores whose difference is tested, each with its 95 % interval.

    Args:
        test: The test.
        first: Name of the column for the method.
        second: Name of the column for the control.
    """
    row = with_interval(first, test.pairs.influence("method").uncertainty(test.column))
    return row | with_interval(second, test.pairs.influence("control").uncertainty(test.column))


def judged_rows(family: Iterable[PairTest], rules: Rules, *, influence: bool = True) -> list[dict[str, Any]]:
    """Correct the tests of one family together, and judge each of them.

    Args:
        family: All tests of the family.
        rules: The rules.
        influence: Find the units that carry each verdict, which takes one test per unit.

    Returns:
        One row per test: the keys, `word`, `influential` (units without which the verdict would be another), and
        every number behind it.
    """
    tests = list(family)
    p, p_tost = (np.array([getattr(test, name) for test in tests], dtype=np.float64) for name in ("p", "p_tost"))
    by_zero, by_margin = holm_multipliers(p), holm_multipliers(p_tost)
    size, rows = int(np.isfinite(p).sum()), []
    for test, multiplier, tost_multiplier in zip(tests, by_zero, by_margin, strict=True):
        levels = Levels.of(test, float(multiplier), float(tost_multiplier), rules)
        word = levels.word(test.uncertainty, test.n_units)
        low, high = test.uncertainty.interval(LEVEL)
        row = test.keys | {"n_units": test.n_units, "n_seeds": test.uncertainty.n_seeds}
        row |= {"difference": test.uncertainty.estimate, "low": low, "high": high, "p": test.p}
        row |= {"p_holm": min(1.0, test.p * multiplier), "level": levels.level, "family": size}
        row |= dict(zip(("low_holm", "high_holm"), test.uncertainty.interval(levels.level), strict=True))
        row |= {"margin": rules.margin, "p_tost": test.p_tost, "p_tost_holm": min(1.0, test.p_tost * tost_multiplier)}
        row |= dict(zip(("low_tost", "high_tost"), test.uncertainty.interval(levels.level_tost), strict=True))
        rows.append(row | {"word": word, "influential": _influential(test, levels, word) if influence else ()})
    return rows


def judged_families(
    tests: Sequence[PairTest], family_of: Callable[[PairTest], object], rules: Rules
) -> list[dict[str, Any]]:
    """Judge the tests of a study, each family corrected separately, and add descriptive statistics.

    Args:
        tests: All tests of the study.
        family_of: Returns the family of a test.
        rules: The rules.

    Returns:
        Rows of `judged_rows` and `descriptive_statistics`, in the order of the tests.
    """
    families: dict[object, list[int]] = {}
    for index, test in enumerate(tests):
        families.setdefault(family_of(test), []).append(index)
    rows: dict[int, dict[str, Any]] = {}
    for indices in families.values():
        family_rows = judged_rows([tests[index] for index in indices], rules)
        rows |= dict(zip(indices, family_rows, strict=True))
    return [rows[index] | descriptive_statistics(test, rules) for index, test in enumerate(tests)]


def macro_or_class(test: PairTest) -> object:
    """Return the family of a comparison: macro, or the classes of all methods."""
    return test.keys["class"] == MACRO


@dataclass(frozen=True)
class Levels:
    """The levels of the intervals that decide one corrected test.

    Args:
        level: Level of the interval that must exclude 0.
        level_tost: Level of the interval that must lie inside the margin.
        rules: The rules.
    """

    level: float
    level_tost: float
    rules: Rules

    @classmethod
    def of(cls, test: PairTest, multiplier: float, tost_multiplier: float, rules: Rules) -> "Levels":
        """Return the levels of a test whose p values Holm multiplies by `times` and `times_tost`."""
        level = level_after_correction(test.p, test.p * multiplier, rules.alpha)
        return cls(
            level, 2 * level_after_correction(test.p_tost, test.p_tost * tost_multiplier, rules.alpha) - 1, rules
        )

    def word(self, uncertainty: Uncertainty, n: int) -> Word:
        """Return the verdict on a difference over n units.

        With fewer units than a sign-flip test needs to reach alpha (six at .05), a method can be equivalent but neither
        better nor worse, because Student's t would rest on normality alone.
        """
        if not uncertainty.has_interval:
            return Word.NOT_TESTABLE
        low, high = uncertainty.interval(self.level_tost)
        if -self.rules.margin < low and high < self.rules.margin:
            return Word.EQUIVALENT
        if smallest_sign_flip_p(n, self.rules.permutations) >= self.rules.alpha:
            return Word.NOT_TESTABLE
        low, high = uncertainty.interval(self.level)
        return Word.BETTER if low > 0 else Word.WORSE if high < 0 else Word.UNDECIDED


def _influential(test: PairTest, levels: Levels, word: Word) -> tuple[str, ...]:
    """Return the units without which the verdict at the same levels would be another, the most influential first."""
    pairs, changes = test.pairs, []
    occurring = test.unit_indices
    if len(occurring) < 3:
        return ()
    one_less_suffices = smallest_sign_flip_p(len(occurring) - 1, levels.rules.permutations) < levels.rules.alpha
    if not one_less_suffices and word != Word.EQUIVALENT:
        return ()  # without any one unit, nothing could be shown
    for unit in occurring:
        uncertainty = pairs.without(unit).influence().uncertainty(test.column)
        if levels.word(uncertainty, len(occurring) - 1) != word:
            changes.append((-abs(uncertainty.estimate - test.uncertainty.estimate), pairs.units[unit]))
    return tuple(unit_name for _, unit_name in sorted(changes))


def descriptive_statistics(test: PairTest, rules: Rules) -> dict[str, float]:
    """Return statistics that are reported with a test and decide nothing.

    Returns:
        p_sign_flip and wilcoxon_p (of symmetry about 0), cliffs_delta (unpaired), superiority (paired: share of units
        in which the method is ahead, ties half), skewness of the units' differences, p_tost_units, and p_worse,
        p_equivalent and p_better of a Bayesian signed-rank test. All are over units alone, with seeds averaged.
    """
    class_name = test.keys["class"]
    d = unit_contributions(test.pairs.difference.mean(axis=0)[test.unit_indices])[:, test.column]
    of_method, of_control = (_unit_values(scores)[:, test.column] for scores in (test.pairs.method, test.pairs.control))
    flips = sign_flip_p(d, permutations=rules.permutations, rng=generator(rules.seed, "sign_flip", class_name))
    row = {"p_sign_flip": flips, "wilcoxon_p": wilcoxon_p(d), "cliffs_delta": cliffs_delta(of_method, of_control)}
    row |= {"superiority": float(np.mean((d > 0) + 0.5 * (d == 0))) if len(d) else float("nan")}
    differs = len(d) > 2 and np.ptp(d) > 1e-9 * np.abs(d).max()  # by more than rounding
    row |= {"skewness": float(stats.skew(d)) if differs else float("nan")}
    rng = generator(rules.seed, "signed_rank", class_name)
    posterior = bayesian_signed_rank(d, rules.margin, draws=POSTERIOR_DRAWS, rng=rng)
    row |= {"p_tost_units": tost(d, rules.margin).p, "p_worse": posterior.worse}
    return row | {"p_equivalent": posterior.equivalent, "p_better": posterior.better}


def unit_contributions(difference: np.ndarray) -> np.ndarray:
    """Return the contribution of each unit to the mean difference, so that a sign flip of a unit flips all its classes.

    Args:
        difference: (U, K) float64, seeds averaged; NaN where a class does not occur in a unit.

    Returns:
        (U, K + 1) float64: the differences, then macro contributions sum_c U d_uc / (K' n_c) over the K' classes that
        occur, whose mean over units is the mean over classes of the classes' means; all 0 if no class occurs.
    """
    n_units = np.isfinite(difference).sum(axis=0)  # (K,)
    scale = len(difference) / (max((n_units > 0).sum(), 1) * np.maximum(n_units, 1))
    return np.column_stack([difference, (np.nan_to_num(difference) * scale).sum(axis=1)])


def _unit_values(scores: np.ndarray) -> np.ndarray:
    """Return (U, K + 1): scores per unit, seeds averaged, and their mean over the classes of the unit."""
    values = scores.mean(axis=0)
    return np.column_stack([values, mean_over_occurring(values)])
