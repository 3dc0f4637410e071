"""What the bias does in the decoder: the causal claims of Dynamic Focal Attention, in float64."""

from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from imbalance_bench.models.attention_probes import AttentionProbe, AttentionStatistics
from imbalance_bench.models.two_way import TwoWayBlock, TwoWayDecoder
from methods.dfa import DfaConfig, DynamicFocalBias
from tests.methods import method_cases as cases

DIM, HEADS, PIXELS, BATCH = 16, cases.HEADS, 12, 3
T = TypeVar("T")
PUSHES = (-40.0, -6.0, -3.0, -1.0, 0.0, 1.0, 3.0, 6.0, 40.0)


def bias_of(seed: int = 0, statistics=None, **options) -> DynamicFocalBias:
    bias = cases.build(DfaConfig(**options), statistics, seed=seed).attention_bias
    assert isinstance(bias, DynamicFocalBias)
    return bias


def decoder_of(bias: DynamicFocalBias | None, *, depth: int = cases.LAYERS, seed: int = 0) -> TwoWayDecoder:
    torch.manual_seed(seed)
    extra = 0 if bias is None else bias.extra_tokens
    decoder = TwoWayDecoder(n_classes=cases.K, dim=DIM, depth=depth, heads=HEADS, mlp_dim=2 * DIM, extra_tokens=extra)
    decoder.attention_bias = bias
    return decoder.double().eval()


