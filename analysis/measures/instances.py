"""The instances of a survey, by class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.measures.survey import Survey

FEWEST_INSTANCES = 5  # a class with fewer has no shape measure


@dataclass(frozen=True)
class ClassInstances:
    """The sampled instances of one class.

    Args:
        features: Name -> (N,) float64.
        mass: (N,) number of instances that each one stands for.
        unit: (N,) unit of each instance.
    """

    features: dict[str, np.ndarray]
    mass: np.ndarray
    unit: np.ndarray

    def __len__(self) -> int:
        """N."""
        return len(self.unit)

    def at(self, indices: np.ndarray) -> "ClassInstances":
        """Return the instances at these indices."""
        return ClassInstances(
            {name: values[indices] for name, values in self.features.items()}, self.mass[indices], self.unit[indices]
        )


def class_instances(survey: Survey, names: Sequence[str]) -> list[ClassInstances]:
    """Return the sampled instances of each class, K of them, with the named features."""
    table = survey.instances
    mass = table["weight"].to_numpy(dtype=np.float64) if "weight" in table else np.ones(len(table))
    class_id, unit = table["class_id"].to_numpy(dtype=np.int64), table["unit"].to_numpy(dtype=np.int64)
    all_instances = ClassInstances({name: table[name].to_numpy(dtype=np.float64) for name in names}, mass, unit)
    return [all_instances.at(np.flatnonzero(class_id == c)) for c in range(survey.n_classes)]


def instance_counts(survey: Survey) -> np.ndarray:
    """Return the number of sampled instances of each class, (K,)."""
    return np.bincount(survey.instances["class_id"], minlength=survey.n_classes)
