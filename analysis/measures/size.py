"""How large the instances of each class are."""

import numpy as np

from analysis.measures.construct import Construct
from analysis.measures.instances import FEWEST_INSTANCES, class_instances, instance_counts
from analysis.measures.survey import Survey
from analysis.statistics.robust import weighted_quantiles


def size_measures(survey: Survey) -> Construct:
    """Return the median and the interquartile range of the area of instances."""
    unit = f"{survey.scale.length_unit}^2" if survey.scale.mpp_um else "px"
    classes = class_instances(survey, ("area_px",))
    classes = [class_.at(np.argsort(class_.features["area_px"], kind="stable")) for class_ in classes]

    def evaluate(w: np.ndarray) -> np.ndarray:
        quartiles = np.full((3, len(w), survey.n_classes), np.nan)
        for c, class_ in enumerate(classes):
            if len(class_) >= FEWEST_INSTANCES:
                weights = w[:, class_.unit] * class_.mass
                quartiles[:, :, c] = weighted_quantiles(class_.features["area_px"], weights, (0.25, 0.5, 0.75))
        quartiles *= survey.scale.pixel**2
        return np.stack([quartiles[1], quartiles[2] - quartiles[0]])

    return Construct("size", {"median_area": unit, "area_iqr": unit}, evaluate, instance_counts(survey))
