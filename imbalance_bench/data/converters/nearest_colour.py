"""Colours that are almost labels: the nearest one, without inventing a third class where two meet.

An anti-aliased or resampled mask mixes the colours of two classes along their border, and the mixture may lie nearest
to the colour of a third. So areas of colours close to one label are taken first, and what is left chooses among the
labels around it. A colour that fills areas and is not close to a label is one that the layout forgot, and is refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_opening

from imbalance_bench.data.converters.pixel_files import LabelTable

_MIXED = -1  # the label of a pixel that has none yet
_REACH_PX = 2  # half the window in which a mixture looks for its labels
_ROUNDS = 4  # each reaches as far again
_CHUNK = 1 << 18
_ROUNDING = 1.0  # what rounding a mixture to integers can add to its distance, sqrt(3) / 2 at most


@dataclass(frozen=True)
class Change:
    """What became of one mask.

    Args:
        pixels: How many there are.
        changed_pixels: How many had no label's colour.
        largest_distance: The farthest that a pixel's colour was moved; Euclidean in RGB, 0..442.
    """

    pixels: int
    changed_pixels: int
    largest_distance: float


@dataclass(frozen=True)
class NearestLabels:
    """A table of colours for masks that hold others, too.

    Args:
        table: The labels.
        tolerance: Largest distance to a label; None: what every mixture of labels keeps, see `limit`.
    """

    table: LabelTable
    tolerance: float | None = None

    @cached_property
    def codes(self) -> np.ndarray:
        """(L,) int64 labels 0xrrggbb, sorted."""
        return np.array(sorted(self.table.ids), dtype=np.int64)

    @cached_property
    def _between(self) -> np.ndarray:
        """Return the distances between two labels, without those of a label to itself."""
        return _distances(self.codes, self.codes)[np.triu_indices(len(self.codes), k=1)]

    @property
    def limit(self) -> float:
        """The tolerance in force; by default what every mixture of labels keeps (Jung, 1901), and its rounding."""
        if self.tolerance is not None:
            return self.tolerance
        dimension = min(len(self.codes) - 1, 3)
        return float(self._between.max(initial=0)) * (dimension / (2 * (dimension + 1))) ** 0.5 + _ROUNDING

    def apply(self, codes: np.ndarray, path: Path) -> tuple[np.ndarray, Change]:
        """Translate colours.

        Args:
            codes: (H, W) int colours 0xrrggbb.
            path: Where they come from, for the message.

        Returns:
            (H, W) uint8 class ids, and what was changed.

        Raises:
            UserError: A colour is too far from every label, or fills areas and is not close to one.
        """
        place = np.searchsorted(self.codes, codes).clip(max=len(self.codes) - 1)
        other = self.codes[place] != codes  # (H, W)
        if not other.any():
            return self._ids(place), Change(codes.size, 0, 0.0)
        safe = float(self._between.min(initial=np.inf)) / 2  # within it no other label is as near
        strange, inverse = np.unique(codes[other], return_inverse=True)
        nearest, distance = self._nearest(strange)
        place[other] = np.where(distance < safe, nearest, _MIXED)[inverse]
        flat = _fills_areas(codes, other)
        flat[other] &= (distance > min(safe / 2, self.limit))[inverse]
        far = np.zeros_like(other)
        far[other] = (distance > self.limit)[inverse]
        wrong = far | np.isin(codes, np.unique(codes[flat])) & other
        if wrong.any():
            fix = (
                f"A colour farther than the tolerance {self.limit:.0f} from every label, or that fills areas, is no "
                "mixture: map it to a class or to unlabelled, correct the mask, or raise `tolerance`."
            )
            raise self.table.unknown(codes, wrong, path, fix)
        close = place.copy()
        place[other & ~_in_blocks(place, other)] = _MIXED
        self._resolve(place, codes, close, safe)
        left = place == _MIXED
        place[left] = self._nearest(codes[left])[0]
        moved = np.concatenate([_lengths(self.codes[part], was) for part, was in _chunks(place[other], codes[other])])
        return self._ids(place), Change(codes.size, int(other.sum()), float(moved.max()))

    def _ids(self, place: np.ndarray) -> np.ndarray:
        return np.array([self.table.ids[int(code)] for code in self.codes], dtype=np.uint8)[place]

    def _nearest(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the place of the nearest label, and the distance to it, of each of (n,) colours."""
        places, distances = np.empty(len(codes), np.int64), np.empty(len(codes))
        for start in range(0, len(codes), _CHUNK):
            part = slice(start, start + _CHUNK)
            to_labels = _distances(codes[part], self.codes)
            places[part] = to_labels.argmin(axis=1)
            distances[part] = to_labels.min(axis=1)
        return places, distances

    def _resolve(self, place: np.ndarray, codes: np.ndarray, close: np.ndarray, safe: float) -> None:
        """Give labels to pixels that have none (-1) by those around them, from outside in.

        A colour close to a label takes it, unless it also lies between two others around it. Any other colour takes the
        nearest of the labels around it.
        """
        for _ in range(_ROUNDS):
            rows, columns = np.nonzero(place == _MIXED)
            around = np.pad(place, _REACH_PX, constant_values=_MIXED)
            chosen = np.full(len(rows), _MIXED, dtype=place.dtype)
            for start in range(0, len(rows), _CHUNK):
                part = slice(start, start + _CHUNK)
                y, x = rows[part], columns[part]
                present = np.zeros((len(y), len(self.codes) + 1), dtype=bool)  # the last column collects the -1
                for down in range(2 * _REACH_PX + 1):
                    for right in range(2 * _REACH_PX + 1):
                        present[np.arange(len(y)), around[y + down, x + right]] = True
                distance = _distances(codes[y, x], self.codes)
                distance[~present[:, :-1] | (distance > self.limit)] = np.inf
                nearest = np.where(np.isfinite(distance).any(axis=1), distance.argmin(axis=1), _MIXED)
                own = close[y, x]
                keeps = (own != _MIXED) & ~self._between_present(codes[y, x], present[:, :-1], own, safe / 4)
                chosen[part] = np.where(keeps, own, nearest)
            if not (chosen != _MIXED).any():
                return
            place[rows, columns] = chosen

    def _between_present(self, codes: np.ndarray, present: np.ndarray, own: np.ndarray, reach: float) -> np.ndarray:
        """Return which of (n,) colours lie within `reach` of the line between two of their (n, L) present labels.

        A line that ends at the pixel's own label, (n,), does not count.
        """
        between = np.zeros(len(codes), dtype=bool)
        labels = _channels(self.codes)
        for i in range(len(self.codes)):
            for j in range(i + 1, len(self.codes)):
                both = np.nonzero(present[:, i] & present[:, j] & (own != i) & (own != j))[0]
                if not len(both):
                    continue
                offset, line = _channels(codes[both]) - labels[i], labels[j] - labels[i]
                along = (offset @ line / (line @ line)).clip(0, 1)
                between[both] |= np.linalg.norm(offset - along[:, None] * line, axis=1) <= reach
        return between


