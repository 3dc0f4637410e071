"""What masks hold: codes or colours, which of them are labels, and which are mixtures along anti-aliased borders."""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from imbalance_bench.data.pictures import IndexColours, Palette, read_colours, read_labels, read_palette
from imbalance_bench.data.prepared import usable_cores
from imbalance_bench.errors import UserError

MOST_LABELS = 64  # more different values that fill areas number instances
_IGNORE = 255  # the usual code of pixels without a label, beside codes from 0
_FEW = 3  # up to this many colours that fill no area are thin structures; a blended border has more
_SAME_DISTANCE = 8.0  # in RGB; classes differ by more, but JPEG moves colours this far
_SATELLITE_DISTANCE, _SATELLITE_SHARE = 32.0, 0.05  # of noise around a label: in RGB, and of the label's pixels

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class MaskValues:
    """What one mask holds.

    Args:
        colours: Whether values are colours 0xrrggbb; else codes.
        values: (V,) int64, sorted.
        pixels: (V,) int64.
        filled: (V,) int64, pixels whose eight neighbours have the same value.
        height_px: Rows.
        width_px: Columns.
        palette: Of codes that are its indices.
    """

    colours: bool
    values: np.ndarray
    pixels: np.ndarray
    filled: np.ndarray
    height_px: int
    width_px: int
    palette: Palette | None = None


@dataclass(frozen=True)
class Labels:
    """The labels of a set of masks.

    Args:
        colours: Whether they are colours 0xrrggbb.
        values: (L,) labels; codes rising, colours from the most frequent one.
        pixels: (n_masks, L) int64, pixels that hold exactly the label.
        mixed_values: How many other values there are.
        mixed_share: Their share of all pixels.
        sizes: (height, width) of each mask, px.
        reordered: Whether they are colours because the palettes of the masks differ in their order.
    """

    colours: bool
    values: tuple[int, ...]
    pixels: np.ndarray
    mixed_values: int
    mixed_share: float
    sizes: tuple[tuple[int, int], ...]
    reordered: bool = False

    @property
    def nearest(self) -> bool:
        """Whether a layout needs `nearest: true`."""
        return self.mixed_values > 0

    @property
    def shares(self) -> np.ndarray:
        """(L,) float64, share of each label among the pixels of all labels."""
        return self.pixels.sum(axis=0) / max(int(self.pixels.sum()), 1)

    def text(self, value: int) -> str:
        """Return a label as a layout writes it, without quotation marks."""
        return f"#{value:06x}" if self.colours else str(value)


def find_labels(masks: Sequence[Path], on_progress: OnProgress = lambda *_: None) -> Labels:
    """Read every mask and tell labels from mixtures.

    A label fills areas: some pixel and its eight neighbours have it. Values that do not are mixtures where there are
    many of them (anti-aliasing, resampling, JPEG), and labels of thin structures where there are few.

    Args:
        masks: At least one file.
        on_progress: Called with (masks read, masks in all).

    Raises:
        UserError: A mask cannot be read, masks number instances, or their palettes contradict each other.
    """
    scans = _scan(masks, colours=False, on_progress=on_progress)
    reordered = False
    if any(scan.colours for scan in scans) or _is_blended_grey(scans) or (reordered := _is_reordered(masks, scans)):
        again = [path for path, scan in zip(masks, scans, strict=True) if not scan.colours]
        scans = [scan for scan in scans if scan.colours] if not again else _scan(masks, True, on_progress)
    values, pixels, filled = _sum(scans)
    labels = _labels(values, pixels, filled, colours=scans[0].colours)
    if len(labels) > MOST_LABELS:
        raise UserError(
            f"{masks[0]} and the other masks must hold classes. Got {len(labels)} values, which seem to number "
            "instances. Give masks of classes, or write the layout by hand: docs/datasets/folder.md shows how."
        )
    table = np.array([[_pixels_of(scan, label) for label in labels] for scan in scans], dtype=np.int64)
    order = np.argsort(-table.sum(axis=0), kind="stable") if scans[0].colours else np.arange(len(labels))
    mixed = int(pixels.sum() - table.sum())
    return Labels(
        scans[0].colours,
        tuple(labels[place] for place in order),
        table[:, order],
        len(values) - len(labels),
        mixed / int(pixels.sum()),
        tuple((scan.height_px, scan.width_px) for scan in scans),
        reordered,
    )


def unlabelled_code(codes: Collection[int]) -> int | None:
    """Return the code that seems to stand for no class: 255 beside consecutive codes."""
    others = set(codes) - {_IGNORE}
    spare = _IGNORE in codes and len(others) > 1 and others <= set(range(len(others) + 2))
    return _IGNORE if spare else None


def mask_values(path: Path, *, colours: bool) -> MaskValues:
    """Read one mask; as colours on request, or where it holds colours.

    Raises:
        UserError: It is neither a mask of codes nor of colours.
    """
    if not colours:
        try:
            codes = read_labels(path)
        except UserError:
            codes, colours = read_colours(path), True  # its message is about colours, which the mask then should hold
    else:
        codes = read_colours(path)
    values, pixels = _counted(codes)
    inner = codes[1:-1, 1:-1]
    filled_values, counts = _counted(inner[_filled(codes)]) if inner.size else (values[:0], pixels[:0])
    filled = np.zeros_like(pixels)
    filled[np.searchsorted(values, filled_values)] = counts
    return MaskValues(colours, values, pixels, filled, *codes.shape, palette=None if colours else read_palette(path))


def _scan(masks: Sequence[Path], colours: bool, on_progress: OnProgress) -> list[MaskValues]:
    scans = []
    with ThreadPoolExecutor(usable_cores()) as pool:
        for n_done, scan in enumerate(pool.map(lambda path: mask_values(path, colours=colours), masks), start=1):
            scans.append(scan)
            on_progress(n_done, len(masks))
    return scans


def _counted(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted values of an array and how often each occurs; fast for long runs of one value."""
    flat = codes.ravel()
    if not flat.size:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(np.append(starts, flat.size))
    values, place = np.unique(flat[starts].astype(np.int64), return_inverse=True)
    return values, np.bincount(place, weights=lengths).astype(np.int64)


def _filled(codes: np.ndarray) -> np.ndarray:
    """Return where a pixel off the edge equals its eight neighbours; (H - 2, W - 2) bool."""
    across = codes[:, 1:] == codes[:, :-1]  # (H, W - 1)
    rows = across[:, 1:] & across[:, :-1]  # (H, W - 2): equal to both neighbours of the row
    down = codes[1:, 1:-1] == codes[:-1, 1:-1]  # (H - 1, W - 2)
    return rows[:-2] & rows[1:-1] & rows[2:] & down[:-1] & down[1:]


def _sum(scans: Sequence[MaskValues]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    values, place = np.unique(np.concatenate([scan.values for scan in scans]), return_inverse=True)
    sums = [
        np.bincount(place, weights=np.concatenate([getattr(scan, name) for scan in scans])).astype(np.int64)
        for name in ("pixels", "filled")
    ]
    return values, sums[0], sums[1]


def _is_blended_grey(scans: Sequence[MaskValues]) -> bool:
    """Return whether codes are grey values of an anti-aliased mask: many values, of which few fill areas."""
    _values, _pixels, filled = _sum(scans)
    return 2 <= (filled > 0).sum() <= MOST_LABELS and (filled == 0).sum() > max(_FEW, int((filled > 0).sum()))


def _is_reordered(masks: Sequence[Path], scans: Sequence[MaskValues]) -> bool:
    """Return whether the palettes of masks hold the same colours in another order, so that colours are the labels.

    Colours whose order is the same may be a scale that is spread over the indices of each mask, and greys may be one
    that is reversed: index and colour then mean different classes, and only a person knows which of them is right.

    Raises:
        UserError: Palettes contradict the indices, and nothing says that the colours mean more than these.
    """
    codes = {int(value) for scan in scans for value in scan.values}
    compared = IndexColours({code: code for code in codes - {unlabelled_code(codes)}})
    differences = (compared.difference(path, scan.palette) for path, scan in zip(masks, scans, strict=True))
    difference = next(filter(None, differences), None)
    if difference is None:
        return False
    orders = {tuple(scan.palette.colours[i] for i in scan.palette.used) for scan in scans if scan.palette is not None}
    follows = {pair for order in orders for pair in combinations(order, 2)}
    grey = all(colour % 0x010101 == 0 for order in orders for colour in order)
    if (
        all(map(_is_told_by_colour, scans))
        and not grey
        and any((after, before) in follows for before, after in follows)
    ):
        return True
    raise UserError(
        f"{difference} Save the masks in one palette or in grey, or write the layout by hand, with colours as labels "
        "if they are what is meant: docs/datasets/folder.md shows how."
    )


def _is_told_by_colour(scan: MaskValues) -> bool:
    """Return whether each code of a mask has a colour of its own."""
    return scan.palette is not None and len({scan.palette.colours[i] for i in scan.palette.used}) == len(scan.values)


def _labels(values: np.ndarray, pixels: np.ndarray, filled: np.ndarray, *, colours: bool) -> list[int]:
    if not colours or (filled == 0).sum() <= _FEW:
        return values.tolist()
    order = np.argsort(-filled, kind="stable")
    labels: list[int] = []
    for place in order[filled[order] > 0]:
        distances = {label: _distance(label, int(values[place])) for label in labels}
        near = [label for label, distance in distances.items() if distance <= _SATELLITE_DISTANCE]
        limit = max((_SATELLITE_SHARE * pixels[np.searchsorted(values, label)] for label in near), default=0)
        if pixels[place] > limit and min(distances.values(), default=np.inf) > _SAME_DISTANCE:
            labels.append(int(values[place]))
    return sorted(labels)


def _distance(first: int, second: int) -> float:
    return float(np.linalg.norm([(first >> shift & 255) - (second >> shift & 255) for shift in (16, 8, 0)]))


def _pixels_of(scan: MaskValues, label: int) -> int:
    place = int(np.searchsorted(scan.values, label))
    return int(scan.pixels[place]) if place < len(scan.values) and scan.values[place] == label else 0
