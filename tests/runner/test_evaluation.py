"""Counts against a loop, and stitched images against known logits."""

import numpy as np
import torch

from imbalance_bench.data.tiling import Tile
from imbalance_bench.evaluation.counts import count_pixels
from imbalance_bench.evaluation.prediction import logit_bands, most_likely


def test_counts_agree_with_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.integers(0, 4, (13, 17)).astype(np.uint8)
    target = rng.choice([0, 1, 2, 255], (13, 17)).astype(np.uint8)
    counts = count_pixels(predicted, target, 4)
    valid = target != 255
    for k in range(4):
        assert counts.tp[k] == np.sum((predicted == k) & (target == k))
        assert counts.fp[k] == np.sum((predicted == k) & (target != k) & valid)
        assert counts.fn[k] == np.sum((predicted != k) & (target == k))
    assert counts.n_valid == valid.sum()
    doubled = counts + counts
    assert (doubled.tp == 2 * counts.tp).all()
    assert doubled.n_valid == 2 * counts.n_valid


def test_overlapping_tiles_are_averaged_before_the_class_is_chosen() -> None:
    tiles = [Tile(0, "a", 0, 0), Tile(0, "a", 0, 2)]
    logits = torch.zeros(2, 2, 4, 4)
    logits[0, 1] = 1.0  # the left tile says class 1, weakly
    logits[1, 0] = 3.0  # the right tile says class 0, strongly
    seen = []

    def tile_logits(rows):
        seen.extend(rows)
        return logits[list(rows)]

    (found,) = logit_bands(tile_logits, tiles, [0, 1], n_classes=2, height_px=4, width_px=6)
    predicted = most_likely(found)
    assert found[:, 0].T.tolist() == [[0, 1], [0, 1], [1.5, 0.5], [1.5, 0.5], [3, 0], [3, 0]]
    assert seen == [0, 1]
    assert (predicted[:, :2] == 1).all()
    assert (predicted[:, 2:] == 0).all()
    (flipped,) = logit_bands(
        tile_logits, tiles, [0, 1], n_classes=2, height_px=4, width_px=6, adjust_logits=lambda z: -z
    )
    assert (flipped == -found).all()
