"""Slides and scanners: stain vectors, focus, white balance and noise turn stain maps into an RGB image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imbalance_bench.data.phantom.fields import Field, smooth_noise
from imbalance_bench.data.phantom.plan import SLIDE_STREAM, stream
from imbalance_bench.data.phantom.spec import PhantomSpec

# Unit optical-density vectors of haematoxylin and eosin in R, G, B: between Ruifrok & Johnston (2001) and
# Macenko et al. (2009), as violet and as pink as current scanners show them.
HAEMATOXYLIN = np.array([0.58, 0.76, 0.29])
EOSIN = np.array([0.19, 0.89, 0.41])
GLASS_DENSITY = 0.012
GRAIN, GRAIN_UM = 0.11, 0.9  # unevenness of the section below the size of a nucleus, relative to the stain


@dataclass(frozen=True)
class Slide:
    """What all images of one slide share.

    Attributes:
        vectors: (2, 3) unit stain vectors, haematoxylin then eosin.
        strength: (2,) multipliers of the two stains.
        white: (3,) transmitted light of empty glass, of 255.
        focus_um: Standard deviation of the point spread.
        noise: Standard deviation of the sensor noise, in grey levels.
    """

    vectors: NDArray[np.float64]
    strength: NDArray[np.float64]
    white: NDArray[np.float64]
    focus_um: float
    noise: float


def draw_slide(spec: PhantomSpec, group_index: int) -> Slide:
    """Draw the stain and the scanner of one slide."""
    rng = stream(spec, SLIDE_STREAM, group_index)
    vary = spec.stain_variation
    vectors = np.stack([HAEMATOXYLIN, EOSIN]) + 0.025 * vary * rng.standard_normal((2, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Slide(
        vectors=vectors,
        strength=np.exp(0.09 * vary * rng.uniform(-1.5, 1.5, 2)),
        white=np.clip(246 + 3 * vary * rng.uniform(-1.5, 1.5, 3), 225, 255),
        focus_um=0.28 * float(np.exp(0.2 * vary * rng.uniform(-1, 1))),
        noise=1.6 * float(np.exp(0.3 * vary * rng.uniform(-1, 1))),
    )


def develop(
    slide: Slide, haematoxylin: Field, eosin: Field, mpp_um: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Turn stain maps into the image that the slide's scanner would have stored.

    Args:
        slide: Stain and scanner.
        haematoxylin: (H, W) optical density along the haematoxylin vector.
        eosin: (H, W) optical density along the eosin vector.
        mpp_um: Micrometres per pixel.
        rng: Section thickness and sensor noise of this image.

    Returns:
        (H, W, 3) uint8.
    """
    shape = (haematoxylin.shape[0], haematoxylin.shape[1])
    thickness = 1 + np.float32(0.06) * smooth_noise(rng, shape, 60 / mpp_um)
    thickness += np.float32(GRAIN) * smooth_noise(rng, shape, GRAIN_UM / mpp_um)
    stains = np.stack([haematoxylin * thickness, eosin * thickness]) * slide.strength[:, None, None].astype(np.float32)
    sigma = slide.focus_um / mpp_um
    stains = ndimage.gaussian_filter(stains, (0, sigma, sigma), truncate=3.0, output=np.float32)
    noise = rng.standard_normal(shape, dtype=np.float32) * np.float32(slide.noise)
    rgb = np.empty((*shape, 3), np.uint8)
    for channel in range(3):
        vector = (-np.log(10) * slide.vectors[:, channel]).astype(np.float32)
        density = stains[0] * vector[0] + stains[1] * vector[1] - np.float32(np.log(10) * GLASS_DENSITY)
        light = np.exp(density) * np.float32(slide.white[channel])
        # One noise field, read at another place for each channel, is independent noise at a third of the price.
        light += np.roll(noise, (17 * channel, 29 * channel), axis=(0, 1))
        rgb[..., channel] = np.clip(np.round(light), 0, 255)
    return rgb
