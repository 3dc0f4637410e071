"""What the shared loss, the weighting, focal and CDB do beyond the contract."""

import math
from dataclasses import replace

import pytest
import torch

from methods import REGISTRY
from methods.base import BuildContext, ClassStatistics, normalised_to_mean_one
from methods.cdb import dynamic_exponent
from methods.cross_entropy import CrossEntropyDice, SoftDice, WeightedCrossEntropyDice
from methods.focal import FocalConfig
from methods.ldam import LdamDrwConfig
from methods.reweighting import EffectiveNumberConfig, against_rarity, sample_counts
from tests.methods import method_cases as cases


def dice_of(logits: torch.Tensor, batch: cases.Batch) -> torch.Tensor:
    return SoftDice()(logits.softmax(1), batch.target, batch.valid)


def test_dice_pools_the_images_of_a_batch():
    batch = cases.random_batch()
    pooled = cases.Batch(
        torch.cat(list(batch.logits), dim=-1)[None],
        torch.cat(list(batch.target), dim=-1)[None],
        torch.cat(list(batch.valid), dim=-1)[None],
    )
    torch.testing.assert_close(dice_of(batch.logits, batch), dice_of(pooled.logits, pooled))


def test_dice_leaves_out_classes_that_do_not_occur_in_the_valid_target():
    target = torch.zeros(1, 2, 2, dtype=torch.int64)
    target[0, 0, 0] = 2  # only there, and invalid
    valid = torch.tensor([[[False, True], [True, True]]])
    probability = torch.full((1, 3, 2, 2), 1 / 3)
    # class 0 alone: overlap 3 * 1/3, sizes 1 + 3
    expected = 1 - 2 * 1.0 / 4.0
    assert SoftDice()(probability, target, valid).item() == pytest.approx(expected, abs=1e-5)


def test_ignored_pixels_do_not_enter_dice_with_a_uniform_probability():
    """The official code zeroes ignored logits before the softmax, so that they still count 1/K for every class."""
    batch = cases.random_batch()
    few = replace(batch, valid=batch.valid & (torch.arange(6) < 2))
    narrow = cases.Batch(batch.logits[..., :2], batch.target[..., :2], batch.valid[..., :2])
    torch.testing.assert_close(dice_of(few.logits, few), dice_of(narrow.logits, narrow))


def test_weighted_mean_ignores_the_scale_of_the_weights_and_mean_does_not():
    batch, weight = cases.random_batch(), torch.tensor([0.2, 1.0, 3.0, 0.5, 0.3])
    value = {
        (reduction, scale): WeightedCrossEntropyDice(weight * scale, reduction)(
            batch.logits, batch.target, batch.valid, 0
        ).parts["weighted_cross_entropy"]
        for reduction in ("weighted_mean", "mean")
        for scale in (1.0, 10.0)
    }
    torch.testing.assert_close(value["weighted_mean", 10.0], value["weighted_mean", 1.0])
    torch.testing.assert_close(value["mean", 10.0], 10 * value["mean", 1.0])


def test_weighted_mean_is_torchs_convention_and_mean_is_not():
    batch, weight = cases.random_batch(), torch.tensor([0.2, 1.0, 3.0, 0.5, 0.3])
    by_torch = torch.nn.functional.cross_entropy(
        batch.logits, batch.target.masked_fill(~batch.valid, -100), weight=weight, ignore_index=-100
    )
    ours, mean = (
        WeightedCrossEntropyDice(weight, reduction)(batch.logits, batch.target, batch.valid, 0).parts
        for reduction in ("weighted_mean", "mean")
    )
    torch.testing.assert_close(ours["weighted_cross_entropy"], by_torch)
    assert (mean["weighted_cross_entropy"] - by_torch).abs() > 1e-2


@pytest.mark.parametrize("name", ["inverse_frequency", "inverse_sqrt", "median_frequency", "enet", "effective_number"])
def test_rarer_classes_weigh_more_and_absent_classes_nothing(name):
    pixels = torch.tensor([6e6, 3e6, 5e5, 0.0, 1e3], dtype=torch.float64)
    images = torch.tensor([90.0, 60.0, 40.0, 0.0, 5.0], dtype=torch.float64)
    statistics = ClassStatistics(tuple("abcde"), pixels, images, images, pixels.sum().expand(5), 100)
    weight = cases.build(REGISTRY[name](), statistics).class_parameters()["loss_weight"]
    assert weight[3] == 0
    assert weight[0] < weight[1] < weight[2] < weight[4]


def test_normalised_weights_have_mean_one_over_the_classes_that_occur():
    present = torch.tensor([True, False, True, True])
    weight = normalised_to_mean_one(torch.tensor([4.0, math.inf, 1.0, 1.0]), present)
    assert weight.tolist() == [2.0, 0.0, 0.5, 0.5]


