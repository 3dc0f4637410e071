"""Pyramidal slides, seen at a wanted resolution: the nearest finer level, resampled where it is not that resolution."""

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from imbalance_bench.data.pictures import TiffPicture, is_tiff
from imbalance_bench.data.pictures.facts import RGB, PictureFacts
from imbalance_bench.data.pixel_size import PixelSize, require_bounded_enlargement, stated_pixel_size
from imbalance_bench.data.windowed_image import RegionImage
from imbalance_bench.errors import UserError

OVERVIEW_BLOCK_PX = 2048  # edge of what is read at once for a reduced view
_SAME_SCALE = 0.01  # relative difference of scale up to which a level is read as it is


class SlideImage(RegionImage):
    """A slide, seen at one resolution: one level of its pyramid, resampled where that is not the resolution wanted.

    Args:
        path: The file.
        mpp_um: Resolution wanted; None reads the finest level as it is, or, where its pixels are oblong, with square
            pixels of the finer of both sizes.
        given_um: Size of the finest level's pixels, whatever the file states; None: as the file states.

    Attributes:
        finest_px: Width and height of the finest level.
        stated_size: Size of its pixels as the file states it, plausible or not; None where the file states none.

    Raises:
        UserError: It is no 8-bit RGB slide that tiffslide reads, or far coarser than the resolution wanted.
    """

    def __init__(self, path: Path, mpp_um: float | None, given_um: float | None = None) -> None:
        self._path = path
        facts = _facts_of(path)
        _require_rgb(path, facts)
        self._slide = _open_slide(path, facts)
        properties = self._slide.properties
        self.stated_size = stated_pixel_size(properties.get("tiffslide.mpp-x"), properties.get("tiffslide.mpp-y"))
        size = self.stated_size if self.stated_size is not None and self.stated_size.is_plausible else None
        if given_um is not None:
            size = PixelSize(given_um, given_um)
        if mpp_um is not None and size is not None:
            try:
                require_bounded_enlargement(path, size, mpp_um)
            except UserError:
                self.close()
                raise
        self.finest_px = self._slide.dimensions
        self._choose_level(size, mpp_um)

    def close(self) -> None:
        """Close the slide."""
        self._slide.close()

    def overview(self, longest_px: int) -> np.ndarray:
        """Read the whole slide, reduced from the nearest finer level in blocks.

        Args:
            longest_px: Maximum of the longer side of the result, in pixels.

        Returns:
            (h, w, 3) uint8, RGB.
        """
        level, _ = _nearest_finer_level(self._slide, max(self.finest_px) / longest_px)
        width, height = self._slide.level_dimensions[level]
        stride = -(-max(width, height) // longest_px)
        block = max(1, OVERVIEW_BLOCK_PX // stride) * stride
        reduced = np.empty((-(-height // stride), -(-width // stride), 3), dtype=np.uint8)
        for top in range(0, height, block):
            for left in range(0, width, block):
                pixels = self._read_level(level, top, left, min(top + block, height), min(left + block, width))
                part = np.asarray(Image.fromarray(pixels).reduce(stride))
                row, column = top // stride, left // stride
                reduced[row : row + part.shape[0], column : column + part.shape[1]] = part
        return reduced

    def _choose_level(self, size: PixelSize | None, mpp_um: float | None) -> None:
        """Decide which level is read, and to which size it is resampled."""
        factors = _factors(size, mpp_um)  # finest pixels per pixel read, x and y
        self._level, downsample = _nearest_finer_level(self._slide, min(factors))
        self._level_width, self._level_height = self._slide.level_dimensions[self._level]
        self._resampled = any(abs(factor / downsample - 1) > _SAME_SCALE for factor in factors)
        if self._resampled:
            self.width_px, self.height_px = (
                max(round(edge / factor), 1) for edge, factor in zip(self.finest_px, factors, strict=True)
            )
        else:
            self.height_px, self.width_px = self._level_height, self._level_width
            factors = (downsample, downsample)
        self.mpp_um = None if size is None else (size.x_um * factors[0] + size.y_um * factors[1]) / 2
        # level pixels per pixel read
        self._scale = (self._level_height / self.height_px, self._level_width / self.width_px)

    def _window(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        if not self._resampled:
            return self._read_level(self._level, top, left, bottom, right)
        edges = [first * scale for first, scale in zip((top, left), self._scale, strict=True)]
        ends = [last * scale for last, scale in zip((bottom, right), self._scale, strict=True)]
        # the filter of a reduced image reaches one reduced pixel beyond the window, so that windows join without seam
        reach = [int(max(scale, 1)) + 2 for scale in self._scale]
        start = [max(int(edge) - more, 0) for edge, more in zip(edges, reach, strict=True)]
        limits = (self._level_height, self._level_width)
        stop = [min(int(end) + 1 + more, limit) for end, more, limit in zip(ends, reach, limits, strict=True)]
        part = Image.fromarray(self._read_level(self._level, start[0], start[1], stop[0], stop[1]))
        box = (
            edges[1] - start[1],
            edges[0] - start[0],
            min(ends[1], limits[1]) - start[1],
            min(ends[0], limits[0]) - start[0],
        )
        return np.asarray(part.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box=box))

    def _read_level(self, level: int, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        """Return rows top..bottom and columns left..right of a level, (h, w, 3) uint8."""
        place = [_place_in_finest(edge, self._slide.level_downsamples[level]) for edge in (left, top)]
        try:
            pixels = self._slide.read_region(place, level, (right - left, bottom - top), as_array=True)
        except Exception as error:  # noqa: BLE001 - the decoders of a slide share no class of errors
            raise UserError(f"{self._path} must be a complete slide. Got: {error}. Copy it again.") from None
        if pixels.shape[2] == 4 and (pixels[..., 3] != 255).any():
            raise UserError(f"{self._path} must be opaque. Got transparent pixels. Flatten it onto a background.")
        return np.ascontiguousarray(pixels[..., :3])


def _facts_of(path: Path) -> PictureFacts:
    if not is_tiff(path):
        raise UserError(f"{path} must be a slide that tiffslide reads. Got no TIFF. Copy or convert it.")
    with TiffPicture(path) as picture:
        return picture.facts


def _require_rgb(path: Path, facts: PictureFacts) -> None:
    """Refuse, before anything is written, what tiffslide cannot read or shows in other colours or another position."""
    rgb = (facts.colour, facts.bits, facts.sample) == (RGB, 8, "unsigned") and not facts.extra_channels
    if not rgb or facts.planar or facts.orientation != 1:
        fix = "Convert it to 8-bit RGB with interleaved channels, or save one region as PNG."
        if facts.orientation != 1:
            fix = "Save it upright, without the tag."
        raise UserError(f"{path} must be an upright 8-bit RGB slide with interleaved channels. Got {facts}. {fix}")


def _open_slide(path: Path, facts: PictureFacts) -> Any:
    if find_spec("tiffslide") is None:
        raise UserError(f"{path} is a slide, which needs the extra 'wsi'. Run: pip install 'imbalance-bench[wsi]'.")
    import tiffslide

    slide = None
    try:
        slide = tiffslide.TiffSlide(path)
        vendor = slide.properties["tiffslide.vendor"]  # reading properties finds axes that it does not support
    except Exception as error:  # noqa: BLE001 - the readers of slide formats share no class of errors
        if slide is not None:
            slide.close()
        raise UserError(
            f"{path} must be a slide that tiffslide reads. Got {facts} ({error}). Copy or convert it."
        ) from None
    if vendor == "generic-tiff" and facts.pictures > 1:  # other vendors keep labels and overviews beside the slide
        slide.close()
        raise UserError(f"{path} must hold one slide. Got {facts}. Save the one that is meant as a file of its own.")
    return slide


def _factors(size: PixelSize | None, mpp_um: float | None) -> tuple[float, float]:
    """Return how many finest pixels a pixel read takes, x and y."""
    if size is None:
        return 1.0, 1.0
    if mpp_um is None:
        oblong = abs(size.x_um / size.y_um - 1) > _SAME_SCALE
        wanted = (min(size.x_um, size.y_um),) * 2 if oblong else (size.x_um, size.y_um)
    else:
        wanted = (mpp_um, mpp_um)
    return wanted[0] / size.x_um, wanted[1] / size.y_um


def _place_in_finest(place: int, downsample: float) -> int:
    """Return the first place of the finest level that tiffslide, rounding down, takes to `place` of a coarser level."""
    first = math.ceil(place * downsample)
    return first + (int(first / downsample) < place)


def _nearest_finer_level(slide: Any, factor: float) -> tuple[int, float]:
    """Return the coarsest level that is at least as fine as the resolution wanted, and how much it is reduced."""
    reductions = list(slide.level_downsamples)
    fine = [k for k, reduction in enumerate(reductions) if reduction <= factor * (1 + _SAME_SCALE)]
    level = max(fine, key=lambda k: reductions[k], default=0)
    return level, float(reductions[level])
