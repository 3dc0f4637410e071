"""Published encoders by name: built as published, fed as published, loaded whole or refused by name."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from imbalance_bench.errors import UserError
from imbalance_bench.models.encoder_presets import PRESETS, Layout
from imbalance_bench.models.encoder_weights import fit_weights, load_encoder_weights, weights_identity
from imbalance_bench.models.encoders import Encoder, EncoderChoice, build_encoder

TINY = {"embed_dim": 32, "depth": 2, "num_heads": 2}


def on_meta(name: str) -> Encoder:
    with torch.device("meta"):
        return build_encoder(EncoderChoice(name, "none", {}))


def tiny(name: str = "tu-vit_tiny_patch16_224", **options: Any) -> Encoder:
    return build_encoder(EncoderChoice(name, "none", TINY | options))


def bare_state(encoder: Encoder) -> dict[str, Tensor]:
    return {name.removeprefix("model."): value for name, value in encoder.module.state_dict().items()}


def split(joined: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
    return dict(zip(names, joined.chunk(3), strict=True))


def in_transformers_layout(state: dict[str, Tensor], *, dinov2: bool) -> dict[str, Tensor]:
    """Name tensors as ViTModel and Dinov2Model of transformers 4.x do."""
    published: dict[str, Tensor] = {}
    heads = {"cls_token": "embeddings.cls_token", "pos_embed": "embeddings.position_embeddings"}
    heads |= {"reg_token": "embeddings.register_tokens"}
    inside = {"norm1": "layernorm_before", "norm2": "layernorm_after", "mlp.fc1": "intermediate.dense"}
    inside |= {"mlp.fc2": "output.dense"}
    if dinov2:
        swiglu = state["blocks.0.mlp.fc1.weight"].shape[0] == 2 * state["blocks.0.mlp.fc2.weight"].shape[1]
        inside = {"ls1.gamma": "layer_scale1.lambda1", "ls2.gamma": "layer_scale2.lambda1"}
        inside |= {"mlp.fc1": "mlp.weights_in", "mlp.fc2": "mlp.weights_out"} if swiglu else {}
        published["embeddings.mask_token"] = state["cls_token"][0]
    for name, value in state.items():
        if name in heads:
            published[heads[name]] = value
        elif name.startswith("patch_embed.proj"):
            published[name.replace("patch_embed.proj", "embeddings.patch_embeddings.projection")] = value
        elif name.startswith("norm."):
            published[name.replace("norm.", "layernorm.")] = value
        else:
            _, number, rest = name.split(".", 2)
            block = f"encoder.layer.{number}."
            part, _, kind = rest.rpartition(".")
            if part == "attn.qkv":
                for which, third in split(value, ("query", "key", "value")).items():
                    published[f"{block}attention.attention.{which}.{kind}"] = third
            elif part == "attn.proj":
                published[f"{block}attention.output.dense.{kind}"] = value
            else:
                published[block + (inside[rest] if rest in inside else f"{inside.get(part, part)}.{kind}")] = value
    if "reg_token" in state:  # transformers keeps a position of the class token
        position = published["embeddings.position_embeddings"]
        published["embeddings.position_embeddings"] = torch.cat([torch.ones_like(position[:, :1]), position], 1)
        published["embeddings.cls_token"] = published["embeddings.cls_token"] - 1
    return published


def in_sam_layout(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Name tensors as segment_anything does, beside those of its prompt encoder and mask decoder."""
    inside = {f"image_encoder.{name.replace('mlp.fc', 'mlp.lin')}": value for name, value in state.items()}
    return inside | {
        "mask_decoder.iou_token.weight": torch.zeros(1, 256),
        "prompt_encoder.no_mask_embed.weight": torch.zeros(1),
    }


