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


def validated(table: LiveTable, run_id: str, *dice_of_fat: int, start: int = 0) -> list[str]:
    """Tell of validations, each several times as a run does; Dice of fat in per cent."""
    lines = []
    for number, percent in enumerate(dice_of_fat, start=start):
        counts = ((90, 10, 10), (percent, 100 - percent, 100 - percent))
        for step in (100 * number, 100 * number + 1):
            progress = RunProgress(run_id, f"{run_id} label", step, 900, 0.5, counts, 100 * number)
            lines += table.update(progress)
    return lines


def test_a_class_that_rises_and_dies_is_told_once_and_marked() -> None:
    table = LiveTable(("stroma", "fat"), METHODS)
    assert validated(table, "r0", 10, 40, 9) == []  # one bad moment
    assert validated(table, "r0", 9, start=3) == [
        "r0 label: class fat died: its validation Dice is 0.090 and was 0.400"
    ]  # counted alike twice
    assert validated(table, "r0", 5, start=4) == []
    assert validated(table, "r1", 30, 30, 30) == []
    assert table.line("r0") == "focal, 2 runs, validation Dice: macro 0.537, stroma 0.900, fat 0.175 died in 1"
    assert validated(table, "r0", 30, start=5) == []  # it came back
    assert "died" not in table.line("r0")
    assert len(validated(table, "r0", 1, 1, start=6)) == 1  # and died again


def test_what_was_never_learned_does_not_die() -> None:
    table = LiveTable(("stroma", "fat"), METHODS)
    assert validated(table, "r0", 19, 19, 0, 0, 0) == []
    assert validated(table, "r1", 40, 10, 10) == []  # a quarter is not below a quarter


def test_the_display_prints_the_alarm() -> None:
    file = io.StringIO()
    table = LiveTable(("stroma", "fat"), METHODS)
    with ProgressDisplay(Terminal(file=file, width=120), runs=3, unit_steps=20, table=table) as display:
        for step, percent in ((5, 50), (10, 4), (15, 3)):
            counts = ((9, 1, 1), (percent, 100 - percent, 100 - percent))
            display.on_progress(RunProgress("r2", "dfa fold 0 seed 0", step, 20, 0.5, counts, step))
    assert file.getvalue().count("dfa fold 0 seed 0: class fat died") == 1


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
