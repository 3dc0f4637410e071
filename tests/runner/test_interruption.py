"""Ctrl-C while runs train: one line, exit code 130, and a study that resumes."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from imbalance_bench.cli.main import main
from imbalance_bench.records import StudyRecords
from tests.small_study import write_study

PATIENCE_S = 180.0
# a shell starts background jobs with Ctrl-C ignored, and the tests may be one
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from imbalance_bench.cli.main import main
main()
"""


def wait_for_a_checkpoint(out: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not list(out.glob("runs/*/checkpoint.pt")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no run has saved a checkpoint"
        time.sleep(0.1)


@pytest.mark.parametrize("engine", ["serial", "process"])
def test_ctrl_c_leaves_a_resumable_study(tmp_path: Path, dataset: Path, shared_cache: Path, engine: str) -> None:
    study = write_study(tmp_path / "study.yaml", dataset, training={"steps": 100_000, "validate_every": 100_000})
    out = tmp_path / "out"
    words = ["run", str(study), "--out", str(out), "--cache", str(shared_cache), "--engine", engine, "--workers", "2"]
    program = [sys.executable, "-c", PROGRAM, *words]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for_a_checkpoint(out, process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert process.returncode == 130
    assert errors.strip() == "Error: Interrupted. Run the same command again to resume."
    started = [run for run in StudyRecords.open(out).runs() if run.status()]
    assert started
    assert all(run.status()["state"] == "running" for run in started)
    assert "interrupted" in CliRunner().invoke(main, ["status", str(out)]).output
