"""Overlap losses against segmentation_models_pytorch, and where the two part."""

import pytest
import torch
from segmentation_models_pytorch.losses import DiceLoss, LovaszLoss, TverskyLoss

from methods import REGISTRY
from methods.compound import ComboConfig, LabelMarginalL1Config
from tests.methods import method_cases as cases

IGNORED = 255


def ours(name: str, batch: cases.Batch, **options: float) -> torch.Tensor:
    """The overlap term."""
    loss = cases.loss_of(cases.build(REGISTRY[name](**options)))
    parts = loss(batch.logits, batch.target, batch.valid, 0).parts
    return parts.get(name, parts.get("dice", torch.nan))


def theirs(loss: torch.nn.Module, batch: cases.Batch) -> torch.Tensor:
    return loss(batch.logits, batch.target.masked_fill(~batch.valid, IGNORED))


def without_class(batch: cases.Batch, absent: int) -> cases.Batch:
    return cases.Batch(batch.logits, batch.target, batch.valid & (batch.target != absent))


def test_overlap_terms_agree_when_every_class_occurs():
    batch = cases.random_batch()
    smp = {
        "dice": DiceLoss("multiclass", ignore_index=IGNORED),
        "tversky": TverskyLoss("multiclass", ignore_index=IGNORED, alpha=0.3, beta=0.7),
        "lovasz_softmax": LovaszLoss("multiclass", ignore_index=IGNORED),
    }
    for name, loss in smp.items():
        torch.testing.assert_close(ours(name, batch), theirs(loss, batch), rtol=1e-5, atol=1e-6)


def test_smp_divides_by_all_classes_when_one_is_absent_and_lovasz_does_not():
    batch = without_class(cases.random_batch(), absent=2)
    dice = theirs(DiceLoss("multiclass", ignore_index=IGNORED), batch)
    torch.testing.assert_close(ours("dice", batch) * (cases.K - 1) / cases.K, dice, rtol=1e-5, atol=1e-6)
    lovasz = theirs(LovaszLoss("multiclass", ignore_index=IGNORED), batch)
    torch.testing.assert_close(ours("lovasz_softmax", batch), lovasz, rtol=1e-5, atol=1e-6)


def test_smp_raises_the_mean_and_not_each_class_to_the_focal_tversky_power():
    batch = cases.random_batch()
    smp = theirs(TverskyLoss("multiclass", ignore_index=IGNORED, alpha=0.3, beta=0.7, gamma=0.75), batch)
    torch.testing.assert_close(ours("tversky", batch) ** 0.75, smp, rtol=1e-5, atol=1e-6)
    assert ours("focal_tversky", batch) < smp - 1e-5  # a concave power: Jensen


@pytest.mark.parametrize("name", ["dice", "generalised_dice", "tversky", "focal_tversky", "lovasz_softmax"])
def test_a_class_that_does_not_occur_changes_nothing_but_the_softmax(name):
    batch = without_class(cases.random_batch(), absent=4)
    logits = batch.logits.clone()
    logits[:, 4] = -1e3
    four = cases.Batch(logits[:, :4], batch.target.clamp(max=3), batch.valid)
    torch.testing.assert_close(ours(name, four), ours(name, cases.Batch(logits, batch.target, batch.valid)))


def test_generalised_dice_weighs_small_regions_more():
    batch = cases.random_batch()
    small = batch.target.flatten()[batch.valid.flatten()].bincount(minlength=cases.K).argmin()
    logits = batch.logits.clone()
    logits[:, small] -= 3.0  # the smallest class is missed
    worse = cases.Batch(logits, batch.target, batch.valid)
    by_power = [ours("generalised_dice", worse, power=power).item() for power in (0.0, 1.0, 2.0)]
    assert by_power == sorted(by_power)


def test_label_marginals_are_those_of_each_image():
    """Errors of opposite sign in two images do not cancel."""
    target = torch.tensor([[[0, 0]], [[1, 1]]])
    logits = torch.tensor([[[[0.0, 0.0]], [[40.0, 40.0]]], [[[40.0, 40.0]], [[0.0, 0.0]]]])
    loss = cases.loss_of(cases.build(LabelMarginalL1Config(weight=1.0)))
    assert loss(logits, target, torch.ones_like(target, dtype=torch.bool), 0).parts["label_marginal"] == 1


def test_combo_counts_confident_false_positives():
    batch = cases.random_batch()
    wrong = torch.nn.functional.one_hot((batch.target + 1) % cases.K, cases.K).movedim(-1, 1) * 20.0
    loss = cases.loss_of(cases.build(ComboConfig(alpha=1.0, beta=0.0)))
    value = loss(wrong, batch.target, batch.valid, 0).parts["modified_cross_entropy"]
    # -log(1 - p) of one class in K, with 1 - p clipped at 1e-7
    assert value.item() == pytest.approx(-torch.tensor(1e-7).log().item() / cases.K, rel=1e-3)


@pytest.mark.parametrize("name", ["dice", "tversky", "focal_tversky", "lovasz_softmax"])
def test_a_class_of_one_pixel_counts_as_much_as_any_other(name):
    batch = cases.random_batch()
    target = torch.where(batch.target == 2, 0, batch.target)
    target[0, 0, 0], target[0, 0, 1] = 2, 0
    seen_as = target.clone()
    seen_as[0, 0, 0], seen_as[0, 0, 1] = 0, 2  # its only pixel is missed, and another one taken for it
    logits = 20 * torch.nn.functional.one_hot(seen_as, cases.K).movedim(-1, 1).float()
    config = REGISTRY[name]() if name == "dice" else REGISTRY[name](cross_entropy_weight=0.0)  # pyright: ignore[reportCallIssue]
    loss = cases.loss_of(cases.build(config))
    total = loss(logits, target, torch.ones_like(batch.valid), 0).total.item()
    assert total == pytest.approx(1 / cases.K, rel=0.1)  # the others are nearly perfect
