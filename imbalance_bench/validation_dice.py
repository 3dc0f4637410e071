"""Dice on the validation images while a study is trained, for people who watch it. Results come from `analyze`."""

import math
from collections.abc import Sequence

import pandas as pd

COUNTED = ("tp", "fp", "fn")


def dice_of_counts(tp: float, fp: float, fn: float) -> float:
    """Return 2 tp / (2 tp + fp + fn); NaN where the class does not occur in the truth."""
    return 2 * tp / (2 * tp + fp + fn) if tp + fn else math.nan


def mean_of_known(values: Sequence[float]) -> float:
    """Return the mean of the values that are no NaN; NaN where there is none."""
    occurring = [value for value in values if not math.isnan(value)]
    return sum(occurring) / len(occurring) if occurring else math.nan


def validations(epochs: pd.DataFrame) -> pd.DataFrame:
    """Return the Dice of each class in each validation of one run, pooled over images.

    Args:
        epochs: Its rows of `table_schemas.EPOCHS`, in the order in which they were written.

    Returns:
        Index: stage and step; columns: class ids; NaN where the class does not occur. No rows where nothing was
        validated.
    """
    counted = epochs[(epochs["split"] == "val") & epochs["quantity"].isin(COUNTED) & (epochs["class_id"] >= 0)]
    if counted.empty:
        return pd.DataFrame()
    wide = counted.pivot_table(index=["stage", "step", "class_id"], columns="quantity", values="value", aggfunc="sum")
    dice = [dice_of_counts(tp, fp, fn) for tp, fp, fn in wide[list(COUNTED)].itertuples(index=False)]
    return pd.Series(dice, index=wide.index).unstack("class_id")
