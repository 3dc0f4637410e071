"""Every registered method, in every listed configuration, keeps the contract of `methods.base`."""

import math
from collections.abc import Iterator
from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors.torch import load, save
from torch import Tensor, nn

from methods import REGISTRY, distinct_methods
from methods.base import ClassStatistics, Components, Group, MethodConfig
from methods.search_space import search_space
from tests.methods import method_cases as cases

CASES = cases.configurations()
every_configuration = pytest.mark.parametrize("case", CASES, ids=[cases.label(case) for case in CASES])
every_method = pytest.mark.parametrize("name", REGISTRY)


def config_of(case: tuple[str, dict]) -> MethodConfig:
    name, options = case
    return REGISTRY[name](**options)


def value_and_gradient(components: Components, batch: cases.Batch, step: int = 0) -> tuple[Tensor, Tensor]:
    logits = batch.logits.clone().requires_grad_()
    total = cases.loss_of(components)(logits, batch.target, batch.valid, step).total
    (gradient,) = torch.autograd.grad(total, logits)
    return total.detach(), gradient


def modules_of(components: Components) -> Iterator[nn.Module]:
    for module in (components.loss, components.attention_bias, components.attention_gate):
        if module is not None:
            yield module


@every_configuration
def test_loss_and_gradient_are_finite_and_parts_add_up(case):
    batch = cases.random_batch()
    components = cases.build(config_of(case))
    total, gradient = value_and_gradient(components, batch)
    assert total.shape == ()
    assert total.isfinite()
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0
    parts = cases.loss_of(components)(batch.logits, batch.target, batch.valid, 0).parts
    assert all(part.shape == () and not part.requires_grad for part in parts.values())
    torch.testing.assert_close(torch.stack(list(parts.values())).sum(), total)


@every_configuration
def test_invalid_pixels_get_exactly_zero_gradient_and_change_nothing(case):
    batch = cases.random_batch()
    components = cases.build(config_of(case))
    total, gradient = value_and_gradient(components, batch)
    invalid = ~batch.valid
    assert (gradient.movedim(1, -1)[invalid] == 0).all()
    assert (gradient.movedim(1, -1)[batch.valid].abs().sum(-1) > 0).all()
    noise = torch.where(invalid.unsqueeze(1), torch.full_like(batch.logits, 50.0), batch.logits)
    other = torch.where(invalid, (batch.target + 1) % cases.K, batch.target)
    assert torch.equal(cases.loss_of(components)(noise, other, batch.valid, 0).total, total)


@every_configuration
def test_a_batch_without_valid_pixels_is_a_finite_zero(case):
    batch = cases.random_batch()
    nothing = cases.Batch(batch.logits, batch.target, torch.zeros_like(batch.valid))
    total, gradient = value_and_gradient(cases.build(config_of(case)), nothing)
    assert total == 0
    assert (gradient == 0).all()


@every_configuration
@pytest.mark.parametrize("only", range(cases.K))
def test_a_batch_of_one_class_is_finite(case, only):
    batch = cases.random_batch()
    one_class = cases.Batch(batch.logits, torch.full_like(batch.target, only), batch.valid)
    total, gradient = value_and_gradient(cases.build(config_of(case)), one_class)
    assert total.isfinite()
    assert gradient.isfinite().all()


@every_configuration
def test_extreme_logits_are_finite(case):
    batch = cases.random_batch()
    extreme = cases.Batch(batch.logits * 1e4, batch.target, batch.valid)
    total, gradient = value_and_gradient(cases.build(config_of(case)), extreme)
    assert total.isfinite()
    assert gradient.isfinite().all()


@every_configuration
@pytest.mark.parametrize(
    "pixels",
    [[1e9, 1e9, 1e9, 1e9, 1e9], [1e9, 1.0, 1e4, 1e6, 1e8], [1e9, 0.0, 5e6, 0.0, 1e3], [1e9, 0.0, 0.0, 0.0, 0.0]],
    ids=["huge", "a single pixel", "absent classes", "one class"],
)
def test_unusual_statistics_are_finite(case, pixels):
    count = torch.tensor(pixels, dtype=torch.float64)
    statistics = ClassStatistics(tuple("abcde"), count, count.clamp(max=1e9), count, count.sum().expand(5), 10**9)
    components = cases.build(config_of(case), statistics)
    total, gradient = value_and_gradient(components, cases.random_batch())
    assert total.isfinite()
    assert gradient.isfinite().all()
    for name, held in components.class_parameters().items():
        assert held.isfinite().all(), name


