"""Splits from a cross-validation file such as SAM-Path's `cv.csv`."""

from collections import defaultdict
from pathlib import Path

import numpy as np

from imbalance_bench.data.audited_images import AuditedImage, read_split_file
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.splits import Fold, Splits, check_splits
from imbalance_bench.errors import UserError, nearest


def import_splits(path: Path, dataset: PreparedDataset, presence: np.ndarray, *, rotate: bool = False) -> Splits:
    """Read the splits of a data set from a file with a fold or split per image.

    Fold -1 is test, 0 validation, 1 and above training. Images that the file does not list take no part.

    Args:
        path: CSV with the columns img_id and fold (or image_id and split).
        dataset: The data set.
        presence: (n_images, K) int pixels per class, in the order of the index.
        rotate: Let each fold but the test set validate once, instead of fold 0 alone.

    Raises:
        UserError: The file names an unknown image, divides a group, or leaves training without a class.
    """
    listed = {row.image_id: row for row in read_split_file(path)}
    known = {entry.image_id for entry in dataset.entries}
    for name in listed:
        if name not in known:
            raise UserError(f"{path} lists '{name}', which {dataset.root} lacks.{nearest(name, known)}")
    rows = [listed[entry.image_id] for entry in dataset.entries if entry.image_id in listed]
    _refuse_divided_groups(path, rows, dataset, rotate)
    validating = sorted({row.fold for row in rows if row.part != "test"}, key=_fold_number) if rotate else [None]
    splits = Splits("imported", 0, tuple(_fold(rows, fold) for fold in validating))
    check_splits(splits, dataset, presence)
    return splits


def _fold(rows: list[AuditedImage], validating: str | None) -> Fold:
    parts: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        part = row.part
        if validating is not None and part != "test":
            part = "val" if row.fold == validating else "train"
        parts[part].append(row.image_id)
    return Fold(tuple(parts["train"]), tuple(parts["val"]), tuple(parts["test"]))


def _fold_number(fold: str) -> tuple[int, str]:
    return (int(fold), "") if fold.isdigit() else (0, fold)


def _refuse_divided_groups(path: Path, rows: list[AuditedImage], dataset: PreparedDataset, rotate: bool) -> None:
    places: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        places[dataset.entry(row.image_id).group_id].add(row.fold if rotate else row.part)
    divided = sorted(group for group, found in places.items() if len(found) > 1)
    if divided:
        raise UserError(
            f"{path} must keep each group in one fold. Got {len(divided)} of {len(places)} divided, such as "
            f"'{divided[0]}'. `imbalance-bench data audit {path}` shows all; draw grouped splits instead."
        )
