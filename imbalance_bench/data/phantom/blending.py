"""Where which texture shows: sharp regions softened at their borders (ambiguity) and mixed with a rival (context)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imbalance_bench.data.phantom.fields import Field, smooth_noise
from imbalance_bench.data.phantom.layout import Layout
from imbalance_bench.data.phantom.spec import PhantomSpec

BLEND_UM = (1.0, 8.0)
WANDER_UM = 3.0
RIVAL_SHARE = 0.9
# The rival is mixed in from this depth to that: the rim stays pure, or context would also lower the border contrast.
PURE_RIM_UM = (4.0, 8.0)


@dataclass(frozen=True)
class Terrain:
    """The geometry that textures follow, and the weight of each texture.

    Attributes:
        weights: (K, H, W) weight of the texture of each class; sums to 1 at every pixel.
        inside_um: (H, W) depth inside a region, 0 in the matrix.
        outside_um: (H, W) distance from the nearest region in the matrix, 0 in a region.
        radius_um: (H, W) radius of the region of this pixel, 0 in the matrix.
        owner: (H, W) class id of this pixel's tissue.
    """

    weights: Field
    inside_um: Field
    outside_um: Field
    radius_um: Field
    owner: NDArray[np.intp]

    def crop(self, window: tuple[slice, slice]) -> "Terrain":
        """Return the terrain inside a window."""
        return Terrain(
            weights=self.weights[:, *window],
            inside_um=self.inside_um[window],
            outside_um=self.outside_um[window],
            radius_um=self.radius_um[window],
            owner=self.owner[window],
        )


def survey(spec: PhantomSpec, layout: Layout, rng: np.random.Generator) -> Terrain:
    """Measure the geometry of a layout and decide the weight of every texture at every pixel."""
    shape = (layout.region.shape[0], layout.region.shape[1])
    mpp = np.float32(spec.mpp_um)
    in_region = layout.region > 0
    wander = smooth_noise(rng, shape, 5 / spec.mpp_um)
    class_of = np.concatenate([[layout.matrix], layout.region_class]).astype(np.intp)
    weights = np.zeros((len(spec.classes), *shape), np.float32)
    if not in_region.any():
        far = np.full(shape, np.float32(shape[0] * mpp))
        _add_mixed(weights, spec, layout.matrix, np.ones(shape, np.float32), far)
        return Terrain(weights, np.zeros_like(far), far, np.zeros_like(far), np.full(shape, layout.matrix, np.intp))
    inside = _distance(in_region)[0] * mpp
    outside, nearest = _distance(~in_region)
    outside *= mpp
    nearest_region = layout.region.ravel()[nearest]

    ambiguity = np.array([c.ambiguity for c in spec.classes], np.float32)[class_of][nearest_region]
    width = BLEND_UM[0] + (BLEND_UM[1] - BLEND_UM[0]) * ambiguity
    # The plateau near one half makes a band narrower than the blend look alike on both sides of the border.
    signed = (inside - outside + np.sign(inside - outside) * (-mpp / 2) + WANDER_UM * ambiguity * wander) / width
    ramp = np.clip(signed, -1, 1)
    ramp = 0.5 + 0.5 * np.sign(ramp) * np.abs(ramp) ** (1 + ambiguity)

    depth = np.maximum(inside, outside)
    _add_mixed(weights, spec, layout.matrix, 1 - ramp, depth)
    owner_near = class_of[nearest_region]
    for c in np.unique(layout.region_class):
        _add_mixed(weights, spec, int(c), np.where(owner_near == c, ramp, np.float32(0)), depth)
    radius = np.concatenate([[0], layout.region_radius_px]).astype(np.float32)[layout.region] * mpp
    return Terrain(weights, inside, outside, radius, class_of[layout.region])


def _distance(mask: NDArray[np.bool_]) -> tuple[Field, NDArray[np.int64]]:
    """Distance in pixels from each pixel of `mask` to the nearest pixel outside it, and that pixel's flat index."""
    nearest = ndimage.distance_transform_edt(mask, return_distances=False, return_indices=True)
    row, column = np.asarray(nearest)
    down = row - np.arange(mask.shape[0], dtype=np.int32)[:, None]
    right = column - np.arange(mask.shape[1], dtype=np.int32)[None, :]
    return np.sqrt((down * down + right * right).astype(np.float32)), row.astype(np.int64) * mask.shape[1] + column


def _add_mixed(weights: Field, spec: PhantomSpec, class_id: int, membership: Field, depth_um: Field) -> None:
    """Add the texture of a class and, in its interior, its rival's, in proportion to the class's context."""
    tissue = spec.classes[class_id]
    if tissue.rival is None or tissue.context == 0:
        weights[class_id] += membership
        return
    interior = np.clip((depth_um - PURE_RIM_UM[0]) / (PURE_RIM_UM[1] - PURE_RIM_UM[0]), 0, 1)
    mixed = RIVAL_SHARE * tissue.context * membership * interior
    weights[class_id] += membership - mixed
    weights[spec.class_id(tissue.rival)] += mixed
