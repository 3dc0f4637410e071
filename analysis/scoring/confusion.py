"""Which classes are confused with which."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd


def confusion_rows(method: str, rows: pd.DataFrame, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Pool the confusion of a method over images and seeds; rows of table `confusion`, one per pair of classes.

    Args:
        method: Label of the method.
        rows: Columns of table_schemas.CONFUSION of the scored images of all seeds. Pixels predicted as no class (K)
            have no row of their own, so that the shares of their true class sum to less than 1.
        class_names: K names.
    """
    pixels = np.zeros((len(class_names), len(class_names) + 1), dtype=np.int64)
    np.add.at(pixels, (rows["true_id"].to_numpy(), rows["predicted_id"].to_numpy()), rows["pixels"].to_numpy())
    of_class = pixels.sum(axis=1)
    table_rows: list[dict[str, Any]] = []
    for true_id, true_name in enumerate(class_names):
        for predicted_id, predicted_name in enumerate(class_names):
            share = pixels[true_id, predicted_id] / of_class[true_id] if of_class[true_id] else np.nan
            keys: dict[str, Any] = {"method": method, "true": true_name, "predicted": predicted_name}
            table_rows.append(keys | {"share": share, "pixels": int(pixels[true_id, predicted_id])})
    return table_rows
