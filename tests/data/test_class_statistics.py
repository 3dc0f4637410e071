"""Counts against counting by hand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imbalance_bench.data.class_statistics import ClassCounts, per_image_pixels, training_counts
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.taxonomy import Taxonomy
from imbalance_bench.errors import UserError

# by hand: class 1 touches itself over a corner (one component), class 0 is cut in two by the unlabelled column
FIRST = np.array([[0, 255, 1, 0], [0, 255, 0, 1]], dtype=np.uint8)
SECOND = np.array([[2, 2, 2, 2], [255, 255, 255, 255]], dtype=np.uint8)


def counts_of(root: Path) -> ClassCounts:
    dataset = PreparedDataset.open(root)
    return training_counts(dataset, Taxonomy(dataset.info), [entry.image_id for entry in dataset.entries])


def test_counts_by_hand(write_dataset: Callable[..., Path]) -> None:
    counts = counts_of(write_dataset(masks=[FIRST, SECOND], splits=["train", "train"]))
    assert counts.pixels.tolist() == [4, 2, 4]
    assert counts.images.tolist() == [1, 1, 1]
    assert counts.components.tolist() == [2, 1, 1]
    assert counts.pixels_of_images_with_class.tolist() == [6, 6, 4]
    assert (counts.valid_pixels, counts.n_images) == (10, 2)
    np.testing.assert_allclose(counts.frequency, [0.4, 0.2, 0.4])
    assert {array.dtype for array in (counts.pixels, counts.images, counts.components)} == {np.dtype(np.int64)}
    assert counts.pixels_of_images_with_class.dtype == np.int64


def test_an_image_without_labels_counts_as_an_image_and_adds_nothing(write_dataset: Callable[..., Path]) -> None:
    masks = [FIRST, np.full((3, 3), 255, dtype=np.uint8), SECOND]
    counts = counts_of(write_dataset(masks=masks, splits=["train"] * 3))
    assert counts.n_images == 3
    assert counts.pixels.tolist() == [4, 2, 4]
    assert counts.valid_pixels == 10


def test_presence_follows_the_index_and_the_taxonomy(tiny: Path, tiny_mask: Callable[[int], np.ndarray]) -> None:
    dataset = PreparedDataset.open(tiny)
    presence = per_image_pixels(dataset, Taxonomy(dataset.info, {"dead": ["tumour", "necrosis"]}))
    masks = [tiny_mask(number) for number in range(6)]
    assert presence.tolist() == [[int((mask == 0).sum()), int(np.isin(mask, [1, 2]).sum())] for mask in masks]


def test_training_counts_see_the_training_images_only(tiny: Path, tiny_mask: Callable[[int], np.ndarray]) -> None:
    dataset = PreparedDataset.open(tiny)
    counts = training_counts(dataset, Taxonomy(dataset.info), ["im_1", "im_3"])
    assert counts.n_images == 2
    assert counts.pixels[1] == sum(int((tiny_mask(number) == 1).sum()) for number in (1, 3))


def test_training_counts_refuse_an_empty_split_and_an_absent_class(
    tiny: Path, tiny_mask: Callable[[int], np.ndarray], write_dataset: Callable[..., Path]
) -> None:
    dataset = PreparedDataset.open(tiny)
    with pytest.raises(UserError, match="at least one image"):
        training_counts(dataset, Taxonomy(dataset.info), [])
    masks = [np.where(tiny_mask(number) == 2, 0, tiny_mask(number)).astype(np.uint8) for number in range(6)]
    without = PreparedDataset.open(write_dataset(tiny.parent / "without", masks=masks))
    with pytest.raises(UserError, match=r"'necrosis'. Merge it \(`groups`\), ignore it"):
        training_counts(without, Taxonomy(without.info), ["im_0"])
