"""Images of any size, read window by window: plain pictures, and pyramidal slides at a wanted resolution."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from PIL import Image

from imbalance_bench.data.converters.pixel_files import read_rgb
from imbalance_bench.data.tiff_windows import is_tiled_tiff
from imbalance_bench.data.tiling import cut, tile_image
from imbalance_bench.errors import UserError

PICTURE_SUFFIXES = (".png", ".webp", ".jpg", ".jpeg", ".bmp")
TIFF_SUFFIXES = (".tif", ".tiff")
SLIDE_SUFFIXES = (".svs", ".ndpi", ".scn", ".bif", ".gtif", ".btf", ".tf8")
_SAME_SCALE = 0.01  # relative difference of scale up to which a level is read as it is


class RegionImage(ABC):
    """An RGB image that is read in windows. A context manager: leaving it closes the file.

    Attributes:
        height_px: Rows, at the resolution that is read.
        width_px: Columns, at the resolution that is read.
        mpp_um: Micrometres per pixel that is read, or None where the file does not tell.
    """

    height_px: int
    width_px: int
    mpp_um: float | None

    def read(self, top_px: int, left_px: int, height_px: int, width_px: int) -> np.ndarray:
        """Read one window.

        Args:
            top_px: First row.
            left_px: First column.
            height_px: Rows h, all inside the image.
            width_px: Columns w, all inside the image.

        Returns:
            (h, w, 3) uint8, RGB.
        """
        bottom, right = top_px + height_px, left_px + width_px
        if min(top_px, left_px) < 0 or min(height_px, width_px) < 1 or bottom > self.height_px or right > self.width_px:
            raise ValueError(
                f"The window must lie in {self.height_px} x {self.width_px} px. Got rows {top_px}..{bottom}, columns "
                f"{left_px}..{right}."
            )
        return self._window(top_px, left_px, bottom, right)

    @abstractmethod
    def close(self) -> None:
        """Release the file."""

    @abstractmethod
    def _window(self, top: int, left: int, bottom: int, right: int) -> np.ndarray: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class Window:
    """A square window of an image.

    Args:
        top_px: First row.
        left_px: First column.
        pixels: (t, t, 3) uint8, RGB; where the image is smaller than a tile, continued by reflection.
    """

    top_px: int
    left_px: int
    pixels: np.ndarray


def open_region_image(path: Path, *, mpp_um: float | None = None) -> RegionImage:
    """Open a picture (PNG, JPEG, WebP, BMP, TIFF) or a slide (tiled TIFF, SVS, NDPI and what else tiffslide reads).

    Args:
        path: The file.
        mpp_um: Resolution wanted of a slide, in micrometres per pixel: the nearest finer level of its pyramid is read
            and, unless it is within 1 %, resampled. None reads the finest level as it is. Pictures, and slides that do
            not tell their resolution, are read as they are; the `mpp_um` of the result is then None.

    Raises:
        UserError: The file is missing, damaged or of an unknown kind, or is a slide and the extra `wsi` is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} must be an image file. Got no such file. Check the path.")
    suffix = path.suffix.lower()
    if suffix in SLIDE_SUFFIXES or (suffix in TIFF_SUFFIXES and is_tiled_tiff(path)):
        return SlideImage(path, mpp_um)
    if suffix in (*PICTURE_SUFFIXES, *TIFF_SUFFIXES):
        return PlainImage(path)
    known = ", ".join(each[1:] for each in (*PICTURE_SUFFIXES, *TIFF_SUFFIXES, *SLIDE_SUFFIXES))
    raise UserError(f"{path} must be a picture or a slide ({known}). Got '{path.suffix}'. Convert it.")


def iter_windows(image: RegionImage, tile_px: int, overlap_px: int) -> Iterator[Window]:
    """Yield square windows that cover an image, row by row; the last of a row or column is shifted back to fit.

    Args:
        image: An open image.
        tile_px: Edge t of a window.
        overlap_px: Pixels that neighbours share at least, less than `tile_px`.

    Raises:
        UserError: The overlap is not smaller than the tile.
    """
    if not 0 <= overlap_px < tile_px:
        raise UserError(f"The overlap of windows must be 0 to {tile_px - 1} px. Got {overlap_px}.")
    for top, left in tile_image(image.height_px, image.width_px, tile_px, tile_px - overlap_px):
        height, width = min(tile_px, image.height_px - top), min(tile_px, image.width_px - left)
        yield Window(top, left, cut(image.read(top, left, height, width), 0, 0, tile_px))


