"""Every decoder by name: shapes, batches, and whether the attention that a class bias acts on decides what is seen."""

from itertools import pairwise
from typing import get_args

import pytest
import torch
from torch import Tensor

from imbalance_bench.config import DecoderName, ModelSection
from imbalance_bench.errors import UserError
from imbalance_bench.models.class_query import ClassQueryDecoder, DecoderInput
from imbalance_bench.models.decoders import DECODERS
from imbalance_bench.models.sam import RandomFourierPosition
from imbalance_bench.models.segmenter import Segmenter, build_segmenter
from methods.base import AttentionBias

K, EDGE = 3, 64
SMALL = {"channels": 16, "heads": 2, "mlp_channels": 16, "pixel_channels": (16, 8, 8), "embedding_channels": 8}
IMAGES = torch.randint(0, 256, (2, 3, EDGE, EDGE), generator=torch.Generator().manual_seed(0))
PUSHES = (-4.0, -1.0, 0.0, 1.0, 4.0)
TIED = ("tied", "tied_detail", "tied_orthonormal")
every_decoder = pytest.mark.parametrize("name", DECODERS)


class Bias(AttentionBias):
    def __init__(self, values: list[float], extra_tokens: int = 0) -> None:
        super().__init__()
        self.extra_tokens, self.values = extra_tokens, torch.tensor(values)

    def forward(self) -> Tensor:
        return torch.nn.functional.pad(self.values, (self.extra_tokens, 0)).view(1, 1, -1)


def model(name: str, *, extra_tokens: int = 0, seed: int = 0) -> Segmenter:
    section = ModelSection.model_validate({"encoder": "tu-test_resnet", "decoder": name, **SMALL})
    return build_segmenter(section, n_classes=K, seed=seed, extra_tokens=extra_tokens).eval()


def decoder_of(segmenter: Segmenter) -> ClassQueryDecoder:
    assert segmenter.class_query is not None
    return segmenter.class_query


@torch.inference_mode()
def with_bias(segmenter: Segmenter, values: list[float]) -> Tensor:
    two_way = decoder_of(segmenter).two_way
    two_way.attention_bias = Bias(values, two_way.extra_tokens)
    logits = segmenter(IMAGES)
    two_way.attention_bias = None
    return logits


