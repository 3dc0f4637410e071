"""What the rows of a record must agree on: no score is built on counts that contradict themselves."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from imbalance_bench.errors import UserError

TRAIN_AGAIN = "Delete the run's folder and run the study again."  # what mends a damaged run

# the columns that tell the images apart on which every class is counted
_CELLS: Mapping[str, tuple[str, ...]] = {
    "counts": ("split", "image_id"),
    "interventions": ("split", "image_id", "intervention"),
    "path_controls": ("split", "image_id", "control", "target_id", "dose"),
}
# the columns that tell the other rows apart
_KEYS: Mapping[str, tuple[str, ...]] = {
    "confusion": ("split", "image_id", "true_id", "predicted_id"),
    "probabilities": ("split", "image_id", "class_id", "predicted", "bin"),
    "boundary": ("split", "image_id", "class_id", "measure", "distance_um"),
    "dynamics": ("stage", "image_id", "class_id"),
}
_COUNTED = ("tp", "fp", "fn", "n_valid")  # of the tables in `_CELLS`
_SIGNED = ("margin_millionths",)  # a margin may be negative; nothing else that is counted


def require_sound_rows(
    path: Path, name: str, rows: pd.DataFrame, *, may_predict_none: bool = False, within: tuple[str, ...] = ()
) -> None:
    """Refuse negative counts, rows that stand twice, classes without a row, and counts that do not add up.

    Args:
        path: The file, for the message.
        name: The table, a key of `table_schemas.TABLES`.
        rows: Its rows, with the columns of its schema.
        may_predict_none: A pixel may be predicted as none of the classes.
        within: Further columns that tell rows apart, where those of several runs are looked at together.

    Raises:
        UserError: Rows contradict one another.
    """

    def refuse(reason: str, at: pd.Series) -> UserError:
        place = ", ".join(f"{key} {value}" for key, value in at.items())
        return UserError(f"{path}: {reason} ({place}). {TRAIN_AGAIN}", exit_code=1)

    cell = [*within, *_CELLS[name]] if name in _CELLS else []
    keys = [*cell, "class_id"] if cell else [*within, *_KEYS[name]] if name in _KEYS else []
    if not keys or rows.empty or (cell and _is_sound_by_blocks(rows, cell, name, may_predict_none)):
        return
    counted = [column for column in rows.select_dtypes("integer") if column not in (*keys, *_SIGNED)]
    negative = (rows[counted] < 0).any(axis=1)
    if negative.any():
        raise refuse("counts must not be negative", rows.loc[negative, keys].iloc[0])
    twice = rows.duplicated(keys)
    if twice.any():
        raise refuse("each row must occur once", rows.loc[twice, keys].iloc[0])
    if cell:
        _require_whole_images(rows, cell, refuse)
    if name == "counts":  # on which every score rests
        mistakes = rows.groupby(cell, sort=False)[["fp", "fn"]].sum()
        odd = mistakes["fp"] > mistakes["fn"] if may_predict_none else mistakes["fp"] != mistakes["fn"]
        wrong = mistakes[odd]
        if len(wrong):
            reason = "every false positive of a class must be a false negative of another"
            raise refuse(reason, wrong.reset_index()[cell].iloc[0])


def _is_sound_by_blocks(rows: pd.DataFrame, cell: list[str], name: str, may_predict_none: bool) -> bool:
    """Decide the usual case at once: blocks of K rows, one per image, in the order of the classes, and all of it right.

    False says nothing: `require_sound_rows` then looks for what is wrong.
    """
    ids = rows["class_id"].to_numpy()
    n_classes = int(ids.max()) + 1
    if n_classes < 1 or len(ids) % n_classes:
        return False
    blocks = {column: rows[column].to_numpy().reshape(-1, n_classes) for column in (*cell, *_COUNTED)}
    heads = rows.iloc[::n_classes]
    tp, fp, fn, n_valid = (blocks[column] for column in _COUNTED)
    mistakes, missed = fp.sum(axis=1), fn.sum(axis=1)
    return bool(
        (ids.reshape(-1, n_classes) == np.arange(n_classes)).all()
        and all((blocks[column] == blocks[column][:, :1]).all() for column in cell)
        and not heads.duplicated(cell).any()
        and min(values.min() for values in (tp, fp, fn, n_valid)) >= 0
        and (n_valid == (tp + fn).sum(axis=1, keepdims=True)).all()
        and (name != "counts" or (mistakes == missed if not may_predict_none else mistakes <= missed).all())
    )


def _require_whole_images(rows: pd.DataFrame, cell: list[str], refuse: Callable[[str, pd.Series], UserError]) -> None:
    """Refuse an image that lacks a class, or whose counts do not add up to its labelled pixels."""
    n_classes = int(rows["class_id"].max()) + 1
    misses = rows.assign(labelled=rows["tp"] + rows["fn"])
    images = misses.groupby(cell, sort=False, dropna=False).agg(
        rows=("class_id", "size"),
        least=("class_id", "min"),
        labelled=("labelled", "sum"),
        low=("n_valid", "min"),
        high=("n_valid", "max"),
    )
    for reason, wrong in (
        (
            f"every image must have a row for each of {n_classes} classes",
            (images["rows"] != n_classes) | (images["least"] < 0),
        ),
        (
            "true pixels of all classes must add up to n_valid",
            (images["labelled"] != images["low"]) | (images["low"] != images["high"]),
        ),
    ):
        if wrong.any():
            raise refuse(reason, images[wrong].reset_index()[cell].iloc[0])
