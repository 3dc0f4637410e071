"""Where tissue lies on a slide: what is bright and has no colour in a reduced view is glass."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.measure import label

from imbalance_bench.errors import UserError

LONGEST_SIDE_PX = 2048  # of the view in which tissue is looked for
HIGHEST_THRESHOLD = 0.1  # of saturation: stained tissue lies above, also where a slide shows tissue only
DARKEST_GLASS = 0.75  # of the brightness of the brightest pixels; darker ink, folds and dust are predicted
EMPTY = 12  # largest channel of what no scanner saw; slides are padded with black
MARGIN_PX = 2  # of that view, around what was found


@dataclass(frozen=True)
class Tissue:
    """Where tissue lies, and so what of an image is predicted.

    Attributes:
        cells: (h, w) bool; the image is divided evenly into so many cells.
        height_px: Of the image.
        width_px: Of the image.
    """

    cells: np.ndarray
    height_px: int
    width_px: int

    @property
    def share(self) -> float:
        """Share of the image that is tissue."""
        return float(self.cells.mean())

    def needed(self, tops: Sequence[int], lefts: Sequence[int], tile_px: int) -> np.ndarray:
        """Return which tiles hold tissue, (number of tops, number of lefts) bool."""
        counts = np.pad(self.cells.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        above, below = self._cells_of(tops, tile_px, self.height_px, axis=0)
        before, behind = self._cells_of(lefts, tile_px, self.width_px, axis=1)
        inside = counts[np.ix_(below, behind)] - counts[np.ix_(above, behind)]
        return inside - (counts[np.ix_(below, before)] - counts[np.ix_(above, before)]) > 0

    def window(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """Return which pixels of a window are tissue, (height, width) bool."""
        rows = np.arange(top, top + height) * self.cells.shape[0] // self.height_px
        columns = np.arange(left, left + width) * self.cells.shape[1] // self.width_px
        return self.cells[rows][:, columns]

    def _cells_of(
        self, starts: Sequence[int], tile_px: int, length_px: int, axis: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the first cell that each tile reaches and the first behind it."""
        first = np.asarray(starts, dtype=np.int64)
        last = np.minimum(first + tile_px, length_px) - 1
        cells = self.cells.shape[axis]
        return first * cells // length_px, last * cells // length_px + 1


def find_tissue(overview: np.ndarray, path: Path, height_px: int, width_px: int) -> Tissue:
    """Find tissue by Otsu's threshold of the saturation of a reduced view.

    Otsu's method divides whatever it is given, also a slide without glass; the threshold is therefore never higher than
    the saturation of weakly stained tissue, and what is dark is no glass. Holes that are smaller than a thousandth of
    the view belong to the tissue, and so does a margin around it.

    Args:
        overview: (h, w, 3) uint8, the whole slide.
        path: Its file, for messages.
        height_px: Rows of the image that is predicted.
        width_px: Its columns.

    Raises:
        UserError: There is none.

    Source: Otsu 1979, as `skimage.filters.threshold_otsu`; on saturation as in Lu et al. 2021 (CLAM).
    """
    stride = -(-max(overview.shape[:2]) // LONGEST_SIDE_PX)
    view = np.asarray(Image.fromarray(overview).reduce(stride))
    brightest, darkest = view.max(2).astype(np.float32), view.min(2).astype(np.float32)
    empty = brightest < EMPTY
    saturation = ndimage.gaussian_filter((brightest - darkest) / np.maximum(brightest, 1), 1)
    seen = saturation[~empty]
    if not seen.size:
        raise UserError(f"{path} must show something. Got black pixels only. --no-tissue predicts it as it is.")
    threshold = min(float(threshold_otsu(seen)), HIGHEST_THRESHOLD) if np.ptp(seen) > 0 else 0.0
    glass = (saturation <= threshold) & (brightest >= DARKEST_GLASS * np.percentile(brightest[~empty], 95))
    tissue = _without_small_holes(~(glass | empty))
    if not tissue.any():
        raise UserError(f"{path} must show tissue. Got glass only. --no-tissue predicts it as it is.")
    return Tissue(ndimage.binary_dilation(tissue, np.ones((3, 3)), iterations=MARGIN_PX), height_px, width_px)


def _without_small_holes(tissue: np.ndarray) -> np.ndarray:
    holes = np.asarray(label(~tissue, connectivity=1))
    sizes = np.bincount(holes.ravel())
    small = sizes < max(1, tissue.size // 1000)
    small[0] = False
    return tissue | small[holes]
