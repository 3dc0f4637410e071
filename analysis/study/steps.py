"""One axis for the steps of all stages of a run."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def along_stages(rows: pd.DataFrame, run: Sequence[str]) -> pd.DataFrame:
    """Add `elapsed`: steps since the first stage began, also where each stage counts its own from zero.

    Args:
        rows: With `stage`, `step` and the columns in `run`.
        run: Columns that tell one run from another.

    Returns:
        A copy, ordered by run and elapsed steps.
    """
    rows = rows.assign(elapsed=elapsed_steps(rows))
    return rows.sort_values([*run, "elapsed"], kind="stable")


def elapsed_steps(rows: pd.DataFrame) -> np.ndarray:
    """Return the steps since the first stage began, (rows,) float64, of rows with `stage` and `step`."""
    stage, step = rows["stage"].to_numpy(), rows["step"].to_numpy()
    elapsed = step.astype(np.float64)
    offset, before = 0.0, None
    for each in np.unique(stage):
        own = stage == each
        if before is not None and step[own].min() < before:
            offset += before
        elapsed[own] += offset
        before = step[own].max()
    return elapsed