def test_pixel_counts_make_effective_number_uniform():
    """The trap of the catalogue: beta^n vanishes."""
    by_pixel = cases.build(EffectiveNumberConfig(count="pixels")).class_parameters()["loss_weight"]
    by_patch = cases.build(EffectiveNumberConfig()).class_parameters()["loss_weight"]
    assert by_pixel.tolist() == [1.0] * cases.K
    assert by_patch.max() / by_patch.min() > 3


def consep() -> ClassStatistics:
    """Counts of CoNSeP's 27 training images, healthy and malignant epithelium and the spindle classes merged."""
    names = ("background", "other", "inflammatory", "epithelial", "spindle")
    pixels = torch.tensor([83.61, 0.1733, 2.659, 8.643, 4.910], dtype=torch.float64) * 27e4
    images = torch.tensor([27, 17, 25, 13, 25], dtype=torch.float64)
    components = torch.tensor([887, 309, 2836, 2457, 4429], dtype=torch.float64)
    return ClassStatistics(names, pixels, images, components, pixels.sum().expand(5), 27)


COUNTING = ("effective_number", "class_balanced_focal", "ldam_drw")


@pytest.mark.parametrize("name", COUNTING)
@pytest.mark.parametrize(
    ("count", "heavier", "lighter"),
    [("images", "'epithelial' (8.64% of the pixels)", "'other' (0.17% of the pixels)"),
     ("components", "'background' (83.61% of the pixels)", "'inflammatory' (2.66% of the pixels)")],
)  # fmt: skip
def test_counts_that_contradict_rarity_are_remarked(name, count, heavier, lighter):
    (remark,) = REGISTRY[name](count=count).remarks(consep())  # pyright: ignore[reportCallIssue]
    assert f"{lighter} weighs" in remark
    assert f"{heavier} weighs" in remark


@pytest.mark.parametrize("name", COUNTING)
def test_the_default_count_never_contradicts_rarity(name):
    assert REGISTRY[name]().remarks(consep()) == ()
    assert REGISTRY[name]().remarks(cases.skewed_statistics()) == ()
    held = REGISTRY[name]().build(BuildContext(consep(), steps=10)).class_parameters()
    weight = held["margin"] if name == "ldam_drw" else held["loss_weight"]
    assert torch.equal(weight.argsort(), consep().pixels.argsort(descending=True))


def test_a_class_smaller_than_a_patch_counts_as_one_and_an_absent_class_as_none():
    statistics = replace(cases.uniform_statistics(), pixels=torch.tensor([4096.0, 1024.0, 1025.0, 1.0, 0.0]).double())
    assert sample_counts(statistics, "patches").tolist() == [4.0, 1.0, 1025 / 1024, 1.0, 0.0]
    margin = LdamDrwConfig().build(BuildContext(statistics, steps=10)).class_parameters()["margin"]
    torch.testing.assert_close(margin, torch.tensor([0.5 * 0.25**0.25, 0.5, 0.5 * (1024 / 1025) ** 0.25, 0.5, 0.0]))


def test_weights_by_pixel_share_never_contradict_rarity():
    for name in ("inverse_frequency", "inverse_sqrt", "enet", "distdw", "cross_entropy", "dfa"):
        assert REGISTRY[name]().remarks(consep()) == ()


def test_a_weight_contradicts_rarity_only_beyond_both_limits():
    statistics = replace(cases.uniform_statistics(), pixels=torch.tensor([8.0, 8.0, 4.1, 3.9, 8.0]).double())
    weight = torch.tensor([1.0, 1.0, 0.2, 0.91, 1.0])
    assert against_rarity(weight, statistics) == ()  # more than half of the pixels, or more than 90 % of the weight
    weight[3] = 0.89
    (remark,) = against_rarity(weight, statistics)
    assert "'d'" in remark
    assert "'a'" in remark
    absent = replace(statistics, pixels=torch.tensor([8.0, 8.0, 4.1, 0.0, 8.0]).double())
    assert against_rarity(weight, absent) == ()


@pytest.mark.parametrize("name", ["distdw", "diffdw"])
def test_dhc_can_weight_dice_as_published(name):
    batch = cases.random_batch()
    plain, weighted = (
        cases.loss_of(cases.build(REGISTRY[name](dice=dice)))  # pyright: ignore[reportCallIssue]
        for dice in ("unweighted", "weighted")
    )
    before, after = (loss(batch.logits, batch.target, batch.valid, 0).parts for loss in (plain, weighted))
    weight = weighted.class_parameters()["loss_weight"]
    by_hand = []
    p = batch.logits.softmax(1).movedim(1, -1)[batch.valid].double()
    for c in range(cases.K):
        g = (batch.target[batch.valid] == c).double()
        by_hand.append(weight[c].item() * (1 - 2 * (p[:, c] * g).sum().item() / (p[:, c] + g).sum().item()))
    assert after["dice"].item() == pytest.approx(sum(by_hand) / cases.K, rel=1e-5)
    assert torch.equal(after["weighted_cross_entropy"], before["weighted_cross_entropy"])
    assert (after["dice"] - before["dice"]).abs() > 1e-3


