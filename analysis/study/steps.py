"""One common axis for the steps of all stages of a run."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def along_stages(rows: pd.DataFrame, run: Sequence[str]) -> pd.DataFrame:
    """Add `elapsed`: steps since the first stage began, even if each stage counts its steps from zero.

    Args:
        rows: Frame with `stage`, `step` and the columns in `run`.
        run: Columns that identify a run.

    Returns:
        A copy, ordered by run and elapsed steps.
    """
    rows = rows.assign(elapsed=elapsed_steps(rows))
    return rows.sort_values([*run, "elapsed"], kind="stable")


def elapsed_steps(rows: pd.DataFrame) -> np.ndarray:
    """Return the steps since the first stage began, (rows,) float64, of rows with `stage` and `step`."""
    stage, step = rows["stage"].to_numpy(), rows["step"].to_numpy()
    elapsed = step.astype(np.float64)
    offset, last_step = 0.0, None
    for stage_number in np.unique(stage):
        in_stage = stage == stage_number
        if last_step is not None and step[in_stage].min() < last_step:
            offset += last_step
        elapsed[in_stage] += offset
        last_step = step[in_stage].max()
    return elapsed
