"""Published encoders by name: how to build them, how to feed them, where their weights come from. No torch.

The one table of these facts; `python -m imbalance_bench.models.encoder_presets` prints docs/encoders.md from it.
Architectures and keyword arguments are those of TRIDENT (mahmoodlab/TRIDENT a91fa849) and of the model cards; parameter
counts are those that timm 1.0.31 builds. Licences are as the model cards name them; those not
`confirmed` are known at second hand only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

Rgb = tuple[float, float, float]
IMAGENET_MEAN: Rgb = (0.485, 0.456, 0.406)
IMAGENET_STD: Rgb = (0.229, 0.224, 0.225)
HALF: Rgb = (0.5, 0.5, 0.5)
H_OPTIMUS_MEAN: Rgb = (0.707223, 0.578729, 0.703617)
H_OPTIMUS_STD: Rgb = (0.211883, 0.230117, 0.177517)
HIBOU_MEAN: Rgb = (0.7068, 0.5755, 0.722)
HIBOU_STD: Rgb = (0.195, 0.2316, 0.1816)
# options of timm that cannot be written in a study file are named here and looked up where the model is built
SWIGLU: Mapping[str, str] = {"mlp_layer": "SwiGLUPacked", "act_layer": "SiLU"}
_VIRCHOW: dict[str, bool | int | float | str] = {
    "img_size": 224,
    "init_values": 1e-5,
    "mlp_ratio": 5.3375,
    "global_pool": "",
    **SWIGLU,
}
_UNI2: dict[str, bool | int | float | str] = {
    "img_size": 224,
    "patch_size": 14,
    "depth": 24,
    "num_heads": 24,
    "embed_dim": 1536,
    "mlp_ratio": 2.66667 * 2,
}
_UNI2 |= {"init_values": 1e-5, "no_embed_class": True, "reg_tokens": 8, **SWIGLU}
_GIGAPATH = {"img_size": 224, "patch_size": 16, "embed_dim": 1536, "depth": 40, "num_heads": 24, "mlp_ratio": 5.33334}
_H_OPTIMUS = {"img_size": 224, "init_values": 1e-5, "global_pool": "token"}


class Layout(StrEnum):
    """How a published file names its tensors.

    TIMM: as timm does. DINO: DINO's training checkpoint, `teacher` -> `backbone.`. SAM: Segment Anything's checkpoint,
    `image_encoder.`. TRANSFORMERS: Hugging Face transformers' ViT or Dinov2.
    """

    TIMM = "timm"
    DINO = "dino"
    SAM = "sam"
    TRANSFORMERS = "transformers"


@dataclass(frozen=True)
class Licence:
    """Terms of the weights.

    Attributes:
        name: As the source names them.
        confirmed: False if they are known at second hand only.
        derivatives: False where adapted weights may not be passed on.
    """

    name: str
    confirmed: bool = False
    derivatives: bool = True


@dataclass(frozen=True)
class Preset:
    """One published encoder.

    Attributes:
        title: Its name in publications.
        architecture: A name of timm.
        parameters: Number that timm builds, without a classifier.
        patch_px: Image pixels per token.
        prefix_tokens: Class and register tokens before the patches.
        native_px: Input that it was published with.
        source: Where to ask for the weights.
        licence: Of the weights.
        mean: Per channel, of RGB scaled to 0..1.
        std: Likewise.
        kwargs: Of `timm.create_model`.
        layout: Of the published file.
    """

    title: str
    architecture: str
    parameters: int
    patch_px: int
    prefix_tokens: int
    native_px: int
    source: str
    licence: Licence
    mean: Rgb = IMAGENET_MEAN
    std: Rgb = IMAGENET_STD
    kwargs: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    layout: Layout = Layout.TIMM


_APACHE = Licence("Apache-2.0", confirmed=True)
_NO_DERIVATIVES = Licence("CC-BY-NC-ND-4.0", confirmed=True, derivatives=False)
_UNKNOWN = Licence("see the source")

PRESETS: dict[str, Preset] = {
    "uni": Preset(
        title="UNI (ViT-L/16)", architecture="vit_large_patch16_224", kwargs={"init_values": 1e-5},
        parameters=303_350_784, patch_px=16, prefix_tokens=1, native_px=224,
        source="huggingface.co/MahmoodLab/UNI", licence=_NO_DERIVATIVES,
    ),
    "uni2-h": Preset(
        title="UNI2-h", architecture="vit_giant_patch14_224", kwargs=_UNI2,
        parameters=681_394_176, patch_px=14, prefix_tokens=9, native_px=224,
        source="huggingface.co/MahmoodLab/UNI2-h", licence=replace(_NO_DERIVATIVES, confirmed=False),
    ),
    "virchow": Preset(
        title="Virchow", architecture="vit_huge_patch14_224", kwargs=_VIRCHOW,
        parameters=631_229_184, patch_px=14, prefix_tokens=1, native_px=224,
        source="huggingface.co/paige-ai/Virchow", licence=_APACHE,
    ),
    "virchow2": Preset(
        title="Virchow2", architecture="vit_huge_patch14_224", kwargs={**_VIRCHOW, "reg_tokens": 4},
        parameters=631_239_424, patch_px=14, prefix_tokens=5, native_px=224,
        source="huggingface.co/paige-ai/Virchow2", licence=_NO_DERIVATIVES,
    ),
    "h-optimus-0": Preset(
        title="H-optimus-0", architecture="vit_giant_patch14_reg4_dinov2", kwargs=_H_OPTIMUS,
        parameters=1_134_774_272, patch_px=14, prefix_tokens=5, native_px=224, mean=H_OPTIMUS_MEAN, std=H_OPTIMUS_STD,
        source="huggingface.co/bioptimus/H-optimus-0", licence=_APACHE,
    ),
    "h-optimus-1": Preset(
        title="H-optimus-1", architecture="vit_giant_patch14_reg4_dinov2", kwargs=_H_OPTIMUS,
        parameters=1_134_774_272, patch_px=14, prefix_tokens=5, native_px=224, mean=H_OPTIMUS_MEAN, std=H_OPTIMUS_STD,
        source="huggingface.co/bioptimus/H-optimus-1", licence=replace(_NO_DERIVATIVES, confirmed=False),
    ),
    "gigapath": Preset(
        title="Prov-GigaPath (tile encoder)", architecture="vit_giant_patch14_dinov2", kwargs=_GIGAPATH,
        parameters=1_134_953_984, patch_px=16, prefix_tokens=1, native_px=224,
        source="huggingface.co/prov-gigapath/prov-gigapath", licence=replace(_APACHE, confirmed=False),
    ),
    "kaiko-s16": Preset(
        title="Kaiko ViT-S/16", architecture="vit_small_patch16_224",
        parameters=21_665_664, patch_px=16, prefix_tokens=1, native_px=224, mean=HALF, std=HALF,
        source="huggingface.co/1aurent/vit_small_patch16_224.kaiko_ai_towards_large_pathology_fms",
        licence=_UNKNOWN,
    ),
    "kaiko-b8": Preset(
        title="Kaiko ViT-B/8", architecture="vit_base_patch8_224",
        parameters=85_807_872, patch_px=8, prefix_tokens=1, native_px=224, mean=HALF, std=HALF,
        source="huggingface.co/1aurent/vit_base_patch8_224.kaiko_ai_towards_large_pathology_fms",
        licence=_UNKNOWN,
    ),
    "kaiko-l14": Preset(
        title="Kaiko ViT-L/14", architecture="vit_large_patch14_reg4_dinov2", kwargs={"img_size": 518},
        parameters=304_370_688, patch_px=14, prefix_tokens=5, native_px=518, mean=HALF, std=HALF,
        source="huggingface.co/1aurent/vit_large_patch14_reg4_224.kaiko_ai_towards_large_pathology_fms",
        licence=_UNKNOWN,
    ),
    "gpfm": Preset(
        title="GPFM", architecture="vit_large_patch14_dinov2", kwargs={"img_size": 224, "init_values": 1e-5},
        parameters=303_227_904, patch_px=14, prefix_tokens=1, native_px=224,
        source="github.com/birkhoffkiki/GPFM", licence=_UNKNOWN,
    ),
    "phikon": Preset(
        title="Phikon (ViT-B/16, iBOT)", architecture="vit_base_patch16_224", layout=Layout.TRANSFORMERS,
        parameters=85_798_656, patch_px=16, prefix_tokens=1, native_px=224,
        source="huggingface.co/owkin/phikon", licence=Licence("Owkin non-commercial licence"),
    ),
    "phikon-v2": Preset(
        title="Phikon-v2 (ViT-L/16, DINOv2)", architecture="vit_large_patch16_224", kwargs={"init_values": 1e-5},
        layout=Layout.TRANSFORMERS, parameters=303_350_784, patch_px=16, prefix_tokens=1, native_px=224,
        source="huggingface.co/owkin/phikon-v2", licence=Licence("Owkin non-commercial licence"),
    ),
    "hibou-b": Preset(
        title="Hibou-B (ViT-B/14)", architecture="vit_base_patch14_reg4_dinov2", kwargs={"img_size": 224},
        layout=Layout.TRANSFORMERS, parameters=85_727_232, patch_px=14, prefix_tokens=5, native_px=224,
        mean=HIBOU_MEAN, std=HIBOU_STD, source="huggingface.co/histai/hibou-b", licence=_APACHE,
    ),
    "hibou-l": Preset(
        title="Hibou-L (ViT-L/14)", architecture="vit_large_patch14_reg4_dinov2", kwargs={"img_size": 224},
        layout=Layout.TRANSFORMERS, parameters=303_230_976, patch_px=14, prefix_tokens=5, native_px=224,
        mean=HIBOU_MEAN, std=HIBOU_STD, source="huggingface.co/histai/hibou-L", licence=_APACHE,
    ),
    "midnight": Preset(
        title="Midnight-12k (ViT-g/14)", architecture="vit_giant_patch14_dinov2", kwargs={"img_size": 224},
        layout=Layout.TRANSFORMERS, parameters=1_134_769_664, patch_px=14, prefix_tokens=1, native_px=224,
        mean=HALF, std=HALF, source="huggingface.co/kaiko-ai/midnight", licence=Licence("MIT"),
    ),
    "dinov3-l": Preset(
        title="DINOv3 ViT-L/16 (photographs)", architecture="vit_large_patch16_dinov3",
        parameters=303_079_424, patch_px=16, prefix_tokens=5, native_px=256,
        source="huggingface.co/timm/vit_large_patch16_dinov3.lvd1689m", licence=Licence("DINOv3 licence"),
    ),
    "sam-vit-b": Preset(
        title="Segment Anything ViT-B", architecture="samvit_base_patch16", layout=Layout.SAM,
        parameters=89_670_912, patch_px=16, prefix_tokens=0, native_px=1024,
        source="github.com/facebookresearch/segment-anything (sam_vit_b_01ec64.pth)", licence=_APACHE,
    ),
    "sam-vit-l": Preset(
        title="Segment Anything ViT-L", architecture="samvit_large_patch16", layout=Layout.SAM,
        parameters=308_278_272, patch_px=16, prefix_tokens=0, native_px=1024,
        source="github.com/facebookresearch/segment-anything (sam_vit_l_0b3195.pth)", licence=_APACHE,
    ),
    "hipt-vit-s": Preset(
        title="HIPT ViT-256 (ViT-S/16)", architecture="vit_small_patch16_224", layout=Layout.DINO,
        parameters=21_665_664, patch_px=16, prefix_tokens=1, native_px=256, mean=HALF, std=HALF,
        source="github.com/mahmoodlab/HIPT (vit256_small_dino.pth)", licence=Licence("Apache-2.0 with Commons Clause"),
    ),
}  # fmt: skip

_HEAD = """# Encoders by name

