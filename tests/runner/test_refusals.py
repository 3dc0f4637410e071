"""What a user can get wrong: one clear line, the right exit code, no traceback, nothing half-written."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import save_file
from torch import zeros

from imbalance_bench.cli.main import main
from tests.small_study import write_study

Damage = Callable[[Path], object]


def run_study(folder: Path, dataset: Path, *arguments: str, **sections: object) -> Result:
    study = write_study(folder / "study.yaml", dataset, **sections)
    words = ["run", str(study), "--out", str(folder / "out"), "--cache", str(folder / "cache"), *arguments]
    return CliRunner().invoke(main, words)


def assert_refused(result: Result, folder: Path, *fragments: str, exit_code: int = 2) -> None:
    errors = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, result.output
    for fragment in fragments:
        assert fragment in errors[0]
    assert result.output.splitlines()[-1] == errors[0]
    assert "Traceback" not in result.output
    assert result.exit_code == exit_code
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("override", "fragment"),
    [
        ("training.stepz=1", "Did you mean 'steps'?"),
        ("methods=[sesaw]", "unknown method 'sesaw'"),
        ("model.encoder=resnt18", "Did you mean 'resnet18'?"),
        ("model.encoder=tu-test_resnetx", "Did you mean 'tu-test_resnet'?"),
        ("model.architecture=unit", "Did you mean 'unet'?"),
        ("model.encoder_weights=nowhere.safetensors", "nowhere.safetensors"),
        ("dataset.path=nowhere", "nowhere"),
        ("dataset.groups={all: [common, rre]}", "Did you mean 'rare'?"),
        ("compute.device=cuda:99", "`compute.device` cuda:99 is not available here"),
    ],
)
def test_wrong_values(tmp_path: Path, dataset: Path, override: str, fragment: str) -> None:
    assert_refused(run_study(tmp_path, dataset, "--set", override), tmp_path, fragment)


def replace_in_index(dataset: Path, old: str, new: str) -> None:
    index = dataset / "index.csv"
    text = index.read_text()
    assert old in text
    index.write_text(text.replace(old, new))


def write_mask(dataset: Path, mask: np.ndarray) -> None:
    Image.fromarray(mask.astype(np.uint8)).save(dataset / "masks" / "im_0.png")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def drop_class(dataset: Path) -> None:
    for path in sorted((dataset / "masks").glob("im_[0-3].png")):
        mask = np.array(Image.open(path))
        Image.fromarray(np.where(mask == 2, 0, mask).astype(np.uint8)).save(path)


@pytest.mark.parametrize(
    ("damage", "fragments"),
    [
        (lambda d: (d / "images" / "im_3.png").unlink(), ["im_3", "images"]),
        (lambda d: write_mask(d, np.zeros((64, 60))), ["im_0.png", "60"]),
        (lambda d: write_mask(d, np.full((64, 64), 9)), ["im_0.png", "9"]),
        (lambda d: truncate(d / "images" / "im_0.png"), ["im_0.png"]),
        (lambda d: truncate(d / "masks" / "im_0.png"), ["im_0.png"]),
        (lambda d: replace_in_index(d, "im_1,", "im_0,"), ["im_0", "index.csv"]),
        (lambda d: replace_in_index(d, "im_1,", "a/im_1,"), ["a/im_1"]),
        (lambda d: replace_in_index(d, "im_1,", "../im_1,"), ["../im_1"]),
        (lambda d: replace_in_index(d, "slide_6", "slide_0"), ["slide_0"]),
        (lambda d: replace_in_index(d, ",train,", ",test,"), ["train"]),
        (lambda d: replace_in_index(d, ",test,", ",train,"), ["test"]),
        (drop_class, ["rare"]),
        (lambda d: (d / "dataset.yaml").write_text("name: ["), ["dataset.yaml"]),
        (lambda d: (d / "index.csv").unlink(), ["index.csv"]),
    ],
    ids=[
        "missing image", "mask of another size", "undeclared class", "truncated image", "truncated mask",
        "duplicate id", "separator in id", "parent folder in id", "group in two splits", "empty training split",
        "no test image",
        "class absent from training", "unreadable yaml", "no index",
    ],
)  # fmt: skip
def test_damaged_data(tmp_path: Path, dataset: Path, damage: Damage, fragments: list[str]) -> None:
    damage(dataset)
    assert_refused(run_study(tmp_path, dataset), tmp_path, *fragments)


def test_weights_that_do_not_fit(tmp_path: Path, dataset: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    save_file({"conv.weight": zeros(3)}, weights)
    override = ("--set", f"model.encoder_weights={weights}")
    assert_refused(run_study(tmp_path, dataset, *override), tmp_path, "weights do not fit the encoder", "missing")
    weights.write_bytes(b"nonsense")
    assert_refused(run_study(tmp_path, dataset, *override), tmp_path, "not readable as weights")


def test_weights_that_pytorch_answers_with_an_assertion(tmp_path: Path, dataset: Path) -> None:
    whole, weights = tmp_path / "whole.pt", tmp_path / "weights.pt"
    torch.save({}, whole)
    with zipfile.ZipFile(whole) as read, zipfile.ZipFile(weights, "w") as written:
        for name in read.namelist():  # the pickle becomes a persistent id that is a number
            written.writestr(name, b"\x80\x02K\x05Q." if name.endswith("data.pkl") else read.read(name))
    with pytest.raises(AssertionError, match="must be a tuple"):
        torch.load(weights, weights_only=True)
    override = ("--set", f"model.encoder_weights={weights}")
    assert_refused(run_study(tmp_path, dataset, *override), tmp_path, "not readable as weights")


def test_a_pickle_is_not_unpickled(tmp_path: Path, dataset: Path) -> None:
    weights = tmp_path / "weights.pt"
    torch.save({"state_dict": {"conv.weight": zeros(3)}, "danger": os.system}, weights)
    override = ("--set", f"model.encoder_weights={weights}")
    assert_refused(run_study(tmp_path, dataset, *override), tmp_path, "holds more than tensors")


def test_dfa_needs_class_tokens(tmp_path: Path, dataset: Path) -> None:
    result = run_study(tmp_path, dataset, "--set", "model.architecture=unet")
    assert_refused(result, tmp_path, "'dfa' needs `model.architecture: class_query`", "class tokens")


def test_cdb_needs_a_validation_split(tmp_path: Path, dataset: Path) -> None:
    replace_in_index(dataset, ",val,", ",train,")
    sections = {"methods": ["cdb"], "splits": {"validation_fraction": 0.0}}
    assert_refused(run_study(tmp_path, dataset, **sections), tmp_path, "'cdb' needs a validation split")


def test_two_methods_for_one_slot(tmp_path: Path, dataset: Path) -> None:
    both = [{"label": "both", "parts": ["focal", "cdb"]}]
    assert_refused(run_study(tmp_path, dataset, methods=both), tmp_path, "both fill the slot `loss`")


def test_a_full_disk_is_refused_before_training(tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1000))
    assert_refused(run_study(tmp_path, dataset), tmp_path, "free on the output disk", exit_code=1)


def test_a_disk_that_fills_up_fails_the_run_in_one_line(tmp_path: Path, dataset: Path) -> None:
    """A file-size limit stands in for the full disk: writing model.safetensors fails, everything before fits."""
    study = write_study(tmp_path / "study.yaml", dataset, methods=["cross_entropy"])
    program = (
        "import resource, sys; from imbalance_bench import manifest\n"
        "write = manifest.write_atomically\n"
        "def limited(path, content):\n"
        "    small = path.name == 'model.safetensors'\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (1000 if small else -1, -1))\n"
        "    write(path, content)\n"
        "manifest.write_atomically = limited\n"
        "from imbalance_bench.cli.main import main; main()"
    )
    words = ["run", str(study), "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "c"), "--engine", "serial"]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "no space left on the disk" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    run = next((tmp_path / "out" / "runs").iterdir())
    assert json.loads((run / "status.json").read_text())["state"] == "failed"
    assert not (run / "model.safetensors").exists()
    assert not [path for path in run.iterdir() if path.name.startswith(".model")]
    again = CliRunner().invoke(main, words)
    assert again.exit_code == 0, again.output


def test_unknown_command_and_method_are_suggested() -> None:
    result = CliRunner().invoke(main, ["anlyze", "x"])
    assert result.exit_code == 2
    assert "Did you mean 'analyze'?" in result.output
    result = CliRunner().invoke(main, ["methods", "fcal"])
    assert result.exit_code == 2
    assert "Did you mean 'focal'?" in result.output


@pytest.mark.parametrize("command", ["status", "analyze", "report"])
def test_a_folder_that_is_no_study(tmp_path: Path, command: str) -> None:
    result = CliRunner().invoke(main, [command, str(tmp_path)])
    assert result.exit_code == 2, result.output
    assert "is not a study directory" in result.output
    assert "Traceback" not in result.output
