"""Dividing groups into parts so that every class is shared out as evenly as whole groups allow."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_COST_OF_TAKING_A_CLASS = 1e3  # a held-out part that takes all groups with a class
_COST_OF_AN_EMPTY_PART = 1e6  # worse: where both cannot be had, the absent class is then reported by name
_EPSILON = 1e-9
_RESTARTS = 4
_PASSES = 10
_MANY_GROUPS = 400  # beyond this a single start is balanced enough, and swaps are tried with a sample of partners


def partition_groups(
    images: np.ndarray,
    presence: np.ndarray,
    fractions: Sequence[float],
    held_out: Sequence[bool],
    rng: np.random.Generator,
) -> np.ndarray:
    """Assign each group to a part.

    What is balanced, each with equal weight: the number of images; and per class the pixels, the images that hold the
    class, and the groups that hold it. Groups are dealt out one by one, largest first with some jitter, each to the
    part that needs it most; moves and swaps then improve the result until none helps. The best of a few starts wins.

    Args:
        images: (G,) int, images per group.
        presence: (G, 2, K) int, pixels of each class and images with each class, per group.
        fractions: (P,) wanted shares of the parts, sum 1.
        held_out: (P,) whether training goes without this part, so that it must not take all groups with a class.
        rng: Source of the jitter; the result is a function of its state.

    Returns:
        (G,) int64, the part of each group. No part is empty when there are at least as many groups as parts.
    """
    problem = _Problem.build(images, presence, fractions, held_out)
    starts = _RESTARTS if len(images) <= _MANY_GROUPS else 1
    best, best_cost = np.zeros(len(images), dtype=np.int64), np.inf
    for _ in range(starts):
        parts = _deal(problem, rng)
        loads = _improve(problem, parts, rng)
        cost = problem.cost(loads, np.arange(len(fractions))).sum()
        if cost < best_cost - _EPSILON:
            best, best_cost = parts, cost
    return best


@dataclass(frozen=True)
class _Problem:
    """Shares of the G groups in the D quantities to balance.

    Args:
        shares: (G, D) float64; each column sums to 1. Column 0 is the number of images, the last K are groups with
            each class.
        weights: (D,) float64.
        fractions: (P,) float64.
        held_out: (P,) bool.
        n_classes: K.
    """

    shares: np.ndarray
    weights: np.ndarray
    fractions: np.ndarray
    held_out: np.ndarray
    n_classes: int

    @classmethod
    def build(
        cls, images: np.ndarray, presence: np.ndarray, fractions: Sequence[float], held_out: Sequence[bool]
    ) -> "_Problem":
        occurring = presence[:, :, presence[:, 0].sum(axis=0) > 0]
        pixels, images_with_class = occurring[:, 0], occurring[:, 1]
        n_classes = occurring.shape[2]
        columns = np.column_stack([images, pixels, images_with_class, pixels > 0]).astype(np.float64)
        return cls(
            shares=columns / columns.sum(axis=0),
            weights=np.array([1.0, *[1 / max(n_classes, 1)] * (3 * n_classes)]),
            fractions=np.asarray(fractions, dtype=np.float64),
            held_out=np.asarray(held_out, dtype=bool),
            n_classes=n_classes,
        )

    def cost(self, loads: np.ndarray, parts: np.ndarray) -> np.ndarray:
        """Return the (N,) cost of (N, D) loads of the parts (N,)."""
        wanted = self.fractions[parts][:, None]
        uneven = ((loads - wanted) ** 2 / wanted) @ self.weights
        empty = loads[:, 0] < _EPSILON
        with_class = loads[:, loads.shape[1] - self.n_classes :]
        taken = (with_class > 1 - _EPSILON).sum(axis=1) * self.held_out[parts]
        return uneven + _COST_OF_AN_EMPTY_PART * empty + _COST_OF_TAKING_A_CLASS * taken


def _deal(problem: _Problem, rng: np.random.Generator) -> np.ndarray:
    """Deal the groups out, largest first, each to the part whose cost it lowers most (or raises least)."""
    n_groups, n_quantities = problem.shares.shape
    n_parts = len(problem.fractions)
    every_part = np.arange(n_parts)
    size = (problem.shares * problem.weights).sum(axis=1) * rng.uniform(0.5, 1.5, n_groups)
    loads = np.zeros((n_parts, n_quantities))
    parts = np.zeros(n_groups, dtype=np.int64)
    for group in np.argsort(-size, kind="stable"):
        gain = problem.cost(loads + problem.shares[group], every_part) - problem.cost(loads, every_part)
        parts[group] = gain.argmin()
        loads[parts[group]] += problem.shares[group]
    return parts


def _improve(problem: _Problem, parts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Move and swap groups in place while that lowers the cost; return the (P, D) loads."""
    n_groups = len(parts)
    loads = np.zeros((len(problem.fractions), problem.shares.shape[1]))
    np.add.at(loads, parts, problem.shares)
    for _ in range(_PASSES):
        improved = False
        for group in rng.permutation(n_groups):
            partners = rng.permutation(n_groups)[:_MANY_GROUPS]
            improved |= _try_group(problem, parts, loads, int(group), partners[parts[partners] != parts[group]])
        if not improved:
            break
    return loads


def _try_group(problem: _Problem, parts: np.ndarray, loads: np.ndarray, group: int, partners: np.ndarray) -> bool:
    """Make the best move or swap of one group, if any helps."""
    home = parts[group]
    others = np.flatnonzero(np.arange(len(loads)) != home)
    # a move is a swap with nothing: both are (destination, what comes back)
    destinations = np.concatenate([others, parts[partners]])
    returned = np.concatenate([np.zeros((len(others), loads.shape[1])), problem.shares[partners]])
    change = problem.shares[group] - returned
    homes = np.full(len(destinations), home)
    before = problem.cost(loads, np.arange(len(loads)))
    after = problem.cost(loads[home] - change, homes) + problem.cost(loads[destinations] + change, destinations)
    gain = before[home] + before[destinations] - after
    best = int(gain.argmax())
    if gain[best] <= _EPSILON:
        return False
    loads[home] -= change[best]
    loads[destinations[best]] += change[best]
    parts[group] = destinations[best]
    if best >= len(others):
        parts[partners[best - len(others)]] = home
    return True