@pytest.mark.parametrize("gamma", [0.0, 0.3, 0.5, 1.0, 2.0, 5.0])
def test_focal_gradient_is_finite_where_the_prediction_is_certain(gamma):
    batch = cases.random_batch()
    logits = (torch.nn.functional.one_hot(batch.target, cases.K).movedim(-1, 1) * 1e3).requires_grad_()
    loss = cases.loss_of(cases.build(FocalConfig(gamma=gamma)))
    loss(logits, batch.target, batch.valid, 0).total.backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_focal_counts_easy_pixels_less():
    batch = cases.random_batch()
    by_gamma = [
        cases.loss_of(cases.build(FocalConfig(gamma=gamma)))(batch.logits, batch.target, batch.valid, 0)
        for gamma in (0.0, 1.0, 2.0, 4.0)
    ]
    values = [output.parts["focal"].item() for output in by_gamma]
    assert values == sorted(values, reverse=True)


def cdb_before_feedback(**options):
    context = cases.BuildContext(cases.skewed_statistics())
    return REGISTRY["cdb"](**options).build(context)


def test_cdb_is_unweighted_until_the_first_validation_pass():
    components = cdb_before_feedback()
    held = components.class_parameters()
    assert held["loss_weight"].tolist() == [1.0] * cases.K
    assert held["difficulty"].isnan().all()
    batch = cases.random_batch()
    total = cases.loss_of(components)(batch.logits, batch.target, batch.valid, 0).total
    torch.testing.assert_close(total, CrossEntropyDice()(batch.logits, batch.target, batch.valid, 0).total)


def test_cdb_follows_each_validation_pass_and_forgets_the_one_before():
    components = cdb_before_feedback()
    assert components.on_epoch_end is not None
    components.on_epoch_end(cases.permuted_counts(cases.validation_counts(), torch.tensor([4, 3, 2, 1, 0])))
    first = components.class_parameters()["loss_weight"]
    components.on_epoch_end(cases.validation_counts())
    second = components.class_parameters()["loss_weight"]
    assert first.argmax() == 0
    assert second.argmax() == 4
    direct = cases.build(REGISTRY["cdb"]()).class_parameters()["loss_weight"]
    assert torch.equal(second, direct)


@pytest.mark.parametrize("score", ["recall", "dice"])
def test_cdb_gives_a_class_without_validation_pixels_the_mean_difficulty(score):
    counts = cases.validation_counts()
    empty = torch.tensor([1, 1, 1, 0, 1])  # its false positives remain, so that its Dice is 0
    components = cdb_before_feedback(score=score)
    assert components.on_epoch_end is not None
    components.on_epoch_end(replace(counts, tp=counts.tp * empty, fn=counts.fn * empty))
    difficulty = components.class_parameters()["difficulty"]
    assert difficulty[3] == pytest.approx(difficulty[[0, 1, 2, 4]].mean().item())


def test_cdb_with_a_perfect_validation_pass_is_unweighted():
    counts = cases.validation_counts()
    components = cdb_before_feedback()
    assert components.on_epoch_end is not None
    components.on_epoch_end(replace(counts, fp=counts.fp * 0, fn=counts.fn * 0))
    assert components.class_parameters()["loss_weight"].tolist() == [1.0] * cases.K


def test_cdb_keeps_its_weights_when_validation_holds_no_class():
    counts = cases.validation_counts()
    components = cases.build(REGISTRY["cdb"]())
    before = components.class_parameters()["loss_weight"]
    assert components.on_epoch_end is not None
    components.on_epoch_end(replace(counts, tp=counts.tp * 0, fp=counts.fp * 0, fn=counts.fn * 0))
    assert torch.equal(components.class_parameters()["loss_weight"], before)


def test_both_dynamic_exponents_grow_with_the_imbalance_of_the_scores():
    balanced, skewed = torch.tensor([0.8, 0.8, 0.8]), torch.tensor([0.9, 0.5, 0.1])
    assert dynamic_exponent(balanced, "sigmoid") == pytest.approx(1 / (1 + math.exp(-0.8 / 0.81)))
    assert dynamic_exponent(balanced, "double_sigmoid") == pytest.approx(1.0, abs=0.01)
    assert dynamic_exponent(balanced, "sigmoid") < dynamic_exponent(skewed, "sigmoid") < 1
    assert dynamic_exponent(balanced, "double_sigmoid") < dynamic_exponent(skewed, "double_sigmoid") < 2
    assert dynamic_exponent(torch.tensor([1.0, 0.0]), "sigmoid") <= 1  # max A / .01 = 100: no overflow
