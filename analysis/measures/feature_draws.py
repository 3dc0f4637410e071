"""Draws of feature cells: in each, every class contributes the same number of groups, tiles and cells."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.measures.rarefaction import rarefied_indices

Batches = Callable[[], Iterator[tuple[int, np.ndarray, np.ndarray]]]  # one batch is one tile


@dataclass(frozen=True)
class CellDraw:
    """The cells of one draw; N of them, class by class.

    Args:
        class_id: (N,) class.
        unit: (N,) unit.
        tile: (N,) tile, as index of its batch.
        values: (N, C) features.
    """

    class_id: np.ndarray
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
        fewest: A class with fewer cells is left out.
        most: Largest number of cells per class.
        rngs: Generators, one for each draw of a fold.

    Returns:
        F lists of len(rngs) draws.
    """
    units, classes = [], []
    for unit, tile_classes, _ in batches():
        units.append(np.full(len(tile_classes), unit))
        classes.append(tile_classes)
    sizes = np.array([len(class_) for class_ in classes], dtype=np.int64)
    unit, class_id = (np.concatenate([np.zeros(0, np.int64), *arrays]) for arrays in (units, classes))
    tile = np.repeat(np.arange(len(sizes)), sizes)
    chosen = []
    for fold in members:
        in_fold = np.flatnonzero(fold[unit])
        for rng in rngs:
            levels = (unit[in_fold], tile[in_fold])
            cells = rarefied_indices(class_id[in_fold], levels, n_classes, fewest=fewest, most=most, rng=rng)
            chosen.append(in_fold[np.concatenate(cells)])
    values = _read(batches, chosen, sizes)
    draws = [
        CellDraw(class_id[cells], unit[cells], tile[cells], features)
        for cells, features in zip(chosen, values, strict=True)
    ]
    return [draws[first : first + len(rngs)] for first in range(0, len(draws), len(rngs))]


def _read(batches: Batches, chosen: Sequence[np.ndarray], sizes: np.ndarray) -> list[np.ndarray]:
    """Read the features of the chosen cells of each draw, (N, C) each.

    Args:
        batches: As in `draw_cells`.
        chosen: (N,) indices into all cells, for each draw.
        sizes: (T,) number of cells of each tile.
    """
    features = [np.zeros((len(cells), 1)) for cells in chosen]
    orders = [np.argsort(cells) for cells in chosen]
    ascending = [cells[order] for cells, order in zip(chosen, orders, strict=True)]
    last = np.cumsum(sizes)
    for stop, (_, tile_classes, values) in zip(last, batches(), strict=True):
        start = stop - len(tile_classes)
        for number, cells in enumerate(ascending):
            low, high = np.searchsorted(cells, (start, stop))
            if low < high:
                if features[number].shape[1] != values.shape[1]:
                    features[number] = np.zeros((len(cells), values.shape[1]), values.dtype)
                features[number][orders[number][low:high]] = values[cells[low:high] - start]
    return features
