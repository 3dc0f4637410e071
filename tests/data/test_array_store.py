"""A store survives SIGKILL, serves concurrent writers, and never shows half a result. Real processes, real kills."""

import collections
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from imbalance_bench.data.array_store import ArrayStore
from imbalance_bench.data.store_filling import Fill
from imbalance_bench.errors import UserError

ROWS, CHUNK = 23, 4
ARRAYS = {"features": ((3, 5), np.float32), "labels": ((), np.int16)}

# writes one line per finished fill to the log, so that the parent can count them
WRITER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from tests.data import test_array_store as shared
from imbalance_bench.data.array_store import ArrayStore
folder, log, pause = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
def fill(rows):
    time.sleep(pause)
    with log.open("a") as file:
        file.write(f"{rows[0]}\\n")
    return shared.content(rows)
ArrayStore.open_or_fill(
    folder, arrays=shared.ARRAYS, rows=shared.ROWS, fill=fill, chunk=shared.CHUNK, description={}
)
"""


def content(rows: Sequence[int]) -> dict[str, np.ndarray]:
    numbers = np.asarray(rows, dtype=np.int16)
    features = np.arange(15, dtype=np.float32).reshape(3, 5) + numbers[:, None, None]
    return {"features": features, "labels": numbers * 2}


def must_not_fill(rows: Sequence[int]) -> Mapping[str, np.ndarray]:
    raise AssertionError(f"asked to fill {list(rows)}")


def fill_here(folder: Path, fill: Fill = content, chunk: int = CHUNK, **more: object) -> ArrayStore:
    return ArrayStore.open_or_fill(
        folder,
        arrays=ARRAYS,
        rows=ROWS,
        fill=fill,
        chunk=chunk,
        description={"what": "numbers"},
        **more,  # pyright: ignore[reportArgumentType]
    )


def start_writer(folder: Path, log: Path, pause_s: float) -> subprocess.Popen[bytes]:
    here = str(Path(__file__).parents[2])
    return subprocess.Popen([sys.executable, "-c", WRITER, str(folder), str(log), str(pause_s), here])


def filled(log: Path) -> list[int]:
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def assert_holds_content(store: ArrayStore) -> None:
    expected = content(range(ROWS))
    for name, array in expected.items():
        np.testing.assert_array_equal(store[name], array)
        assert store[name].dtype == array.dtype
        assert not store[name].flags.writeable


def test_fills_in_chunks_and_is_found_again(tmp_path: Path) -> None:
    asked: list[list[int]] = []
    seen: list[tuple[int, int]] = []

    def fill(rows: Sequence[int]) -> dict[str, np.ndarray]:
        asked.append(list(rows))
        return content(rows)

    assert_holds_content(fill_here(tmp_path / "store", fill, on_progress=lambda *step: seen.append(step)))
    assert asked == [list(range(start, min(start + CHUNK, ROWS))) for start in range(0, ROWS, CHUNK)]
    assert seen == [(done, ROWS) for done in (0, 4, 8, 12, 16, 20, 23)]
    assert_holds_content(fill_here(tmp_path / "store", must_not_fill))


def test_a_killed_writer_is_resumed_at_its_last_chunk(tmp_path: Path) -> None:
    folder, log = tmp_path / "store", tmp_path / "log"
    writer = start_writer(folder, log, pause_s=0.4)
    deadline = time.monotonic() + 30
    while len(filled(log)) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    writer.send_signal(signal.SIGKILL)
    assert writer.wait() == -signal.SIGKILL
    before = filled(log)
    assert 3 <= len(before) < 6
    assert not (folder / "complete.json").exists()
    again: list[int] = []

    def fill(rows: Sequence[int]) -> dict[str, np.ndarray]:
        again.append(rows[0])
        return content(rows)

    assert_holds_content(fill_here(folder, fill))
    twice = set(before) & set(again)
    assert twice <= {before[-1]}  # only the chunk in hand at the kill may be done twice
    assert sorted(set(before) | set(again)) == list(range(0, ROWS, CHUNK))
    fill_here(tmp_path / "undisturbed")
    for name in ARRAYS:
        file = f"{name}.npy"
        assert (folder / file).read_bytes() == (tmp_path / "undisturbed" / file).read_bytes()


def test_concurrent_writers_fill_each_chunk_once(tmp_path: Path) -> None:
    folder, log = tmp_path / "store", tmp_path / "log"
    writers = [start_writer(folder, log, pause_s=0.05) for _ in range(3)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    assert collections.Counter(filled(log)) == dict.fromkeys(range(0, ROWS, CHUNK), 1)
    assert_holds_content(fill_here(folder, must_not_fill))


def test_a_waiting_process_takes_over_from_a_killed_one(tmp_path: Path) -> None:
    folder, log = tmp_path / "store", tmp_path / "log"
    first = start_writer(folder, log, pause_s=0.4)
    deadline = time.monotonic() + 30
    while not filled(log) and time.monotonic() < deadline:
        time.sleep(0.01)
    second = start_writer(folder, log, pause_s=0.0)
    time.sleep(0.3)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    assert second.wait(timeout=60) == 0
    assert_holds_content(fill_here(folder, must_not_fill))


class FillFailed(Exception):
    """Stands for anything that goes wrong in a fill."""


def fill_until(last_row: int) -> Fill:
    def fill(rows: Sequence[int]) -> dict[str, np.ndarray]:
        if rows[-1] > last_row:
            raise FillFailed
        return content(rows)

    return fill


@pytest.mark.parametrize("damage", [b"torn", b"\x00" * 20])
def test_a_torn_journal_loses_only_what_was_torn(tmp_path: Path, damage: bytes) -> None:
    with pytest.raises(FillFailed):
        fill_here(tmp_path, fill_until(8))
    with (tmp_path / "journal").open("ab") as journal:
        journal.write(damage)
    with pytest.raises(FillFailed):  # goes on after the torn record ...
        fill_here(tmp_path, fill_until(12))
    asked: list[int] = []

    def fill(rows: Sequence[int]) -> dict[str, np.ndarray]:
        asked.append(rows[0])
        return content(rows)

    assert_holds_content(fill_here(tmp_path, fill))
    assert asked == [12, 16, 20]  # ... and its own records are read again


def test_another_chunk_size_resumes_too(tmp_path: Path) -> None:
    with pytest.raises(FillFailed):
        fill_here(tmp_path, fill_until(8))
    assert_holds_content(fill_here(tmp_path, chunk=7))


def test_a_folder_without_layout_is_started_afresh(tmp_path: Path) -> None:
    with pytest.raises(FillFailed):
        fill_here(tmp_path, fill_until(8))
    (tmp_path / "layout.json").unlink()  # as after a kill while allocating
    (tmp_path / "labels.npy").write_bytes(b"half")
    assert_holds_content(fill_here(tmp_path))


def test_something_else_in_the_folder_is_refused(tmp_path: Path) -> None:
    fill_here(tmp_path)
    with pytest.raises(UserError, match="Delete the folder"):
        ArrayStore.open_or_fill(tmp_path, arrays=ARRAYS, rows=ROWS + 1, fill=content, chunk=CHUNK, description={})


@pytest.mark.parametrize("file", ["labels.npy", "complete.json"])
def test_a_truncated_file_is_named(tmp_path: Path, file: str) -> None:
    fill_here(tmp_path)
    os.truncate(tmp_path / file, 30)
    with pytest.raises(UserError, match=f"{file} must .* Delete the folder"):
        fill_here(tmp_path, must_not_fill)


def test_a_small_disk_is_refused_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(UserError, match=r"1\.43e-06 GB to spare. Got 1e-06 GB free. Free some space") as caught:
        fill_here(tmp_path)
    assert caught.value.exit_code == 1
    assert not list(tmp_path.glob("*.npy"))


def test_a_disk_that_is_full_at_allocation_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", no_space)
        with pytest.raises(UserError, match="Free some space") as caught:
            fill_here(tmp_path)
    assert caught.value.exit_code == 1
    assert not list(tmp_path.glob("*.npy"))
    assert_holds_content(fill_here(tmp_path))


def test_space_is_really_allocated(tmp_path: Path) -> None:
    with pytest.raises(FillFailed):
        ArrayStore.open_or_fill(
            tmp_path, arrays={"big": ((1024, 1024), np.uint8)}, rows=4, fill=fill_until(-1), chunk=1, description={}
        )
    assert (tmp_path / "big.npy").stat().st_blocks * 512 >= 4 * 2**20


@pytest.mark.parametrize(
    "wrong",
    [
        {"features": np.zeros((4, 3, 5), np.float32)},
        {"features": np.zeros((4, 3, 4), np.float32), "labels": np.zeros(4, np.int16)},
        {"features": np.zeros((4, 3, 5), np.float32), "labels": np.zeros(4, np.float64)},
    ],
)
def test_a_wrong_fill_is_not_journalled(tmp_path: Path, wrong: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="fill must return"):
        fill_here(tmp_path, lambda _rows: wrong)
    assert_holds_content(fill_here(tmp_path))