def published(name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    layout = PRESETS[name].layout
    if layout is Layout.SAM:
        return in_sam_layout(state)
    if layout is Layout.DINO:
        return {f"module.backbone.{key}": value for key, value in state.items()} | {
            "module.head.mlp.0.weight": torch.zeros(1)
        }
    if layout is Layout.TRANSFORMERS:
        return in_transformers_layout(state, dinov2=name != "phikon")
    return state


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_the_published_network(name: str) -> None:
    preset, encoder = PRESETS[name], on_meta(name)
    module: Any = encoder.module
    assert sum(p.numel() for p in module.parameters()) == preset.parameters
    assert module.patch_px == encoder.token_stride_px == preset.patch_px
    assert getattr(module.model, "num_prefix_tokens", 0) == preset.prefix_tokens
    assert (encoder.mean, encoder.std) == (preset.mean, preset.std)
    state = bare_state(encoder)
    fit_weights(module, published(name, state), name, whole=True)
    scaled = {key: value for key, value in state.items() if not key.endswith("gamma")}
    if len(scaled) < len(state):
        with pytest.raises(UserError, match="the file lacks LayerScale"):
            fit_weights(module, published(name, scaled), name, whole=True)
    channels = state["blocks.0.norm1.weight"].shape[0]
    other = state | {"reg_token": torch.zeros(1, 7, channels, device="meta")}
    with pytest.raises(UserError, match=r"register tokens that it lacks|reg_token \(1, 7"):
        fit_weights(module, published(name, other), name, whole=True)
    patch = preset.patch_px + 2
    other = state | {"patch_embed.proj.weight": torch.zeros(channels, 3, patch, patch, device="meta")}
    with pytest.raises(UserError, match=f"has patches of {patch} px, the encoder of {preset.patch_px} px"):
        fit_weights(module, published(name, other), name, whole=True)


@pytest.mark.parametrize("layout", ["timm", "sam", "dino", "vit", "dinov2", "registers", "swiglu", "facebook"])
def test_every_layout_gives_the_same_features(tmp_path: Path, layout: str) -> None:
    name, options = "tu-vit_tiny_patch16_224", {}
    if layout == "sam":
        name, options = "tu-samvit_base_patch16", {"img_size": 64, "window_size": 2}
    elif layout == "dinov2":
        options = {"init_values": 0.5}
    elif layout in ("registers", "facebook"):
        options = {"init_values": 0.5, "reg_tokens": 4, "no_embed_class": True, "img_size": 64}
    elif layout == "swiglu":
        options = {"init_values": 0.5, "mlp_layer": "SwiGLUPacked", "act_layer": "SiLU"}
    torch.manual_seed(1)
    source = tiny(name, **options)
    for parameter in source.module.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    state = {key: value.detach().clone() for key, value in bare_state(source).items()}
    path = tmp_path / "weights.pth"
    if layout == "sam":
        torch.save(in_sam_layout(state), path)
    elif layout == "dino":
        backbone = {f"module.backbone.{key}": value for key, value in state.items()}
        student = {key: torch.zeros_like(value) for key, value in backbone.items()}
        torch.save(
            {"student": student, "teacher": backbone | {"module.head.last.weight": torch.zeros(2)}, "epoch": 3}, path
        )
    elif layout == "facebook":  # as DINOv2's own code names them
        theirs = {key.replace("reg_token", "register_tokens"): value for key, value in state.items()}
        theirs["pos_embed"] = torch.cat([torch.ones(1, 1, 32), theirs["pos_embed"]], 1)
        torch.save(theirs | {"cls_token": theirs["cls_token"] - 1, "mask_token": torch.zeros(1, 32)}, path)
    elif layout == "timm":
        torch.save(state, path)
    else:
        torch.save(in_transformers_layout(state, dinov2=layout != "vit"), path)
    torch.manual_seed(2)
    target = tiny(name, **options)
    load_encoder_weights(target.module, path, whole=True)
    images = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        for ours, theirs in zip(target.module.eval()(images), source.module.eval()(images), strict=True):
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("held", "built", "message"),
    [
        ({"init_values": 1e-5}, {}, "the file has LayerScale that it lacks.*tensors more than the encoder takes"),
        ({}, {"init_values": 1e-5}, "the file lacks LayerScale"),
        ({"reg_tokens": 4}, {}, "the file has register tokens that it lacks"),
        ({"patch_size": 14}, {}, "the file has patches of 14 px, the encoder of 16 px"),
        ({"mlp_layer": "SwiGLUPacked"}, {}, "the file has a SwiGLU MLP, the encoder does not"),
        ({}, {"mlp_layer": "SwiGLUPacked", "mlp_ratio": 8.0}, "the encoder has a SwiGLU MLP, the file does not"),
        ({"mlp_ratio": 2.0}, {}, "the file has an MLP of another width"),
        ({"depth": 3}, {}, r"tensors more than the encoder takes \(first: blocks.2"),
        ({}, {"depth": 3}, r"tensors missing \(first: model.blocks.2"),
        ({"class_token": False, "global_pool": "avg"}, {}, "the file lacks a class token"),
    ],
)
def test_silent_damage_is_refused_by_name(held: dict[str, Any], built: dict[str, Any], message: str) -> None:
    state = bare_state(tiny(**held))
    with pytest.raises(UserError, match=message):
        fit_weights(tiny(**built).module, state, "file", whole=True)