`model.encoder` takes one of these names, an encoder of segmentation-models-pytorch, or `tu-` and a name of timm (any
plain or hierarchical vision transformer, any convolutional network). Weights of named encoders come from a local file
only (`model.encoder_weights: FILE`, `.safetensors`, `.pt`, `.pth` or `.bin`); nothing is downloaded. A file that does
not fit - LayerScale, register tokens or a SwiGLU MLP that the architecture lacks, another patch size, another
normalisation in a `config.json` beside it - is refused, never loaded in part. This page is written by `make pages` from
`imbalance_bench/models/encoder_presets.py`.

| `model.encoder` | encoder | weights | patch | prefix | input | mean / std | layout | licence | where to ask |
|---|---|---|---|---|---|---|---|---|---|
"""

_TAIL = """
\\* Known at second hand: read it at its source. **No derivatives**: adapted weights - a decoder trained on the
encoder, LoRA matrices, a fine-tuned encoder - may not be passed on; `run` says so before it trains.

## What is read of a transformer

- **Four depths** at a quarter, half, three quarters and all of the blocks (`encoder_features: depths`; `last` reads the
  last block alone, normalised; `tokens` reads the same map for `decoder: sam`, without a pyramid), without prefix
  tokens, exactly as timm's `forward_intermediates` returns them. That is what the cache holds.
