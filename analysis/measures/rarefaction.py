"""Equal samples of every class, so that a measure does not depend on how frequent a class is.

The bias and the noise of any statistic depend on the size of its sample. A primary measure is compared between
classes, so every class contributes the same number of groups and of pixels, instances or cells. Under equal
distributions the classes are then exchangeable, whatever the statistic.

Source:
    Rarefaction: Hurlbert 1971 (Ecology 52, 577-586), here of nested samples.
"""

from collections.abc import Sequence

import numpy as np


def rarefied_indices(
    class_id: np.ndarray,
    levels: Sequence[np.ndarray],
    n_classes: int,
    *,
    fewest: int,
    most: int | None = None,
    copies: np.ndarray | None = None,
    rng: np.random.Generator,
) -> list[np.ndarray]:
    """Choose equally many items for every class, spread evenly over equally many groups of each level.

    A class uses more groups than the others only where it would otherwise have fewer than `fewest` items. A class
    that has fewer than `fewest` items in all is left out and does not limit the others.

    Args:
        class_id: (N,) class of each item.
        levels: (N,) int each, the nested groups of each item, coarsest first.
        n_classes: K.
        fewest: A class with fewer items is not measured.
        most: Largest number of items per class.
        copies: (U,) how often a resample contains each group of the coarsest level; once by default.
        rng: Generator of the draw.

    Returns:
        K ascending arrays of indices into the N items, all of one length or empty; repeated where groups are.
    """
    indices, above = np.arange(len(class_id)), np.zeros(len(class_id), np.int64)
    for level in levels:
        _, first, group = np.unique(level[indices], return_index=True, return_inverse=True)
        counts = np.zeros((len(first), n_classes), np.int64)
        np.add.at(counts, (group, class_id[indices]), 1)
        times = np.ones(len(first), np.int64) if copies is None else copies[level[indices][first]]
        chosen = rarefied_groups(counts, fewest, rng, above=above[indices][first], copies=times)
        indices, above, copies = np.repeat(indices, chosen[group, class_id[indices]]), level, None
    available = np.bincount(class_id[indices], minlength=n_classes)
    size = min(available[available > 0].min(initial=len(class_id)), most or len(class_id))
    drawn = []
    for c in range(n_classes):
        members = rng.permutation(indices[class_id[indices] == c])
        drawn.append(np.sort(_round_robin(members, above[members])[:size]))
    return drawn


def rarefied_groups(
    counts: np.ndarray,
    fewest: int,
    rng: np.random.Generator,
    *,
    copies: np.ndarray,
    above: np.ndarray | None = None,
) -> np.ndarray:
    """Choose groups for each class, as many for every class as the class with the fewest groups has.

    Args:
        counts: (U, K) number of items of each class in each group.
        fewest: A class with fewer items gets no groups; any other gets enough groups to contain this many.
        rng: Generator of the draw.
        copies: (U,) how often the resample contains each group.
        above: (U,) group of the level above, over which the choice is spread.

    Returns:
        (U, K) int64, how often each group is chosen.
    """
    chosen = np.zeros(counts.shape, np.int64)
    eligible = np.flatnonzero(copies @ counts >= max(fewest, 1))
    if len(eligible):
        equal = (copies @ (counts[:, eligible] > 0)).min()
        for c in eligible:
            order = rng.permutation(np.repeat(np.arange(len(counts)), np.where(counts[:, c] > 0, copies, 0)))
            if above is not None:
                order = _round_robin(order, above[order])
            enough = 1 + int(np.searchsorted(np.cumsum(counts[order, c]), fewest))
            np.add.at(chosen[:, c], order[: max(equal, enough)], 1)
    return chosen


def equal_size(counts: np.ndarray, chosen: np.ndarray) -> int:
    """Return the size of sample that every class with chosen groups allows, 0 without such a class.

    Args:
        counts: (U, K) number of items of each class in each group.
        chosen: (U, K) how often each group is chosen.
    """
    available = (chosen * counts).sum(axis=0)[chosen.any(axis=0)]
    return int(available.min()) if len(available) else 0


def _round_robin(items: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Reorder items by taking one of each group in turn, in their order within the group."""
    order = np.argsort(group, kind="stable")
    ranked = group[order]
    first = np.flatnonzero(np.diff(ranked, prepend=-1))
    turn = np.empty(len(items), np.int64)
    turn[order] = np.arange(len(items)) - np.repeat(first, np.diff(np.append(first, len(items))))
    return items[np.argsort(turn, kind="stable")]
