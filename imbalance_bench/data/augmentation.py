"""Random views of tiles: quarter turns and flips, stain and colour jitter. What is drawn is apart from what is applied.

Drawing uses NumPy alone, so that a view is a few recorded numbers; applying uses torch, on any device.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from skimage.color import hed_from_rgb, rgb_from_hed
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.functional import adjust_hue

LARGEST_LOG_RATIO = math.log(4 / 3)  # of width to height of a part of a tile
ELEMENTS = 8  # of the dihedral group: four quarter turns, each with and without a flip
STAIN_SHIFT = 0.15  # largest additive change of a concentration, as a share of `stain_strength`
_EYE = 1e-3  # keeps the optical density of a black pixel finite


@dataclass(frozen=True)
class Views:
    """n drawn views.

    Attributes:
        element: (n,) int64 in 0..7; e % 4 quarter turns, then a horizontal flip if e >= 4.
        stain_scale: (n, 3) float32, factors of the H, E and residual concentrations.
        stain_shift: (n, 3) float32, added to them.
        colour: (n, 3) float32, factors of brightness, contrast and saturation.
        hue: (n,) float32, turns of the colour circle in -0.5..0.5; None: the hue stays.
    """

    element: np.ndarray
    stain_scale: np.ndarray
    stain_shift: np.ndarray
    colour: np.ndarray
    hue: np.ndarray | None = None

    @property
    def changes_stain(self) -> bool:
        """False where stains stay as they are."""
        return bool((self.stain_scale != 1).any() or self.stain_shift.any())

    @property
    def changes_colour(self) -> bool:
        """False where colours stay as they are."""
        return bool((self.colour != 1).any()) or self.hue is not None

    @property
    def arrays(self) -> list[np.ndarray]:
        """Everything drawn, in order."""
        return [array for array in vars(self).values() if array is not None]


def draw_views(
    rng: np.random.Generator,
    n: int,
    *,
    dihedral: bool,
    stain_strength: float,
    colour_strength: float,
    hue_strength: float = 0.0,
) -> Views:
    """Draw n views; the same numbers are consumed whatever the strengths, and as many more for a hue that changes."""
    element = rng.integers(ELEMENTS, size=n)
    scale, shift, colour = rng.uniform(-1, 1, size=(3, n, 3)).astype(np.float32)
    return Views(
        element=element if dihedral else np.zeros_like(element),
        stain_scale=1 + stain_strength * scale,
        stain_shift=STAIN_SHIFT * stain_strength * shift,
        colour=1 + colour_strength * colour,
        hue=hue_strength * rng.uniform(-1, 1, size=n).astype(np.float32) if hue_strength else None,
    )


def draw_windows(rng: np.random.Generator, n: int, *, tile_px: int, area: tuple[float, float]) -> np.ndarray:
    """Draw n parts of a tile, (n, 4) int64: top, left, height and width, px.

    Args:
        rng: Of the draw.
        n: Number of parts.
        tile_px: Edge of the tile.
        area: Smallest and largest share of the tile's area; the share is uniform, the ratio of edges log-uniform.

    Source: Szegedy et al. 2015 (section 6), with the bounds of torchvision's and albumentations' RandomResizedCrop.
    Deviation: a part that would be longer than the tile is cut to it, where these draw again.
    """
    share, log_ratio = rng.uniform(*area, size=n), rng.uniform(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO, size=n)
    edges = tile_px * np.sqrt(share) * np.exp(np.stack([-log_ratio, log_ratio]) / 2)
    size = np.clip(np.rint(edges).astype(np.int64), 1, tile_px)
    return np.concatenate([rng.integers(tile_px - size + 1), size]).T


def resized(array: Tensor, window: np.ndarray, size_px: int) -> Tensor:
    """Cut a part out of (C, H, W) and bring it to (C, size_px, size_px) float32, bilinearly, with antialiasing."""
    top, left, height, width = (int(value) for value in window)
    part = array[None, :, top : top + height, left : left + width].float()
    return functional.interpolate(part, size=(size_px, size_px), mode="bilinear", align_corners=False, antialias=True)[
        0
    ]


def resized_labels(labels: np.ndarray, window: np.ndarray, size_px: int) -> np.ndarray:
    """Cut the same part out of labels, (H, W) -> (size_px, size_px), the nearest pixel of each place."""
    places = (np.arange(size_px) + 0.5) / size_px
    rows, columns = (
        start + (places * edge).astype(np.int64) for start, edge in zip(window[:2], window[2:], strict=True)
    )
    return labels[np.ix_(rows, columns)]


def turn(array: Tensor, element: int) -> Tensor:
    """Apply an element of the dihedral group to the last two axes, which must be of one length."""
    turned = torch.rot90(array, element % 4, (-2, -1))
    return turned.flip(-1) if element >= 4 else turned


def turn_array(array: np.ndarray, element: int) -> np.ndarray:
    """Do the same to a NumPy array, without a copy."""
    turned = np.rot90(array, element % 4, (-2, -1))
    return turned[..., ::-1] if element >= 4 else turned


def jitter(images: Tensor, views: Views) -> Tensor:
    """Change stain and colour; of views that change neither the images come back as they are.

    Args:
        images: (n, 3, H, W) RGB in 0..255, any dtype.
        views: n views; their `element` is not applied here.

    Returns:
        (n, 3, H, W) float32 in 0..255.

    Source: Tellez et al. 2018 (IEEE TMI, section III-B), jitter in the H-E-residual space of Ruifrok and Johnston 2001;
        then brightness, contrast, saturation and hue, in this order, as in torchvision's ColorJitter.
    """
    images = images.float()
    if not (views.changes_stain or views.changes_colour):
        return images
    rgb = images / 255
    if views.changes_stain:
        rgb = _with_stain(rgb, views)
    if views.changes_colour:
        rgb = _with_colour(rgb, views)
    return 255 * rgb


def _with_stain(rgb: Tensor, views: Views) -> Tensor:
    """Scale and shift the concentrations of stains, (n, 3, H, W) in 0..1 -> the same."""
    device = rgb.device
    to_stains, to_density = (torch.from_numpy(m.astype(np.float32)).to(device) for m in (hed_from_rgb, rgb_from_hed))
    density = -torch.log(rgb.clamp(min=_EYE))
    stains = torch.einsum("nchw,cs->nshw", density, to_stains)
    stains = stains * _per_image(views.stain_scale, device) + _per_image(views.stain_shift, device)
    return torch.exp(-torch.einsum("nshw,sc->nchw", stains, to_density)).clamp(0, 1)


def _with_colour(rgb: Tensor, views: Views) -> Tensor:
    """Change brightness, contrast, saturation and hue, likewise."""
    device = rgb.device
    brightness, contrast, saturation = (_per_image(views.colour[:, i : i + 1], device) for i in range(3))
    rgb = rgb * brightness
    middle = rgb.mean(dim=(1, 2, 3), keepdim=True)
    rgb = middle + (rgb - middle) * contrast
    grey = rgb.mean(dim=1, keepdim=True)
    rgb = (grey + (rgb - grey) * saturation).clamp(0, 1)
    if views.hue is not None:
        rgb = torch.stack([adjust_hue(image, float(turns)) for image, turns in zip(rgb, views.hue, strict=True)])
    return rgb


def _per_image(values: np.ndarray, device: torch.device) -> Tensor:
    """(n, c) -> (n, c, 1, 1)."""
    return torch.from_numpy(values).to(device)[:, :, None, None]
