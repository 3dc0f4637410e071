"""Models whose encoders have no weights, for cached features: everything else starts as it does with them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from imbalance_bench.config import ModelSection
from imbalance_bench.models import bare_encoders
from imbalance_bench.models.encoders import EncoderChoice, build_encoder
from imbalance_bench.models.segmenter import Segmenter, build_segmenter
from imbalance_bench.models.size_check import described_encoders

SMALL = {"channels": 16, "heads": 2, "mlp_channels": 16, "pixel_channels": (16, 8, 8), "embedding_channels": 8}
MODELS = {
    "cnn": {"encoder": "tu-test_resnet"},
    "smp": {"encoder": "resnet18"},
    "transformer": {"encoder": "tu-test_vit"},
    "two": {"encoder": ["tu-test_vit", "resnet18"]},
    "sam": {"encoder": "tu-test_vit", "decoder": "sam"},
    "unet": {"encoder": "resnet18", "architecture": "unet"},
    "computes": {"encoder": "mit_b0"},  # numbers of its drop path, while it is built
}


@pytest.fixture(autouse=True)
def _nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bare_encoders, "_BARE", {})
    monkeypatch.setattr(bare_encoders, "_STATES_AFTER", {})


def section(**options: Any) -> ModelSection:
    return ModelSection.model_validate({"encoder_weights": "none", **SMALL, **options})


def build(options: dict[str, Any], *, with_encoders: bool, seed: int = 3) -> Segmenter:
    return build_segmenter(section(**options), n_classes=3, seed=seed, with_encoders=with_encoders)


@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
def test_the_head_starts_as_with_weights_of_the_encoders(options: dict[str, Any]) -> None:
    for seed in (3, 3, 4):  # built for its draws, then not built, then with other draws
        whole, bare = (build(options, with_encoders=given, seed=seed) for given in (True, False))
        expected, found = whole.stored_state(), bare.stored_state()
        assert list(expected) == list(found)
        assert all(torch.equal(expected[name], found[name]) for name in expected)
        sizes, bare_sizes = ([p.shape for p in model.parameters()] for model in (whole, bare))
        assert sizes == bare_sizes


@pytest.mark.parametrize("name", ["cnn", "smp", "transformer", "two", "sam"])
def test_encoders_are_built_once_in_a_process(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    build(MODELS[name], with_encoders=False)

    def refuse(choice: EncoderChoice) -> None:
        raise AssertionError(f"{choice.name} is built again")

    monkeypatch.setattr(bare_encoders, "build_encoder", refuse)
    model = build(MODELS[name], with_encoders=False)
    assert model.is_bare
    features = [
        torch.randn(1, channels, 64 // stride, 64 // stride)
        for encoder in model.encoders
        for channels, stride in zip(encoder.level_channels, encoder.strides(64), strict=True)
    ]
    assert model.place(torch.device("cpu")).eval().decode(features, 64).isfinite().all()
    with pytest.raises(RuntimeError, match="cached features alone"):
        model.encode(torch.zeros(1, 3, 64, 64))


@pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)
def test_a_description_is_that_of_the_encoders_with_weights(options: dict[str, Any]) -> None:
    whole = build(options, with_encoders=True).eval().encoders
    described = described_encoders(section(**options), 3)
    for encoder, found in zip(whole, described, strict=True):
        assert (found.choice, found.mean, found.std) == (encoder.choice, encoder.mean, encoder.std)
        assert found.weights_hash is None  # random ones are not known before they are drawn
        assert (found.level_channels, found.strides(64)) == (encoder.level_channels, encoder.strides(64))


def test_a_description_names_the_file_of_weights_as_it_is_now(tmp_path: Path) -> None:
    path, hashes = tmp_path / "weights.safetensors", []
    for _ in range(2):
        save_file(build_encoder(EncoderChoice("tu-test_vit", "none", {})).module.state_dict(), path)
        options = {"encoder": "tu-test_vit", "encoder_weights": str(path)}
        described = described_encoders(section(**options), 3)[0]
        assert described.weights_hash == build_encoder(described.choice).weights_hash
        hashes.append(described.weights_hash)
    assert hashes[0] != hashes[1]
