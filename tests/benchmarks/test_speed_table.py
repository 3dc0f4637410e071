"""Every group of rows of the table of speeds, at a miniature size: does it run, and is there a table?"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import __main__ as command
from benchmarks.speed import decoder
from benchmarks.speed.clock import Spans
from benchmarks.speed.device_limit import DATASHEETS, limit_of
from benchmarks.speed.growth import growth_row
from benchmarks.speed.row import AimIs, Row, table
from benchmarks.speed.setting import Setting
from benchmarks.speed.traffic import traffic_of

ROOT = Path(__file__).parents[2]
IN_PROCESSES = ("start", "beside", "tests", "job", "training")  # of their own, each of which imports torch


def require_rows(rows: list[Row]) -> None:
    """Every row has a line of the table and can be written."""
    assert rows
    assert len(table(rows).splitlines()) >= 2 + len(rows)
    for row in rows:
        assert np.isfinite(row.ours)
        assert row.theirs is None or row.theirs > 0
        assert json.loads(json.dumps(row.as_json()))["met"] in (True, False, None)


@pytest.mark.parametrize("name", [name for name in command.GROUPS if name not in IN_PROCESSES and name != "runs"])
def test_a_group_runs(name: str, tmp_path: Path) -> None:
    require_rows(command.GROUPS[name].measure(Setting(tmp_path, tiny=True)))
