"""Studies with transformers: patches of 14 px end to end, fused encoders, LoRA that resumes byte by byte."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import save_file

from imbalance_bench.cli.main import main
from imbalance_bench.data.phantom import PRESETS, generate_phantom
from imbalance_bench.data.phantom.spec import GroupCounts
from imbalance_bench.models import encoders
from imbalance_bench.record_documents import read_document
from imbalance_bench.records import StudyRecords
from tests.small_study import study_content

VIT = "tu-vit_tiny_patch16_224"
TINY = {"embed_dim": 16, "depth": 4, "num_heads": 2}
FOURTEEN = TINY | {"patch_size": 14, "img_size": 224}


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = PRESETS["tissue"].model_copy(
        update={"groups": GroupCounts(train=2, val=1, test=1), "images_per_group": 1, "size_px": 448}
    )
    return generate_phantom(spec, tmp_path_factory.mktemp("transformers") / "phantom")


def content_of(
    folder: Path, model: dict[str, Any], tile_px: int = 64, crop_px: int = 32, **sections: Any
) -> dict[str, Any]:
    content = study_content(folder, model=model | {"pyramid_channels": 8}, **sections)
    content["dataset"] |= {"tile_px": tile_px, "stride_px": tile_px}
    content["training"] |= {"crop_px": crop_px}
    return content


def run(folder: Path, content: dict[str, Any], *words: str) -> Result:
    folder.mkdir(exist_ok=True)
    file = folder / "study.yaml"
    file.write_text(json.dumps(content))
    arguments = ["run", str(file), "--out", str(folder / "out"), "--cache", str(folder / "cache"), "--engine", "serial"]
    return CliRunner().invoke(main, [*arguments, *words])


def weights_of(out: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in out.glob("runs/*/model.safetensors")}


def stop_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second checkpoint of the first run is its last sign of life."""
    from imbalance_bench.training.run import RunExecution

    save, saved = RunExecution._save, []

    def stop_later(self: RunExecution, index: int, trainer: Any) -> None:
        save(self, index, trainer)
        saved.append(index)
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunExecution, "_save", stop_later)


