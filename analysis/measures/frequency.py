"""How frequent each class is."""

import numpy as np

from analysis.measures.construct import Construct
from analysis.measures.survey import Survey


def frequency_measures(survey: Survey) -> Construct:
    """Return the share of each class among pixels, images and groups, and its components per image."""
    sums = survey.sums
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
                _share(w @ survey.group_presence, (w @ survey.n_groups)[:, None]),
                _share(w @ sums.components, images),
            ]
        )

    return Construct("frequency", units, evaluate, sums.images.sum(axis=0))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole; NaN, not 0, for a class that does not occur."""
    return np.where(part > 0, part / np.maximum(whole, 1), np.nan)