@every_configuration
@settings(max_examples=8, deadline=None)
@given(order=st.permutations(range(cases.K)), seed=st.integers(0, 1000))
def test_relabelling_the_classes_relabels_the_result(case, order, seed):
    config = config_of(case)
    order = torch.tensor(order)  # new class i is old class order[i]
    batch = cases.random_batch(seed)
    relabelled = cases.Batch(batch.logits[:, order], order.argsort()[batch.target], batch.valid)
    before = cases.build(config)
    after = cases.build(
        config,
        cases.permuted_statistics(cases.skewed_statistics(), order),
        cases.permuted_counts(cases.validation_counts(), order),
    )
    total, gradient = value_and_gradient(before, batch)
    total_after, gradient_after = value_and_gradient(after, relabelled)
    if case[0] == "blv":
        return  # noise is drawn for places of the logits, whose order changed; `test_logit_variation` looks closer
    torch.testing.assert_close(total_after, total, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gradient_after, gradient[:, order], rtol=1e-5, atol=1e-7)
    if getattr(config, "prior", None) == "shuffled":
        return  # random by design
    held, held_after = before.class_parameters(), after.class_parameters()
    assert held.keys() == held_after.keys()
    for name in held.keys() - {"attention_bias_driving"}:  # the official layout's index shift is not symmetric
        torch.testing.assert_close(held_after[name], held[name][order], rtol=1e-6, atol=1e-6)


