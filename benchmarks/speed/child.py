"""Python in a process of its own, and what it cost."""

import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Child:
    """A process that ended well.

    Attributes:
        seconds: By the clock, from its start to its end.
        cpu_s: Of it and its children.
        told: Its standard output.
    """

    seconds: float
    cpu_s: float
    told: str


def run_python(*words: object) -> Child:
    """Run Python with these words.

    Raises:
        RuntimeError: It ended with another exit code than 0.
    """
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{words[:3]} ended with {done.returncode}: {done.stdout[-1000:]}{done.stderr[-2000:]}")
    return Child(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout)
