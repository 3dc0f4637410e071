"""Write official_attention.json: what the official attention of Dynamic Focal Attention gives for weights by formula.

    python tests/models/golden/generate.py MODELING

MODELING is the folder `segment_anything/modeling` of github.com/lakmali240/DFA-Imbalance at aba5b00 with its
`focal_transformer.py` and, of Segment Anything, `common.py` (which that repository does not hold). Neither is part of
this repository, and nothing here needs them afterwards: the file holds numbers alone. It imports nothing of ours.
"""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from formula import BATCH, BIAS, DIM, HEADS, MLP, PLACES, TOKENS, values
from torch import Tensor, nn

IMAGE, POSITION, TOKEN = values((BATCH, PLACES, DIM), 101), values((1, PLACES, DIM), 102), values((1, TOKENS, DIM), 103)


def filled(module: nn.Module) -> dict[str, list[int]]:
    """Give every parameter of a module its values by formula, in the order of their names; return the shapes."""
    parameters = sorted(module.named_parameters())
    with torch.no_grad():
        for number, (_, parameter) in enumerate(parameters):
            parameter.copy_(values(tuple(parameter.shape), number))
    return {name: list(parameter.shape) for name, parameter in parameters}


def case(module: nn.Module, run: Any) -> dict[str, Any]:
    """Return the shapes of a module's parameters and what `run(module, bias)` gives without and with a bias."""
    shapes = filled(module.double().eval())
    with torch.no_grad():
        given = {name: run(module, bias) for name, bias in (("plain", None), ("biased", torch.tensor(BIAS).double()))}
    flat = {
        name: [[round(x, 10) for x in each.flatten().tolist()] for each in outputs] for name, outputs in given.items()
    }
    return {"parameters": shapes} | flat


def without_query_bias(module: Any) -> Any:
    """Turn the query projection's bias vector off, as our own form has none."""
    module.q_proj.bias = None
    return module


def cases(official: Any) -> dict[str, Any]:
    """Image->token attention in both forms, both kinds of block, and the whole decoder."""
    tokens = TOKEN.expand(BATCH, -1, -1)

    def attend(module: Any, bias: Tensor | None) -> tuple[Tensor]:
        return (module(IMAGE + POSITION, 2 * tokens, tokens, bias, apply_to_query=False),)

    def block(module: Any, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        return module(tokens, IMAGE, tokens, POSITION, bias)

    def whole(module: Any, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        image, position = (each.transpose(1, 2).unflatten(2, (2, -1)) for each in (IMAGE, POSITION))
        return module(image, position, tokens, bias)

    form = {"embedding_dim": DIM, "num_heads": HEADS, "mlp_dim": MLP}
    return {
        "attention": case(official.FocalAttention(DIM, HEADS, downsample_rate=2), attend),
        "attention_ours": case(without_query_bias(official.FocalAttention(DIM, HEADS)), attend),
        "first_block": case(official.FocalTwoWayAttentionBlock(**form, skip_first_layer_pe=True), block),
        "later_block": case(official.FocalTwoWayAttentionBlock(**form), block),
        "decoder": case(official.FocalTwoWayTransformer(depth=2, **form), whole),
    }


def main() -> None:
    """Import the official files as a package and write the numbers."""
    modeling = Path(sys.argv[1]).resolve()
    torch.set_default_dtype(torch.float64)  # the official code makes its bias vector in the default type
    package = ModuleType("official")  # without the folder's own __init__.py, which imports more than the two files
    package.__path__ = [str(modeling)]
    sys.modules["official"] = package
    content = cases(importlib.import_module("official.focal_transformer"))
    path = Path(__file__).with_name("official_attention.json")
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