class PlainImage(RegionImage):
    """A picture, decoded once as a whole: its formats cannot be read in parts."""

    def __init__(self, path: Path) -> None:
        self._pixels = read_rgb(path)
        self.height_px, self.width_px = self._pixels.shape[:2]
        self.mpp_um = None

    def close(self) -> None:
        """Forget the pixels."""
        self._pixels = self._pixels[:0]

    def _window(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        return self._pixels[top:bottom, left:right]


class SlideImage(RegionImage):
    """A slide, seen at one resolution: one level of its pyramid, resampled where that is not the resolution wanted."""

    def __init__(self, path: Path, mpp_um: float | None) -> None:
        self._path = path
        self._slide = _open_slide(path)
        base_mpp = _mpp(self._slide)
        factor = 1.0 if mpp_um is None or base_mpp is None else mpp_um / base_mpp
        width, height = self._slide.dimensions
        self._level, downsample = _nearest_finer_level(self._slide, factor)
        self._level_width, self._level_height = self._slide.level_dimensions[self._level]
        self._resampled = abs(factor / downsample - 1) > _SAME_SCALE
        if self._resampled:
            self.height_px, self.width_px = max(round(height / factor), 1), max(round(width / factor), 1)
        else:
            factor, self.height_px, self.width_px = downsample, self._level_height, self._level_width
        self.mpp_um = None if base_mpp is None else base_mpp * factor
        # level pixels per pixel read
        self._scale = (self._level_height / self.height_px, self._level_width / self.width_px)

    def close(self) -> None:
        """Close the slide."""
        self._slide.close()

    def _window(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        if not self._resampled:
            return self._read_level(top, left, bottom, right)
        edges = [first * scale for first, scale in zip((top, left), self._scale, strict=True)]
        ends = [last * scale for last, scale in zip((bottom, right), self._scale, strict=True)]
        # the filter of a reduced image reaches one reduced pixel beyond the window, so that windows join without seam
        reach = [int(max(scale, 1)) + 2 for scale in self._scale]
        start = [max(int(edge) - more, 0) for edge, more in zip(edges, reach, strict=True)]
        limits = (self._level_height, self._level_width)
        stop = [min(int(end) + 1 + more, limit) for end, more, limit in zip(ends, reach, limits, strict=True)]
        part = Image.fromarray(self._read_level(start[0], start[1], stop[0], stop[1]))
        box = (
            edges[1] - start[1],
            edges[0] - start[0],
            min(ends[1], limits[1]) - start[1],
            min(ends[0], limits[0]) - start[0],
        )
        return np.asarray(part.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box=box))

    def _read_level(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        """Return rows top..bottom and columns left..right of the level, (h, w, 3) uint8."""
        place = [_place_in_finest(each, self._slide.level_downsamples[self._level]) for each in (left, top)]
        try:
            pixels = self._slide.read_region(place, self._level, (right - left, bottom - top), as_array=True)
        except Exception as error:  # noqa: BLE001 - the decoders of a slide share no class of errors
            raise UserError(f"{self._path} must be a complete slide. Got: {error}. Copy it again.") from None
        if pixels.dtype != np.uint8 or pixels.shape[2] < 3:
            kind = f"{pixels.shape[2]} channels of {pixels.dtype}"
            raise UserError(f"{self._path} must be an 8-bit RGB slide. Got {kind}. Convert it.")
        return np.ascontiguousarray(pixels[..., :3])


def _open_slide(path: Path) -> Any:
    if find_spec("tiffslide") is None:
        raise UserError(f"{path} is a slide, which needs the extra 'wsi'. Run: pip install 'imbalance-bench[wsi]'.")
    import tiffslide

    try:
        return tiffslide.TiffSlide(path)
    except Exception as error:  # noqa: BLE001 - the readers of slide formats share no class of errors
        raise UserError(f"{path} must be a slide that tiffslide reads. Got: {error}. Copy or convert it.") from None


def _mpp(slide: Any) -> float | None:
    """Micrometres per pixel of the finest level; None where the slide does not tell, or where its pixels are oblong."""
    found = [slide.properties.get(f"tiffslide.mpp-{axis}") for axis in "xy"]
    if None in found or abs(found[0] / found[1] - 1) > 0.05:
        return None
    return float(found[0] + found[1]) / 2


def _place_in_finest(place: int, downsample: float) -> int:
    """Return the first place of the finest level that tiffslide, rounding down, takes to `place` of a coarser level."""
    first = math.ceil(place * downsample)
    return first + (int(first / downsample) < place)


def _nearest_finer_level(slide: Any, factor: float) -> tuple[int, float]:
    """Return the coarsest level that is at least as fine as the resolution wanted, and how much it is reduced."""
    reductions = list(slide.level_downsamples)
    fine = [k for k, each in enumerate(reductions) if each <= factor * (1 + _SAME_SCALE)]
    level = max(fine, key=lambda k: reductions[k], default=0)
    return level, float(reductions[level])
