"""The noise of balancing logit variation: bounded, by rarity, anew at each step, and nobody else's."""

import math

import pytest
import torch

from methods.logit_variation import BlvConfig, noise, rarity_amounts
from tests.methods import method_cases as cases


def test_noise_is_half_normal_up_to_one_and_follows_seed_and_step():
    drawn = noise((100_000,), 3, 5, 0.5)
    assert drawn.min() >= 0
    assert drawn.max() == 1
    assert (drawn < 0.25).double().mean().item() == pytest.approx(math.erf(0.5 / math.sqrt(2)), abs=0.01)
    assert torch.equal(drawn, noise((100_000,), 3, 5, 0.5))
    for seed, step in ((3, 6), (4, 5)):
        assert not torch.equal(drawn, noise((100_000,), seed, step, 0.5))


def test_rarer_classes_vary_more_and_the_rarest_by_one():
    statistics = cases.skewed_statistics()
    amount = rarity_amounts(statistics)
    assert amount.max() == 1
    assert torch.equal(amount.argsort(), statistics.pixels.argsort(descending=True))
    one = cases.replace(statistics, pixels=torch.tensor([5.0, 0, 0, 0, 0]).double())
    assert rarity_amounts(one).tolist() == [0.0] * cases.K


def test_relabelling_the_classes_relabels_the_amounts():
    order = torch.tensor([3, 0, 4, 1, 2])
    statistics = cases.skewed_statistics()
    after = rarity_amounts(cases.permuted_statistics(statistics, order))
    torch.testing.assert_close(after, rarity_amounts(statistics)[order])


def test_another_seed_gives_another_loss_and_another_step_too():
    batch = cases.random_batch()
    loss, other = (cases.loss_of(cases.build(BlvConfig(), seed=seed)) for seed in (0, 10))
    values = [
        each(batch.logits, batch.target, batch.valid, step).total.item()
        for each, step in ((loss, 0), (loss, 1), (other, 0))
    ]
    assert len(set(values)) == 3