@pytest.fixture
def image() -> Tensor:
    return torch.randn(BATCH, PIXELS, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def position() -> Tensor:
    return torch.randn(PIXELS, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def delta_of(decoder: TwoWayDecoder) -> nn.Parameter:
    assert isinstance(decoder.attention_bias, DynamicFocalBias)
    assert decoder.attention_bias.delta is not None
    return decoder.attention_bias.delta


@torch.no_grad()
def pushed(decoder: TwoWayDecoder, push: Tensor, measure: Callable[[], T]) -> T:
    """Measure with `push` (K,) added to the learned bias, then take it away again."""
    delta = delta_of(decoder)
    before = delta.clone()
    delta.add_(push)
    result = measure()
    delta.copy_(before)
    return result


def assert_same(a: Tensor, b: Tensor) -> None:
    """Equal up to rounding in float64."""
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def energy(outputs: tuple[Tensor, Tensor]) -> Tensor:
    """A scalar that depends on everything the decoder gives out."""
    tokens, pixels = outputs
    return tokens.square().sum() + pixels.square().sum()


def one_hot(c: int, size: float) -> Tensor:
    return size * torch.eye(cases.K, dtype=torch.float64)[c]


def sweep(decoder: TwoWayDecoder, c: int, image: Tensor, position: Tensor) -> list[AttentionStatistics]:
    return [pushed(decoder, one_hot(c, push), lambda: decoder.attention_statistics(image, position)) for push in PUSHES]


class RecordedLogits(AttentionProbe):
    """Keeps the image->token logits of every layer."""

    def __init__(self) -> None:
        super().__init__()
        self.logits: list[Tensor] = []

    def observe(self, logits: Tensor) -> None:
        self.logits.append(logits)


def logits_of(decoder: TwoWayDecoder, image: Tensor, position: Tensor) -> list[Tensor]:
    probe = RecordedLogits()
    decoder(image, position, probe)
    return probe.logits


# --- the bias moves its own class


@pytest.mark.parametrize("c", range(cases.K))
@pytest.mark.parametrize("depth", [1, 2])
def test_attention_mass_of_a_class_grows_with_its_bias_from_nothing_to_everything(c, depth, image, position):
    decoder = decoder_of(bias_of(), depth=depth)
    mass = [found.attention_mass[c].item() for found in sweep(decoder, c, image, position)]
    assert all(a < b for a, b in pairwise(mass))
    assert mass[0] < 1e-6
    assert mass[-1] > 1 - 1e-6


@pytest.mark.parametrize("c", range(cases.K))
def test_every_other_class_loses_mass(c, image, position):
    decoder = decoder_of(bias_of(), depth=1)
    mass = torch.stack([found.attention_mass for found in sweep(decoder, c, image, position)])
    others = torch.arange(cases.K) != c
    assert (mass.diff(dim=0)[:, others] < 0).all()
    torch.testing.assert_close(mass.sum(1), torch.ones(len(PUSHES)))


@pytest.mark.parametrize("c", range(cases.K))
def test_exp_of_the_bias_multiplies_the_odds_of_its_class_everywhere(c, image, position):
    decoder = decoder_of(bias_of(), depth=1)
    (before,) = logits_of(decoder, image, position)
    (after,) = pushed(decoder, one_hot(c, 0.7), lambda: logits_of(decoder, image, position))
    assert_same(after - before, one_hot(c, 0.7).expand_as(before))
    weight, weight_after = before.softmax(-1)[..., c], after.softmax(-1)[..., c]
    odds = (weight_after / (1 - weight_after)) / (weight / (1 - weight))
    torch.testing.assert_close(odds, torch.full_like(odds, 0.7).exp())


def test_effective_offset_contains_the_centred_bias(image, position):
    decoder = decoder_of(bias_of(), depth=1)
    push = torch.tensor([0.5, -1.0, 2.0, 0.0, 0.25], dtype=torch.float64)
    before = decoder.attention_statistics(image, position).effective_offset
    after = pushed(decoder, push, lambda: decoder.attention_statistics(image, position)).effective_offset
    torch.testing.assert_close(after - before, (push - push.mean()).float(), rtol=1e-4, atol=1e-5)


# --- and nothing else


@pytest.mark.parametrize("sharing", ["shared", "per_layer_and_head"])
def test_attention_of_image_tokens_to_class_tokens_is_the_only_route(sharing, image, position):
    decoder = decoder_of(bias_of(sharing=sharing))
    for block in decoder.modules():
        if isinstance(block, TwoWayBlock):
            nn.init.zeros_(block.image_to_token.out.weight)  # cut the route
    outputs = decoder(image, position)
    energy(outputs).backward()
    gradient = delta_of(decoder).grad
    assert gradient is not None
    assert (gradient == 0).all()
    for c in range(cases.K):
        after = pushed(decoder, one_hot(c, 5.0), lambda: decoder(image, position))
        assert all(torch.equal(a, b) for a, b in zip(after, outputs, strict=True))


def test_with_the_route_open_every_bias_changes_the_result(image, position):
    decoder = decoder_of(bias_of())
    tokens, pixels = decoder(image, position)
    for c in range(cases.K):
        tokens_after, pixels_after = pushed(decoder, one_hot(c, 1.0), lambda: decoder(image, position))
        assert (tokens_after - tokens).abs().max() > 1e-4
        assert (pixels_after - pixels).abs().max() > 1e-3


def test_a_zero_bias_is_no_bias(image, position):
    with_zero, without = decoder_of(bias_of(prior="none")), decoder_of(None)
    for a, b in zip(with_zero(image, position), without(image, position), strict=True):
        assert_same(a, b)


# --- the negative control: a constant per row of a softmax over pixels


@pytest.mark.parametrize("options", [{}, {"mode": "anchored"}, {"sharing": "per_layer_and_head"}])
def test_token_to_image_is_a_no_op_without_a_gradient(options, image, position):
    decoder, without = decoder_of(bias_of(direction="token_to_image", **options)), decoder_of(None)
    with torch.no_grad():
        delta_of(decoder).add_(torch.linspace(-4, 4, cases.K, dtype=torch.float64))
    outputs = decoder(image, position)
    for a, b in zip(outputs, without(image, position), strict=True):
        assert_same(a, b)
    energy(outputs).backward()
    gradient = delta_of(decoder).grad
    assert gradient is not None
    assert gradient.abs().max() < 1e-10


# --- what is identified


@pytest.mark.parametrize("options", [{}, {"mode": "anchored"}, {"sharing": "per_head"}])
def test_a_constant_added_to_all_biases_changes_nothing_with_exactly_k_tokens(options, image, position):
    decoder = decoder_of(bias_of(**options))
    outputs = decoder(image, position)
    constant = torch.full((cases.K,), 3.7, dtype=torch.float64)
    for a, b in zip(pushed(decoder, constant, lambda: decoder(image, position)), outputs, strict=True):
        assert_same(a, b)
    outputs[1].square().sum().backward()  # hence the gradient has no component along the constant
    gradient = delta_of(decoder).grad
    assert gradient is not None
    assert gradient.sum(-1).abs().max() < 1e-10 < gradient.abs().max()


def test_a_constant_added_to_all_biases_matters_in_the_official_layout(image, position):
    decoder = decoder_of(bias_of(token_layout="official"))
    _, pixels = decoder(image, position)
    constant = torch.full((cases.K,), 3.7, dtype=torch.float64)
    _, pixels_after = pushed(decoder, constant, lambda: decoder(image, position))
    assert (pixels_after - pixels).abs().max() > 1e-2


@pytest.mark.parametrize("prior", ["one_minus_frequency", "log_frequency", "inverted", "none"])
@pytest.mark.parametrize("mode", ["learned", "anchored", "fixed"])
def test_permuting_the_classes_permutes_the_result(prior, mode, image, position):
    order = torch.tensor([3, 0, 4, 1, 2])
    statistics = cases.skewed_statistics()
    decoder = decoder_of(bias_of(prior=prior, mode=mode))
    permuted = decoder_of(bias_of(prior=prior, mode=mode, statistics=cases.permuted_statistics(statistics, order)))
    with torch.no_grad():
        permuted.class_tokens.copy_(decoder.class_tokens[order])
    tokens, pixels = decoder(image, position)
    tokens_permuted, pixels_permuted = permuted(image, position)
    # the prior is stored in float32, and its mean is summed in another order
    torch.testing.assert_close(tokens_permuted, tokens[:, order], rtol=0, atol=1e-6)
    torch.testing.assert_close(pixels_permuted, pixels, rtol=0, atol=1e-6)
    before, after = (d.attention_statistics(image, position) for d in (decoder, permuted))
    torch.testing.assert_close(after.attention_mass, before.attention_mass[order], rtol=0, atol=1e-6)


# --- numerics


@pytest.mark.parametrize("options", [{}, {"sharing": "per_layer_and_head"}, {"token_layout": "official"}])
def test_the_gradient_equals_finite_differences(options, image, position):
    decoder = decoder_of(bias_of(**options))
    direction = torch.randn(BATCH, PIXELS, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def scalar(delta: Tensor) -> Tensor:
        tokens, pixels = functional_call(decoder, {"attention_bias.delta": delta}, (image, position))
        return (pixels * direction).sum() + decoder.class_part(tokens).square().sum()

    delta = torch.randn_like(delta_of(decoder)).requires_grad_()
    assert torch.autograd.gradcheck(scalar, (delta,), eps=1e-6, atol=1e-6, rtol=1e-5)
    (gradient,) = torch.autograd.grad(scalar(delta), delta)
    assert gradient.abs().min() > 1e-6


@pytest.mark.parametrize("options", [{}, {"token_layout": "official", "sharing": "per_head"}])
def test_a_batch_equals_one_image_at_a_time(options, image, position):
    decoder = decoder_of(bias_of(**options))
    together = decoder(image, position)
    alone = [torch.cat(parts) for parts in zip(*(decoder(one[None], position) for one in image), strict=True)]
    for a, b in zip(together, alone, strict=True):
        assert_same(a, b)


def test_per_layer_and_per_head_biases_act_on_their_own_layer_and_head(image, position):
    decoder = decoder_of(bias_of(sharing="per_layer_and_head"))
    before = logits_of(decoder, image, position)
    push = torch.zeros_like(delta_of(decoder))
    push[1, 2, 3] = 2.0
    after = pushed(decoder, push, lambda: logits_of(decoder, image, position))
    assert torch.equal(after[0], before[0])
    expected = torch.zeros_like(before[1])
    expected[:, 2, :, 3] = 2.0
    assert_same(after[1] - before[1], expected)


# --- the official layout, index shift included


@pytest.mark.parametrize("c", range(cases.K))
def test_the_official_layout_drives_the_class_before(c, image, position):
    decoder = decoder_of(bias_of(token_layout="official"), depth=1)
    mass = torch.stack([found.attention_mass for found in sweep(decoder, c, image, position)])  # (pushes, K)
    grows = (mass.diff(dim=0) > 0).all(0)
    expected = torch.arange(cases.K) == c - 1  # b_0 raises no class: it sits on a token whose output is dropped
    assert torch.equal(grows, expected)
    assert not grows[-1]  # nothing ever raises the last class


def test_the_driving_bias_of_the_ledger_is_what_acts_on_each_class(image, position):
    bias = bias_of(token_layout="official", mode="anchored")
    decoder = decoder_of(bias, depth=1)
    (biased,) = logits_of(decoder, image, position)
    decoder.attention_bias = None
    (plain,) = logits_of(decoder, image, position)
    acting = (biased - plain)[..., bias.extra_tokens :]  # (B, heads, N, K)
    driving = bias.class_parameters()["attention_bias_driving"].double()
    torch.testing.assert_close(acting, driving.expand_as(acting), rtol=0, atol=1e-6)


def test_extra_tokens_leave_the_start_of_every_shared_parameter_alone():
    official, ours = decoder_of(bias_of(token_layout="official")), decoder_of(bias_of())
    shared = dict(ours.named_parameters())
    for name, parameter in official.named_parameters():
        if name in shared:
            assert torch.equal(parameter, shared[name]), name


def test_the_extra_tokens_are_never_read_as_classes(image, position):
    decoder = decoder_of(bias_of(token_layout="official", prior="none"))
    assert decoder.extra is not None
    tokens, pixels = decoder(image, position)
    with torch.no_grad():
        decoder.extra.copy_(decoder.extra.flip(0))
    swapped, pixels_swapped = decoder(image, position)
    assert_same(swapped[:, : decoder.extra_tokens], tokens[:, : decoder.extra_tokens].flip(1))
    assert_same(decoder.class_part(swapped), decoder.class_part(tokens))
    assert_same(pixels_swapped, pixels)
