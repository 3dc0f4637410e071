"""Class ids of images of any size: tiles are predicted row by row, and finished windows leave at once."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from imbalance_bench.data.taxonomy import UNLABELLED
from imbalance_bench.data.tiling import cut, tile_image
from imbalance_bench.data.windowed_image import RegionImage
from imbalance_bench.inference.tissue import Tissue

TileLogits = Callable[[np.ndarray], Tensor]  # (n, t, t, 3) uint8 -> (n, K, t, t) float32
TILES_PER_READ = 8
READS_AHEAD = 3


@dataclass(frozen=True)
class Tiling:
    """How an image is divided.

    Attributes:
        tile_px: Edge t of the tiles.
        stride_px: Pixels from one tile to the next.
        tiles_per_pass: Tiles that go through the model at once.
        panel_px: Widest part of an image whose logits are held, t rows high.
    """

    tile_px: int
    stride_px: int
    tiles_per_pass: int = 4
    panel_px: int = 2**14


@dataclass(frozen=True)
class Window:
    """A finished part of an image.

    Attributes:
        panel: Number of its panel, from left to right.
        row: Number of the row of tiles that finished it.
        top: First row, px.
        left: First column, px.
        ids: (h, w) uint8 class ids, UNLABELLED where no tissue is.
    """

    panel: int
    row: int
    top: int
    left: int
    ids: np.ndarray


def predict_windows(
    image: RegionImage,
    tile_logits: TileLogits,
    tiling: Tiling,
    *,
    tissue: Tissue | None = None,
    finished: Mapping[int, int] | None = None,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> Generator[Window, None, None]:
    """Predict an image, yielding what is finished: panel by panel, from top to bottom.

    Logits are summed where tiles overlap, which gives the classes of their average, as in the evaluation of a run. A
    panel is as wide as memory allows; tiles that reach over its border are predicted for both sides. The result depends
    on neither panels nor tissue nor on where an earlier call stopped: where tissue is, all tiles are there.
    Memory: K x t x panel_px numbers of 4 bytes and a few reads, whatever the size of the image.

    Args:
        image: An open image, H x W. A thread reads it ahead.
        tile_logits: The model.
        tiling: How it is divided.
        tissue: What is predicted; None: everything.
        finished: Rows of tiles of each panel whose windows were yielded before.
        on_progress: Called with the tiles done and the tiles in all.

    Yields:
        Windows that together cover the image, less those that were finished before.
    """
    plan = _Plan.of(image, tiling, tissue)
    finished = finished or {}
    n_done = sum(plan.tiles_of(number, row) for number in finished for row in range(finished[number]))
    total = sum(plan.tiles_of(number, row) for number in range(len(plan.panels)) for row in range(len(plan.tops)))
    if n_done:
        on_progress(n_done, total)
    for number, panel in enumerate(plan.panels):
        first = finished.get(number, 0)
        if first == len(plan.tops):
            continue
        start = next(row for row, top in enumerate(plan.tops) if top + tiling.tile_px > plan.tops[first])
        band = _Band(plan.tops[start], panel, tiling.tile_px)
        with closing(_read_ahead(image, tiling.tile_px, plan, number, start)) as rows:  # before the image is closed
            for row, tiles in rows:
                top, until = plan.tops[row], plan.tops[row + 1] if row + 1 < len(plan.tops) else image.height_px
                for part in _passes(tiles, tiling.tiles_per_pass):
                    band.add(top, part, tile_logits(np.stack([pixels for _, pixels in part])))
                    if row >= first:  # tiles above are predicted again for what they share with those below
                        n_done += len(part)
                        on_progress(n_done, total)
                ids = band.take(until, tissue)
                if row >= first:
                    yield Window(number, row, top, panel.left, ids)


@dataclass(frozen=True)
class _Panel:
    """Columns of an image; `tiles` are the places of the tiles in `_Plan.lefts` that reach into them."""

    left: int
    right: int
    tiles: tuple[int, ...]


@dataclass(frozen=True)
class _Plan:
    """Which tiles are read and predicted, panel by panel."""

    tops: list[int]
    lefts: list[int]
    panels: list[_Panel]
    needed: np.ndarray  # (tops, lefts) bool

    @classmethod
    def of(cls, image: RegionImage, tiling: Tiling, tissue: Tissue | None) -> "_Plan":
        places = tile_image(image.height_px, image.width_px, tiling.tile_px, tiling.stride_px)
        tops, lefts = (list(dict.fromkeys(values)) for values in zip(*places, strict=True))
        starts = [0]
        for left, following in zip(lefts, [*lefts[1:], image.width_px], strict=True):
            if following - starts[-1] > tiling.panel_px and left > starts[-1]:
                starts.append(left)
        panels = []
        for left, right in zip(starts, [*starts[1:], image.width_px], strict=True):
            tiles = tuple(k for k, start in enumerate(lefts) if start < right and start + tiling.tile_px > left)
            panels.append(_Panel(left, right, tiles))
        everything = np.ones((len(tops), len(lefts)), dtype=bool)
        return cls(tops, lefts, panels, everything if tissue is None else tissue.needed(tops, lefts, tiling.tile_px))

    def tiles_of(self, panel: int, row: int) -> int:
        """Tiles to predict in one row of a panel."""
        return int(self.needed[row, list(self.panels[panel].tiles)].sum())

    def reads(self, panel: int, rows: Sequence[int]) -> Iterator[tuple[int, int, list[int]]]:
        """Yield row, its first pixel row, and the left borders of tiles that are read together."""
        for row in rows:
            together: list[int] = []
            for place in self.panels[panel].tiles:
                if self.needed[row, place]:
                    together.append(self.lefts[place])
                if together and (not self.needed[row, place] or len(together) == TILES_PER_READ):
                    yield row, self.tops[row], together
                    together = []
            if together:
                yield row, self.tops[row], together


_Tile = tuple[int, np.ndarray]  # left border and pixels


@dataclass
class _Ahead:
    """Reads that a thread does while the model works."""

    reader: ThreadPoolExecutor
    waiting: deque[tuple[int, Future[list[_Tile]]]] = field(default_factory=deque)


def _read_ahead(
    image: RegionImage, tile_px: int, plan: _Plan, panel: int, start: int
) -> Generator[tuple[int, Iterator[_Tile]], None, None]:
    """Yield each row of a panel from `start` with its tiles, which must be consumed before the next row."""
    rows = range(start, len(plan.tops))
    reads = plan.reads(panel, rows)
    with ThreadPoolExecutor(1, thread_name_prefix="slide reader") as reader:
        ahead = _Ahead(reader)

        def more() -> None:
            for row, top, lefts in reads:
                ahead.waiting.append((row, ahead.reader.submit(_tiles, image, tile_px, top, lefts)))
                if len(ahead.waiting) >= READS_AHEAD:
                    return

        def tiles_of(row: int) -> Iterator[_Tile]:
            while ahead.waiting and ahead.waiting[0][0] == row:
                tiles = ahead.waiting.popleft()[1].result()
                more()
                yield from tiles

        try:
            more()
            for row in rows:
                yield row, tiles_of(row)
        finally:
            for _, future in ahead.waiting:
                future.cancel()


def _tiles(image: RegionImage, tile_px: int, top: int, lefts: list[int]) -> list[_Tile]:
    """Read tiles of one row in one window."""
    height, width = min(tile_px, image.height_px - top), min(lefts[-1] + tile_px, image.width_px) - lefts[0]
    strip = image.read(top, lefts[0], height, width)
    return [(left, cut(strip, 0, left - lefts[0], tile_px)) for left in lefts]


def _passes(tiles: Iterator[_Tile], size: int) -> Iterator[list[_Tile]]:
    part: list[_Tile] = []
    for tile in tiles:
        part.append(tile)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


class _Band:
    """Sums of logits of the rows of a panel that are not finished yet, on the device of the model."""

    def __init__(self, top: int, panel: _Panel, tile_px: int) -> None:
        self._top, self._panel, self._tile_px = top, panel, tile_px
        self._sum: Tensor | None = None
        self._filled = top  # rows from here on hold nothing

    def add(self, top: int, tiles: Sequence[_Tile], logits: Tensor) -> None:
        """Add the (n, K, t, t) logits of tiles; what lies outside the panel is dropped."""
        panel = self._panel
        if self._sum is None:
            self._sum = torch.zeros((logits.shape[1], self._tile_px, panel.right - panel.left), device=logits.device)
        for (left, _), values in zip(tiles, logits, strict=True):
            start, stop = max(left, panel.left), min(left + self._tile_px, panel.right)
            into = self._sum[:, top - self._top :, start - panel.left : stop - panel.left]
            into += values[:, : into.shape[1], start - left : stop - left]
        self._filled = top + self._tile_px

    def take(self, until: int, tissue: Tissue | None) -> np.ndarray:
        """Return the ids of the rows before `until`, and move on to it."""
        n, width = until - self._top, self._panel.right - self._panel.left
        ids = np.full((n, width), UNLABELLED, dtype=np.uint8)
        if self._sum is not None and self._filled > self._top:
            wanted = np.True_ if tissue is None else tissue.window(self._top, self._panel.left, n, width)
            if wanted.any():
                np.copyto(ids, _largest(self._sum[:, :n]), where=wanted)
            self._sum[:, : self._tile_px - n] = self._sum[:, n:].clone()
            self._sum[:, self._tile_px - n :] = 0
        self._top = until
        return ids


def _largest(sums: Tensor) -> np.ndarray:
    """Return the first class of the largest sum, which is that of the largest mean: (K, h, w) -> (h, w) uint8."""
    ids = torch.zeros(sums.shape[1:], dtype=torch.uint8, device=sums.device)
    best = sums[0].clone()
    for number in range(1, len(sums)):  # `argmax` over the first axis takes several times as long on a CPU
        ids.masked_fill_(sums[number] > best, number)
        torch.maximum(best, sums[number], out=best)
    return ids.cpu().numpy()
