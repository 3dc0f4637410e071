"""Equally much of every class, so that a measure cannot tell a rare class from a common one by its number.

Any statistic of a sample depends on the size of the sample: its bias, and its noise. A primary measure is compared
between classes, so every class gives the same number of groups and of pixels, instances or cells. Under equal
distributions the classes are then exchangeable, whatever the statistic does.

Source:
    Rarefaction: Hurlbert 1971 (Ecology 52, 577-586), here of nested samples.
"""

from collections.abc import Sequence

import numpy as np


def rarefied_places(
    own: np.ndarray,
    levels: Sequence[np.ndarray],
    n_classes: int,
    *,
    fewest: int,
    most: int | None = None,
    copies: np.ndarray | None = None,
    rng: np.random.Generator,
) -> list[np.ndarray]:
    """Choose as many things for every class, from as many groups of each level, spread over these evenly.

    A class gives more groups than the others only where it would have fewer than `fewest` things otherwise. A class
    that has fewer than `fewest` things gives none and holds back no other.

    Args:
        own: (N,) class of each thing.
        levels: (N,) int each, the nested groups of each thing, coarsest first.
        n_classes: K.
        fewest: Things below which a class is not measured.
        most: Things per class at most.
        copies: (U,) how often a resample holds each group of the coarsest level; once by default.
        rng: Of the draw.

    Returns:
        K ascending arrays of places among the N, all of one length or empty; repeated where groups are.
    """
    kept, above = np.arange(len(own)), np.zeros(len(own), np.int64)
    for level in levels:
        _, first, group = np.unique(level[kept], return_index=True, return_inverse=True)
        counts = np.zeros((len(first), n_classes), np.int64)
        np.add.at(counts, (group, own[kept]), 1)
        times = np.ones(len(first), np.int64) if copies is None else copies[level[kept][first]]
        chosen = rarefied_groups(counts, fewest, rng, above=above[kept][first], copies=times)
        kept, above, copies = np.repeat(kept, chosen[group, own[kept]]), level, None
    held = np.bincount(own[kept], minlength=n_classes)
    size = min(held[held > 0].min(initial=len(own)), most or len(own))
    found = []
    for c in range(n_classes):
        places = rng.permutation(kept[own[kept] == c])
        found.append(np.sort(_in_turns(places, above[places])[:size]))
    return found


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
        counts: (U, K) how much of each class is in each group.
        fewest: Of a class with less in all groups together none is chosen; of another one enough for so much.
        rng: Of the draw.
        copies: (U,) how often each group is there.
        above: (U,) what each group is a part of; every such part has its turn.

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
                order = _in_turns(order, above[order])
            enough = 1 + int(np.searchsorted(np.cumsum(counts[order, c]), fewest))
            np.add.at(chosen[:, c], order[: max(equal, enough)], 1)
    return chosen


def equal_size(counts: np.ndarray, chosen: np.ndarray) -> int:
    """Return how much every class with chosen groups can give, 0 where there is no such class; arguments (U, K)."""
    held = (chosen * counts).sum(axis=0)[chosen.any(axis=0)]
    return int(held.min()) if len(held) else 0


def _in_turns(things: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Reorder things so that every group has its turn before one has its next, in their order within a group."""
    order = np.argsort(group, kind="stable")
    ranked = group[order]
    first = np.flatnonzero(np.diff(ranked, prepend=-1))
    turn = np.empty(len(things), np.int64)
    turn[order] = np.arange(len(things)) - np.repeat(first, np.diff(np.append(first, len(things))))
    return things[np.argsort(turn, kind="stable")]
