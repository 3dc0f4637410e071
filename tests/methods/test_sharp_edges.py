"""Corners that golden values do not reach: detached parts, one class, absent classes, predictions without any error."""

from dataclasses import replace

import pytest
import torch

from methods import REGISTRY
from methods.base import AttentionBias, BuildContext
from methods.cross_entropy import SoftDice, mean_over_valid, weighted_mean_over_valid
from methods.ldam import LdamDice, LdamDrwConfig
from tests.methods import method_cases as cases

CASES = cases.configurations()
every_configuration = pytest.mark.parametrize("case", CASES, ids=[cases.label(case) for case in CASES])


@every_configuration
def test_recorded_parts_hold_no_graph(case):
    name, options = case
    batch = cases.random_batch()
    loss = cases.loss_of(cases.build(REGISTRY[name](**options)))
    output = loss(batch.logits.clone().requires_grad_(), batch.target, batch.valid, 0)
    assert output.total.requires_grad
    assert not any(part.requires_grad for part in output.parts.values())


@every_configuration
def test_the_gradient_of_a_prediction_without_any_error_is_finite(case):
    name, options = case
    batch = cases.random_batch()
    truth = torch.nn.functional.one_hot(batch.target, cases.K).movedim(-1, 1)
    logits = (2e4 * truth - 1e4).requires_grad_()  # the other classes' probabilities are exactly 0
    total = cases.loss_of(cases.build(REGISTRY[name](**options)))(logits, batch.target, batch.valid, 0).total
    (gradient,) = torch.autograd.grad(total, logits)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", ["tversky", "focal_tversky", "generalised_dice"])
def test_overlap_of_a_batch_of_one_class_is_that_of_the_class(name):
    options: dict = {"cross_entropy_weight": 0.0}
    if name != "generalised_dice":
        options |= {"fp_weight": 0.5, "fn_weight": 0.5}
    if name == "focal_tversky":
        options["exponent"] = 1.0
    batch = cases.random_batch()
    target = torch.full_like(batch.target, 3)
    total = cases.loss_of(cases.build(REGISTRY[name](**options)))(batch.logits, target, batch.valid, 0).total
    torch.testing.assert_close(total, SoftDice()(batch.logits.softmax(1), target, batch.valid), rtol=1e-6, atol=1e-6)


def test_generalised_dice_gives_absent_classes_no_weight():
    batch = cases.random_batch()
    target = torch.where(batch.target == 1, 0, batch.target)
    p = batch.logits.softmax(1).movedim(1, -1)[batch.valid].double()
    g = torch.nn.functional.one_hot(target[batch.valid], cases.K).double()
    present = [0, 2, 3, 4]
    weight = 1 / g.sum(0)[present] ** 2
    overlap, size = (p * g).sum(0)[present], (p + g).sum(0)[present]
    expected = 1 - 2 * (weight * overlap).sum() / (weight * size).sum()
    config = REGISTRY["generalised_dice"].model_validate({"cross_entropy_weight": 0.0})
    total = cases.loss_of(cases.build(config))(batch.logits, target, batch.valid, 0).total
    assert total.item() == pytest.approx(expected.item(), abs=1e-6)


def test_a_class_of_a_single_pixel_counts():
    target = torch.zeros(1, 1, 4, dtype=torch.int64)
    target[0, 0, 3] = 1
    probability = torch.tensor([0.9, 0.8, 0.7, 0.4])
    probability = torch.stack([probability, 1 - probability]).view(1, 2, 1, 4)
    of_first, of_second = 1 - 2 * 2.4 / (2.8 + 3), 1 - 2 * 0.6 / (1.2 + 1)
    dice = SoftDice(smooth=0.0)(probability, target, torch.ones_like(target, dtype=torch.bool))
    assert dice.item() == pytest.approx((of_first + of_second) / 2)


def test_means_over_one_valid_pixel_are_its_value():
    term, valid = torch.tensor([[[3.0, 7.0]]]), torch.tensor([[[True, False]]])
    assert mean_over_valid(term, valid) == 3
    light = torch.full_like(term, 0.25)  # less than 1 in all
    assert weighted_mean_over_valid(term, light, valid, "weighted_mean") == 3
    assert weighted_mean_over_valid(term, light, valid, "mean") == 0.75


def test_a_context_that_says_nothing_else_is_of_the_first_stage_without_class_tokens():
    context = BuildContext(cases.skewed_statistics())
    said = (context.seed, context.attention_layers, context.attention_heads, context.stage, context.finished)
    assert said == (0, 0, 0, 0, ())
    assert context.steps is None


def test_a_class_that_does_not_occur_has_no_margin():
    statistics = cases.skewed_statistics()
    there = torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0], dtype=torch.float64)
    absent = replace(statistics, pixels=statistics.pixels * there, images=statistics.images * there)
    loss = LdamDrwConfig().build(BuildContext(absent, steps=10)).loss
    assert isinstance(loss, LdamDice)
    assert loss.margin[1] == 0
    assert (loss.margin[[0, 2, 3, 4]] > 0).all()


def test_a_bias_asks_for_no_more_tokens_unless_its_layout_does():
    assert AttentionBias().extra_tokens == 0
    for layout, extra in (("class_tokens", 0), ("official", 2)):
        bias = cases.build(REGISTRY["dfa"].model_validate({"token_layout": layout})).attention_bias
        assert bias is not None
        assert bias.extra_tokens == extra
