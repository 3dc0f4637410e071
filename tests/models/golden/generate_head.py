"""Write official_head.json: the logits of the official neck, prompt encoder and mask decoder for weights by formula.

    python tests/models/golden/generate_head.py MODELING

MODELING is a folder with `focal_mask_decoder.py` and `focal_transformer.py` of github.com/lakmali240/DFA-Imbalance at
aba5b00 (`segment_anything/modeling`) and `common.py` and `prompt_encoder.py` of github.com/cvlab-stonybrook/SAMPath.
The neck is the `fusion_neck` of `sam_network_focal.py`, for fewer channels. None of these is part of this repository,
and nothing here needs them afterwards: the file holds shapes and logits alone. The committed numbers were made with the
decoder's printing and documentation left out. It imports nothing of ours.
"""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from formula import values
from head_formula import CLASSES, DIM, FEATURES, FREQUENCIES, GRID, HEADS, MLP, SHOWN, checkpoint, features
from torch import nn


class Fused(nn.Module):
    """The trained part of the official late-fusion model, under the names of its state dict."""

    def __init__(self, package: str) -> None:
        super().__init__()
        parts = {
            name: importlib.import_module(f"{package}.{name}")
            for name in ("common", "focal_mask_decoder", "focal_transformer", "prompt_encoder")
        }
        norm = parts["common"].LayerNorm2d
        self.fusion_neck = nn.Sequential(
            nn.Conv2d(FEATURES, DIM, kernel_size=1, bias=False),
            norm(DIM),
            nn.Conv2d(DIM, DIM, kernel_size=3, padding=1, bias=False),
            norm(DIM),
        )
        transformer = parts["focal_transformer"].FocalTwoWayTransformer(
            depth=2, embedding_dim=DIM, num_heads=HEADS, mlp_dim=MLP
        )
        n = CLASSES + 1  # with the class of ignored pixels
        self.model: Any = nn.Module()
        self.model.prompt_encoder = parts["prompt_encoder"].PromptEncoder(DIM, (GRID, GRID), (16 * GRID, 16 * GRID), 16)
        self.model.mask_decoder = parts["focal_mask_decoder"].FocalMaskDecoder(
            transformer_dim=DIM,
            transformer=transformer,
            num_multimask_outputs=n,  # as many mask tokens as the official code makes afterwards
            iou_head_hidden_dim=DIM,
            num_classes=n,
            class_pixel_frequencies=dict(enumerate((0.0, *FREQUENCIES))),
            delta_init_scale=0.5,
            use_prior_in_forward=False,
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(1, FEATURES, h, w) -> (CLASSES + 1, 4 h, 4 w)."""
        prompts = self.model.prompt_encoder
        sparse, dense = prompts(points=None, boxes=None, masks=None)
        masks, _ = self.model.mask_decoder(
            image_embeddings=self.fusion_neck(maps),
            image_pe=prompts.get_dense_pe().double(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
        return masks[0]


def main() -> None:
    """Import the official files as a package and write the numbers."""
    modeling = Path(sys.argv[1]).resolve()
    torch.set_default_dtype(torch.float64)  # the official code makes its bias vector in the default type
    package = ModuleType("official")  # without the folder's own __init__.py, which imports more
    package.__path__ = [str(modeling)]
    sys.modules["official"] = package
    model = Fused("official").eval()
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    model.double()
    model.model.prompt_encoder.pe_layer.float()  # the official code makes its grid in single precision
    model.load_state_dict({name.removeprefix("model."): value for name, value in checkpoint(shapes).items()})
    with torch.no_grad():
        logits = model(features().double())
    content = {
        "shapes": shapes,
        "logits": [round(x, 7) for x in logits[..., ::SHOWN, ::SHOWN].double().flatten().tolist()],
        "largest_bias_effect": _effect(model, logits),
    }
    path = Path(__file__).with_name("official_head.json")
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")


@torch.no_grad()
def _effect(model: Any, logits: torch.Tensor) -> float:
    """How much the logits of classes change when the bias is zeroed; where they do not, they say nothing of it."""
    model.model.mask_decoder.bias_param.copy_(values((CLASSES + 1,), 0) * 0)
    return round(float((model(features().double()) - logits)[1:].abs().max()), 4)


if __name__ == "__main__":
    main()