def test_layer_scale_of_a_convolutional_encoder_is_not_dropped(tmp_path: Path) -> None:
    """A part that the encoder has must not lose tensors; parts after its end may be left out."""
    encoder = build_encoder(EncoderChoice("tu-test_resnet", "none", {}))
    state = {name.removeprefix("model."): value.clone() for name, value in encoder.module.state_dict().items()}
    save_file(state | {"fc.weight": torch.zeros(2), "final_conv.weight": torch.zeros(2)}, tmp_path / "more.safetensors")
    load_encoder_weights(encoder.module, tmp_path / "more.safetensors")
    save_file(state | {"layer1.0.ls1.gamma": torch.zeros(2)}, tmp_path / "scaled.safetensors")
    with pytest.raises(UserError, match="the file has LayerScale that it lacks"):
        load_encoder_weights(encoder.module, tmp_path / "scaled.safetensors")


def test_position_embeddings_of_another_size_are_resized(tmp_path: Path) -> None:
    source, target = tiny(img_size=64), tiny(img_size=128)
    state = bare_state(source)
    state["pos_embed"] = torch.ones_like(state["pos_embed"]) * torch.arange(32.0)
    torch.save(state, tmp_path / "weights.pt")
    load_encoder_weights(target.module, tmp_path / "weights.pt", whole=True)
    found = bare_state(target)["pos_embed"]
    assert found.shape == (1, 65, 32)
    torch.testing.assert_close(found, torch.arange(32.0).expand(1, 65, 32))


@pytest.mark.parametrize(
    ("file", "keys"), [("config.json", ("mean", "std")), ("preprocessor_config.json", ("image_mean", "image_std"))]
)
def test_another_normalisation_beside_the_weights_is_refused(tmp_path: Path, file: str, keys: tuple[str, str]) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({name: value.clone() for name, value in bare_state(tiny()).items()}, path)
    build_encoder(EncoderChoice("tu-vit_tiny_patch16_224", str(path), TINY))  # timm says 0.5 of this architecture
    content = f'{{"{keys[0]}": [0.485, 0.456, 0.406], "{keys[1]}": [0.229, 0.224, 0.225]}}'
    (tmp_path / file).write_text(f'{{"pretrained_cfg": {content}}}' if file == "config.json" else content)
    with pytest.raises(UserError, match=r"config.json names the mean \[0.485.*would get \[0.5.*Set `encoder_mean`"):
        build_encoder(EncoderChoice("tu-vit_tiny_patch16_224", str(path), TINY))
    imagenet = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    mean, std = imagenet["mean"], imagenet["std"]
    encoder = build_encoder(EncoderChoice("tu-vit_tiny_patch16_224", str(path), TINY, mean=mean, std=std))
    white = encoder.normalise(torch.full((1, 3, 1, 1), 255.0)).flatten().tolist()
    assert white == pytest.approx([(1 - m) / s for m, s in zip(mean, std, strict=True)])


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (EncoderChoice("uni", "none", {}, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)), "of uni are .0.485, 0.456"),
        (EncoderChoice("uni", "none", {"init_values": 1.0}), "`model.encoder_kwargs` of uni are its preset's"),
        (EncoderChoice("uni", "imagenet", {}), "of uni must be a local file, or none. Ask for one at huggingface.co"),
        (EncoderChoice("uni3", "none", {}), "Did you mean 'uni'"),
    ],
)
def test_a_preset_is_taken_as_it_is(choice: EncoderChoice, message: str) -> None:
    with pytest.raises(UserError, match=message), torch.device("meta"):
        build_encoder(choice)


def test_missing_weights_of_a_preset_say_where_to_ask() -> None:
    with pytest.raises(UserError, match=r"weights of uni2-h are given at huggingface.co/MahmoodLab/UNI2-h"):
        weights_identity("uni2-h", "nowhere/pytorch_model.bin")
