"""Splits from a file: JSON as this project or nnU-Net writes it, or a table such as SAM-Path's `cv.csv`."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_bench.data.audit.images import AuditedImage, read_split_file
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.splits import Fold, Splits, check_splits
from imbalance_bench.errors import UserError, nearest


def read_splits(
    path: Path,
    dataset: PreparedDataset,
    presence: np.ndarray,
    *,
    names: Sequence[str] | None = None,
    rotate: bool = False,
) -> Splits:
    """Read the splits of a data set from a JSON file of splits, or from a CSV file as `import_splits` does.

    nnU-Net's `splits_final.json` lists folds of training and validation images; what it calls validation is what its
    cross-validation scores, and is the test part here.

    Args:
        path: Ends in .json or .csv.
        dataset: The data set.
        presence: (n_images, K) int pixels per class, in the order of the index.
        names: K class names for messages; default: the data set's own.
        rotate: See `import_splits`; does not apply to JSON, which holds its folds.

    Raises:
        UserError: The file is none of the two or damaged, names an unknown image, divides a group, or leaves training
            without a class.
    """
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return import_splits(path, dataset, presence, names=names, rotate=rotate)
    if suffix != ".json":
        raise UserError(f"{path} must be a JSON file of splits or a cv.csv. Got '{path.suffix}'. Give one of them.")
    if rotate:
        raise UserError(f"{path} holds its own folds, so `rotate` does not apply. Leave it out.")
    splits = _nnunet_splits(path) or Splits.load(path)
    _refuse_unknown(
        path, [image_id for fold in splits.folds for image_id in (*fold.train, *fold.val, *fold.test)], dataset
    )
    _require_sound(path, splits, dataset, presence, names)
    return splits


def import_splits(
    path: Path,
    dataset: PreparedDataset,
    presence: np.ndarray,
    *,
    names: Sequence[str] | None = None,
    rotate: bool = False,
) -> Splits:
    """Read the splits of a data set from a file with a fold or split per image.

    Fold -1 is test, 0 validation, 1 and above training. Images that the file does not list take no part.

    Args:
        path: CSV with the columns img_id and fold (or image_id and split).
        dataset: The data set.
        presence: (n_images, K) int pixels per class, in the order of the index.
        names: K class names for messages; default: the data set's own.
        rotate: Let each fold but the test set validate once, instead of fold 0 alone.

    Raises:
        UserError: The file names an unknown image, divides a group, or leaves training without a class.
    """
    listed = {row.image_id: row for row in read_split_file(path)}
    _refuse_unknown(path, listed, dataset)
    rows = [listed[entry.image_id] for entry in dataset.entries if entry.image_id in listed]
    _refuse_divided_groups(path, rows, dataset, rotate)
    validating = sorted({row.fold for row in rows if row.part != "test"}, key=_fold_number) if rotate else [None]
    splits = Splits("imported", 0, tuple(_fold(rows, fold) for fold in validating))
    _require_sound(path, splits, dataset, presence, names)
    return splits


def _nnunet_splits(path: Path) -> Splits | None:
    """Return the folds of a `splits_final.json`; None of a file that is no list of folds, whatever it is."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, list):
        return None
    folds = []
    for number, fold in enumerate(content):
        parts = [_ids(fold.get(name)) if isinstance(fold, dict) else None for name in ("train", "val")]
        if parts[0] is None or parts[1] is None:
            raise UserError(f"{path}: fold {number} must hold lists `train` and `val`, as nnU-Net's splits_final.json.")
        folds.append(Fold(parts[0], (), parts[1]))
    return Splits("imported", 0, tuple(folds)) if folds else None


def _ids(content: Any) -> tuple[str, ...] | None:
    named = isinstance(content, list) and all(isinstance(item, str) for item in content)
    return tuple(content) if named else None


def _refuse_unknown(path: Path, image_ids: Iterable[str], dataset: PreparedDataset) -> None:
    known_ids = {entry.image_id for entry in dataset.entries}
    for image_id in image_ids:
        if image_id not in known_ids:
            raise UserError(f"{path} lists '{image_id}', which {dataset.root} lacks.{nearest(image_id, known_ids)}")


def _require_sound(
    path: Path, splits: Splits, dataset: PreparedDataset, presence: np.ndarray, names: Sequence[str] | None
) -> None:
    """Check splits of known images against the data set, naming the file that they come from."""
    try:
        check_splits(splits, dataset, presence, names)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


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
    divided = sorted(group for group, parts in places.items() if len(parts) > 1)
    if divided:
        raise UserError(
            f"{path} must keep each group in one fold. Got {len(divided)} of {len(places)} divided, such as "
            f"'{divided[0]}'. `imbalance-bench data audit {path}` shows all; draw grouped splits instead."
        )
