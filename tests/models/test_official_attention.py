"""Our attention against the official module: same weights, same input, same output (tests/models/golden)."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from imbalance_bench.models.attention import Attention
from imbalance_bench.models.two_way import SEGMENT_ANYTHING, TwoWayBlock, TwoWayDecoder
from methods.base import AttentionBias
from tests.models.golden.formula import BATCH, BIAS, CLASSES, DIM, HEADS, MLP, PLACES, TOKENS, values

GOLDEN = json.loads((Path(__file__).parent / "golden" / "official_attention.json").read_text())
IMAGE, POSITION = values((BATCH, PLACES, DIM), 101), values((1, PLACES, DIM), 102)
TOKEN = values((1, TOKENS, DIM), 103)[0]
OFFICIAL_NAMES = {
    "self_attention": "self_attn",
    "token_to_image": "cross_attn_token_to_image",
    "image_to_token": "cross_attn_image_to_token",
    "final_cross_attn": "final_attn",
    "final_norm": "norm_final_attn",
    "blocks": "layers",
    "mlp.0": "mlp.lin1",
    "mlp.2": "mlp.lin2",
    **{f"norms.{i}": f"norm{i + 1}" for i in range(4)},
    **{name: f"{name[0]}_proj" for name in ("query", "key", "value")},
    "out.": "out_proj.",
}
with_and_without = pytest.mark.parametrize("biased", [False, True], ids=["plain", "biased"])


class OfficialBias(AttentionBias):
    """The official layout: b_c at token c + 1."""

    extra_tokens = TOKENS - CLASSES

    def forward(self) -> Tensor:
        return torch.tensor([0.0, *BIAS, 0.0], dtype=torch.float64).view(1, 1, -1)


def official_name(name: str) -> str:
    for ours, official in OFFICIAL_NAMES.items():
        name = name.replace(ours, official)
    return name


def filled(module: nn.Module, case: str) -> Any:
    """Give a module of ours the weights of the official one; each of either has its counterpart."""
    shapes = GOLDEN[case]["parameters"]
    own = {official_name(name): parameter for name, parameter in module.named_parameters()}
    assert set(own) - {"extra", "class_tokens"} == set(shapes)
    for number, (name, shape) in enumerate(shapes.items()):
        own[name].data = values(tuple(shape), number)
    return module.double().eval()


def expected(case: str, biased: bool) -> list[Tensor]:
    return [torch.tensor(each, dtype=torch.float64) for each in GOLDEN[case]["biased" if biased else "plain"]]


def assert_official(outputs: tuple[Tensor, ...], case: str, biased: bool) -> None:
    for found, official in zip(outputs, expected(case, biased), strict=True):
        torch.testing.assert_close(found.flatten(), official, rtol=0, atol=1e-6)


@with_and_without
@pytest.mark.parametrize(("case", "narrowing"), [("attention", 2), ("attention_ours", 1)])
@torch.no_grad()
def test_image_to_token_attention(case: str, narrowing: int, biased: bool) -> None:
    attention = filled(Attention(dim=DIM, heads=HEADS, query_bias=narrowing == 2, narrowing=narrowing), case)
    tokens, bias = TOKEN.expand(BATCH, -1, -1), OfficialBias()()[0][:, None] if biased else None
    assert_official((attention(IMAGE + POSITION, 2 * tokens, tokens, bias),), case, biased)


@with_and_without
@pytest.mark.parametrize(("case", "plain"), [("first_block", True), ("later_block", False)])
@torch.no_grad()
def test_block_of_the_sam_decoder(case: str, plain: bool, biased: bool) -> None:
    block = TwoWayBlock(dim=DIM, heads=HEADS, mlp_dim=MLP, form=SEGMENT_ANYTHING, plain_self_attention=plain)
    bias = OfficialBias()()[0][:, None] if biased else None
    tokens = TOKEN.expand(BATCH, -1, -1)
    found = filled(block, case)(
        tokens, IMAGE, identity=TOKEN, position=POSITION, image_bias=bias, token_bias=None, exponent=None, probe=None
    )
    assert_official(found, case, biased)


@with_and_without
@torch.no_grad()
def test_two_way_decoder_of_the_sam_decoder(biased: bool) -> None:
    decoder = TwoWayDecoder(
        n_classes=CLASSES, dim=DIM, depth=2, heads=HEADS, mlp_dim=MLP, extra_tokens=2, form=SEGMENT_ANYTHING
    )
    filled(decoder, "decoder")
    decoder.class_tokens.data = TOKEN[2:]
    assert decoder.extra is not None
    decoder.extra.data = TOKEN[:2]
    decoder.attention_bias = OfficialBias() if biased else None
    assert_official(decoder(IMAGE, POSITION), "decoder", biased)


def test_the_bias_shows_in_the_golden_numbers() -> None:
    for case in GOLDEN:
        plain, biased = (expected(case, each)[-1] for each in (False, True))
        assert (plain - biased).abs().max() > 1e-3, case
