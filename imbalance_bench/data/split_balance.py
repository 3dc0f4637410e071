"""How evenly splits share out the classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imbalance_bench.data.prepared import SPLITS, PreparedDataset
from imbalance_bench.data.splits import Splits, class_names


@dataclass(frozen=True)
class BalanceRow:
    """How much of one class one part of one fold received.

    Args:
        fold: Index of the fold.
        part: train, val or test.
        class_name: The class.
        images: Images of the part.
        images_with_class: Those that hold the class.
        groups_with_class: Groups of the part that hold the class.
        pixels: Pixels of the class in the part.
        pixel_share: Among the labelled pixels of the part.
        relative_share: `pixel_share` over the share in the whole data set; 1 is perfect, NaN for an unused class.
    """

    fold: int
    part: str
    class_name: str
    images: int
    images_with_class: int
    groups_with_class: int
    pixels: int
    pixel_share: float
    relative_share: float


def split_balance(
    splits: Splits, presence: np.ndarray, *, dataset: PreparedDataset, names: Sequence[str] | None = None
) -> list[BalanceRow]:
    """Report how evenly the classes were shared out.

    Args:
        splits: The splits.
        presence: (n_images, K) int pixels per class, in the order of the index.
        dataset: The data set.
        names: K class names; default: the data set's own.

    Returns:
        One row per fold, non-empty part and class.
    """
    row_of = {entry.image_id: row for row, entry in enumerate(dataset.entries)}
    groups = np.array([entry.group_id for entry in dataset.entries])
    overall = presence.sum(axis=0) / max(presence.sum(), 1)
    table = []
    for number, fold in enumerate(splits.folds):
        for part in SPLITS:
            rows = [row_of[image_id] for image_id in getattr(fold, part)]
            here = presence[rows]
            for k, name in enumerate(class_names(dataset, presence, names) if rows else ()):
                share = float(here[:, k].sum() / max(here.sum(), 1))
                table.append(
                    BalanceRow(
                        fold=number,
                        part=part,
                        class_name=name,
                        images=len(rows),
                        images_with_class=int((here[:, k] > 0).sum()),
                        groups_with_class=len(set(groups[rows][here[:, k] > 0])),
                        pixels=int(here[:, k].sum()),
                        pixel_share=share,
                        relative_share=float(share / overall[k]) if overall[k] else float("nan"),
                    )
                )
    return table