@every_method
def test_neutral_parameters_reduce_to_the_base(name):
    neutral = cases.NEUTRAL[name]
    statistics = cases.uniform_statistics() if neutral.uniform_statistics else cases.skewed_statistics()
    batch = cases.random_batch()
    total, gradient = value_and_gradient(cases.build(REGISTRY[name](**neutral.options), statistics), batch)
    logits = batch.logits.clone().requires_grad_()
    expected = neutral.reduces_to(replace(batch, logits=logits))
    (expected_gradient,) = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(total, expected.detach(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-5, atol=1e-7)


@every_configuration
def test_a_perfect_prediction_has_minimal_loss(case):
    batch = cases.random_batch()
    loss = cases.loss_of(cases.build(config_of(case)))
    right = nn.functional.one_hot(batch.target, cases.K).movedim(-1, 1) * 60.0 - 30.0  # for softmax and for sigmoid
    perfect = loss(right, batch.target, batch.valid, 0).total
    assert 0 <= perfect < 1e-6
    for worse in (batch.logits, right * 0.001, right.roll(1, dims=1), torch.zeros_like(right)):
        assert loss(worse, batch.target, batch.valid, 0).total > perfect + 1e-3


@every_configuration
def test_configuration_survives_a_save_and_load(case):
    config = config_of(case)
    assert type(config).model_validate_json(config.model_dump_json()) == config
    assert type(config).model_validate(config.model_dump()) == config


@every_configuration
def test_state_survives_a_save_and_load(case):
    config = config_of(case)
    trained, fresh = cases.build(config), cases.build(config, feedback=cases.permuted_counts(*reversed_counts()))
    for module in modules_of(trained):
        for number, parameter in enumerate(module.parameters()):
            with torch.no_grad():
                parameter.add_(torch.arange(parameter.numel()).view_as(parameter) + number)
    for module, other in zip(modules_of(trained), modules_of(fresh), strict=True):
        other.load_state_dict(load(save(module.state_dict())))
    held, held_fresh = trained.class_parameters(), fresh.class_parameters()
    assert held.keys() == held_fresh.keys()
    assert all(torch.equal(held[name], held_fresh[name]) for name in held)
    batch = cases.random_batch()
    assert torch.equal(value_and_gradient(trained, batch)[1], value_and_gradient(fresh, batch)[1])


@every_configuration
def test_running_state_is_renewed_between_steps_and_survives_a_save_and_load(case):
    config = config_of(case)
    running, resumed = cases.build(config), cases.build(config)
    for step in range(2):
        value_and_gradient(running, cases.random_batch(step), step)
    for module, other in zip(modules_of(running), modules_of(resumed), strict=True):
        other.load_state_dict(load(save(module.state_dict())))
    batch = cases.random_batch(2)
    first, again, after = (value_and_gradient(components, batch, 2) for components in (running, running, resumed))
    for value, same, restored in zip(first, again, after, strict=True):
        assert torch.equal(value, same)
        assert torch.equal(value, restored)
        assert value.isfinite().all()


def reversed_counts():
    return cases.validation_counts(), torch.arange(cases.K).flip(0)


@every_configuration
def test_same_seed_same_bits_and_the_global_random_state_is_left_alone(case):
    batch = cases.random_batch()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = cases.build(config_of(case), seed=7)
    first_result = value_and_gradient(first, batch)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    second = cases.build(config_of(case), seed=7)
    second_result = value_and_gradient(second, batch)
    assert all(torch.equal(a, b) for a, b in zip(first_result, second_result, strict=True))
    held, held_again = first.class_parameters(), second.class_parameters()
    assert all(torch.equal(held[name], held_again[name]) for name in held)


@every_configuration
def test_inputs_are_not_modified_and_nothing_is_printed(case, capsys):
    batch, statistics, feedback = cases.random_batch(), cases.skewed_statistics(), cases.validation_counts()
    components = cases.build(config_of(case), statistics, feedback)
    value_and_gradient(components, batch)
    components.class_parameters()
    for given_value, untouched in (
        (batch, cases.random_batch()),
        (statistics, cases.skewed_statistics()),
        (feedback, cases.validation_counts()),
    ):
        for field in fields(given_value):
            value, expected = getattr(given_value, field.name), getattr(untouched, field.name)
            assert torch.equal(value, expected) if isinstance(value, Tensor) else value == expected, field.name
    assert capsys.readouterr() == ("", "")


@every_configuration
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_float_dtype_is_computed_in_float32(case, dtype):
    batch = cases.random_batch()
    logits = batch.logits.to(dtype)
    loss = cases.loss_of(cases.build(config_of(case)))
    total = loss(logits, batch.target, batch.valid, 0).total
    assert total.dtype == torch.float32
    assert torch.equal(total, loss(logits.float(), batch.target, batch.valid, 0).total)


@every_configuration
def test_class_parameters_are_snapshots_of_one_number_per_class(case):
    components = cases.build(config_of(case))
    held = components.class_parameters()
    before = {name: value.clone() for name, value in held.items()}
    for module in modules_of(components):
        for tensor in module.state_dict().values():
            tensor.zero_()
    for name, value in held.items():
        assert value.shape == (cases.K,), name
        assert not value.requires_grad, name
        assert value.device.type == "cpu", name
        assert torch.equal(value, before[name]), name


@every_configuration
def test_parameter_groups_hold_every_parameter_of_the_method_once(case):
    components = cases.build(config_of(case))
    owned = [parameter for module in modules_of(components) for parameter in module.parameters()]
    groups = components.param_groups(nn.Identity()) if components.param_groups else []
    grouped = [parameter for group in groups for parameter in group.parameters]
    assert sorted(map(id, grouped)) == sorted(map(id, owned))


@every_method
def test_the_card_is_complete(name):
    config = REGISTRY[name]
    card = config.card
    assert isinstance(card.group, Group)
    for text in (card.title, card.formula, card.source, card.deviations):
        assert text.strip()
        assert "  " not in text
    assert config().requirements() >= card.requires
    for field_name, field in config.model_fields.items():
        assert field.description, f"{name}.{field_name} has no description"


@every_method
def test_options_have_a_search_space_or_a_reason_for_none(name):
    method = REGISTRY[name]
    space = search_space(method)
    assert bool(space) != bool(method.nothing_to_tune), "either a search space on a field, or `nothing_to_tune`"
    for option, search in space.items():
        assert search.holds(method.model_fields[option].default), f"the default of `{option}` lies outside its space"
        for quantile in (0.0, 0.3, 0.5, 0.999999):
            value = search.at(quantile)
            assert search.holds(value)
            assert getattr(method.model_validate({option: value}), option) == value


@every_method
def test_a_second_name_builds_the_components_of_the_method_it_names(name):
    other = REGISTRY[name].card.same_as
    if not other:
        assert name in distinct_methods()
        return
    assert name not in distinct_methods()
    assert other in distinct_methods()
    assert f"`{other}`" in REGISTRY[name].card.deviations, "the card names the other method"


@every_method
def test_unknown_and_non_finite_options_are_refused(name):
    with pytest.raises(ValidationError):
        REGISTRY[name].model_validate({"no_such_option": 1})
    for field_name, field in REGISTRY[name].model_fields.items():
        if field.annotation is float:
            for value in (math.nan, math.inf, -1.0):
                with pytest.raises(ValidationError):
                    REGISTRY[name].model_validate({field_name: value})


@every_method
def test_configurations_are_frozen(name):
    config = REGISTRY[name]()
    for field_name in type(config).model_fields:
        with pytest.raises(ValidationError):
            setattr(config, field_name, getattr(config, field_name))


def test_every_method_has_a_neutral_case_and_every_variant_a_method():
    assert cases.NEUTRAL.keys() == REGISTRY.keys()
    assert cases.VARIANTS.keys() <= REGISTRY.keys()
