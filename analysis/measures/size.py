"""How large the instances of each class are."""

import numpy as np

from analysis.measures.construct import Construct
from analysis.measures.morphology import FEWEST_INSTANCES, instance_counts, sorted_instances
from analysis.measures.survey import Survey
from analysis.statistics.robust import weighted_quantiles


def size_measures(found: Survey) -> Construct:
    """Return the median and the interquartile range of the area of whole instances."""
    unit = f"{found.scale.length_unit}^2" if found.scale.mpp_um else "px"
    columns = [sorted_instances(found, c, "area_px") for c in range(found.n_classes)]

    def evaluate(w: np.ndarray) -> np.ndarray:
        quartiles = np.full((3, len(w), found.n_classes), np.nan)
        for c, (area, rows) in enumerate(columns):
            if len(area) >= FEWEST_INSTANCES:
                quartiles[:, :, c] = weighted_quantiles(area, w[:, rows], (0.25, 0.5, 0.75))
        quartiles *= found.scale.pixel**2
        return np.stack([quartiles[1], quartiles[2] - quartiles[0]])

    return Construct("size", {"median_area": unit, "area_iqr": unit}, evaluate, instance_counts(found))
