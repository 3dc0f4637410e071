"""Two methods paired by independent unit, seeds averaged within the unit first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from analysis.schema.names import MACRO
from analysis.scoring.metrics import mean_over_occurring, score
from analysis.scoring.units import (
    Ratios,
    UnitCounts,
    effective_units,
    leave_one_out,
    scores_by_seed,
    unit_counts,
    weighted_scores,
)
from analysis.statistics.effect_size import cliffs_delta, wilcoxon_p
from analysis.statistics.equivalence import bayesian_signed_rank, tost
from analysis.statistics.intervals import Uncertainty, uncertainty, unit_weights
from analysis.statistics.sign_flip import sign_flip_p, smallest_sign_flip_p
from analysis.study.runs import AnalysisPlan, StudyTables
from imbalance_bench.seeding import generator

POSTERIOR_DRAWS = 4000  # standard error of a posterior probability: at most .008


@dataclass(frozen=True)
class PairedScores:
    """Dice of two methods on the same units and seeds.

    Args:
        method: (S, U, K) float64, NaN where the class does not occur in the unit.
        control: The same for the control.
        units: U ids.
    """

    method: np.ndarray
    control: np.ndarray
    units: tuple[str, ...]

    def of_class(self, class_id: int) -> "PairedScores":
        """Return the same units and seeds with one class alone."""
        return PairedScores(self.method[..., [class_id]], self.control[..., [class_id]], self.units)


def unit_dice(counts: UnitCounts) -> np.ndarray:
    """Return Dice of each unit's summed counts, (S, U, K) float64; NaN where the class does not occur."""
    return score("dice", *counts.of_units)


class Pairing:
    """Pairs methods of a study; Dice of a method is computed once for all of its partners.

    Args:
        tables: The study.
        units: Counts of every method by unit, as `unit_counts` arranges all of its runs.
        unit: `group` or `image`.
    """

    def __init__(self, tables: StudyTables, units: Mapping[str, UnitCounts], unit: str) -> None:
        self._finished = {
            method: frozenset((run.fold, run.seed) for run in tables.runs_of(method)) for method in tables.methods
        }

        @cache
        def arranged(method: str, kept: frozenset[tuple[int, int]]) -> tuple[np.ndarray, tuple[str, ...]]:
            counts = units[method]
            if kept != self._finished[method]:
                runs = [run for run in tables.runs_of(method) if (run.fold, run.seed) in kept]
                counts = unit_counts(runs, split=tables.split, unit=unit, n_classes=len(tables.class_names))
            return unit_dice(counts), counts.units

        self._arranged = arranged

    def pair(self, method: str, control: str) -> PairedScores | None:
        """Pair two methods on the folds and seeds that both have finished; None if there are none."""
        shared = self._finished[method] & self._finished[control]
        if not shared:
            return None
        (of_method, units), (of_control, _) = self._arranged(method, shared), self._arranged(control, shared)
        return PairedScores(of_method, of_control, units)


def control_of(method: str, tables: StudyTables, plan: AnalysisPlan) -> str | None:
    """Return the control of a method, of the same architecture; None if it has none or is it."""
    architecture = tables.runs_of(method)[0].architecture
    controls = [run.method for run in tables.data if run.label == plan.control and run.architecture == architecture]
    return controls[0] if controls and controls[0] != method else None


def compare_pair(
    pairs: PairedScores, class_names: Sequence[str], plan: AnalysisPlan, *, only: str | None = None
) -> list[dict[str, Any]]:
    """Compare two methods.

    Args:
        pairs: Dice of both.
        class_names: K names.
        plan: The plan.
        only: Return the row of this class, or of macro, alone.

    Returns:
        One row for macro, then one per class, without p_holm, p_tost_holm and the posterior.
    """
    difference = pairs.method - pairs.control  # (S, U, K)
    occurs = np.isfinite(difference[0])
    parts = Ratios(np.nan_to_num(difference), occurs[None].astype(np.float64), occurs.astype(np.int64))
    seeds, units, classes = difference.shape
    by_seed = scores_by_seed(parts)  # (S, K + 1)
    resampled = weighted_scores(parts, unit_weights(units, plan.resamples, plan.seed))
    jackknife = leave_one_out(parts)
    contributions = unit_contributions(difference.mean(axis=0))  # (U, K + 1)
    of_method, of_control = (_unit_values(values) for values in (pairs.method, pairs.control))
    effective = effective_units(parts)
    rows = []
    for column, name in [(classes, MACRO), *enumerate(class_names)]:
        if only not in (None, name):
            continue
        d = contributions[:, column]
        d = d[np.isfinite(d)]
        estimate = float(by_seed[:, column].mean())
        known = uncertainty(
            estimate, resampled[:, column], jackknife[:, column], by_seed[:, column], float(effective[column])
        )
        low, high = known.interval(0.95)
        rng = generator(plan.seed, "sign_flip", name)
        row = {"class": name, "n_units": len(d), "n_seeds": seeds, "difference": estimate, "low": low, "high": high}
        row |= {"p": sign_flip_p(d, permutations=plan.permutations, rng=rng), "p_seeds": known.p_of_zero()}
        row |= {"min_p": smallest_sign_flip_p(len(d), plan.permutations), "wilcoxon_p": wilcoxon_p(d)}
        row |= {"cliffs_delta": cliffs_delta(of_method[:, column], of_control[:, column])}
        rows.append(row | _equivalence(known, d, plan))
    return rows


def _equivalence(known: Uncertainty, d: np.ndarray, plan: AnalysisPlan) -> dict[str, float]:
    """Return the tests of table `equivalence`: of seeds and units together, then of units alone."""
    low, high = known.test_interval(1 - 2 * plan.alpha)
    row = {"margin": plan.rope_dice, "low_tost": low, "high_tost": high}
    return row | {"p_tost": known.p_of_relevance(plan.rope_dice), "p_tost_units": tost(d, plan.rope_dice).p}


def posterior_of_pair(pairs: PairedScores, class_names: Sequence[str], plan: AnalysisPlan) -> list[dict[str, float]]:
    """Return p_worse, p_equivalent and p_better, in the order of `compare_pair`."""
    contributions = unit_contributions((pairs.method - pairs.control).mean(axis=0))
    rows = []
    for column, name in [(len(class_names), MACRO), *enumerate(class_names)]:
        rng = generator(plan.seed, "signed_rank", name)
        found = bayesian_signed_rank(contributions[:, column], plan.rope_dice, draws=POSTERIOR_DRAWS, rng=rng)
        rows.append({"p_worse": found.worse, "p_equivalent": found.equivalent, "p_better": found.better})
    return rows


def unit_contributions(difference: np.ndarray) -> np.ndarray:
    """Return what each unit adds to the mean difference, so that a sign flip of a unit flips all its classes.

    Args:
        difference: (U, K) float64, seeds averaged; NaN where a class does not occur in a unit.

    Returns:
        (U, K + 1) float64: the differences, then macro contributions sum_c U d_uc / (K' n_c) over the K' classes that
        occur, whose mean over units is the mean over classes of the classes' means; all 0 if no class occurs.
    """
    n_units = np.isfinite(difference).sum(axis=0)  # (K,)
    scale = len(difference) / (max((n_units > 0).sum(), 1) * np.maximum(n_units, 1))
    return np.column_stack([difference, (np.nan_to_num(difference) * scale).sum(axis=1)])


def _unit_values(dice: np.ndarray) -> np.ndarray:
    """Return (U, K + 1): Dice per unit, seeds averaged, and its mean over the classes of the unit."""
    values = dice.mean(axis=0)
    return np.column_stack([values, mean_over_occurring(values)])
