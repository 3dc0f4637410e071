"""Bytes that changed in a cache are made anew; a checkpoint that is damaged or of another run is set aside."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from imbalance_bench.data.array_store import ArrayStore, require_undamaged
from imbalance_bench.data.store_filling import Fill
from imbalance_bench.errors import UserError
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.records import StudyRecords
from imbalance_bench.training import loop
from imbalance_bench.training.checkpoint import REFUSED_NAME, load_checkpoint, save_checkpoint
from tests.small_study import small_config, write_dataset

TABLES = ("counts", "epochs", "class_parameters")
CPU = torch.device("cpu")


def flip(path: Path, at: int, n: int = 64) -> None:
    content = bytearray(path.read_bytes())
    for place in range(at, min(at + n, len(content))):
        content[place] ^= 0xFF
    path.write_bytes(content)


def train(root: Path, cache: Path, dataset: Path, *methods: str) -> dict[str, bytes]:
    config = small_config(dataset, methods=list(methods) or ["cross_entropy"])
    execute_study(config, root, Execution(cache=cache, engine="serial"))
    runs = StudyRecords.open(root).finished()
    return {f"{run.run_id}/{name}": (run.path / f"{name}.parquet").read_bytes() for run in runs for name in TABLES}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("trained")
    dataset = write_dataset(folder / "discs")
    return dataset, folder / "cache", train(folder / "study", folder / "cache", dataset)


@pytest.mark.parametrize("array", ["features-*/level_0.npy", "tiles-*/images.npy", "tiles-*/masks.npy"])
def test_flipped_bytes_of_a_cache_change_no_record(
    tmp_path: Path, trained: tuple[Path, Path, dict[str, bytes]], array: str
) -> None:
    dataset, cache, expected = trained
    shutil.copytree(cache, tmp_path / "cache")
    (path,) = (tmp_path / "cache").glob(array)
    before = path.read_bytes()
    flip(path, len(before) // 2)
    assert train(tmp_path / "study", tmp_path / "cache", dataset) == expected
    assert path.read_bytes() == before


def rows_filled(value: int) -> Fill:
    def fill(rows: Sequence[int]) -> Mapping[str, np.ndarray]:
        return {"a": np.full((len(rows), 4), value, np.int32)}

    return fill


def open_store(folder: Path, value: int = 1, key: str = "k") -> ArrayStore:
    arrays = {"a": ((4,), np.int32)}
    return ArrayStore.open_or_fill(
        folder, arrays=arrays, rows=10, fill=rows_filled(value), chunk=3, description={}, key=key
    )


def test_what_cannot_be_made_again_byte_for_byte_is_refused(tmp_path: Path) -> None:
    open_store(tmp_path)
    path = tmp_path / "a.npy"
    flip(path, path.stat().st_size - 40, 1)  # row 7, 16 bytes a row
    with pytest.raises(UserError, match="is damaged"):
        require_undamaged(tmp_path)
    with pytest.raises(UserError, match=r"is damaged in rows 6 to 8, and computing them again"):
        open_store(tmp_path, value=2)
    assert (np.asarray(open_store(tmp_path)["a"]) == 1).all()
    require_undamaged(tmp_path)


def test_a_store_of_something_else_is_refused(tmp_path: Path) -> None:
    open_store(tmp_path)
    with pytest.raises(UserError, match="is of another store"):
        open_store(tmp_path, key="other")


@pytest.mark.parametrize("lost", ["all", "one"])
def test_a_store_without_checksums_is_filled_once_more(tmp_path: Path, lost: str) -> None:
    open_store(tmp_path)
    file = tmp_path / "complete.json"
    content = json.loads(file.read_text())
    content["chunks"] = content["chunks"][1:] if lost == "one" else None
    file.write_text(json.dumps(content))
    (tmp_path / "journal").unlink()
    with pytest.raises(UserError, match="has no checksums"):
        require_undamaged(tmp_path)
    assert (np.asarray(open_store(tmp_path, value=2)["a"]) == 2).all()


def test_no_flipped_bit_of_a_checkpoint_is_believed(tmp_path: Path) -> None:
    folder = tmp_path / "abc"
    folder.mkdir()
    state = {"trainer": {"model": {"w": torch.arange(300.0)}, "step": 3}, "seconds": 1.5}
    save_checkpoint(folder, state)
    path, whole = folder / "checkpoint.pt", (folder / "checkpoint.pt").read_bytes()
    rng, refused = np.random.default_rng(0), 0
    for place in rng.choice(len(whole) * 8, 240, replace=False).tolist():
        content = bytearray(whole)
        content[place // 8] ^= 1 << place % 8
        path.write_bytes(content)
        try:
            found = load_checkpoint(folder, CPU)
        except UserWarning as warning:
            assert "is damaged" in str(warning) or "is of run" in str(warning)  # noqa: PT017
            assert (folder / REFUSED_NAME).read_bytes() == bytes(content)
            refused += 1
            continue
        assert found is not None  # a bit of padding, which means nothing
        assert torch.equal(found["trainer"]["model"]["w"], state["trainer"]["model"]["w"])
        assert (found["trainer"]["step"], found["seconds"]) == (3, 1.5)
    assert refused > 120


@pytest.mark.parametrize("damage", ["another run", "garbage"])
def test_a_checkpoint_that_cannot_be_believed_is_set_aside_and_the_run_starts_afresh(
    tmp_path: Path, trained: tuple[Path, Path, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    dataset, cache, _ = trained
    expected = train(tmp_path / "straight", cache, dataset, "cross_entropy", "focal")
    take_step = loop.StageTrainer._take_step

    def dies(self: loop.StageTrainer, **rest: bool) -> None:
        if self.step == 4:
            raise RuntimeError("killed")
        take_step(self, **rest)

    with monkeypatch.context() as patched:
        patched.setattr(loop.StageTrainer, "_take_step", dies)
        with pytest.raises(UserError, match="killed"):
            train(tmp_path / "torn", cache, dataset, "cross_entropy", "focal")
    first, second = sorted((tmp_path / "torn" / "runs").glob("*/checkpoint.pt"))
    content = second.read_bytes() if damage == "another run" else b"garbage"
    first.write_bytes(content)
    with pytest.warns(UserWarning, match="is of run" if damage == "another run" else "is damaged") as said:
        found = train(tmp_path / "torn", cache, dataset, "cross_entropy", "focal")
    assert found == expected
    assert len(said) == 1
    assert first.with_name(REFUSED_NAME).read_bytes() == content
