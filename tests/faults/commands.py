"""Commands in processes of their own, which a test can stop, kill and pause."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE_S = 300.0
# a shell starts background jobs with Ctrl-C ignored, and the tests may be one
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
{before}
from imbalance_bench.cli.start import start
start()
"""
ENDLESS = {"steps": 100_000, "validate_every": 100_000, "ledger_every": 100_000, "checkpoint_every": 100_000}


@contextmanager
def command(*words: object, before: str = "") -> Iterator[subprocess.Popen[str]]:
    """Start a command after some lines of code; it is killed at the end."""
    program = [sys.executable, "-c", PROGRAM.format(before=before), *map(str, words)]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()  # closes its pipes


def wait_until(holds: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
    """Wait for something, while a process lives."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def children_of(pid: int) -> list[int]:
    """Processes whose parent is `pid`, the tracker of resources left out."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            words = (path / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == pid and b"spawn_main" in words:
            found.append(int(path.name))
    return found
