"""Images of any size, read window by window: plain pictures, and pyramidal slides at a wanted resolution."""

from pathlib import Path

import numpy as np

from imbalance_bench.data.pictures import decode_rgb, is_tiled_tiff, open_picture, require_image
from imbalance_bench.data.slide_image import SlideImage
from imbalance_bench.data.windowed_image import RegionImage
from imbalance_bench.errors import UserError

PICTURE_SUFFIXES = (".png", ".webp", ".jpg", ".jpeg", ".bmp")
TIFF_SUFFIXES = (".tif", ".tiff")
SLIDE_SUFFIXES = (".svs", ".ndpi", ".scn", ".bif", ".gtif", ".btf", ".tf8")


def open_region_image(path: Path, *, mpp_um: float | None = None, given_um: float | None = None) -> RegionImage:
    """Open a picture (PNG, JPEG, WebP, BMP, TIFF) or a slide (tiled TIFF, SVS, NDPI and what else tiffslide reads).

    Args:
        path: The file.
        mpp_um: Resolution wanted of a slide, in micrometres per pixel: the nearest finer level of its pyramid is read
            and, unless it is within 1 %, resampled, each axis on its own. None reads the finest level as it is.
            Pictures, and slides that do not state a resolution from 0.05 to 20 um, are read as they are; the `mpp_um`
            of the result is then None.
        given_um: Micrometres per pixel of the finest level of a slide, whatever the file states.

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
    endings = ", ".join(suffix[1:] for suffix in (*PICTURE_SUFFIXES, *TIFF_SUFFIXES, *SLIDE_SUFFIXES))
    raise UserError(f"{path} must be a picture or a slide ({endings}). Got '{path.suffix}'. Convert it.")


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
