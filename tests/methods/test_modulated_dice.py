"""Modulated and t-vMF Dice, and logarithms of Dice, where classes are missing or few pixels are labelled."""

import math
from dataclasses import replace

import pytest
import torch

from methods import REGISTRY
from methods.modulated_dice import AdaptiveTvmfConfig, TvmfDice
from tests.methods import method_cases as cases


def without_class(batch: cases.Batch, c: int) -> cases.Batch:
    return replace(batch, target=torch.where(batch.target == c, (c + 1) % cases.K, batch.target))


@pytest.mark.parametrize("name", ["pm_dice", "adaptive_tvmf_dice"])
def test_a_class_that_does_not_occur_is_left_out_of_the_mean_and_one_of_one_pixel_is_not(name):
    batch = without_class(without_class(cases.random_batch(), 2), 4)
    batch.target.view(-1)[batch.valid.view(-1).nonzero()[0]] = 4
    loss = cases.loss_of(cases.build(REGISTRY[name](cross_entropy_weight=0.0)))  # pyright: ignore[reportCallIssue]
    p = batch.logits.softmax(1).movedim(1, -1)[batch.valid].double()
    y = batch.target[batch.valid]
    losses = []
    for c in (0, 1, 3, 4):
        g = (y == c).double()
        if name == "pm_dice":
            m = (g - p[:, c]).abs()
            losses.append(1 - 2 * (m * g * p[:, c]).sum() / (m * (g + p[:, c] ** 2)).sum())
        else:
            cosine = (g * p[:, c]).sum() / (g.norm() * p[:, c].norm())
            concentration = 32 * cases.validation_counts().dice[c]
            losses.append((2 - (1 + cosine) / (1 + concentration * (1 - cosine))) ** 2)
    total = loss(batch.logits, batch.target, batch.valid, 0).total.item()
    assert total == pytest.approx(torch.stack(losses).mean().item(), rel=1e-4)


def test_a_cosine_of_one_labelled_pixel_has_its_whole_length():
    batch = cases.random_batch()
    valid = torch.zeros_like(batch.valid)
    valid[0, 0, 0] = True
    loss = TvmfDice(0.0, 0.0, cases.K)
    unlikely = batch.logits - 5 * torch.nn.functional.one_hot(batch.target, cases.K).movedim(-1, 1)
    assert loss(unlikely, batch.target, valid, 0).total.item() == pytest.approx(0, abs=1e-6)  # one pixel: cosine 1


def test_a_class_that_validation_lacks_gets_the_mean_concentration_of_the_others():
    counts = cases.validation_counts()
    empty = torch.tensor([1, 1, 0, 1, 1])
    components = cases.build(
        AdaptiveTvmfConfig(scale=10.0), feedback=replace(counts, tp=counts.tp * empty, fn=counts.fn * empty)
    )
    held = components.class_parameters()["concentration"]
    torch.testing.assert_close(held[2], held[[0, 1, 3, 4]].mean())
    assert held[0].item() == pytest.approx(10 * counts.dice[0].item())
    assert components.on_epoch_end is not None
    nothing = torch.zeros(cases.K, dtype=torch.long)
    components.on_epoch_end(replace(counts, tp=nothing, fn=nothing))
    assert torch.equal(components.class_parameters()["concentration"], held), "nothing known, nothing changed"


def test_concentrations_are_zero_before_the_first_validation():
    loss = REGISTRY["adaptive_tvmf_dice"]().build(cases.BuildContext(cases.skewed_statistics())).loss
    assert loss is not None
    assert loss.class_parameters()["concentration"].tolist() == [0.0] * cases.K


def test_the_logarithm_of_a_dice_of_zero_is_finite():
    batch = cases.random_batch(size_px=64)  # so many wrong pixels that the smoothing alone would not do
    loss = cases.loss_of(cases.build(REGISTRY["exponential_logarithmic"](gamma=1.0, dice_share=1.0)))  # pyright: ignore[reportCallIssue]
    wrong = torch.nn.functional.one_hot((batch.target + 1) % cases.K, cases.K).movedim(-1, 1) * 1e4
    total = loss(wrong, batch.target, batch.valid, 0).total.item()
    assert total == pytest.approx(-math.log(1e-7), rel=0.02)
