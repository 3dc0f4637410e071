"""Where the bias starts, what is trained of it, and what the ledger says about it."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn

from methods.base import BuildContext, Components, Requirement, Stage
from methods.dfa import DfaConfig, DynamicFocalBias, derangement
from tests.methods import method_cases as cases


def bias_of(seed: int = 0, **options) -> DynamicFocalBias:
    bias = cases.build(DfaConfig(**options), seed=seed).attention_bias
    assert isinstance(bias, DynamicFocalBias)
    return bias


def delta_of(bias: DynamicFocalBias) -> nn.Parameter:
    assert bias.delta is not None
    return bias.delta


def test_rare_classes_start_above_common_ones_and_the_start_is_centred():
    held = bias_of().class_parameters()
    by_rarity = cases.skewed_statistics().pixels.argsort()
    start = held["attention_bias_initial"][by_rarity].tolist()
    assert start == sorted(start, reverse=True)
    assert sum(start) == pytest.approx(0, abs=1e-6)


def test_the_official_prior_is_nearly_flat_for_rare_classes_and_log_frequency_is_not():
    pixels = torch.tensor([0.9e6, 0.089e6, 0.01e6, 0.0009e6, 0.0001e6], dtype=torch.float64)
    statistics = replace(cases.skewed_statistics(), pixels=pixels)
    official, log_frequency = (
        cases.build(DfaConfig(prior=prior), statistics).class_parameters()["attention_bias_prior"]
        for prior in ("one_minus_frequency", "log_frequency")
    )
    assert official[2:].max() - official[2:].min() < 0.03
    assert log_frequency[2:].max() - log_frequency[2:].min() > 4


def test_modes_differ_in_the_prior_that_stays():
    learned, anchored, fixed = (bias_of(mode=mode) for mode in ("learned", "anchored", "fixed"))
    prior = learned.prior
    assert torch.equal(delta_of(learned), delta_of(anchored))
    torch.testing.assert_close(anchored(), learned() + prior)
    torch.testing.assert_close(fixed()[0, 0], prior)
    assert fixed.delta is None
    assert list(fixed.parameters()) == []


def test_inverted_is_the_mirror_of_the_official_start():
    torch.testing.assert_close(bias_of(prior="inverted")(), -bias_of()())


def test_shuffled_moves_every_class_and_depends_on_the_seed():
    official = bias_of().prior
    shuffled = [bias_of(prior="shuffled", seed=seed).prior for seed in range(12)]
    for prior in shuffled:
        assert (prior != official).all()
        assert torch.equal(prior.sort().values, official.sort().values)
    assert len({tuple(prior.tolist()) for prior in shuffled}) > 1


@settings(max_examples=50, deadline=None)
@given(n=st.integers(2, 12), seed=st.integers(0, 2**31))
def test_a_derangement_is_a_permutation_without_fixed_points(n, seed):
    order = derangement(n, seed)
    assert sorted(order.tolist()) == list(range(n))
    assert (order != torch.arange(n)).all()


def test_a_single_class_cannot_be_deranged():
    assert derangement(1, 0).tolist() == [0]


def test_difficulty_raises_hard_classes():
    counts = cases.validation_counts()
    held = bias_of(prior="difficulty", mode="fixed").class_parameters()["attention_bias"]
    from_easy_to_hard = counts.dice.argsort(descending=True)
    assert all(a < b for a, b in pairwise(held[from_easy_to_hard].tolist()))
    assert (held <= 0).all()


def test_difficulty_is_finite_for_perfect_missed_and_unseen_classes():
    counts = replace(
        cases.validation_counts(),
        tp=torch.tensor([100, 0, 50, 0, 80]),
        fp=torch.tensor([0, 9, 50, 7, 20]),
        fn=torch.tensor([0, 100, 50, 0, 20]),
    )  # perfect, missed, half, not in the validation split but predicted there, good
    prior = cases.build(DfaConfig(prior="difficulty"), feedback=counts).class_parameters()["attention_bias_prior"]
    assert prior[0] == pytest.approx(2 * torch.tensor(1e-3).log().item(), rel=1e-5)
    assert prior[1] == 0
    assert prior[3] == pytest.approx(prior[[0, 1, 2, 4]].mean().item())


def test_difficulty_trains_a_baseline_first_and_needs_its_counts():
    config = DfaConfig(prior="difficulty")
    assert config.stages() == (Stage("baseline"), Stage("main"))
    assert config.requirements() == {Requirement.CLASS_QUERY, Requirement.VALIDATION_FEEDBACK}
    context = BuildContext(cases.skewed_statistics(), attention_layers=2, attention_heads=4)
    assert config.build(context) == Components()
    assert DfaConfig().stages() == (Stage("main"),)
    assert DfaConfig().requirements() == {Requirement.CLASS_QUERY}


def test_classes_absent_from_training_start_at_the_centre():
    pixels = cases.skewed_statistics().pixels * torch.tensor([1, 1, 0, 1, 1])
    statistics = replace(cases.skewed_statistics(), pixels=pixels)
    for prior in ("one_minus_frequency", "log_frequency", "shuffled", "inverted", "difficulty"):
        start = cases.build(DfaConfig(prior=prior), statistics).class_parameters()["attention_bias_initial"]
        assert start[2] == 0
        assert start.sum() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("sharing", "shape", "named"),
    [
        ("shared", (1, 1, 5), set()),
        ("per_head", (1, 4, 5), {f"attention_bias[head={head}]" for head in range(4)}),
        ("per_layer", (2, 1, 5), {f"attention_bias[layer={layer}]" for layer in range(2)}),
        (
            "per_layer_and_head",
            (2, 4, 5),
            {f"attention_bias[layer={layer},head={head}]" for layer in range(2) for head in range(4)},
        ),
    ],
)
def test_sharing_decides_the_shape_and_the_ledger_names_each_bias(sharing, shape, named):
    bias = bias_of(sharing=sharing)
    assert bias().shape == shape
    with torch.no_grad():
        delta_of(bias).copy_(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    held = bias.class_parameters()
    assert {name for name in held if "[" in name} == named
    torch.testing.assert_close(held["attention_bias"], delta_of(bias).detach().mean((0, 1)))
    if sharing == "per_layer_and_head":
        assert torch.equal(held["attention_bias[layer=1,head=3]"], delta_of(bias).detach()[1, 3])


def test_the_ledger_separates_where_the_bias_started_from_where_it_is():
    bias = bias_of(mode="anchored")
    start = bias.class_parameters()["attention_bias"]
    with torch.no_grad():
        delta_of(bias).add_(torch.arange(5.0))
    held = bias.class_parameters()
    torch.testing.assert_close(held["attention_bias"], start + torch.arange(5.0))
    assert torch.equal(held["attention_bias_initial"], start)


def test_the_official_layout_is_the_index_arithmetic_of_the_official_code():
    tokens = ["iou", *(f"mask_{i}" for i in range(cases.K + 1))]
    biased = {tokens[position]: position - 1 for position in range(1, cases.K + 1)}  # b_0 on mask_0, b_1 on mask_1 ...
    outputs = tokens[2:]  # the iou token and mask_0 have no output
    bias = bias_of(token_layout="official")
    b = bias.class_bias().detach()[0, 0]
    driving = [b[biased[token]].item() if token in biased else 0.0 for token in outputs]
    assert bias.extra_tokens == len(tokens) - cases.K
    assert bias().shape == (1, 1, len(tokens))
    held = bias.class_parameters()
    assert held["attention_bias_driving"].tolist() == driving
    assert held["attention_bias_driving"].tolist() == [*held["attention_bias"][1:].tolist(), 0.0]
    assert "attention_bias_driving" not in bias_of().class_parameters()


def test_the_official_layout_with_ignored_pixels_has_a_token_and_a_trained_bias_for_them():
    k = cases.K + 1  # the official code counts ignored pixels as class 0
    tokens = ["iou", *(f"mask_{i}" for i in range(k + 1))]
    bias = bias_of(token_layout="official_ignored", l2=0.1)
    assert bias.extra_tokens == len(tokens) - cases.K
    assert bias.ignored is not None
    assert bias.trained() == [bias.delta, bias.ignored]
    with torch.no_grad():
        bias.ignored.fill_(7.0)
    b = [7.0, *bias.class_bias().detach()[0, 0].tolist()]  # b_0 of ignored pixels, then those of the classes
    assert bias()[0, 0].tolist() == [b[position - 1] if 1 <= position <= k else 0.0 for position in range(len(tokens))]
    (bias() * torch.arange(float(len(tokens)))).sum().backward()
    assert bias.ignored.grad is not None
    assert bias.ignored.grad.item() == pytest.approx(1 + 2 * 0.1 * 7)  # its position, and the penalty


def test_the_bias_has_its_own_optimiser_settings():
    components = cases.build(DfaConfig(lr_multiplier=100.0, grad_clip=0.25))
    assert isinstance(components.attention_bias, DynamicFocalBias)
    assert components.param_groups is not None
    (group,) = components.param_groups(nn.Identity())
    assert group.parameters == [components.attention_bias.delta]
    assert (group.lr_multiplier, group.weight_decay, group.grad_clip, group.constant_schedule) == (100.0, 0, 0.25, True)
    assert cases.build(DfaConfig(mode="fixed")).param_groups is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("mode", ["learned", "anchored"])
def test_l2_is_the_gradient_of_a_penalty_on_delta(mode, dtype):
    plain, penalised = (bias_of(mode=mode, l2=l2).to(dtype) for l2 in (0.0, 0.1))
    pull = torch.arange(5.0, dtype=dtype)
    for bias in (plain, penalised):
        (bias() * pull).sum().backward()
    free = delta_of(penalised).detach().clone().requires_grad_()  # a copy without the hook
    ((free * pull).sum() + 0.1 * free.square().sum()).backward()
    torch.testing.assert_close(delta_of(plain).grad, pull.view(1, 1, -1))
    torch.testing.assert_close(delta_of(penalised).grad, free.grad)


@pytest.mark.parametrize("set_to_none", [True, False])
def test_l2_joins_once_per_step_however_many_batches_are_accumulated(set_to_none):
    bias, pull = bias_of(l2=0.1), torch.arange(5.0)
    optimiser = torch.optim.SGD(bias.parameters(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad(set_to_none=set_to_none)
        expected = pull + 0.2 * delta_of(bias).detach()
        for _ in range(4):
            ((bias() * pull).sum() / 4).backward()
        torch.testing.assert_close(delta_of(bias).grad, expected)
        optimiser.step()


def test_an_architecture_without_class_tokens_is_refused_with_the_reason():
    with pytest.raises(ValueError, match="normalises over class tokens"):
        DfaConfig().build(BuildContext(cases.skewed_statistics()))


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("gamma", -1.0, "greater than or equal to 0"),
        ("alpha", -0.1, "greater than or equal to 0"),
        ("lr_multiplier", 0.0, "greater than 0"),
        ("l2", -1e-4, "greater than or equal to 0"),
        ("grad_clip", 0.0, "greater than 0"),
        ("prior", "frequency", "one_minus_frequency"),
        ("gama", 2.0, "Extra inputs"),
    ],
)
def test_wrong_options_are_refused(option, value, message):
    with pytest.raises(ValidationError, match=message):
        DfaConfig.model_validate({option: value})


def test_what_drives_a_class_in_the_official_layout_is_the_mean_over_layers_and_heads():
    config = DfaConfig(token_layout="official", sharing="per_layer_and_head")
    bias = cases.build(config).attention_bias
    assert isinstance(bias, DynamicFocalBias)
    assert bias.delta is not None
    with torch.no_grad():
        bias.delta.copy_(torch.arange(bias.delta.numel(), dtype=torch.float32).view_as(bias.delta))
    held = bias.class_parameters()
    mean = bias.delta.detach().mean((0, 1))
    torch.testing.assert_close(held["attention_bias"], mean)
    torch.testing.assert_close(held["attention_bias_driving"], torch.cat([mean[1:], torch.zeros(1)]))


def test_the_bias_learns_twenty_times_as_fast_with_a_clip_of_its_own():
    components = cases.build(DfaConfig())
    assert components.param_groups is not None
    (group,) = components.param_groups(torch.nn.Identity())
    assert (group.lr_multiplier, group.grad_clip) == (20, 0.5)


CAUSE = {"tumour": 0.3, "stroma": -1.2, "inflammatory": 2.0, "necrosis": 0.4, "other": -1.5}


def test_given_numbers_are_the_prior_of_the_class_that_they_name():
    in_order = torch.tensor(list(CAUSE.values()))
    turned = dict(reversed(CAUSE.items()))
    for values in (CAUSE, turned):
        fixed = bias_of(prior="given", values=values, mode="fixed")
        torch.testing.assert_close(fixed()[0, 0], in_order)
        torch.testing.assert_close(fixed.prior, in_order)
    learned, anchored = (bias_of(prior="given", values=CAUSE, mode=mode, alpha=2.0) for mode in ("learned", "anchored"))
    torch.testing.assert_close(learned()[0, 0], 2 * in_order)  # they are centred already
    torch.testing.assert_close(anchored()[0, 0], 3 * in_order)


@pytest.mark.parametrize(
    ("measure", "attribute"), [("share", "pixels"), ("image_share", "images"), ("components", "components")]
)
def test_a_given_measure_ranks_the_classes_as_it_does_and_has_unit_spread(measure, attribute):
    prior = bias_of(prior="given", measure=measure, mode="fixed").prior
    counted = getattr(cases.skewed_statistics(), attribute)
    assert prior.argsort().tolist() == counted.argsort().tolist()
    assert prior.mean() == pytest.approx(0, abs=1e-6)
    assert prior.std(unbiased=False) == pytest.approx(1, rel=1e-5)


def test_given_component_size_is_pixels_per_component():
    statistics = cases.skewed_statistics()
    prior = bias_of(prior="given", measure="component_size", mode="fixed").prior
    assert prior.argsort().tolist() == (statistics.pixels / statistics.components).argsort().tolist()


@pytest.mark.parametrize(
    "options",
    [
        {"prior": "given"},
        {"prior": "given", "values": CAUSE, "measure": "share"},
        {"values": CAUSE},
        {"prior": "none", "measure": "share"},
        {"prior": "given", "measure": "ambiguity"},
    ],
)
def test_what_is_given_belongs_to_the_given_prior_and_comes_once(options):
    with pytest.raises(ValidationError):
        DfaConfig(**options)


@pytest.mark.parametrize("values", [{}, {"tumour": 1.0}, CAUSE | {"blood": 1.0}])
def test_given_numbers_must_be_those_of_the_classes(values):
    with pytest.raises(ValueError, match="`values` must hold one number for each of tumour, stroma, inflammatory"):
        bias_of(prior="given", values=values)


def test_options_that_came_later_are_no_part_of_a_configuration_that_leaves_them_out():
    assert not {"values", "measure"} & DfaConfig().model_dump(mode="json").keys()
    given = DfaConfig(prior="given", values=CAUSE)
    assert DfaConfig.model_validate(given.model_dump(mode="json")) == given
