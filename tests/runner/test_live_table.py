"""The running table: what validation counted, by method, in a terminal and in plain lines."""

import io
import math

import pytest

from imbalance_bench.cli.live_table import LiveTable
from imbalance_bench.cli.progress import ProgressDisplay
from imbalance_bench.engines.base import RunOutcome, RunProgress
from imbalance_bench.terminal import Terminal

METHODS = {"r0": "focal", "r1": "focal", "r2": "dfa [b]"}


def told(table: LiveTable, run_id: str, *counts: tuple[int, int, int]) -> None:
    table.update(RunProgress(run_id, run_id, 10, 20, 0.5, counts))


def test_means_are_over_runs_and_leave_absent_classes_out() -> None:
    table = LiveTable(("stroma", "fat", "nerve"), METHODS)
    assert table.is_empty
    assert table.line("r0") == ""
    told(table, "r0", (8, 2, 2), (0, 0, 5), (0, 3, 0))
    told(table, "r0", (5, 5, 5), (0, 0, 5), (0, 3, 0))  # counted again: replaces
    told(table, "r1", (10, 0, 0), (5, 0, 0), (0, 0, 0))
    runs, values = table.means()["focal"]
    assert runs == 2
    assert values[:3] == pytest.approx([0.625, 0.75, 0.5])
    assert math.isnan(values[3])
    assert table.line("r1") == "focal, 2 runs, validation Dice: macro 0.625, stroma 0.750, fat 0.500"
    table.update(RunProgress("r2", "r2", 1, 20))  # nothing counted yet
    assert "dfa [b]" not in table.means()


@pytest.mark.parametrize("terminal", [True, False])
def test_the_display_shows_it(terminal: bool) -> None:
    file = io.StringIO()
    console = Terminal(file=file, force_terminal=terminal, width=120)
    table = LiveTable(("stroma", "fat"), METHODS)
    with ProgressDisplay(console, runs=3, unit_steps=20, table=table) as display:
        display.on_progress(RunProgress("r2", "dfa", 20, 20, 0.5, ((8, 2, 2), (1, 0, 0))))
        display.on_outcome(RunOutcome("r2", "dfa"))
    assert "dfa [b]" in file.getvalue()
    assert "0.800" in file.getvalue()
    assert "1/3 dfa: done" in file.getvalue()
