"""The sums that an image is reduced to; they add up over images without loss."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from analysis.geometry.box_counts import BOX_SIZES
from analysis.geometry.contours import COEFFICIENTS
from analysis.geometry.nearest_border import PROFILE_STEPS
from analysis.measures.stains import STAIN_BINS


@dataclass(frozen=True)
class ClassSums:
    """Sums over the images of each of U units; the sums of one image lack the first axis.

    Args:
        n_images: (U,) images.
        pixels: (U, K) labelled pixels.
        images: (U, K) images that contain the class.
        components: (U, K) 8-connected components.
        border: (U, 2, K, STAIN_BINS) stain histograms within the band, inside and outside the class border.
        stains: (U, K, STAIN_BINS) stain histograms of the whole class.
        profile: (U, 2, K, PROFILE_STEPS, 3) pixels, H and E inside and outside, by distance to the border.
        edge: (U, 2, K, 3) pixels and gradient of H and E at the border and in the interior.
        lengths: (U, K, K) pixel edges between two classes.
        boxes: (U, K, BOX_SIZES) boxes that contain the class.
        outline: (U, K, 4) number of whole instances, their area, their perimeter, and the perimeter of disks of the
            same area, px; all but the first weighted by `whole_weights`.
        fourier: (U, K, 2 + COEFFICIENTS) sum of the weights of whole instances, weighted sum of the squared norms of
            their descriptors, and weighted sums of the descriptors.
    """

    n_images: np.ndarray
    pixels: np.ndarray
    images: np.ndarray
    components: np.ndarray
    border: np.ndarray
    stains: np.ndarray
    profile: np.ndarray
    edge: np.ndarray
    lengths: np.ndarray
    boxes: np.ndarray
    outline: np.ndarray
    fourier: np.ndarray

    @classmethod
    def zeros(cls, units: int, n_classes: int) -> Self:
        """Return empty sums."""
        u, k = units, n_classes
        return cls(
            n_images=np.zeros(u, np.int64),
            pixels=np.zeros((u, k), np.int64),
            images=np.zeros((u, k), np.int64),
            components=np.zeros((u, k), np.int64),
            border=np.zeros((u, 2, k, STAIN_BINS), np.int64),
            stains=np.zeros((u, k, STAIN_BINS), np.int64),
            profile=np.zeros((u, 2, k, PROFILE_STEPS, 3)),
            edge=np.zeros((u, 2, k, 3)),
            lengths=np.zeros((u, k, k), np.int64),
            boxes=np.zeros((u, k, BOX_SIZES), np.int64),
            outline=np.zeros((u, k, 4)),
            fourier=np.zeros((u, k, 2 + COEFFICIENTS)),
        )

    def add(self, unit: int, image: "ClassSums") -> None:
        """Add one image to a unit."""
        for field in fields(self):
            getattr(self, field.name)[unit] += getattr(image, field.name)
