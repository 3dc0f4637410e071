"""Images of any size, read window by window: plain pictures, and pyramidal slides at a wanted resolution."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imbalance_bench.data.pictures import decode_rgb, is_tiled_tiff, open_picture, require_image
from imbalance_bench.data.slide_image import SlideImage
from imbalance_bench.data.tiling import cut, tile_image
from imbalance_bench.data.windowed_image import RegionImage
from imbalance_bench.errors import UserError

PICTURE_SUFFIXES = (".png", ".webp", ".jpg", ".jpeg", ".bmp")
TIFF_SUFFIXES = (".tif", ".tiff")
SLIDE_SUFFIXES = (".svs", ".ndpi", ".scn", ".bif", ".gtif", ".btf", ".tf8")


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


def open_region_image(path: Path, *, mpp_um: float | None = None, given_um: float | None = None) -> RegionImage:
    """Open a picture (PNG, JPEG, WebP, BMP, TIFF) or a slide (tiled TIFF, SVS, NDPI and what else tiffslide reads).

    Args:
        path: The file.
        mpp_um: Resolution wanted of a slide, in micrometres per pixel: the nearest finer level of its pyramid is read
            and, unless it is within 1 %, resampled, each axis on its own. None reads the finest level as it is.
            Pictures, and slides that do not tell a resolution from 0.05 to 20 um, are read as they are; the `mpp_um` of
            the result is then None.
        given_um: Micrometres per pixel of the finest level of a slide, whatever the file tells.

    Raises:
        UserError: The file is missing, damaged, of an unknown kind or not 8-bit, or is a slide and the extra `wsi` is
            missing.
    """
    path = Path(path)
    return SlideImage(path, mpp_um, given_um) if _is_slide(path) else PlainImage(path)


def require_region_image(path: Path, *, mpp_um: float | None = None, given_um: float | None = None) -> None:
    """Refuse, without decoding it, a file that `open_region_image` would refuse with the same arguments.

    Raises:
        UserError: See there; damage and transparent pixels are found later.
    """
    path = Path(path)
    if _is_slide(path):
        SlideImage(path, mpp_um, given_um).close()
        return
    with open_picture(path) as picture:
        require_image(path, picture.facts)


def _is_slide(path: Path) -> bool:
    """Return whether a file is a slide rather than a picture.

    Raises:
        UserError: It is missing, or neither.
    """
    if not path.is_file():
        raise UserError(f"{path} must be an image file. Got no such file. Check the path.")
    suffix = path.suffix.lower()
    if suffix in SLIDE_SUFFIXES or (suffix in TIFF_SUFFIXES and is_tiled_tiff(path)):
        return True
    if suffix in (*PICTURE_SUFFIXES, *TIFF_SUFFIXES):
        return False
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
        with open_picture(path) as picture:
            if picture.facts.orientation != 1:
                self.note = f"turned upright, as its orientation tag {picture.facts.orientation} says"
            self._pixels = decode_rgb(picture)
        self.height_px, self.width_px = self._pixels.shape[:2]
        self.mpp_um = None

    def close(self) -> None:
        """Forget the pixels."""
        self._pixels = self._pixels[:0]

    def _window(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        return self._pixels[top:bottom, left:right]
