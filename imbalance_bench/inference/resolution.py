"""At which resolution an image is seen by a model, and where its pixels lie in the file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from imbalance_bench.data.pixel_size import COARSEST_UM, FINEST_UM, PixelSize, require_bounded_enlargement
from imbalance_bench.data.slide_image import SlideImage
from imbalance_bench.data.windowed_image import RegionImage

SAME_RESOLUTION = 0.02  # relative difference below which nothing is resampled


@dataclass(frozen=True)
class Resolution:
    """Resolution of a mask.

    Attributes:
        mpp_um: Micrometres per mask pixel, or None.
        origin: Where it comes from: file, given, assumed to be the model's, or unknown.
        scale: Pixels of the image file per mask pixel, x and y.
        factor: Pixels of the model per mask pixel; the model sees a picture resampled by this.
    """

    mpp_um: float | None
    origin: str
    scale: tuple[float, float] = (1.0, 1.0)
    factor: float = 1.0


def resolution_of(image: RegionImage, path: Path, *, trained_um: float | None, given_um: float | None) -> Resolution:
    """Return the resolution at which an image must be seen.

    Args:
        image: The image, opened at the model's resolution; a slide also with the one given.
        path: Its file.
        trained_um: Micrometres per pixel of the model's training data, or None.
        given_um: Micrometres per pixel that the user named, or None. It wins over the file's.

    Raises:
        UserError: The image is far coarser than what the model sees.
    """
    if isinstance(image, SlideImage) and image.mpp_um is not None:
        scale = (image.finest_px[0] / image.width_px, image.finest_px[1] / image.height_px)
        return Resolution(image.mpp_um, "file" if given_um is None else "given", scale)
    if given_um is None:
        return Resolution(trained_um, "unknown" if trained_um is None else "assumed")
    if trained_um is None or abs(given_um / trained_um - 1) <= SAME_RESOLUTION:
        return Resolution(given_um, "given")
    require_bounded_enlargement(path, PixelSize(given_um, given_um), trained_um)
    return Resolution(given_um, "given", factor=given_um / trained_um)


def unused_resolution(image: RegionImage, resolution: Resolution) -> str:
    """Say which resolution a slide states that is not used, and why; "" where there is none."""
    stated = image.stated_size if isinstance(image, SlideImage) else None
    if stated is None or resolution.origin == "file":
        return ""
    if resolution.origin == "given":
        return f"the file says {stated}; --mpp was used instead"
    plausible = f"{FINEST_UM} to {COARSEST_UM:g} um"
    return f"the file says {stated}, outside {plausible}, and is not used; --mpp overrides it"


def at_resolution(image: RegionImage, resolution: Resolution) -> RegionImage:
    """Return the image as the model sees it: itself, or a resampled picture."""
    return image if resolution.factor == 1.0 else _ResampledPicture(image, resolution.factor)


class _ResampledPicture(RegionImage):
    """A picture at the model's resolution."""

    def __init__(self, image: RegionImage, factor: float) -> None:
        self.height_px, self.width_px = max(1, round(image.height_px * factor)), max(1, round(image.width_px * factor))
        self.mpp_um = None
        whole = Image.fromarray(image.read(0, 0, image.height_px, image.width_px))
        self._pixels = np.asarray(whole.resize((self.width_px, self.height_px), Image.Resampling.BILINEAR))

    def close(self) -> None:
        """Nothing is open."""

    def _window(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        return self._pixels[top:bottom, left:right]