@torch.inference_mode()
def with_weights(segmenter: Segmenter, weights: Tensor) -> Tensor:
    """Logits with (B, N, K) or (K,) image->token weights."""
    decoder = decoder_of(segmenter)
    tokens = (EDGE // decoder.size.token_stride_px) ** 2
    decoder.two_way.given_weights = weights.expand(len(IMAGES), tokens, K)
    logits = segmenter(IMAGES)
    decoder.two_way.given_weights = None
    return logits


def start_detail(decoder: ClassQueryDecoder) -> None:
    """Let the detail of a tied readout through; it starts at 0."""
    dict(decoder.named_parameters())["detail.3.weight"].data.fill_(1.0)


def test_the_study_file_knows_every_decoder_that_can_be_built() -> None:
    assert set(get_args(DecoderName)) == set(DECODERS)


@every_decoder
@pytest.mark.parametrize("extra_tokens", [0, 2])
def test_logits_have_the_size_of_the_image_and_one_image_gives_what_the_batch_gives(
    name: str, extra_tokens: int
) -> None:
    segmenter = model(name, extra_tokens=extra_tokens)
    with torch.inference_mode():
        logits = segmenter(IMAGES)
        single = torch.cat([segmenter(image[None]) for image in IMAGES])
    assert logits.shape == (2, K, EDGE, EDGE)
    assert logits.isfinite().all()
    assert logits.std() > 0
    torch.testing.assert_close(logits, single, rtol=1e-4, atol=1e-5)


@every_decoder
def test_every_parameter_is_trained_and_the_seed_alone_decides_where_it_starts(name: str) -> None:
    torch.manual_seed(123)
    segmenter = model(name).train()
    torch.manual_seed(321)
    again, other = model(name), model(name, seed=1)
    first = dict(segmenter.stored_state())
    assert all(torch.equal(value, again.stored_state()[key]) for key, value in first.items())
    assert any(not torch.equal(value, other.stored_state()[key]) for key, value in first.items())
    segmenter(IMAGES).square().sum().backward()
    unused = [key for key, parameter in segmenter.head.named_parameters() if parameter.grad is None]
    assert unused == []


@every_decoder
def test_raising_a_bias_raises_the_attention_to_its_class_alone(name: str) -> None:
    """Monotone in b_c, at the expense of every other class, for every class."""
    segmenter = model(name)
    decoder = decoder_of(segmenter)
    features = segmenter.encode(IMAGES)
    for c in range(K):
        masses = []
        for push in PUSHES:
            decoder.two_way.attention_bias = Bias([push if k == c else 0.0 for k in range(K)])
            masses.append(decoder.attention_statistics(features).attention_mass)
        assert all(after[c] > before[c] for before, after in pairwise(masses))
        assert all((after < before).sum() == K - 1 for before, after in pairwise(masses))


@every_decoder
def test_a_constant_added_to_all_biases_changes_nothing(name: str) -> None:
    segmenter = model(name)
    once, shifted = with_bias(segmenter, [0.5, -1.0, 2.0]), with_bias(segmenter, [7.5, 6.0, 9.0])
    torch.testing.assert_close(once, shifted, rtol=1e-4, atol=1e-5)
    assert (with_bias(segmenter, [7.5, -1.0, 2.0]) - once).abs().max() > 1e-6


@pytest.mark.parametrize("name", TIED)
def test_a_tied_readout_predicts_the_class_that_is_attended_to(name: str) -> None:
    """Causal: with all attention on class c, every pixel is predicted as c; b_c raises the logit of c everywhere."""
    segmenter = model(name)
    for c in range(K):
        logits = with_weights(segmenter, torch.eye(K)[c])
        assert (logits.argmax(1) == c).all()
        low, high = (with_bias(segmenter, [push if k == c else 0.0 for k in range(K)]) for push in (-30.0, 30.0))
        assert (high.argmax(1) == c).all()
        margins = [each[:, c] - each.amax(1) for each in (low, high)]
        assert (margins[1] >= margins[0] - 1e-6).all()


def test_of_a_tied_readout_attention_is_all_that_is_read() -> None:
    """Uniform weights leave no picture in `tied`, and only what is finer than a token in `tied_detail`."""
    uniform = torch.full((K,), 1 / K)
    plain = with_weights(model("tied"), uniform)
    assert plain.std((2, 3)).max() < 1e-6
    detailed = model("tied_detail")
    assert with_weights(detailed, uniform).std((2, 3)).max() < 1e-6  # as its detail starts at 0
    start_detail(decoder_of(detailed))
    within = with_weights(detailed, uniform)
    assert within.std((2, 3)).max() > 1e-3


def test_the_detail_of_a_tied_readout_is_what_differs_within_a_token() -> None:
    decoder = decoder_of(model("tied_detail"))
    start_detail(decoder)
    pixels = torch.randn(1, 8, 16, 16)
    within, shifted, fine = (
        decoder.read(
            DecoderInput(each, torch.zeros(1, 64, 16), torch.zeros(64, 16), (8, 8)),
            torch.zeros(1, 64, 16),
            torch.full((1, 64, K), 1 / K),
            torch.nn.functional.normalize(torch.ones(1, K, 8), dim=-1),
        )
        for each in (pixels, pixels + 5.0, pixels * torch.tensor([1.0, 3.0]).repeat(8))
    )
    torch.testing.assert_close(within, shifted, rtol=1e-4, atol=1e-4)
    assert (within - fine).abs().max() > 1e-2


@pytest.mark.parametrize("name", TIED)
def test_classifiers_of_a_tied_readout_are_directions(name: str) -> None:
    segmenter = model(name)
    _, norms = decoder_of(segmenter).class_statistics(segmenter.encode(IMAGES))
    torch.testing.assert_close(norms, torch.ones(K))


def test_orthonormal_directions_are_orthonormal_and_the_first_stays() -> None:
    segmenter = model("tied_orthonormal")
    decoder = decoder_of(segmenter)
    prepared = decoder.prepare(segmenter.encode(IMAGES))
    tokens, _ = decoder.two_way(prepared.image, prepared.position, None)
    rows = decoder.class_weights(tokens)
    torch.testing.assert_close(rows @ rows.transpose(1, 2), torch.eye(K).expand(2, K, K), rtol=0, atol=1e-5)
    free = decoder_of(model("tied_detail")).class_weights(tokens)  # the same start
    torch.testing.assert_close(rows[:, 0], free[:, 0])
    last = free[:, 2] - sum((free[:, 2, None] @ each[..., None]).squeeze(-1) * each for each in rows[:, :2].unbind(1))
    torch.testing.assert_close(rows[:, 2], torch.nn.functional.normalize(last, dim=-1), rtol=1e-4, atol=1e-5)
    weights = torch.tensor([0.6, 0.3, 0.1])  # the readout is these weights, scaled
    logits = with_weights(segmenter, weights)[0, :, EDGE // 2, EDGE // 2]
    torch.testing.assert_close(logits, torch.tensor(3.0).exp() * weights, rtol=1e-4, atol=1e-4)


def test_more_orthonormal_directions_than_channels_are_refused() -> None:
    section = ModelSection.model_validate({"encoder": "tu-test_resnet", "decoder": "tied_orthonormal", **SMALL})
    with pytest.raises(UserError, match="must be at least the number of classes, 9"):
        build_segmenter(section, n_classes=9, seed=0)


def test_only_without_its_residual_is_the_last_block_all_that_is_known_of_a_place() -> None:
    for name, varies in {"unet": True, "sam": True, "bottleneck": False}.items():
        logits = with_weights(model(name), torch.full((K,), 1 / K))
        interior = logits[..., 24:40, 24:40]  # zero padding of convolutions varies at the edge
        assert (interior.std((2, 3)).max() > 1e-5) == varies, name


def test_given_weights_are_what_the_last_layer_says_it_attended_to() -> None:
    segmenter = model("tied", extra_tokens=2)
    two_way = decoder_of(segmenter).two_way
    prepared = decoder_of(segmenter).prepare(segmenter.encode(IMAGES))
    seen: list[Tensor] = []
    decoder_of(segmenter).read = lambda *arguments: seen.append(arguments[2]) or torch.zeros(1)  # type: ignore[method-assign]
    decoder_of(segmenter).finish(prepared)
    own = seen.pop()
    assert own.shape == (2, (EDGE // 4) ** 2, K)
    assert (own.sum(-1) < 1).all()  # extra tokens hold the rest
    two_way.attention_bias = Bias([-30.0, -30.0, 30.0], two_way.extra_tokens)
    decoder_of(segmenter).finish(prepared)
    assert (seen.pop()[..., 2] > 0.99).all()
    two_way.given_weights = own.roll(1, -1)
    decoder_of(segmenter).finish(prepared)
    assert torch.equal(seen.pop(), own.roll(1, -1))


def test_tied_decoders_have_finer_tokens_unless_the_study_says_otherwise() -> None:
    strides = {name: ModelSection.model_validate({"decoder": name}).token_stride_px for name in DECODERS}
    assert strides == {"unet": 16, "sam": 16, "bottleneck": 16, "tied": 4, "tied_detail": 8, "tied_orthonormal": 8}
    assert ModelSection.model_validate({"decoder": "tied", "token_stride_px": 8}).token_stride_px == 8


def test_random_fourier_positions_are_those_of_segment_anything_on_its_grid() -> None:
    """SAM's formula for a 64 x 64 grid: coordinates (i + 1/2) / 64 scaled to -1..1, x first, sine then cosine."""
    torch.manual_seed(0)
    position = RandomFourierPosition(8)
    found = position(64, 64).unflatten(0, (64, 64))
    x, y = 2 * (5 + 0.5) / 64 - 1, 2 * (9 + 0.5) / 64 - 1
    phase = 2 * torch.pi * (x * position.frequencies[0] + y * position.frequencies[1])
    torch.testing.assert_close(found[9, 5], torch.cat([phase.sin(), phase.cos()]), rtol=1e-4, atol=1e-5)
    assert torch.equal(position(8, 8).unflatten(0, (8, 8)), found[:8, :8])  # a crop agrees with the whole