def assert_resumes(tmp_path: Path, content: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run whole, run with a stop, and compare; return the folder of the whole one."""
    whole = run(tmp_path / "whole", content)
    assert whole.exit_code == 0, whole.output
    with monkeypatch.context() as patch:
        stop_in_the_middle(patch)
        assert run(tmp_path / "stopped", content).exit_code == 130
    assert run(tmp_path / "stopped", content).exit_code == 0
    assert weights_of(tmp_path / "stopped" / "out") == weights_of(tmp_path / "whole" / "out")
    return tmp_path / "whole"


def test_patches_of_14_px_train_cache_resume_and_predict(
    tmp_path: Path, phantom: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = {"encoder": VIT, "encoder_kwargs": FOURTEEN}
    content = content_of(phantom, model, tile_px=448, crop_px=224, methods=["dfa"])
    folder = assert_resumes(tmp_path, content, monkeypatch)
    (cache,) = (folder / "cache").glob("features-*/complete.json")
    described = read_document(cache)["description"]
    assert described["strides"] == [14] * 4
    assert described["kwargs"] == FOURTEEN
    assert np.load(cache.with_name("level_0.npy"), mmap_mode="r").shape[1:] == (16, 32, 32)
    record = StudyRecords.open(folder / "out").finished()[0]
    assert record.manifest()["parameters"]["trainable"] > 0
    kept = next((record.path / "predictions").iterdir())
    image = next((phantom / "images").glob(f"{kept.stem}.*"))
    result = CliRunner().invoke(main, ["predict", str(record.path), str(image), "--out", str(tmp_path / "masks")])
    assert result.exit_code == 0, result.output
    predicted = np.asarray(Image.open(tmp_path / "masks" / f"{kept.stem}_mask.png"))
    assert np.array_equal(predicted, np.asarray(Image.open(kept)))
    assert json.loads((tmp_path / "masks" / "licences.json").read_text())["encoders"] == []
    tifffile = pytest.importorskip("tifffile")
    pytest.importorskip("tiffslide")
    slide = np.tile(np.asarray(Image.open(image)), (2, 2, 1))[:640]  # larger than a tile, no multiple of a patch
    per_cm = 1e4 / StudyRecords.open(folder / "out").dataset()["mpp_um"]
    spacing = {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(tmp_path / "slide.tiff", slide, tile=(256, 256), photometric="rgb", **spacing)
    words = ["predict", str(record.path), str(tmp_path / "slide.tiff"), "--out", str(tmp_path / "whole")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    whole = np.asarray(Image.open(tmp_path / "whole" / "slide_mask.png"))
    assert whole.shape == slide.shape[:2]
    assert len(np.unique(whole)) > 1


def test_256_px_are_refused_for_patches_of_14_px_in_the_plan(tmp_path: Path, phantom: Path) -> None:
    model = {"encoder": VIT, "encoder_kwargs": FOURTEEN}
    result = run(tmp_path, content_of(phantom, model, tile_px=448, crop_px=256), "--dry-run")
    assert result.exit_code == 2
    assert "`training.crop_px` 256 does not fit" in result.output
    assert "Nearest legal sizes: 224 and 448." in result.output
    assert not (tmp_path / "out").exists()


def test_lora_trains_its_adapters_on_images_and_resumes(
    tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = {"encoder": VIT, "encoder_kwargs": TINY, "encoder_tuning": "lora", "lora_rank": 2, "lora_alpha": 4.0}
    folder = assert_resumes(tmp_path, content_of(dataset, model, methods=["cross_entropy"]), monkeypatch)
    assert not list((folder / "cache").glob("features-*"))
    record = StudyRecords.open(folder / "out").finished()[0]
    counts = record.manifest()["parameters"]
    frozen = content_of(dataset, {"encoder": VIT, "encoder_kwargs": TINY}, methods=["cross_entropy"])
    assert run(tmp_path / "frozen", frozen).exit_code == 0
    without = StudyRecords.open(tmp_path / "frozen" / "out").finished()[0].manifest()["parameters"]
    adapters = 4 * 2 * ((16 + 48) + (16 + 16))  # four blocks, rank 2, qkv and output projection
    assert counts["trainable"] - without["trainable"] == counts["total"] - without["total"] == adapters
    image = Path(StudyRecords(folder / "out").dataset()["path"]) / "images" / "im_6.png"
    assert (
        CliRunner().invoke(main, ["predict", str(record.path), str(image), "--out", str(tmp_path / "m")]).exit_code == 0
    )
    kept = np.asarray(Image.open(record.prediction_path("im_6")))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "m" / "im_6_mask.png")), kept)


@pytest.mark.parametrize("architecture", ["class_query", "unet"])
def test_fused_encoders_are_cached_each_by_itself(tmp_path: Path, dataset: Path, architecture: str) -> None:
    weights = tmp_path / "resnet18.safetensors"
    save_file(encoders.build_encoder(encoders.EncoderChoice("resnet18", "none", {})).module.state_dict(), weights)
    pair = {"encoder": ["tu-test_vit", "resnet18"], "encoder_scale": [0.5, 1], "architecture": architecture}
    pair["encoder_weights"] = ["none", str(weights)]
    result = run(tmp_path, content_of(dataset, pair, methods=["cross_entropy"]))
    assert result.exit_code == 0, result.output
    found = {
        read_document(path)["description"]["encoder"][0]: path for path in (tmp_path / "cache").glob("f*/complete.json")
    }
    assert set(found) == {"tu-test_vit", "resnet18"}
    described = read_document(found["tu-test_vit"])["description"]
    assert (described["scale"], described["strides"]) == (0.5, [32] * 4)
    before = found["resnet18"].stat().st_mtime_ns
    alone = {"encoder": "resnet18", "encoder_weights": str(weights), "architecture": architecture}
    (tmp_path / "study.yaml").unlink()
    again = run(tmp_path, content_of(dataset, alone, methods=["cross_entropy"]), "--out", str(tmp_path / "alone"))
    assert again.exit_code == 0, again.output
    assert len(list((tmp_path / "cache").glob("features-*/complete.json"))) == 2
    assert found["resnet18"].stat().st_mtime_ns == before
    record = StudyRecords.open(tmp_path / "out").finished()[0]
    image = dataset / "images" / "im_6.png"
    assert (
        CliRunner().invoke(main, ["predict", str(record.path), str(image), "--out", str(tmp_path / "m")]).exit_code == 0
    )
    kept = np.asarray(Image.open(record.prediction_path("im_6")))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "m" / "im_6_mask.png")), kept)


def test_licences_travel_and_warn(tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from imbalance_bench.models import licences
    from imbalance_bench.models.encoder_presets import PRESETS as TABLE
    from imbalance_bench.models.encoder_presets import Licence, Preset

    terms = Licence("CC-BY-NC-ND-4.0", derivatives=False)
    small = Preset("Small", "vit_tiny_patch16_224", 0, 16, 1, 64, "example.org", terms, kwargs=TINY)
    monkeypatch.setitem(TABLE, "small", small)
    import torch

    encoder = encoders.build_encoder(encoders.EncoderChoice("small", "none", {}))
    weights = tmp_path / "small.pt"
    torch.save(encoder.module.state_dict(), weights)
    content = content_of(dataset, {"encoder": "small", "encoder_weights": str(weights)}, methods=["cross_entropy"])
    result = run(tmp_path, content)
    assert result.exit_code == 0, result.output
    assert "Warning: The licence of small (CC-BY-NC-ND-4.0) forbids derived weights" in result.output
    recorded = StudyRecords.open(tmp_path / "out").finished()[0].manifest()["licences"]
    assert recorded == {
        "dataset": "CC0",
        "encoders": [{"encoder": "small", "licence": "CC-BY-NC-ND-4.0"}],
        "derivatives": False,
    }
    choice = encoders.EncoderChoice("small", "none", {})
    assert licences.licence_of(choice) is None
