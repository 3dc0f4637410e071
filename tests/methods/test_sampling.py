"""Which tiles are drawn: what the samplers promise of a long run, and that nothing but the generator decides."""

import numpy as np
import pytest

from methods.sampling import ClassPresentSampler, RepeatFactorSampler, TileSampler

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(1, 200, size=(40, 4)) * (RNG.random((40, 4)) < (1.0, 0.6, 0.2, 0.05))
PIXELS[7, 3] = 50  # the last class is somewhere
SAMPLERS = [RepeatFactorSampler(1.0), RepeatFactorSampler(0.3), ClassPresentSampler(0.33), ClassPresentSampler(1.0)]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=["repeat 1", "repeat .3", "present .33", "present 1"])
def test_tiles_are_drawn_as_often_as_expected(sampler: TileSampler):
    epochs = 3000
    drawn = [sampler(PIXELS, np.random.default_rng(epoch)) for epoch in range(epochs)]
    mean = np.bincount(np.concatenate(drawn), minlength=len(PIXELS)) / epochs
    expected = sampler.expected_draws(PIXELS)
    assert np.abs(mean - expected).max() < 5 * np.sqrt(expected.max() / epochs)
    assert expected.max() > 1.2


@pytest.mark.parametrize("sampler", SAMPLERS, ids=["repeat 1", "repeat .3", "present .33", "present 1"])
def test_the_generator_alone_decides(sampler: TileSampler):
    np.random.seed(1)  # noqa: NPY002 - what must not matter
    first = sampler(PIXELS, np.random.default_rng(5))
    np.random.seed(2)  # noqa: NPY002
    assert np.array_equal(first, sampler(PIXELS, np.random.default_rng(5)))
    assert not np.array_equal(first, sampler(PIXELS, np.random.default_rng(6)))


@pytest.mark.parametrize("sampler", [RepeatFactorSampler(0.0), ClassPresentSampler(0.0)], ids=["repeat", "present"])
def test_neutral_samplers_draw_every_tile_once(sampler: TileSampler):
    drawn = sampler(PIXELS, np.random.default_rng(0))
    assert sorted(drawn) == list(range(len(PIXELS)))
    assert sampler.class_parameters()["sampling_factor"].tolist() == pytest.approx([1.0] * 4)


def test_repeat_factors_follow_the_rarest_class_of_a_tile():
    pixels = np.array([[5, 0], [5, 0], [5, 0], [5, 1]])  # the second class is on a quarter of the tiles
    sampler = RepeatFactorSampler(1.0)
    assert sampler.expected_draws(pixels).tolist() == [1, 1, 1, 2]
    assert sorted(sampler(pixels, np.random.default_rng(0))) == [0, 1, 2, 3, 3]
    assert sampler.class_parameters()["repeat_factor"].tolist() == [1, 2]


def test_a_tile_that_is_drawn_for_a_class_holds_it():
    """With two classes on separate tiles, half of the draws go to each, however many tiles each has."""
    pixels = np.array([[9, 0]] * 30 + [[0, 1]] + [[0, 3]])
    drawn = np.concatenate([ClassPresentSampler(1.0)(pixels, np.random.default_rng(i)) for i in range(200)])
    assert (drawn >= 30).mean() == pytest.approx(0.5, abs=0.03)
    assert (drawn == 31).sum() / (drawn == 30).sum() == pytest.approx(3, rel=0.15)  # by pixels of the class


def test_a_class_without_pixels_has_no_factor_and_harms_nothing():
    pixels = np.array([[4, 0, 2], [3, 0, 0]])
    for sampler in (RepeatFactorSampler(1.0), ClassPresentSampler(1.0)):
        assert set(sampler(pixels, np.random.default_rng(0))) <= {0, 1}
        factor = sampler.class_parameters()["sampling_factor"]
        assert factor.isnan().tolist() == [False, True, False]
