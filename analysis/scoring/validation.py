"""Pixel counts of the validations of runs."""

from collections.abc import Sequence

import pandas as pd


def validation_counts(epochs: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return pixel counts of each class in each validation, pooled over images.

    Args:
        epochs: Rows of epochs tables (table_schemas.EPOCHS).
        keys: Columns that identify a validation.

    Returns:
        Columns tp, fp and fn, by `keys` and class_id; no rows if nothing was validated.
    """
    counted = epochs["quantity"].isin(["tp", "fp", "fn"]) & (epochs["class_id"] >= 0)
    counts = epochs[(epochs["split"] == "val") & counted]
    wide = counts.pivot_table(index=[*keys, "class_id"], columns="quantity", values="value", aggfunc="sum")
    return wide.reindex(columns=["tp", "fp", "fn"], fill_value=0)
