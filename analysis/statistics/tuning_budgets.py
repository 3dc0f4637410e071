"""The outcome of smaller tuning budgets, over all choices of n of the N trials."""

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from analysis.statistics.rank_stability import RankStability, rank_stability

MOST_SUBSETS = 5000  # per budget; if there are more, this many are sampled


@dataclass(frozen=True)
class Budget:
    """The expected outcome of n trials of each of M methods.

    Args:
        trials: n.
        validation: (M,) float64, expected best validation score of n trials.
        test: (M,) float64, expected test score of the trial chosen from n.
        ranks: Ranks of methods by the test score of the choice from all N trials, and their stability over subsets.
        subsets: Number of subsets of n trials: all, or a sample of `MOST_SUBSETS`.
    """

    trials: int
    validation: np.ndarray
    test: np.ndarray
    ranks: RankStability
    subsets: int


def subsets_of(n_trials: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return subsets of `size` trials, (B, size) int64; all contain trial 0, the default.

    Args:
        n_trials: N.
        size: n, 1 to N.
        rng: Generator of the sample if there are more than `MOST_SUBSETS`.
    """
    others = np.arange(1, n_trials)
    if comb(n_trials - 1, size - 1) <= MOST_SUBSETS:
        chosen = list(combinations(others.tolist(), size - 1))
        drawn = np.array(chosen, dtype=np.int64).reshape(len(chosen), size - 1)
    else:
        drawn = rng.permuted(np.tile(others, (MOST_SUBSETS, 1)), axis=1)[:, : size - 1]
    return np.column_stack([np.zeros(len(drawn), dtype=np.int64), drawn])


def budgets(validation: np.ndarray, test: np.ndarray, preference: np.ndarray, rng: np.random.Generator) -> list[Budget]:
    """Return the outcome of each budget from 1 trial to all N.

    All methods share the subset, as they share the draws. A budget of one trial is the default.

    Args:
        validation: (M, N) float64, validation score of each trial; (M, F, N) where each of F folds chooses for itself,
            whose results are averaged.
        test: Likewise, test score; NaN for untested trials.
        preference: Likewise, int, rank of each trial in the order of choice, 0 = the winner.
        rng: Generator for `subsets_of`.

    Source:
        Dodge et al. 2019 (expected validation performance, equation 2: the plug-in estimator, draws with replacement).
    Deviation:
        Draws without replacement, which is unbiased for independent trials (Tang et al. 2020); the budget always
        includes the default, because a study that tunes tries it first.
    """
    n_methods, n_trials = len(validation), validation.shape[-1]
    validation, test, preference = (each.reshape(-1, n_trials) for each in (validation, test, preference))
    n_choices = len(validation)  # M * F
    rows = np.arange(n_choices)[:, None]

    def over_folds(values: np.ndarray) -> np.ndarray:
        return values.reshape(n_methods, n_choices // n_methods, *values.shape[1:]).mean(axis=1)

    full_budget = over_folds(test[np.arange(n_choices), preference.argmin(axis=1)])
    results = []
    for size in range(1, n_trials + 1):
        subsets = subsets_of(n_trials, size, rng)
        chosen = np.take_along_axis(
            np.broadcast_to(subsets, (n_choices, *subsets.shape)),
            preference[:, subsets].argmin(axis=2)[..., None],
            axis=2,
        )[..., 0]  # (M * F, B)
        scores = over_folds(test[rows, chosen])
        ranks = rank_stability(full_budget, scores.T)
        results.append(
            Budget(size, over_folds(validation[rows, chosen]).mean(axis=1), scores.mean(axis=1), ranks, len(subsets))
        )  # fmt: skip
    return results