- **A pyramid** (ours, trained with the decoder) brings them to strides 4, 8, 16 and 32 (SMP architectures: 2 to 32):
  layer normalisation, 1x1 convolution to `pyramid_channels`, bilinear resizing, 3x3 convolution, layer normalisation.
  ViTDet (Li et al. 2022) makes the scales from the last block with transposed convolutions; we resize, so that patches
  of 14 px fit too.
- **Position embeddings** are resized by timm to the size of the image. `crop_px` and `tile_px` must be multiples of 32
  (the decoder) and of the patch: 224, 448 or 672 for patches of 14. The plan names the nearest legal sizes.
- Swin transformers are built for any size. MaxViT, Hiera and others with windows or embeddings of a fixed size take
  their own sizes only; `encoder_kwargs: {img_size: S}` with `crop_px` = `tile_px` = S builds another.

## Fused encoders

`encoder: [sam-vit-b, hipt-vit-s]` with `encoder_weights: [FILE, FILE]` concatenates the pyramids of both. Each has its
own normalisation and, with `encoder_scale: [1, 0.5]`, its own input size: the image is resized by the factor. Each is
cached by itself, so that studies share it with others.

## How much is trained

`encoder_tuning: frozen` (default) | `lora` (rank `lora_rank`, on the query, key, value and output projections;
Hu et al. 2022) | `last_blocks` (the last `last_blocks` blocks and the norm after them) | `full`.
`encoder_layer_decay` multiplies the learning rate of each earlier block; `activation_checkpointing` trades time for
memory. Features are cached for `frozen` alone. A frozen encoder with random weights must be asked for by
`encoder_weights: none`.

