"""The ends of a run's class-parameter ledger: the first and the last entry of each parameter in the last stage."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Entry:
    """A parameter at one step.

    Args:
        step: Optimiser steps done.
        values: (K,) float64; NaN where nothing was recorded.
    """

    step: int
    values: np.ndarray


@dataclass(frozen=True)
class LedgerEnds:
    """Entries of the last stage.

    Args:
        first: Parameter -> its first entry; parameters are sorted by name.
        last: Parameter -> its last entry.
    """

    first: Mapping[str, Entry]
    last: Mapping[str, Entry]

    @classmethod
    def of(cls, ledger: pd.DataFrame, n_classes: int) -> "LedgerEnds":
        """Read the ledger of one run (columns of table_schemas.CLASS_PARAMETERS)."""
        if ledger.empty:
            return cls({}, {})
        stage = ledger["stage"].to_numpy()
        last_stage = np.flatnonzero(stage == stage.max())
        step, class_id, value = (ledger[name].to_numpy()[last_stage] for name in ("step", "class_id", "value"))
        code, names = pd.factorize(ledger["parameter"].to_numpy(object)[last_stage])
        in_range = (class_id >= 0) & (class_id < n_classes)
        ends: tuple[dict[str, Entry], dict[str, Entry]] = ({}, {})
        for code_of_name in np.argsort(names.astype(str), kind="stable"):
            rows = np.flatnonzero(code == code_of_name)
            steps = step[rows]
            for entries, end_step in zip(ends, (steps.min(), steps.max()), strict=True):
                recorded = rows[(steps == end_step) & in_range[rows]]
                values = np.full(n_classes, np.nan)
                values[class_id[recorded]] = value[recorded]
                entries[str(names[code_of_name])] = Entry(int(end_step), values)
        return cls(*ends)

    def at_first_step(self) -> dict[str, np.ndarray]:
        """Return the values at the first step that recorded anything."""
        step = min((entry.step for entry in self.first.values()), default=0)
        return {name: entry.values for name, entry in self.first.items() if entry.step == step}

    def at_last_step(self) -> dict[str, np.ndarray]:
        """Return the values at the last step that recorded anything."""
        step = max((entry.step for entry in self.last.values()), default=0)
        return {name: entry.values for name, entry in self.last.items() if entry.step == step}
