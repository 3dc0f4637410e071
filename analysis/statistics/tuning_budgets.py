"""What a smaller budget of trials would have chosen: every choice of n of the N trials that were made."""

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from analysis.statistics.rank_stability import RankStability, rank_stability

MOST_SUBSETS = 5000  # of one budget; beyond it as many are drawn


@dataclass(frozen=True)
class Budget:
    """What n trials of each of M methods would have given.

    Args:
        trials: n.
        validation: (M,) float64, expected best validation score of n trials.
        test: (M,) float64, expected test score of the trial that these n would have chosen.
        ranks: Ranks by test score of what all N trials chose, and what the subsets make of them.
        subsets: Choices of n trials that were looked at; all there are, up to `MOST_SUBSETS`.
    """

    trials: int
    validation: np.ndarray
    test: np.ndarray
    ranks: RankStability
    subsets: int


def subsets_of(n_trials: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return choices of `size` trials without replacement, (B, size) int64; trial 0, the default, is in all of them.

    Args:
        n_trials: N.
        size: n, 1 to N.
        rng: Draws them where there are more than `MOST_SUBSETS`.
    """
    others = np.arange(1, n_trials)
    if comb(n_trials - 1, size - 1) <= MOST_SUBSETS:
        chosen = list(combinations(others.tolist(), size - 1))
        drawn = np.array(chosen, dtype=np.int64).reshape(len(chosen), size - 1)
    else:
        drawn = rng.permuted(np.tile(others, (MOST_SUBSETS, 1)), axis=1)[:, : size - 1]
    return np.column_stack([np.zeros(len(drawn), dtype=np.int64), drawn])


def budgets(validation: np.ndarray, test: np.ndarray, preference: np.ndarray, rng: np.random.Generator) -> list[Budget]:
    """Return what each budget from 1 trial to all N gives.

    All methods share the subset, as they share the draws. A budget of one is the default.

    Args:
        validation: (M, N) float64, validation score of each trial.
        test: (M, N) float64, test score; NaN where nothing was tested.
        preference: (M, N) int, place of each trial in the order of choice, 0 = the winner.
        rng: See `subsets_of`.

    Source:
        Dodge et al. 2019 (expected validation performance, equation 2: the plug-in estimator, draws with replacement).
    Deviation:
        Draws without replacement, which is unbiased for independent trials (Tang et al. 2020), and the default always
        belongs to the budget, because a study that tunes tries it first.
    """
    methods, n_trials = validation.shape
    rows = np.arange(methods)[:, None]
    of_all = test[np.arange(methods), preference.argmin(axis=1)]
    found = []
    for size in range(1, n_trials + 1):
        subsets = subsets_of(n_trials, size, rng)
        chosen = np.take_along_axis(
            np.broadcast_to(subsets, (methods, *subsets.shape)),
            preference[:, subsets].argmin(axis=2)[..., None],
            axis=2,
        )[..., 0]  # (M, B)
        reached = test[rows, chosen]
        ranks = rank_stability(of_all, reached.T)
        found.append(
            Budget(size, validation[rows, chosen].mean(axis=1), reached.mean(axis=1), ranks, len(subsets))
        )  # fmt: skip
    return found
