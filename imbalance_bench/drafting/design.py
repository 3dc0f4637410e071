"""How a first study divides and cuts a data set: splits that are really drawn, tiles that the images need."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.splits import Splits, grouped_splits, published_splits
from imbalance_bench.data_config import TEST_FRACTION, SplitsSection
from imbalance_bench.errors import UserError

MOST_FOLDS = 4
GROUPS_FOR_ONE_FOLD = 40  # a quarter of them are ten, on which a difference of a standard deviation or so shows
_FEWEST_CLASSES = 2
_SCARCE_GROUPS = 2  # a class in so few groups may be what no split can hold
TILE_PX, CROP_PX, STEP_PX = 512, 256, 32  # largest tile, largest crop; sizes are multiples of the step


@dataclass(frozen=True)
class Design:
    """Splits, tiles and classes of a first study.

    Attributes:
        splits: Content of `splits:`.
        folds: How many there are.
        tested: Groups that are tested over all folds.
        ignored: Classes that no split can hold.
        tile_px: Edge of tiles.
        stride_px: From one tile to the next.
        crop_px: Edge of training crops.
        why_splits: Why these splits, in a sentence.
        why_tiles: Why these tiles, in a sentence.
    """

    splits: dict[str, Any]
    folds: int
    tested: int
    ignored: tuple[str, ...]
    tile_px: int
    stride_px: int
    crop_px: int
    why_splits: str
    why_tiles: str


def design_study(dataset: PreparedDataset, presence: np.ndarray) -> Design:
    """Choose splits and tiles.

    Args:
        dataset: The data set; no file of it is read, so one that is yet to be prepared will do.
        presence: (n_images, K) int64 pixels per class, in the order of the entries.

    Raises:
        UserError: No split leaves two classes to be trained.
    """
    names = [class_.name for class_ in dataset.info.classes]
    class_ids, ignored = list(range(len(names))), list[str]()
    groups = np.array([entry.group_id for entry in dataset.entries])
    while True:
        in_groups = [len(set(groups[presence[:, k] > 0])) for k in class_ids]
        scarcest = int(np.argmin(in_groups))
        splits_or_error = None
        if in_groups[scarcest] > 1 or len(class_ids) <= _FEWEST_CLASSES:  # else it could not be both trained and tested
            splits_or_error = _splits(dataset, presence[:, class_ids], [names[k] for k in class_ids])
        if isinstance(splits_or_error, tuple):
            break
        if splits_or_error is not None and (len(class_ids) <= _FEWEST_CLASSES or in_groups[scarcest] > _SCARCE_GROUPS):
            raise splits_or_error
        ignored.append(names[class_ids.pop(scarcest)])
    section, splits, why = splits_or_error
    tile_px, stride_px, crop_px, why_tiles = _tiles([(entry.height_px, entry.width_px) for entry in dataset.entries])
    tested = {dataset.entry(image_id).group_id for fold in splits.folds for image_id in fold.test}
    return Design(section, len(splits.folds), len(tested), tuple(ignored), tile_px, stride_px, crop_px, why, why_tiles)


def _splits(
    dataset: PreparedDataset, presence: np.ndarray, names: Sequence[str]
) -> tuple[dict[str, Any], Splits, str] | UserError:
    """Return the first kind of split that can be drawn, or why the last one cannot."""
    default = SplitsSection()
    n_groups = len({entry.group_id for entry in dataset.entries})
    unit = "groups" if dataset.info.groups_known else "images"
    error = UserError(f"{dataset.root} must hold at least 2 {unit} to be split. Got {n_groups}. Add some.")
    published_parts = {entry.split for entry in dataset.entries}
    if "" not in published_parts and {"train", "test"} <= published_parts:
        try:
            splits = published_splits(
                dataset,
                validation_fraction=default.validation_fraction,
                seed=default.seed,
                presence=presence,
                names=names,
            )
            return {"kind": "published"}, splits, "the split that comes with the data set"
        except UserError as refused:
            error = refused
    folds = range(min(MOST_FOLDS, n_groups), 1, -1)
    order = [1, *folds] if n_groups >= GROUPS_FOR_ONE_FOLD else [*folds, 1]
    for n in order if n_groups > 1 else []:
        try:
            splits = grouped_splits(
                dataset,
                presence,
                folds=n,
                test_fraction=TEST_FRACTION if n == 1 else None,
                validation_fraction=default.validation_fraction,
                seed=default.seed,
                names=names,
            )
        except UserError as refused:
            error = refused
            continue
        if not all(fold.test and fold.val for fold in splits.folds):
            continue
        if n == 1:
            return {"kind": "grouped"}, splits, f"a quarter of the {n_groups} {unit} is tested"
        return (
            {"kind": "grouped", "folds": n},
            splits,
            f"each of the {n_groups} {unit} is tested once; `folds: 1` is {n} times as fast and tests a quarter",
        )
    return error


def _tiles(sizes: Sequence[tuple[int, int]]) -> tuple[int, int, int, str]:
    """Return tile, stride and crop, px, and why."""
    longest = max(max(size) for size in sizes)
    tile = min(TILE_PX, -(-longest // STEP_PX) * STEP_PX)
    if tile >= longest:
        return tile, tile, min(CROP_PX, tile), f"the longest edge of the images is {longest} px: one tile each"
    return tile, tile // 2, min(CROP_PX, tile), "tiles overlap by half, so that no seam shows in predictions"
