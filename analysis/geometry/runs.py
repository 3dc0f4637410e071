"""Horizontal runs of a mask, a run-length encoding from which components, box counts and moments follow quickly."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from imbalance_bench.data.taxonomy import UNLABELLED


@dataclass(frozen=True)
class Runs:
    """Labelled runs of one class within a row, in raster order; R of them.

    Args:
        row: (R,) int64.
        start: (R,) int64, first column.
        stop: (R,) int64, column after the last.
        class_id: (R,) int64.
        component: (R,) int64, number of the 8-connected component, from 1, in the order of first pixels.
        shape: Height and width of the mask.
    """

    row: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    class_id: np.ndarray
    component: np.ndarray
    shape: tuple[int, int]

    @property
    def length(self) -> np.ndarray:
        """(R,) int64, pixels of each run."""
        return self.stop - self.start

    @property
    def class_of(self) -> np.ndarray:
        """(n + 1,) int64, class of each component; entry 0 is unused."""
        classes = np.zeros(int(self.component.max(initial=0)) + 1, np.int64)
        classes[self.component] = self.class_id
        return classes

    def image(self, value_of: np.ndarray) -> np.ndarray:
        """Paint each component with its value, 0 where nothing is labelled.

        Args:
            value_of: (n + 1,) value of each component.

        Returns:
            (H, W) of the dtype of `value_of`.
        """
        begin = self.row * self.shape[1] + self.start
        gap = begin - np.concatenate([[0], (begin + self.length)[:-1]])
        size = np.zeros(2 * len(gap) + 1, np.int64)
        size[:-1:2], size[1::2] = gap, self.length
        size[-1] = self.shape[0] * self.shape[1] - size.sum()  # after the last run
        value = np.zeros(size.shape, value_of.dtype)
        value[1::2] = value_of[self.component]
        return np.repeat(value, size).reshape(self.shape)


def find_runs(mask: np.ndarray) -> Runs:
    """Find the runs of a mask and number its components as `skimage.measure.label(connectivity=2)` does.

    Args:
        mask: (H, W) uint8, class indices or UNLABELLED.
    """
    height, width = mask.shape
    begins = np.ones(mask.shape, dtype=bool)
    np.not_equal(mask[:, 1:], mask[:, :-1], out=begins[:, 1:])
    begin = np.flatnonzero(begins)
    end = np.append(begin[1:], mask.size)
    value = mask.ravel()[begin]
    row, start = np.divmod(begin, width)
    stop = end - row * width
    linked = _linked(begin, row, start, stop, value, width=width, height=height)
    labelled = np.flatnonzero(value != UNLABELLED)
    graph = coo_array((np.ones(len(linked[0]), bool), linked), shape=(len(begin), len(begin)))
    _, group = connected_components(graph, directed=False)
    component = _numbered_by_first(group[labelled])
    return Runs(
        row[labelled],
        start[labelled],
        stop[labelled],
        value[labelled].astype(np.int64),
        component,
        (height, width),
    )


def label_runs(labels: np.ndarray, class_of: np.ndarray) -> Runs:
    """Return the runs of labelled components.

    Args:
        labels: (H, W) int, component numbers from 1; 0 is nothing.
        class_of: (n + 1,) class of each component.
    """
    begins = np.ones(labels.shape, dtype=bool)
    np.not_equal(labels[:, 1:], labels[:, :-1], out=begins[:, 1:])
    begin = np.flatnonzero(begins)
    end, component = np.append(begin[1:], labels.size), labels.ravel()[begin].astype(np.int64)
    labelled = component > 0
    row, start = np.divmod(begin[labelled], labels.shape[1])
    stop, component = end[labelled] - row * labels.shape[1], component[labelled]
    return Runs(row, start, stop, class_of[component], component, labels.shape)


def _linked(
    begin: np.ndarray,
    row: np.ndarray,
    start: np.ndarray,
    stop: np.ndarray,
    value: np.ndarray,
    *,
    width: int,
    height: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of runs in consecutive rows that have one class and share a side or a corner."""
    upper = np.flatnonzero((row < height - 1) & (value != UNLABELLED))
    below = (row[upper] + 1) * width
    first = np.searchsorted(begin, below + np.maximum(start[upper] - 1, 0), side="right") - 1
    last = np.searchsorted(begin, below + np.minimum(stop[upper], width - 1), side="right") - 1
    counts = last - first + 1
    upper_run = np.repeat(upper, counts)
    lower_run = np.arange(counts.sum()) + np.repeat(first - (np.cumsum(counts) - counts), counts)
    same_class = value[upper_run] == value[lower_run]
    return upper_run[same_class], lower_run[same_class]


def _numbered_by_first(group: np.ndarray) -> np.ndarray:
    """Renumber groups from 1 in the order in which they first occur."""
    _, first, member = np.unique(group, return_index=True, return_inverse=True)
    number = np.empty(len(first), np.int64)
    number[np.argsort(first, kind="stable")] = np.arange(1, len(first) + 1)
    return number[member.ravel()]
