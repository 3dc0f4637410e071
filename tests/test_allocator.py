"""The allocator: blocks that are freed are used again, unless the environment says otherwise."""

import platform
import subprocess
import sys

import pytest

from imbalance_bench.allocator import SWITCH

PROGRAM = """
import resource
import numpy as np
from imbalance_bench.allocator import keep_freed_memory
kept = keep_freed_memory()
def work(rounds):
    for _ in range(rounds):
        a = np.ones(8 * 2**20); b = a + 1  # 64 MiB each, above glibc's largest threshold
        del a, b
work(2)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work(10)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(**environment: str) -> tuple[str, int]:
    """Return whether memory is kept, and the page faults of ten rounds."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PYTHONPATH": ".", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    kept, count = done.stdout.split()
    return kept, int(count)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_blocks_cause_no_page_faults_again() -> None:
    kept, few = faults()
    left, many = faults(**{SWITCH: "system"})
    assert (kept, left) == ("True", "False")
    assert few < many / 20
