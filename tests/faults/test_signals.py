"""Signals: a checkpoint of the very step, the exit code of a shell, one line, and nothing of a traceback."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from imbalance_bench.cli.main import main
from imbalance_bench.engines.process import GRACE_S
from imbalance_bench.interruption import Interrupted, asked_to_stop, at_safe_points, stop_if_asked, stop_signals
from imbalance_bench.manifest import sweep_temporaries
from imbalance_bench.records import StudyRecords
from tests.faults.commands import ENDLESS, PATIENCE_S, children_of, command, wait_until
from tests.small_study import write_study


@pytest.mark.parametrize(
    ("engine", "number", "code", "line"),
    [
        ("serial", signal.SIGTERM, 143, "Error: Stopped by SIGTERM. Run the same command again to resume."),
        ("process", signal.SIGUSR1, 138, "Error: Stopped by SIGUSR1. Run the same command again to resume."),
    ],
)
def test_a_signal_saves_a_checkpoint_of_the_step_in_progress(
    tmp_path: Path, dataset: Path, shared_cache: Path, engine: str, number: int, code: int, line: str
) -> None:
    training = ENDLESS | {"checkpoint_every": 20}
    study = write_study(tmp_path / "study.yaml", dataset, training=training, methods=["cross_entropy"])
    out = tmp_path / "out"
    words = ("run", study, "--out", out, "--cache", shared_cache, "--engine", engine, "--workers", 2)
    with command(*words) as process:
        wait_until(lambda: list(out.glob("runs/*/checkpoint.pt")), process)
        sent = time.time()
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code
    assert errors.strip() == line
    run = next(StudyRecords(out).runs())
    assert (run.path / "checkpoint.pt").stat().st_mtime > sent
    assert run.status()["state"] == "running"
    assert "interrupted" in CliRunner().invoke(main, ["status", str(out)]).output


def process_trains(out: Path) -> bool:
    """True once a run says that it trains; its first step follows within moments."""
    return any(run.status() for run in StudyRecords(out).runs())


def test_a_stopped_worker_does_not_hold_up_the_end(tmp_path: Path, dataset: Path, shared_cache: Path) -> None:
    study, out = (
        write_study(tmp_path / "study.yaml", dataset, training=ENDLESS | {"checkpoint_every": 20}),
        tmp_path / "out",
    )
    with command("run", study, "--out", out, "--cache", shared_cache, "--engine", "process", "--workers", 2) as process:
        wait_until(lambda: len(list(out.glob("runs/*/checkpoint.pt"))) == 2, process)
        for worker in children_of(process.pid):
            os.kill(worker, signal.SIGSTOP)
        sent = time.time()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=GRACE_S - 5)  # a worker that sleeps on would be killed after it
    assert process.returncode == 130
    assert all(path.stat().st_mtime > sent for path in out.glob("runs/*/checkpoint.pt"))


@pytest.mark.parametrize("moment_s", [0.1, 0.4, 1.0])
def test_ctrl_c_during_imports_prints_one_line(tmp_path: Path, moment_s: float) -> None:
    program = (
        "import os, signal, threading; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from imbalance_bench.cli.start import start\n"
        f"threading.Timer({moment_s}, os.kill, (os.getpid(), signal.SIGINT)).start(); start()"
    )
    words = ["run", str(tmp_path / "nothing.yaml")]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    if done.returncode == 2:
        pytest.skip("the command had ended before the signal")
    assert done.returncode == 130, done.stderr
    assert done.stderr.splitlines() == ["Error: Interrupted. Run the same command again to resume."]


@pytest.fixture
def heeded_interrupts() -> Iterator[None]:
    """A shell's background job, which the tests may be, ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded_interrupts")
def test_a_signal_waits_for_a_safe_point_and_a_second_ctrl_c_does_not() -> None:
    with stop_signals():
        with at_safe_points():
            os.kill(os.getpid(), signal.SIGTERM)
            assert asked_to_stop()
            with pytest.raises(Interrupted) as stopped:
                stop_if_asked()
            assert stopped.value.exit_code == 143
            os.kill(os.getpid(), signal.SIGTERM)  # a scheduler repeats itself
            with pytest.raises(Interrupted):
                os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGTERM)
    assert not asked_to_stop()


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stop_signals():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_killed_writers_left_is_swept(tmp_path: Path) -> None:
    left = [tmp_path / ".checkpoint.pt.4711.0123abcd", tmp_path / ".plan.json.1.00000000"]
    kept = [tmp_path / name for name in ("checkpoint.pt", ".lock", ".mine", ".checkpoint.pt.4711.0123abcd.old")]
    for path in (*left, *kept):
        path.write_text("x")
    assert sorted(sweep_temporaries(tmp_path, idle_s=60)) == []
    assert sorted(sweep_temporaries(tmp_path)) == sorted(left)
    assert all(path.exists() for path in kept)


def test_a_resumed_run_sweeps_its_folder(tmp_path: Path, dataset: Path, shared_cache: Path) -> None:
    study = write_study(tmp_path / "study.yaml", dataset, methods=["cross_entropy"], training=ENDLESS)
    out = tmp_path / "out"
    words = ("run", study, "--out", out, "--cache", shared_cache, "--engine", "serial")
    with command(*words) as process:
        wait_until(lambda: process_trains(out), process)
        process.kill()
        process.wait()
    torn = next(StudyRecords(out).runs()).path / ".checkpoint.pt.1.0123abcd"
    torn.write_bytes(b"half")
    with command(*words) as process:
        wait_until(lambda: not torn.exists(), process)
    plan = json.loads((out / "plan.json").read_text())
    assert len(plan["runs"]) == 1


def test_a_signal_keeps_its_number_where_a_library_raises_its_own_exception() -> None:
    @stop_signals()
    def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except Interrupted:
            raise KeyboardInterrupt from None  # as Ray does

    with pytest.raises(Interrupted) as stopped:
        work()
    assert stopped.value.exit_code == 128 + signal.SIGTERM
