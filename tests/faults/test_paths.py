"""Paths that cannot be read or written: one line, exit code 2, before anything is computed."""

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from imbalance_bench.cli.main import main
from imbalance_bench.errors import UserError
from imbalance_bench.file_access import refusal, require_writable
from imbalance_bench.training.checkpoint import save_checkpoint
from tests.small_study import write_study

NOBODY = 65534
Place = Callable[[Path], str]


def invoke(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def assert_one_line(result: Result, *fragments: str, code: int = 2) -> None:
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    errors = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert result.output.splitlines()[-1:] == errors, result.output
    assert result.exit_code == code
    for fragment in fragments:
        assert fragment in errors[0]


def file_as_folder(folder: Path) -> str:
    (folder / "file").write_text("x")
    return str(folder / "file" / "below")


def loop(folder: Path) -> str:
    (folder / "loop").symlink_to(folder / "loop")
    return str(folder / "loop" / "below")


PLACES: dict[str, Place] = {
    "file as folder": file_as_folder,
    "loop": loop,
    "too long": lambda folder: str(folder / ("x" * 300)),
    "proc": lambda _folder: "/proc/nothing",
    "NUL": lambda folder: f"{folder}/a\0b",
    "empty": lambda _folder: "",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "words",
    [
        ("run", "{study}", "--out", "{place}"),
        ("run", "{study}", "--cache", "{place}"),
        ("quickstart", "--out", "{place}"),
        ("status", "{place}"),
        ("analyze", "{place}"),
        ("report", "{place}"),
        ("plot", "{place}", "ranks"),
        ("predict", "{place}", "a.png", "--out", "p"),
        ("compare", "{place}"),
        ("compare-scores", "{place}"),
        ("export", "{place}"),
        ("import", "{study}", "{place}"),
        ("track", "{place}", "--to", "tensorboard"),
        ("power", "{place}"),
        ("explain", "{place}", "{place}"),
        ("methods", "focal", "--gradients", "--out", "{place}"),
        ("data", "check", "{place}"),
        ("data", "audit", "{place}"),
        ("data", "splits", "{place}"),
        ("data", "splits", "{dataset}", "--out", "{place}"),
        ("data", "audit", "{dataset}", "--out", "{place}"),
        ("data", "prepare", "folder", "{place}", "new"),
        ("data", "prepare", "folder", "{dataset}", "{place}"),
        ("data", "phantom", "{place}"),
        ("data", "describe", "{place}"),
    ],
    ids=lambda words: " ".join(words),
)
def test_every_path_of_every_command(
    tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    study = write_study(tmp_path / "study.yaml", dataset)
    before = sorted(tmp_path.rglob("*"))
    where = PLACES[place](tmp_path)
    made = {tmp_path / "file", tmp_path / "loop"}
    found = invoke(*(word.format(study=study, dataset=dataset, place=where) for word in words))
    assert_one_line(found)
    assert {*tmp_path.rglob("*")} - made <= {*before}, "nothing was begun"


@contextmanager
def nobody() -> Iterator[None]:
    """Be a user who owns nothing; root may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def closed(folder: Path) -> None:
    folder.chmod(0o555)
    for above in folder.parents:  # pytest makes folders that only their user may enter
        if above.stat().st_uid == os.getuid() and above.is_relative_to("/tmp") and above != Path("/tmp"):
            above.chmod(above.stat().st_mode | 0o055)


def test_a_folder_without_permission(tmp_path: Path) -> None:
    closed(tmp_path)
    with nobody(), pytest.raises(UserError, match=r"is denied to this user\. Change its permissions"):
        require_writable(tmp_path / "new" / "out")
    tmp_path.chmod(0o755)
    require_writable(tmp_path / "new" / "out")
    assert list(tmp_path.iterdir()) == []


def test_records_without_permission_are_not_called_damaged(finished_study: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    shutil.copytree(finished_study, study)
    (study / "plan.json").chmod(0)
    closed(study)
    with nobody():
        found = invoke("status", study)
    study.chmod(0o755)
    assert_one_line(found, "plan.json is denied to this user")


@pytest.mark.parametrize(
    "number", [errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT]
)
def test_what_appears_while_a_command_runs(finished_study: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "/somewhere/out")

    monkeypatch.setattr("imbalance_bench.cli.study_view.print_status", refuse)
    assert_one_line(invoke("status", finished_study), "/somewhere/out ")


def test_a_full_disk_is_a_failure_and_not_a_mistake() -> None:
    found = refusal(OSError(errno.ENOSPC, "full", "/somewhere"))
    assert found is not None
    assert found.exit_code == 1
    assert "no space left" in str(found)


def test_errors_about_no_path_keep_their_traceback() -> None:
    assert refusal(OSError(errno.ECONNREFUSED, "refused")) is None
    assert refusal(OSError(errno.EACCES, "denied")) is None


def test_square_brackets_and_escapes_in_paths_are_text(tmp_path: Path, dataset: Path) -> None:
    study, out = write_study(tmp_path / "study.yaml", dataset), tmp_path / "out[/b]\x1b[31mx"
    found = invoke("run", study, "--out", out, "--cache", tmp_path / "cache", "--dry-run")
    assert found.exit_code == 0, found.output
    assert "\x1b" not in found.output
    told = "".join(found.output.split())  # the table wraps
    assert "out[/b]\\x1b[31mx" in told


def test_a_wrong_study_file_is_answered_without_torch(tmp_path: Path, dataset: Path) -> None:
    study = write_study(tmp_path / "study.yaml", dataset)
    code = (
        "import sys; from imbalance_bench.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules, 'pandas' in sys.modules)\n"
    )
    of_methods = ("methods=[sesaw]", "methods=[{name: blob_loss, edg: 1}]", "methods=[{name: focal, gamma: -1}]")
    wrong = ("training.stepz=1", *of_methods, "seeds=[-1]", "analysis.control=x", "name=a b", "dataset.path=/nowhere")
    for override in wrong:
        words = [sys.executable, "-c", code, "run", str(study), "--set", override]
        found = subprocess.run(words, capture_output=True, text=True, check=False)
        assert found.stdout == "2 False False\n", (override, found)


def test_a_full_disk_under_a_writer_that_hides_it(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))
    try:
        with pytest.raises(UserError, match=r"checkpoint\.pt: no space left"):
            save_checkpoint(tmp_path, {"step": 3, "weights": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []
