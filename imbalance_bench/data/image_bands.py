"""Bands of rows in which a large image is looked at, each with the rows around it that decide about its own."""

from collections.abc import Iterator
from dataclasses import dataclass

from imbalance_bench.data.pixel_values import bands

WHOLE_PX = 2**24  # a larger image is looked at in bands
EVERY_ROW = slice(None)


@dataclass(frozen=True)
class Band:
    """Rows of an image, and those around them that decide what is near a border.

    Attributes:
        rows: With what is around them.
        inner: Of `rows`, those that the band is of.
        is_first: It begins at the top of the image.
        is_last: It ends at the bottom.
    """

    rows: slice
    inner: slice
    is_first: bool
    is_last: bool


def image_bands(shape: tuple[int, ...], around_px: int) -> Iterator[Band]:
    """Divide an image into bands: one, or of a large image several.

    Args:
        shape: Of the image, (H, W).
        around_px: Rows above and below that a band is looked at with.
    """
    height, width = shape
    whole = height * width <= WHOLE_PX
    for inner in bands(height, width, height if whole else around_px):
        first, last = max(inner.start - around_px, 0), min(inner.stop + around_px, height)
        yield Band(slice(first, last), slice(inner.start - first, inner.stop - first), first == 0, last == height)
