"""What is pasted, where, and that labels go with it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from methods.copy_paste import ClassCopyPaste, ClassCopyPasteConfig
from methods.slots import TrainingBatch

SIZE, CELL = 16, 8


def image_batch() -> TrainingBatch:
    """Two crops whose images say which crop and pixel they show; class 1 is a square of the second crop alone."""
    images = torch.arange(2 * 3 * SIZE * SIZE, dtype=torch.float32).view(2, 3, SIZE, SIZE)
    target = torch.zeros(2, SIZE, SIZE, dtype=torch.int64)
    target[1, 2:6, 3:9] = 1
    valid = torch.ones(2, SIZE, SIZE, dtype=torch.bool)
    valid[0, 3, 3] = False  # pasted over
    valid[1, 5, 8] = False  # of the square, but unlabelled: stays behind
    return TrainingBatch([images], (1,), target, valid)


def feature_batch() -> TrainingBatch:
    """The same with two levels of features instead of images."""
    fine = torch.arange(2 * 5 * 16, dtype=torch.float32).view(2, 5, 4, 4)
    coarse = torch.arange(2 * 7 * 4, dtype=torch.float32).view(2, 7, 2, 2)
    return replace(image_batch(), maps=[fine, coarse], strides_px=(4, CELL))


def paste(batch: TrainingBatch, weight: tuple[float, ...] = (0.0, 1.0), **options: float) -> TrainingBatch:
    config = ClassCopyPasteConfig.model_validate({"probability": 1.0, **options})
    return ClassCopyPaste(config, torch.tensor(weight))(batch, np.random.default_rng(0))


def test_images_take_exactly_the_labelled_pixels_of_the_class():
    before, after = image_batch(), paste(image_batch())
    square = (before.target[1] == 1) & before.valid[1]
    assert torch.equal(after.maps[0][0], torch.where(square, before.maps[0][1], before.maps[0][0]))
    assert torch.equal(after.target[0], torch.where(square, 1, 0))
    assert torch.equal(after.valid[0], before.valid[0] | square)
    # the first crop holds no class with odds, so the second stays as it is
    assert torch.equal(after.maps[0][1], before.maps[0][1])
    assert torch.equal(after.target[1], before.target[1])


def test_features_take_whole_cells_with_all_levels_and_labels():
    before, after = feature_batch(), paste(feature_batch(), least_cover=0.4)
    # the square covers 20 of the 64 pixels of the upper left cell and 3 of those of the upper right one
    assert torch.equal(after.target, before.target)
    after = paste(feature_batch(), least_cover=0.1)
    cell = (slice(0, CELL), slice(0, CELL))
    assert torch.equal(after.maps[1][0, :, 0, 0], before.maps[1][1, :, 0, 0])
    assert torch.equal(after.maps[0][0, :, :2, :2], before.maps[0][1, :, :2, :2])
    assert torch.equal(after.target[0][cell], before.target[1][cell])
    assert torch.equal(after.valid[0][cell], before.valid[1][cell])
    untouched = torch.ones(SIZE, SIZE, dtype=torch.bool)
    untouched[cell] = False
    assert (after.target[0][untouched] == 0).all()
    assert torch.equal(after.maps[1][0, :, 1], before.maps[1][0, :, 1])


def test_a_cell_that_is_covered_just_enough_is_taken():
    batch = feature_batch()
    batch.valid[1] = True
    batch.target[1] = 0
    batch.target[1, :4, :4] = 1  # a quarter of the cell
    assert paste(batch, least_cover=0.25).target[0].sum() == 16
    assert paste(batch, least_cover=0.26).target[0].sum() == 0


def test_the_given_batch_is_left_alone_and_the_generator_decides():
    batch = image_batch()
    first = paste(batch, (1.0, 1.0))
    fresh = image_batch()
    assert torch.equal(batch.maps[0], fresh.maps[0])
    assert torch.equal(batch.target, fresh.target)
    assert torch.equal(batch.valid, fresh.valid)
    assert torch.equal(first.maps[0], paste(batch, (1.0, 1.0)).maps[0])


def test_probability_zero_changes_nothing():
    before, after = image_batch(), paste(image_batch(), probability=0.0)
    assert torch.equal(after.maps[0], before.maps[0])
    assert torch.equal(after.target, before.target)
    assert torch.equal(after.valid, before.valid)


def test_classes_are_chosen_by_their_odds_among_those_of_the_crop():
    transform = ClassCopyPaste(ClassCopyPasteConfig(), torch.tensor([1.0, 7.0, 3.0]))
    labels = torch.tensor([0, 0, 0, 2])  # the second class is not there: odds 1 to 3
    chosen = [transform.choose_class(labels, position) for position in np.linspace(0, 1, 400, endpoint=False)]
    assert [chosen.count(k) for k in range(3)] == [100, 0, 300]
    assert transform.choose_class(torch.tensor([2]), 0.5) == 2
    assert transform.choose_class(torch.tensor([], dtype=torch.int64), 0.5) is None


def test_a_single_crop_is_refused():
    batch = image_batch()
    single = TrainingBatch([batch.maps[0][:1]], (1,), batch.target[:1], batch.valid[:1])
    with pytest.raises(ValueError, match="Got a batch of one crop"):
        paste(single)


def test_every_crop_takes_from_another_one_and_any_other_may_be_it():
    size = 4
    images = torch.arange(size, dtype=torch.float32).view(size, 1, 1, 1).expand(size, 3, SIZE, SIZE).contiguous()
    everywhere = torch.zeros(size, SIZE, SIZE, dtype=torch.int64)
    batch = TrainingBatch([images], (1,), everywhere, torch.ones_like(everywhere, dtype=torch.bool))
    transform = ClassCopyPaste(ClassCopyPasteConfig(probability=1.0), torch.ones(1))
    sources = set()
    for seed in range(40):
        taken = transform(batch, np.random.default_rng(seed)).maps[0][:, 0, 0, 0].long().tolist()
        assert sorted(taken) == list(range(size))
        sources |= set(enumerate(taken))
    assert sources == {(crop, source) for crop in range(size) for source in range(size) if crop != source}


def test_without_a_least_cover_cells_without_the_class_still_stay():
    before, after = feature_batch(), paste(feature_batch(), least_cover=0.0)
    assert torch.equal(after.maps[1][0, :, 1], before.maps[1][0, :, 1])


def test_half_of_the_crops_and_a_tenth_of_a_cell_unless_told_otherwise():
    config = ClassCopyPasteConfig()
    assert (config.probability, config.least_cover) == (0.5, 0.1)
