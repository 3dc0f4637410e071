"""At which resolution an image is seen by a model, and where its pixels lie in the file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from imbalance_bench.data.region_image import PlainImage, RegionImage, open_region_image
from imbalance_bench.errors import UserError

SAME_RESOLUTION = 0.02  # relative difference below which nothing is resampled


@dataclass(frozen=True)
class Resolution:
    """Resolution of a mask.

    Attributes:
        mpp_um: Micrometres per mask pixel, or None.
        origin: Where that is known from: file, given, assumed to be the model's, or unknown.
        scale: Pixels of the image file per mask pixel, x and y.
        factor: Pixels of the model per mask pixel; the model sees a picture resampled by this.
    """

    mpp_um: float | None
    origin: str
    scale: tuple[float, float] = (1.0, 1.0)
    factor: float = 1.0


def resolution_of(image: RegionImage, path: Path, *, trained_um: float | None, given_um: float | None) -> Resolution:
    """Find out how an image must be seen.

    Args:
        image: The image, opened at the model's resolution.
        path: Its file.
        trained_um: Micrometres per pixel of the model's training data, or None.
        given_um: Micrometres per pixel that the user named, or None.

    Raises:
        UserError: A slide that does not tell its resolution, with another one given than the model's.
    """
    if image.mpp_um is not None:
        with open_region_image(path) as finest:
            scale = (finest.width_px / image.width_px, finest.height_px / image.height_px)
        return Resolution(image.mpp_um, "file", scale)
    if given_um is None:
        return Resolution(trained_um, "unknown" if trained_um is None else "assumed")
    differs = trained_um is not None and abs(given_um / trained_um - 1) > SAME_RESOLUTION
    if differs and not isinstance(image, PlainImage):
        raise UserError(
            f"{path} does not tell its resolution and cannot be resampled to the model's {trained_um} um per pixel. "
            f"Got --mpp {given_um}. Write the resolution into the file."
        )
    return Resolution(given_um, "given", factor=given_um / trained_um if differs and trained_um else 1.0)


def at_resolution(image: RegionImage, resolution: Resolution) -> RegionImage:
    """Return the image as the model sees it: itself, or a resampled picture."""
    return image if resolution.factor == 1.0 else _ResampledPicture(image, resolution.factor)


def resized_ids(ids: np.ndarray, height_px: int, width_px: int) -> np.ndarray:
    """Return a mask at another size, each pixel taking the nearest class."""
    resized = Image.fromarray(np.asarray(ids)).resize((width_px, height_px), Image.Resampling.NEAREST)
    return np.asarray(resized)


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
