"""How much of each class there is."""

import numpy as np

from analysis.measures.construct import Construct
from analysis.measures.survey import Survey


def frequency_measures(found: Survey) -> Construct:
    """Return how much of each class there is: pixels, images, groups, components."""
    sums = found.sums
    units = {
        "pixel_share": "share of labelled pixels",
        "image_share": "share of images",
        "group_share": "share of groups",
        "components_per_image": "components per image",
    }

    def evaluate(w: np.ndarray) -> np.ndarray:
        pixels, images = w @ sums.pixels, (w @ sums.n_images)[:, None]
        return np.stack(
            [
                _share(pixels, pixels.sum(axis=1, keepdims=True)),
                _share(w @ sums.images, images),
                _share(w @ found.group_presence, (w @ found.n_groups)[:, None]),
                _share(w @ sums.components, images),
            ]
        )

    return Construct("frequency", units, evaluate, sums.images.sum(axis=0))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide; a class that does not occur is missing, not 0."""
    return np.where(part > 0, part / np.maximum(whole, 1), np.nan)