def _in_blocks(place: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return where a label fills a block of 3 x 3 pixels, exactly or closely; (H, W) bool."""
    inside = np.zeros_like(other)
    for label in np.unique(place[other & (place != _MIXED)]):
        inside |= binary_opening(place == label, np.ones((3, 3), dtype=bool))
    return inside


def _fills_areas(codes: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return where a pixel of `other` and its eight neighbours have one colour; (H, W) bool."""
    filled = np.zeros_like(other)
    height, width = codes.shape
    if height < 3 or width < 3:
        return filled
    inner = codes[1:-1, 1:-1]
    same = other[1:-1, 1:-1].copy()
    for down in range(3):
        for right in range(3):
            same &= codes[down : height - 2 + down, right : width - 2 + right] == inner
    filled[1:-1, 1:-1] = same
    return filled


def _channels(codes: np.ndarray) -> np.ndarray:
    """Return (..., 3) float32 of colours 0xrrggbb."""
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1).astype(np.float32)


def _distances(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return (n, L) Euclidean distances in RGB."""
    return np.linalg.norm(_channels(codes)[:, None] - _channels(labels)[None], axis=-1)


def _lengths(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.linalg.norm(_channels(first) - _channels(second), axis=-1)


def _chunks(*arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    for start in range(0, len(arrays[0]), _CHUNK):
        yield tuple(array[start : start + _CHUNK] for array in arrays)
