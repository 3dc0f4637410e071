"""Corners that golden values do not reach: detached parts, one class, absent classes, predictions without any error."""

import method_cases as cases
import pytest
import torch

from methods import REGISTRY
from methods.cross_entropy import SoftDice

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
