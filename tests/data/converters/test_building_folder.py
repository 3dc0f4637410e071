"""A killed preparation goes on; only our own half-finished folder is ever cleared; --overwrite replaces whole sets."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from imbalance_bench.cli.main import main
from imbalance_bench.data.converters import building_folder as building_module
from imbalance_bench.data.converters.preparation import prepare_dataset
from imbalance_bench.errors import UserError
from tests.data.converters import miniature_sources as mini
from tests.data.converters.test_preparation import content
from tests.data.tissue_folders import write_prostate_like


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small source."""
    return mini.write_bdsa(tmp_path / "source")


def stop(done: int, _total: int) -> None:
    if done == 2:
        raise KeyboardInterrupt


def leave_half(source: Path, dest: Path) -> Path:
    """Interrupt a preparation after two images and return what it leaves."""
    with pytest.raises(KeyboardInterrupt):
        prepare_dataset("bdsa", source, dest, workers=1, on_progress=stop)
    return dest.parent / f".{dest.name}.preparing"


def test_a_link_is_not_followed(source: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    (victim / "images").mkdir(parents=True)
    (victim / "thesis.txt").write_text("years of work")
    (tmp_path / ".out.preparing").symlink_to(victim)
    with pytest.raises(UserError, match=r"\.out\.preparing must be a folder. Got a link or a file"):
        prepare_dataset("bdsa", source, tmp_path / "out", workers=1)
    assert content(victim) == {"thesis.txt": b"years of work"}


@pytest.mark.parametrize("file", ["thesis.txt", "images/a.png", "preparation.json.bak", ".hidden"])
def test_a_foreign_folder_is_not_emptied(file: str, source: Path, tmp_path: Path) -> None:
    foreign = tmp_path / ".out.preparing" / file
    foreign.parent.mkdir(parents=True)
    foreign.write_text("years of work")
    with pytest.raises(UserError, match=r"which no preparation left there, and is not touched"):
        prepare_dataset("bdsa", source, tmp_path / "out", workers=1)
    assert foreign.read_text() == "years of work"


@pytest.mark.parametrize("name", ["images", "masks", "lock", "preparation.json"])
def test_a_link_inside_is_not_followed(name: str, source: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "thesis.txt").write_text("years of work")
    building = leave_half(source, tmp_path / "out")
    (building / name).rename(tmp_path / "aside")
    (building / name).symlink_to(victim if name in ("images", "masks") else victim / "thesis.txt")
    with pytest.raises(UserError, match=rf"holds '{name}', which no preparation left there"):
        prepare_dataset("bdsa", source, tmp_path / "out", workers=1)
    assert content(victim) == {"thesis.txt": b"years of work"}


def test_a_folder_of_another_user_is_refused(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".out.preparing").mkdir()
    monkeypatch.setattr(building_module.os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(UserError, match="belongs to another user"):
        prepare_dataset("bdsa", source, tmp_path / "out", workers=1)


def test_a_file_in_its_place_is_refused_in_one_line(source: Path, tmp_path: Path) -> None:
    (tmp_path / ".out.preparing").write_text("x")
    with pytest.raises(UserError, match="Got a link or a file"):
        prepare_dataset("bdsa", source, tmp_path / "out", workers=1)


def test_a_destination_that_is_a_link_is_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    with pytest.raises(UserError, match="must be a folder"):
        prepare_dataset("bdsa", source, tmp_path / "out", workers=1)


def test_a_killed_call_goes_on_and_gives_the_same_bytes(tmp_path: Path) -> None:
    """SIGKILL while images are written, then the same command: what is finished stays, and nothing differs."""
    folder = write_prostate_like(tmp_path / "source", n_images=60)
    words = ["-m", "imbalance_bench.cli", "data", "prepare", "folder", str(folder.source), str(tmp_path / "out")]
    words += ["--config", str(folder.layout), "--workers", "1"]
    process = subprocess.Popen([sys.executable, *words], stderr=subprocess.DEVNULL)
    building = tmp_path / ".out.preparing"
    deadline = time.monotonic() + 120
    while len(list(building.glob("masks/*.png"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path.name: path.stat().st_mtime_ns for path in building.glob("masks/Prostate*.png")}
    assert 3 <= len(kept) < 60
    assert not (tmp_path / "out").exists()
    result = CliRunner().invoke(main, words[2:])
    assert result.exit_code == 0, result.output
    assert all((tmp_path / "out/masks" / name).stat().st_mtime_ns == made for name, made in kept.items())
    assert not building.exists()
    assert content(folder.prepare(tmp_path / "whole").dataset.root) == content(tmp_path / "out")


def test_a_call_killed_before_its_signature_leaves_a_folder_that_is_taken_up(source: Path, tmp_path: Path) -> None:
    building = tmp_path / ".out.preparing"
    building.mkdir()
    (building / "lock").touch()
    (building / ".preparation.json.99.0123abcd").write_text("{")
    assert len(prepare_dataset("bdsa", source, tmp_path / "out", workers=1).dataset.entries) == 3


def test_a_damaged_signature_is_not_believed(source: Path, tmp_path: Path) -> None:
    building = leave_half(source, tmp_path / "out")
    (building / "preparation.json").write_text(json.dumps([1]))
    with pytest.raises(UserError, match="which no preparation left there"):
        prepare_dataset("bdsa", source, tmp_path / "out", workers=1)


def test_overwrite_replaces_a_prepared_data_set(source: Path, tmp_path: Path) -> None:
    dest = tmp_path / "out"
    prepare_dataset("bdsa", source, dest, workers=1)
    before = content(dest)
    mini.save(source / "mask/S1_0_0.png", mini.stripes((63,)))
    with pytest.raises(UserError, match="or add --overwrite where it is a prepared data set"):
        prepare_dataset("bdsa", source, dest, workers=1)
    half = leave_half_over(source, dest)
    assert content(dest) == before  # the old one stays until the new one is complete
    words = ["data", "prepare", "bdsa", str(source), str(dest), "--workers", "1", "--overwrite"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert content(dest)["masks/S1_0_0.png"] != before["masks/S1_0_0.png"]
    assert not half.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"source", "out"}


def leave_half_over(source: Path, dest: Path) -> Path:
    with pytest.raises(KeyboardInterrupt):
        prepare_dataset("bdsa", source, dest, workers=1, overwrite=True, on_progress=stop)
    return dest.parent / f".{dest.name}.preparing"


@pytest.mark.parametrize("file", ["thesis.txt", "splits.json", "images2/a.png"])
def test_overwrite_leaves_alone_what_is_more_than_a_data_set(file: str, source: Path, tmp_path: Path) -> None:
    dest = tmp_path / "out"
    prepare_dataset("bdsa", source, dest, workers=1)
    (dest / file).parent.mkdir(exist_ok=True)
    (dest / file).write_text("mine")
    before = content(dest)
    with pytest.raises(UserError, match=rf"nothing else to be overwritten. Got '{file.split('/')[0]}' in it"):
        prepare_dataset("bdsa", source, dest, workers=1, overwrite=True)
    assert content(dest) == before


def test_overwrite_needs_a_data_set(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out/images").mkdir(parents=True)
    (tmp_path / "out/images/a.png").write_text("mine")
    with pytest.raises(UserError, match="nothing else to be overwritten"):
        prepare_dataset("bdsa", source, tmp_path / "out", workers=1, overwrite=True)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="Got 'a file' in it"):
        prepare_dataset("bdsa", source, tmp_path / "file", workers=1, overwrite=True)


def test_overwrite_does_not_eat_its_source(tmp_path: Path) -> None:
    folder = write_prostate_like(tmp_path / "source")
    dest = folder.prepare(tmp_path / "out").dataset.root
    folder.layout.write_text(
        folder.layout.read_text().replace("labels/", "masks/").replace("nearest: true\n", "")
        .split("classes")[0] + "classes:\n- {name: a, labels: [0, 1]}\n- {name: b, labels: [2, 3]}\n"
    )  # fmt: skip
    before = content(dest)
    with pytest.raises(UserError, match="must not hold the source"):
        type(folder)(dest, folder.layout, {}).prepare(dest, overwrite=True)
    assert content(dest) == before