## Frozen or fine-tuned?

`python -m benchmarks.encoder_tuning --shared FOLDER` trains cross-entropy with tf_efficientnet_lite0 (ImageNet), frozen
and fully trained, on CoNSeP (published split) and GlaS (split by patient): 150 steps of four 128 px crops, the same
crops and fresh views for both. The table is of `analyze`: Dice in points, the difference with its 95 % interval over
test units and seeds. Units are images in CoNSeP and
patients in GlaS, whose split by patient tests four. At this budget neither data set decides which is better: CoNSeP's
macro Dice may be 4.2 points lower or 1.4 higher with a trained encoder, and four patients cannot be tested. Neither
model has learned `other` in 150 steps.

| data | class | test units | seeds | fine-tuned | frozen | difference | 95 % interval | p (Holm) | verdict |
|---|---|---|---|---|---|---|---|---|---|
| consep | macro | 14 | 3 | 46.0 | 47.4 | -1.4 | -4.2 to +1.4 | 0.18 | undecided |
| consep | background | 14 | 3 | 93.9 | 94.0 | -0.1 | -0.2 to -0.0 | 0.18 | equivalent |
| consep | other | 9 | 3 | 0.0 | 0.0 | +0.0 | +0.0 to +0.0 | 1 | equivalent |
| consep | inflammatory | 14 | 3 | 43.1 | 42.9 | +0.2 | -9.0 to +9.4 | 1 | undecided |
| consep | epithelial | 9 | 3 | 71.6 | 72.9 | -1.3 | -3.9 to +1.3 | 0.51 | undecided |
| consep | spindle | 14 | 3 | 21.5 | 27.4 | -5.9 | -13.2 to +1.4 | 0.3 | undecided |
| glas | macro | 4 | 3 | 78.7 | 75.2 | +3.5 | -36.4 to +43.3 | 0.57 | not_testable |
| glas | background | 4 | 3 | 81.9 | 79.4 | +2.5 | -6.2 to +11.2 | 1 | not_testable |
| glas | benign | 2 | 3 | 79.9 | 82.4 | -2.5 | -63.3 to +58.3 | 1 | not_testable |
| glas | malignant | 2 | 3 | 74.3 | 63.8 | +10.5 | -88.9 to +109.8 | 1 | not_testable |
"""


def page() -> str:
    """The documentation page as Markdown."""
    return _HEAD + "".join(f"{_row(name, preset)}\n" for name, preset in PRESETS.items()) + _TAIL


def _row(name: str, preset: Preset) -> str:
    licence = preset.licence.name + ("" if preset.licence.confirmed else " \\*")
    licence += "" if preset.licence.derivatives else "; **no derivatives**"
    normalisation = "ImageNet" if preset.mean == IMAGENET_MEAN else f"{_numbers(preset.mean)} / {_numbers(preset.std)}"
    cells = (f"`{name}`", preset.title, f"{preset.parameters / 1e6:.1f} M", f"{preset.patch_px} px",
             str(preset.prefix_tokens), f"{preset.native_px} px", normalisation, preset.layout.value, licence,
             preset.source)  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def _numbers(values: Rgb) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else " ".join(f"{value:g}" for value in values)


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - the page is what this command prints
