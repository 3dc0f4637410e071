"""Kept instances of a survey, by class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.measures.survey import Survey

FEWEST_INSTANCES = 5  # below, a class has no shape measure


@dataclass(frozen=True)
class ClassInstances:
    """The kept instances of one class.

    Args:
        features: Name -> (N,) float64.
        mass: (N,) how many instances each stands for.
        unit: (N,) unit of each.
    """

    features: dict[str, np.ndarray]
    mass: np.ndarray
    unit: np.ndarray

    def __len__(self) -> int:
        """N."""
        return len(self.unit)

    def at(self, places: np.ndarray) -> "ClassInstances":
        """Return some of them."""
        return ClassInstances(
            {name: each[places] for name, each in self.features.items()}, self.mass[places], self.unit[places]
        )


def class_instances(found: Survey, names: Sequence[str]) -> list[ClassInstances]:
    """Return the kept instances of each class, K of them, with the features named."""
    table = found.instances
    mass = table["weight"].to_numpy(dtype=np.float64) if "weight" in table else np.ones(len(table))
    own, unit = table["class_id"].to_numpy(dtype=np.int64), table["unit"].to_numpy(dtype=np.int64)
    everything = ClassInstances({name: table[name].to_numpy(dtype=np.float64) for name in names}, mass, unit)
    return [everything.at(np.flatnonzero(own == c)) for c in range(found.n_classes)]


def instance_counts(found: Survey) -> np.ndarray:
    """Return how many instances of each class were kept, (K,)."""
    return np.bincount(found.instances["class_id"], minlength=found.n_classes)
