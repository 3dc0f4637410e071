"""One axis for the steps of all stages of a run."""

from collections.abc import Sequence

import pandas as pd


def along_stages(rows: pd.DataFrame, run: Sequence[str]) -> pd.DataFrame:
    """Add `elapsed`: steps since the first stage began, also where each stage counts its own from zero.

    Args:
        rows: With `stage`, `step` and the columns in `run`.
        run: Columns that tell one run from another.

    Returns:
        A copy, ordered by run and elapsed steps.
    """
    rows = rows.copy()
    ends = rows.groupby("stage")["step"].agg(["min", "max"]).sort_index()
    offset, offsets, before = 0.0, {}, None
    for stage, end in ends.iterrows():
        if before is not None and end["min"] < before:
            offset += before
        offsets[stage] = offset
        before = end["max"]
    rows["elapsed"] = rows["step"] + rows["stage"].map(offsets).fillna(0)
    return rows.sort_values([*run, "elapsed"], kind="stable")
