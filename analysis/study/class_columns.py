"""Rows of a table with one value per run, estimand and class, gathered by column because there may be a million."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.study.runs import RunData


class ClassColumns:
    """Columns method, fold, seed, start_of, estimand, class_id, class, value and start.

    Args:
        class_names: K names.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self._names = np.asarray(class_names, dtype=object)
        self._keys: list[tuple[str, int, int, str, str]] = []
        self._values: list[np.ndarray] = []

    def add(self, run: RunData, *, start_of: str, estimand: str, value: np.ndarray, start: np.ndarray) -> None:
        """Add K rows.

        Args:
            run: The run.
            start_of: First method that differs from this one in its start only, or the method itself.
            estimand: Name of the estimand.
            value: (K,) float64, final values.
            start: (K,) float64, values at the start.
        """
        self._keys.append((run.method, run.fold, run.seed, start_of, estimand))
        self._values.append(np.stack([value, start]))

    def frame(self) -> pd.DataFrame | list[dict[str, object]]:
        """Return the rows; an empty list if none was added."""
        if not self._keys:
            return []
        k = len(self._names)
        keys = pd.DataFrame(self._keys, columns=["method", "fold", "seed", "start_of", "estimand"])
        rows = keys.loc[np.repeat(keys.index, k)].reset_index(drop=True)
        value, start = np.concatenate(self._values, axis=1)
        class_id = np.tile(np.arange(k), len(keys))
        return rows.assign(**{"class_id": class_id, "class": self._names[class_id], "value": value, "start": start})
