"""A data set that changed since training is refused by every command that speaks of it; one that was moved is not."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from imbalance_bench import study_data
from imbalance_bench.cli.main import main
from imbalance_bench.data import prepared, unchanged
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.unchanged import require_unchanged
from imbalance_bench.errors import UserError
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.planning import prepare_study
from imbalance_bench.record_documents import read_document
from imbalance_bench.records import StudyRecords
from tests.analysis.synthetic import write_synthetic_study
from tests.small_study import small_config, write_dataset


@pytest.fixture
def study(tmp_path: Path) -> Path:
    root = write_synthetic_study(tmp_path / "study", methods=("cross_entropy", "dfa"), seeds=1, n_images=4)
    (root / "analysis").mkdir()
    require_unchanged(root, StudyRecords(root).dataset())  # so that the marks are known
    assert (root / unchanged.MARKS_FILE).exists()
    return root


def edit_mask(root: Path) -> None:
    path = root / "dataset" / "masks" / "train_000.png"
    mask = np.array(Image.open(path))
    mask[:8] = 1 - mask[:8].clip(0, 1)
    Image.fromarray(mask).save(path)


def edit_in_place(root: Path) -> None:
    """Another image of the same size in bytes, with the time of the old one."""
    path = root / "dataset" / "images" / "train_000.png"
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def move_an_image(root: Path) -> None:
    path = root / "dataset" / "index.csv"
    path.write_text(path.read_text().replace("train_000,train_slide_000", "train_000,train_slide_001"))


def rename_a_class(root: Path) -> None:
    path = root / "dataset" / "dataset.yaml"
    text = path.read_text()
    name = read_document(root / "dataset.json")["classes"][0]["name"]
    path.write_text(text.replace(f"name: {name}", "name: renamed"))


@pytest.mark.parametrize("change", [edit_mask, edit_in_place, move_an_image, rename_a_class])
@pytest.mark.parametrize("command", ["analyze", "report", "plot", "compare"])
def test_changed_data_is_refused(study: Path, change: Callable[[Path], None], command: str) -> None:
    change(study)
    more = {"plot": ["scores"], "compare": [str(study.parent)]}
    result = CliRunner().invoke(main, [command, str(study), *more.get(command, [])])
    assert result.exit_code == 2
    (line,) = result.output.strip().splitlines()
    assert f"{study}/dataset has changed since" in line


def test_unchanged_data_is_not_read_again_and_moved_data_once(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    hash_of = prepared._file_hash
    monkeypatch.setattr(prepared, "_file_hash", lambda path: read.append(path) or hash_of(path))
    facts = StudyRecords(study).dataset()
    require_unchanged(study, facts)
    assert not read
    (study / "dataset").rename(study / "before")
    shutil.copytree(study / "before", study / "dataset")  # without the times
    require_unchanged(study, facts)
    assert len(read) == 2 * len(PreparedDataset.open(study / "dataset").entries)
    read.clear()
    require_unchanged(study, facts)
    assert not read


def test_data_that_is_gone_is_another_matter(study: Path) -> None:
    shutil.rmtree(study / "dataset")
    require_unchanged(study, StudyRecords(study).dataset())


def test_marks_of_another_content_prove_nothing(study: Path) -> None:
    facts = StudyRecords(study).dataset()
    with pytest.raises(UserError, match="has changed since"):
        require_unchanged(study, facts | {"data_hash": "0" * 64})


def test_truth_that_changes_while_runs_train_fails_them(
    tmp_path: Path, dataset: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imbalance_bench.training import loop

    train = loop.StageTrainer.train

    def meddled(self: loop.StageTrainer, *rest: object) -> None:
        train(self, *rest)  # pyright: ignore[reportArgumentType]
        (dataset / "masks" / "im_6.png").write_bytes((dataset / "masks" / "im_7.png").read_bytes())

    monkeypatch.setattr(loop.StageTrainer, "train", meddled)
    config = small_config(dataset, methods=["cross_entropy"])
    with pytest.raises(UserError, match="has changed since"):
        execute_study(config, tmp_path / "s", Execution(cache=shared_cache, engine="serial"))
    assert not list(tmp_path.glob("s/runs/*/counts.parquet"))


def test_data_that_was_found_sound_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small_config(write_dataset(tmp_path / "data"))
    first = prepare_study(config, tmp_path / "study", lambda *_: None)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(study_data, "require_sound", refuse)
    monkeypatch.setattr(PreparedDataset, "content_hash", refuse)
    again = prepare_study(config, tmp_path / "study", lambda *_: None)
    assert [run.run_id for run in again.runs] == [run.run_id for run in first.runs]
    image = next((tmp_path / "data" / "images").iterdir())
    image.write_bytes(image.read_bytes())
    with pytest.raises(AssertionError):
        prepare_study(config, tmp_path / "study", lambda *_: None)
