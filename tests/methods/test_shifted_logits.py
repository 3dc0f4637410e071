"""What the margins-and-logits family does beyond the contract."""

import pytest
import torch

from methods import REGISTRY
from methods.base import BuildContext
from methods.ldam import LdamDrwConfig
from methods.logits import LogitAdjustmentConfig
from tests.methods import method_cases as cases


def test_balanced_softmax_is_logit_adjustment_with_tau_one():
    batch = cases.random_batch()
    losses = [
        cases.loss_of(cases.build(REGISTRY[name]()))(batch.logits, batch.target, batch.valid, 0).total
        for name in ("balanced_softmax", "logit_adjustment")
    ]
    assert torch.equal(*losses)


def test_post_hoc_adjustment_favours_rare_classes_and_leaves_training_alone():
    components = cases.build(LogitAdjustmentConfig(mode="post_hoc"))
    assert components.loss is None
    assert components.adjust_logits is not None
    adjusted = components.adjust_logits(torch.zeros(1, cases.K, 2, 2))
    assert torch.equal(adjusted[0, :, 0, 0].argsort(), cases.skewed_statistics().pixels.argsort(descending=True))
    half = components.adjust_logits(torch.zeros(1, cases.K, 2, 2, dtype=torch.bfloat16))
    assert half.dtype == torch.bfloat16


@pytest.mark.parametrize("mode", ["train", "post_hoc"])
def test_a_class_that_does_not_occur_is_not_favoured_by_logit_adjustment(mode):
    statistics = cases.skewed_statistics()
    absent = cases.replace(statistics, pixels=statistics.pixels * torch.tensor([1, 1, 1, 0, 1]))
    held = cases.build(LogitAdjustmentConfig(mode=mode), absent).class_parameters()
    (offset,) = held.values()
    assert offset[3] == offset[0]  # the most frequent class


def test_ldam_refuses_to_guess_the_number_of_steps():
    with pytest.raises(ValueError, match="number is not known"):
        LdamDrwConfig().build(BuildContext(cases.skewed_statistics()))


def test_seesaw_punishes_rare_classes_less_for_pixels_of_common_ones():
    """Class 0 has seen many pixels, class 1 few: a pixel of 0 pushes class 1 down less than one of 1 pushes 0."""
    logits = torch.zeros(1, 2, 1, 11, requires_grad=True)
    target = torch.tensor([[[0] * 10 + [1]]])
    loss = cases.loss_of(
        REGISTRY["seesaw"]().build(BuildContext(cases.replace(cases.uniform_statistics(), names=("a", "b"))))
    )
    term = loss.shifted_term(logits, target, torch.ones_like(target, dtype=torch.bool), 0)  # pyright: ignore[reportCallIssue]
    (gradient,) = torch.autograd.grad(term, logits)
    assert gradient[0, 1, 0, 0] < gradient[0, 0, 0, 10]


def test_equalization_raises_positive_weights_of_classes_with_weak_positive_gradients():
    batch = cases.random_batch()
    components = cases.build(REGISTRY["equalization_v2"]())
    loss = cases.loss_of(components)
    for step in range(3):
        loss(batch.logits, batch.target, batch.valid, step)
    held = components.class_parameters()
    assert torch.equal(held["gradient_ratio"].argsort(), held["negative_weight"].argsort())
    assert torch.equal(held["gradient_ratio"].argsort(), held["positive_weight"].argsort(descending=True))
    torch.testing.assert_close(held["positive_weight"], 1 + 4 * (1 - held["negative_weight"]))
