"""Draws of feature cells: in each, every class gives the same number of groups, tiles and cells."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.measures.rarefaction import rarefied_places

Batches = Callable[[], Iterator[tuple[int, np.ndarray, np.ndarray]]]  # one batch is one tile


@dataclass(frozen=True)
class CellDraw:
    """The cells of one draw; N of them, class by class.

    Args:
        own: (N,) class.
        unit: (N,) unit.
        tile: (N,) tile, by its place among the batches.
        values: (N, C) features.
    """

    own: np.ndarray
    unit: np.ndarray
    tile: np.ndarray
    values: np.ndarray


def draw_cells(
    batches: Batches,
    members: np.ndarray,
    n_classes: int,
    *,
    fewest: int,
    most: int,
    rngs: Sequence[np.random.Generator],
) -> list[list[CellDraw]]:
    """Draw cells for each fold, in two passes over the batches.

    Args:
        batches: `batches()` yields (unit, (n,) classes, (n, C) features) of each tile, the same at both calls.
        members: (F, U) bool, units of each fold.
        n_classes: K.
        fewest: Cells below which a class is left out.
        most: Cells per class at most.
        rngs: One for each draw of a fold.

    Returns:
        F lists of as many draws as there are `rngs`.
    """
    units, classes = [], []
    for unit, of_tile, _ in batches():
        units.append(np.full(len(of_tile), unit))
        classes.append(of_tile)
    sizes = np.array([len(class_) for class_ in classes], dtype=np.int64)
    unit, own = (np.concatenate([np.zeros(0, np.int64), *each]) for each in (units, classes))
    tile = np.repeat(np.arange(len(sizes)), sizes)
    chosen = []
    for fold in members:
        here = np.flatnonzero(fold[unit])
        for rng in rngs:
            levels = (unit[here], tile[here])
            places = rarefied_places(own[here], levels, n_classes, fewest=fewest, most=most, rng=rng)
            chosen.append(here[np.concatenate(places)])
    values = _read(batches, chosen, sizes)
    draws = [CellDraw(own[at], unit[at], tile[at], each) for at, each in zip(chosen, values, strict=True)]
    return [draws[first : first + len(rngs)] for first in range(0, len(draws), len(rngs))]


def _read(batches: Batches, chosen: Sequence[np.ndarray], sizes: np.ndarray) -> list[np.ndarray]:
    """Read the features of the chosen cells of each draw, (N, C) each.

    Args:
        batches: As of `draw_cells`.
        chosen: (N,) places among all cells, of each draw.
        sizes: (T,) cells of each tile.
    """
    found = [np.zeros((len(each), 1)) for each in chosen]
    orders = [np.argsort(each) for each in chosen]
    ranked = [each[order] for each, order in zip(chosen, orders, strict=True)]
    last = np.cumsum(sizes)
    for stop, (_, of_tile, values) in zip(last, batches(), strict=True):
        start = stop - len(of_tile)
        for number, places in enumerate(ranked):
            low, high = np.searchsorted(places, (start, stop))
            if low < high:
                if found[number].shape[1] != values.shape[1]:
                    found[number] = np.zeros((len(places), values.shape[1]), values.dtype)
                found[number][orders[number][low:high]] = values[places[low:high] - start]
    return found
