"""Which crops each step sees: resumable, the same for every method, inside the tile."""

from dataclasses import replace

import numpy as np
import pytest

from imbalance_bench.config import TrainingSection
from imbalance_bench.training.batches import Batch, BatchSequence

SECTION = TrainingSection(batch_size=3, crop_px=64, accumulate=2)


def sequence(*, seed: int = 1, cached_views: int = 4, sampler: object = None) -> BatchSequence:
    pixels = np.ones((5, 3), np.int64)
    return BatchSequence(
        np.arange(10, 15), pixels, tile_px=128, section=SECTION, seed=seed, cached_views=cached_views,
        grid_px=32 if cached_views else 1,
        sampler=sampler,  # pyright: ignore[reportArgumentType]
    )  # fmt: skip


def digest(batches: list[Batch]) -> bytes:
    value = b""
    for batch in batches:
        value = batch.update(value)
    return value


def test_a_step_does_not_depend_on_the_steps_before() -> None:
    straight, late = sequence(), sequence()
    all_steps = [batch for step in range(7) for batch in straight.of_step(step)]
    assert digest(list(late.of_step(6))) == digest(all_steps[-2:])


def test_each_epoch_draws_every_tile_once() -> None:
    steps = [batch for step in range(5) for batch in sequence().of_step(step)]  # 30 crops: 6 epochs of 5 tiles
    drawn = np.concatenate([batch.tiles for batch in steps]).reshape(6, 5)
    assert (np.sort(drawn, axis=1) == np.arange(10, 15)).all()


def test_seeds_give_other_batches_and_every_array_counts_for_the_digest() -> None:
    batch = next(sequence().of_step(0))
    assert batch.update(b"") != next(sequence(seed=2).of_step(0)).update(b"")
    for name, value in vars(batch).items():
        if isinstance(value, np.ndarray):
            changed = replace(batch, **{name: value + 1})
            assert changed.update(b"") != batch.update(b"")


@pytest.mark.parametrize(("cached_views", "grid"), [(4, 32), (0, 1)])
def test_crops_lie_inside_the_tile_and_on_the_grid_of_the_cache(cached_views: int, grid: int) -> None:
    crops = sequence(cached_views=cached_views)
    offsets = np.concatenate([np.stack([b.tops, b.lefts]) for step in range(40) for b in crops.of_step(step)], axis=1)
    assert offsets.min() == 0
    assert offsets.max() <= 64
    assert (offsets % grid == 0).all()
    assert len(np.unique(offsets)) > 2


def test_a_sampler_chooses_the_tiles() -> None:
    batches = sequence(sampler=lambda pixels, rng: np.array([4, 4])).of_step(0)  # noqa: ARG005
    assert all((batch.tiles == 14).all() for batch in batches)
