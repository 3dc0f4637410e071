"""Critical differences of average ranks, with data sets as the sample, and when they are not tested."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.statistics.friedman import FriedmanTest, cliques, friedman, nemenyi_distance, pairwise_ranks
from imbalance_bench.errors import UserError

FEWEST_DATASETS = 5  # with fewer, ranks are described but not tested


@dataclass(frozen=True)
class CriticalDifference:
    """Ranks of methods over data sets, and their critical difference.

    Args:
        ranks: Columns method, average_rank (1 = best) and mean_score; best first.
        pairs: Table of `friedman.pairwise_ranks`; empty if not `tested`.
        friedman: The test; its p must not be interpreted if not `tested`.
        distance: Critical difference of average ranks (Nemenyi); NaN if not `tested`.
        cliques: Names of the methods in each set that the distance does not separate.
        tested: Whether there are at least 5 data sets and 2 methods.
        left_out: Data sets that lack the score of a method.
        alpha: Level of the tests.
        sentence: The result, or why nothing was tested, in plain English.
    """

    ranks: pd.DataFrame
    pairs: pd.DataFrame
    friedman: FriedmanTest
    distance: float
    cliques: tuple[tuple[str, ...], ...]
    tested: bool
    left_out: tuple[str, ...]
    alpha: float
    sentence: str


def critical_difference(frame: pd.DataFrame, alpha: float = 0.05) -> CriticalDifference:
    """Rank methods over data sets.

    Args:
        frame: Columns dataset, method, score (higher is better), one row per data set and method. Data sets in which
            a method is missing, or its score is NaN, are left out and listed in `left_out`.
        alpha: Level of the tests.

    Raises:
        UserError: A column is missing, a pair occurs twice, or no data set has every method.
    """
    grid, left_out = _complete(frame)
    names = [str(column) for column in grid.columns]
    scores = grid.to_numpy(dtype=np.float64)
    test = friedman(scores)
    order = np.argsort(test.average_ranks, kind="stable")
    ranks = pd.DataFrame({"method": names, "average_rank": test.average_ranks, "mean_score": scores.mean(axis=0)})
    ranks = ranks.iloc[order].reset_index(drop=True)
    n, k = scores.shape
    if n < FEWEST_DATASETS or k < 2:
        sentence = _description(n, k, _best(ranks))
        return CriticalDifference(ranks, _NO_PAIRS, test, float("nan"), (), False, left_out, alpha, sentence)
    distance = nemenyi_distance(n, k, alpha)
    groups = tuple(tuple(names[member] for member in members) for members in cliques(test.average_ranks, distance))
    pairs = pairwise_ranks(scores, names)
    sentence = _finding(test, ranks, distance, groups, alpha)
    return CriticalDifference(ranks, pairs, test, distance, groups, True, left_out, alpha, sentence)


_NO_PAIRS = pd.DataFrame(
    columns=["method_a", "method_b", "rank_difference", "p_nemenyi", "p_conover", "p_conover_holm"]
)


def _complete(frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return scores as data sets x methods, in order of first appearance, and the data sets left out."""
    missing = [name for name in ("dataset", "method", "score") if name not in frame]
    if missing:
        raise UserError(f"Scores over data sets must have the column '{missing[0]}'. Got {list(frame.columns)}.")
    repeated = frame[frame.duplicated(["dataset", "method"])]
    if len(repeated):
        row = repeated.iloc[0]
        raise UserError(
            f"Data set '{row['dataset']}' has method '{row['method']}' twice. Each pair counts once: average seeds and "
            "folds first, and compare one study per data set."
        )
    grid = frame.pivot(index="dataset", columns="method", values="score")
    grid = grid.reindex(index=frame["dataset"].unique(), columns=frame["method"].unique())
    complete = grid.dropna(axis=0)
    left_out = tuple(str(dataset) for dataset in grid.index if dataset not in complete.index)
    if complete.empty:
        raise UserError(f"No data set has a score of every method. Got {len(grid)} data sets; compare shared methods.")
    return complete, left_out


def _best(ranks: pd.DataFrame) -> list[str]:
    """Return the method with the best average rank, or all that tie for it."""
    average = ranks["average_rank"].to_numpy()
    return [str(name) for name in ranks["method"][np.isclose(average, average.min(), rtol=0, atol=1e-9)]]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _description(n: int, k: int, best: Sequence[str]) -> str:
    if k < 2:
        return "There is one method: nothing is ranked."
    sets = "data set is" if n == 1 else "data sets are"
    return (
        f"{n} {sets} too few to test whether methods differ over data sets ({FEWEST_DATASETS} are needed): average "
        f"ranks are a description, and {_listed(best)} {'has' if len(best) == 1 else 'share'} the best one."
    )


def _finding(
    test: FriedmanTest, ranks: pd.DataFrame, distance: float, groups: tuple[tuple[str, ...], ...], alpha: float
) -> str:
    p = "p < 0.001" if test.p < 0.001 else f"p = {test.p:.3f}"
    over = f"over {test.n_blocks} data sets (Friedman, Iman-Davenport {p})"
    if test.p >= alpha:
        return f"Methods are not shown to differ in rank {over}."
    best = _best(ranks)
    group_members = dict.fromkeys(name for group in groups if set(best) & set(group) for name in group)
    rivals = [name for name in group_members if name not in best]
    they, are, them = ("it", "is", "it") if len(best) == 1 else ("they", "are", "them")
    separation = (
        f"{_listed(rivals)} cannot be told apart from {them}" if rivals else f"{they} {are} set apart from all others"
    )
    first = f"{_listed(best)} {'ranks' if len(best) == 1 else 'tie as'} best"
    return f"Methods differ in rank {over}: {first}; {separation} (critical difference {distance:.2f} ranks)."
