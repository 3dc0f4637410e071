"""A pool of processes ends with the command that started it, however that ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
import os, sys, time
from pathlib import Path
from imbalance_bench.worker_pool import worker_pool

def note(path):
    Path(path, str(os.getpid())).touch()
    time.sleep(0.2)

if __name__ == "__main__":
    with worker_pool(2) as pool:
        list(pool.map(note, [sys.argv[1]] * 10_000))
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_the_command(tmp_path: Path, signal_number: int) -> None:
    program, noted = tmp_path / "program.py", tmp_path / "noted"
    program.write_text(PROGRAM)
    noted.mkdir()
    command = subprocess.Popen([sys.executable, str(program), str(noted)], env={**os.environ, "PYTHONPATH": "."})
    deadline = time.monotonic() + 60
    while len(list(noted.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = [int(path.name) for path in noted.iterdir()]
    assert len(workers) == 2
    command.send_signal(signal_number)
    command.wait(timeout=60)
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(alive, workers))
