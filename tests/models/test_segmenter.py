"""The two halves of a model: same result as the library's whole, seeded by name, weights checked."""

from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import save_file
from torch.nn import functional

from imbalance_bench.config import ModelSection
from imbalance_bench.errors import UserError
from imbalance_bench.models.class_query import ClassMLP
from imbalance_bench.models.encoder_weights import load_encoder_weights
from imbalance_bench.models.encoders import EncoderChoice, build_encoder
from imbalance_bench.models.pixel_map import sine_position
from imbalance_bench.models.segmenter import Segmenter, SmpHead, build_segmenter
from imbalance_bench.models.two_way import TwoWayDecoder

ENCODER = "tu-test_resnet"
IMAGES = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0))


def section(**options: object) -> ModelSection:
    small = {"channels": 16, "heads": 2, "mlp_channels": 16, "pixel_channels": (16, 8, 8), "embedding_channels": 8}
    return ModelSection.model_validate({"encoder": ENCODER, **small, **options})


def build(seed: int = 0, extra_tokens: int = 0, **options: object) -> Segmenter:
    return build_segmenter(section(**options), n_classes=3, seed=seed, extra_tokens=extra_tokens).eval()


@pytest.mark.parametrize("architecture", ["class_query", "unet", "fpn", "deeplabv3plus", "segformer"])
def test_logits_have_the_size_of_the_image(architecture: str) -> None:
    with torch.inference_mode():
        logits = build(architecture=architecture)(IMAGES)
    assert logits.shape == (2, 3, 64, 64)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


@pytest.mark.parametrize("architecture", ["unet", "fpn", "deeplabv3plus"])
def test_the_halves_of_an_smp_model_give_what_the_whole_gives(architecture: str) -> None:
    whole = smp.create_model(architecture, encoder_name=ENCODER, encoder_weights=None, classes=3).eval()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        features = whole.encoder(images)  # pyright: ignore[reportCallIssue]
        halves = SmpHead(whole.decoder, whole.segmentation_head)(features[1:])  # pyright: ignore[reportArgumentType]
        assert torch.equal(halves, whole(images))


def test_one_image_at_a_time_gives_what_the_batch_gives() -> None:
    model = build()
    with torch.inference_mode():
        batched = model(IMAGES)
        single = torch.cat([model(image[None]) for image in IMAGES])
    assert torch.allclose(batched, single, atol=1e-5)


def test_the_seed_alone_decides_the_initial_weights() -> None:
    torch.manual_seed(123)
    first = build(seed=4).state_dict()
    torch.manual_seed(321)
    again, other = build(seed=4).state_dict(), build(seed=5).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first if name.startswith("head."))
    with_extra = build(seed=4, extra_tokens=2).state_dict()
    assert all(torch.equal(first[name], with_extra[name]) for name in first)


def test_building_leaves_the_global_random_state_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    build()
    assert torch.equal(torch.rand(1), expected)


def test_a_frozen_encoder_stays_in_evaluation_mode_and_out_of_the_stored_state() -> None:
    frozen, trained = build().train(), build(encoder_frozen=False).train()
    assert not frozen.encoder.training
    assert frozen.head.training
    assert trained.encoder.training
    assert not any(name.startswith("encoder.") for name in frozen.stored_state())
    assert any(name.startswith("encoder.") for name in trained.stored_state())
    assert not any(parameter.requires_grad for parameter in frozen.encoder.parameters())


@pytest.mark.parametrize("prefix", ["", "model.", "module.model."])
def test_local_weights_are_found_under_common_prefixes(tmp_path: Path, prefix: str) -> None:
    torch.manual_seed(1)
    source = build_encoder(EncoderChoice(ENCODER, "none", {})).module
    bare = {name.removeprefix("model."): value.clone() for name, value in source.state_dict().items()}
    path = tmp_path / "weights.safetensors"
    save_file({prefix + name: value for name, value in bare.items()} | {"head.fc.weight": torch.zeros(2)}, path)
    torch.manual_seed(2)
    target = build_encoder(EncoderChoice(ENCODER, "none", {})).module
    load_encoder_weights(target, path)
    assert all(torch.equal(value, target.state_dict()[name]) for name, value in source.state_dict().items())


def test_weights_of_another_shape_are_refused_and_counted(tmp_path: Path) -> None:
    module = build_encoder(EncoderChoice(ENCODER, "none", {})).module
    state = {name: value.clone() for name, value in module.state_dict().items()}
    first = next(name for name in state if name.endswith("weight"))
    state[first] = torch.zeros(1)
    path = tmp_path / "weights.safetensors"
    save_file(state, path)
    with pytest.raises(UserError, match=rf"1 of \d+ tensors of another shape \(first: {first} \(1,\)"):
        load_encoder_weights(module, path)


def test_feature_strides_follow_the_encoder() -> None:
    assert build().encoders[0].strides() == (4, 8, 16, 32)
    assert build(architecture="unet").encoders[0].strides() == (2, 4, 8, 16, 32)


def test_class_mlp_is_one_perceptron_per_class() -> None:
    torch.manual_seed(0)
    mlp = ClassMLP(n_classes=3, channels=4, out_channels=5)
    tokens = torch.randn(2, 3, 4)
    expected = []
    for k in range(3):
        x = tokens[:, k]
        for layer in range(3):
            x = x @ mlp.weights[layer][k] + mlp.biases[layer][k, 0]
            x = functional.relu(x) if layer < 2 else x
        expected.append(x)
    assert torch.allclose(mlp(tokens), torch.stack(expected, 1), atol=1e-6)


def test_positions_tell_every_place_apart() -> None:
    encoded = sine_position(5, 7, 16, torch.device("cpu"))
    assert encoded.shape == (35, 16)
    distances = torch.cdist(encoded, encoded) + 10 * torch.eye(35)
    assert distances.min() > 0.1


def test_every_token_and_image_place_receives_gradient() -> None:
    torch.manual_seed(0)
    decoder = TwoWayDecoder(n_classes=3, dim=8, depth=2, heads=2, mlp_dim=8)
    image = torch.randn(2, 6, 8, requires_grad=True)
    tokens, refined = decoder(image, torch.randn(6, 8))
    (tokens.square().sum() + refined.square().sum()).backward()
    assert image.grad is not None
    assert (image.grad.abs().sum(-1) > 0).all()
    unused = [name for name, parameter in decoder.named_parameters() if parameter.grad is None]
    assert unused == []
