"""Plain transformers as encoders: timm's own features, a pyramid of exact strides, sizes that are told apart."""

from typing import Any

import pytest
import timm
import torch

from imbalance_bench.config import ModelSection
from imbalance_bench.errors import UserError
from imbalance_bench.models.encoders import Encoder, EncoderChoice, build_encoder
from imbalance_bench.models.segmenter import Segmenter, build_segmenter
from imbalance_bench.models.size_check import require_model_fits
from imbalance_bench.models.token_encoder import is_plain_transformer

SMALL = {"channels": 16, "heads": 2, "mlp_channels": 16, "pixel_channels": (16, 8, 8), "embedding_channels": 8}
TINY = {"embed_dim": 32, "depth": 8, "num_heads": 2}
VIT = "tu-vit_tiny_patch16_224"


def build(encoder: object = VIT, **options: Any) -> Segmenter:
    content = {"encoder": encoder, "encoder_kwargs": TINY, "pyramid_channels": 8, **SMALL, **options}
    return build_segmenter(ModelSection.model_validate(content), n_classes=3, seed=0).eval()


def of_one(name: str = VIT, **options: Any) -> Encoder:
    kwargs = TINY | options
    return build_encoder(EncoderChoice(name, "none", kwargs))


def images(size: int, n: int = 2) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, size, size), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("tu-test_vit", {}),
        ("tu-test_vit", {"reg_tokens": 3}),
        (VIT, TINY | {"patch_size": 14, "img_size": 224, "init_values": 1e-5}),
        ("tu-samvit_base_patch16", TINY | {"img_size": 64, "window_size": 2}),
        ("tu-vit_small_patch16_dinov3", TINY),
    ],
)
@torch.inference_mode()
def test_features_are_those_of_timm(name: str, options: dict[str, Any]) -> None:
    """At native size, and without the prefix tokens, as a model of timm with the same weights gives them."""
    encoder = build_encoder(EncoderChoice(name, "none", options))
    encoder.module.eval()
    theirs: Any = timm.create_model(name.removeprefix("tu-"), num_classes=0, **options).eval()
    theirs.load_state_dict({k.removeprefix("model."): v for k, v in encoder.module.state_dict().items()})
    size = 224 if options.get("img_size") == 224 else theirs.patch_embed.img_size[0]
    normalised = encoder.normalise(images(size).float())
    n = len(theirs.blocks)
    wanted = theirs.forward_intermediates(normalised, indices=[n // 4 - 1, n // 2 - 1, 3 * n // 4 - 1, n - 1])[1]
    found = encoder.module(normalised)
    assert [tuple(f.shape) for f in found] == [tuple(w.shape) for w in wanted]
    for ours, one in zip(found, wanted, strict=True):
        assert (ours - one).abs().max() < 1e-6


@pytest.mark.parametrize("patch", [8, 14, 16])
@torch.inference_mode()
def test_the_pyramid_has_exact_strides_for_every_patch(patch: int) -> None:
    model = build(encoder_kwargs=TINY | {"patch_size": patch})
    features = model.encode(images(224))
    assert [f.shape[-1] for f in features] == [224 // patch] * 4
    assert [m.shape[-1] for m in model.maps(features, 224)] == [56, 28, 14, 7]
    assert model(images(224)).shape == (2, 3, 224, 224)
    smp = build(encoder_kwargs=TINY | {"patch_size": patch}, architecture="unet")
    assert [m.shape[-1] for m in smp.maps(smp.encode(images(224)), 224)] == [112, 56, 28, 14, 7]
    assert smp(images(224)).shape == (2, 3, 224, 224)


@torch.inference_mode()
def test_a_place_of_the_pyramid_is_the_place_of_the_image() -> None:
    """A bright square moves its response with it, at every stride."""
    model = build(encoder_kwargs=TINY | {"patch_size": 14, "depth": 1})
    plain = torch.full((1, 3, 224, 224), 128)
    for row, column in ((0, 3), (2, 1)):
        marked = plain.clone()
        marked[:, :, 56 * row : 56 * (row + 1), 56 * column : 56 * (column + 1)] = 255
        pairs = zip(model.maps(model.encode(marked), 224), model.maps(model.encode(plain), 224), strict=True)
        for change in [(a - b).abs().sum(1, keepdim=True) for a, b in pairs]:
            coarse = torch.nn.functional.adaptive_avg_pool2d(change, 4)[0, 0]
            assert divmod(int(coarse.argmax()), 4) == (row, column)


def test_the_last_block_alone_is_normalised() -> None:
    model = build(encoder_features="last")
    with torch.inference_mode():
        (features,) = model.encode(images(64))
        assert features.float().mean(1).abs().max() < 1e-4  # layer normalisation over channels, with its initial affine
    assert [m.shape[1] for m in model.maps([features.clone()], 64)] == [8, 8, 8, 8]


def test_only_the_pyramid_above_a_frozen_transformer_is_stored() -> None:
    model = build()
    stored = set(model.stored_state())
    assert any(name.startswith("neck.") for name in stored)
    assert not any(name.startswith("encoder.") for name in stored)
    assert not any(p.requires_grad for p in model.encoder.parameters())
    assert all(p.requires_grad for p in model.neck.parameters())


@pytest.mark.parametrize(
    ("encoder", "options", "crop", "fragments"),
    [
        (VIT, TINY | {"patch_size": 14}, 256, ["reads tokens of 14 px", "224 and 448"]),
        ("tu-maxvit_tiny_tf_224", {}, 256, ["224 and 448", "{img_size: 256}"]),
        ("tu-hiera_tiny_224", {}, 256, ["Nearest legal sizes: 224", "{img_size: 256}"]),
        (VIT, TINY | {"patch_size": 128, "img_size": 256}, 64, ["reads tokens of 128 px", "128"]),
    ],
)
def test_a_size_that_an_encoder_does_not_take_is_refused(
    encoder: str, options: dict[str, Any], crop: int, fragments: list[str]
) -> None:
    section = ModelSection.model_validate({"encoder": encoder, "encoder_kwargs": options, **SMALL})
    with pytest.raises(UserError, match=rf"`training.crop_px` {crop} does not fit `model.encoder`") as refused:
        require_model_fits(section, n_classes=3, sizes_px={"training.crop_px": crop})
    assert all(fragment in str(refused.value) for fragment in fragments), refused.value


@pytest.mark.parametrize(
    ("encoder", "options", "size"),
    [
        ("tu-swin_tiny_patch4_window7_224", {"embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 1, 1)}, 128),
        ("tu-swinv2_tiny_window8_256", {}, 96),
        ("tu-maxvit_tiny_tf_224", {}, 448),
        ("tu-maxvit_tiny_tf_224", {"img_size": 256}, 256),
        ("tu-hiera_tiny_224", {"img_size": 256}, 256),
        ("resnet18", {}, 96),
        ("mit_b0", {}, 96),
        ("tu-convnext_tiny", {}, 96),
    ],
)
def test_sizes_that_an_encoder_takes_pass(encoder: str, options: dict[str, Any], size: int) -> None:
    content = {"encoder": encoder, "encoder_kwargs": {}, **SMALL}
    section = ModelSection.model_construct(
        **{**ModelSection.model_validate(content).__dict__, "encoder_kwargs": options}
    )
    require_model_fits(section, n_classes=3, sizes_px={"dataset.tile_px": size})
    if "swin_tiny" in encoder:
        assert build(encoder, encoder_kwargs={})(images(size, 1)).shape == (1, 3, size, size)


def test_networks_of_one_grid_are_told_from_pyramids() -> None:
    assert is_plain_transformer("vit_tiny_patch16_224", {})
    assert is_plain_transformer("samvit_base_patch16", {})
    assert not is_plain_transformer("swin_tiny_patch4_window7_224", {})
    assert not is_plain_transformer("resnet18", {})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder_kwargs": {"embed_dimm": 3}}, "timm does not build vit_tiny_patch16_224 with {'embed_dimm': 3}"),
        ({"encoder": "resnet18"}, "`model.encoder_kwargs` are for encoders of timm"),
        ({"encoder": "tu-volo_d1_224", "encoder_kwargs": {}}, "its features are at strides that no decoder here reads"),
        ({"architecture": "deeplabv3plus"}, "deeplabv3plus does not work with encoder"),
        ({"encoder_scale": 0.3}, "makes 53.3333 px of the image one token"),
    ],
)
def test_what_cannot_be_built_is_said_in_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message.replace("{", r"\{").replace("}", r"\}")) as refused:
        build(**options)
    assert "network" not in str(refused.value)
    assert "\n" not in str(refused.value)
