"""Which class is taken for which."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd


def confusion_rows(method: str, rows: pd.DataFrame, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Pool a method's confusion over images and seeds; rows of table `confusion`, every pair of classes.

    Args:
        method: Its label.
        rows: Columns of table_schemas.CONFUSION of the scored images of all seeds; what is predicted as no class, K,
            has no row of its own and makes the shares of its true class sum to less than 1.
        class_names: K names.
    """
    pixels = np.zeros((len(class_names), len(class_names) + 1), dtype=np.int64)
    np.add.at(pixels, (rows["true_id"].to_numpy(), rows["predicted_id"].to_numpy()), rows["pixels"].to_numpy())
    of_class = pixels.sum(axis=1)
    found: list[dict[str, Any]] = []
    for t, true in enumerate(class_names):
        for p, predicted in enumerate(class_names):
            share = pixels[t, p] / of_class[t] if of_class[t] else np.nan
            keys: dict[str, Any] = {"method": method, "true": true, "predicted": predicted}
            found.append(keys | {"share": share, "pixels": int(pixels[t, p])})
    return found
