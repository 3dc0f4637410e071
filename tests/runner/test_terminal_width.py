"""Tables in a terminal of 80 columns: nothing is cut, and nothing is wider."""

import io
import math

from rich.table import Table

from imbalance_bench.cli.live_table import LiveTable
from imbalance_bench.cli.progress import ProgressDisplay
from imbalance_bench.engines.base import RunProgress
from imbalance_bench.terminal import Terminal

CLASSES = [f"tissue compartment {k}" for k in range(12)]


def terminal(width: int = 80) -> tuple[Terminal, io.StringIO]:
    file = io.StringIO()
    return Terminal(file=file, width=width, force_terminal=True, color_system=None), file


def score_table() -> Table:
    table = Table("Dice per image", "macro", *CLASSES, box=None, pad_edge=False)
    for method in ("cross_entropy", "a_method_with_a_long_name"):
        table.add_row(method, "0.500", *(f"0.{k:03d}" for k in range(12)))
    return table


def test_columns_that_do_not_fit_go_below() -> None:
    console, file = terminal()
    console.print(score_table())
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    text = file.getvalue()
    for name in (*CLASSES, *(f"0.{k:03d}" for k in range(12))):
        assert name in text
    assert "…" not in text
    assert text.count("a_method_with_a_long_name") == text.count("Dice per image") > 1


def test_a_table_that_fits_or_holds_sentences_stays_whole() -> None:
    console, file = terminal(400)
    console.print(score_table())
    assert file.getvalue().count("Dice per image") == 1
    console, file = terminal()
    table = Table("name", "title", "needs", box=None, pad_edge=False)
    table.add_row("focal", "a sentence of many words that a terminal wraps, and that is not divided at all", "nothing")
    console.print(table)
    assert file.getvalue().count("focal") == 1


def test_runs_of_an_earlier_command_count() -> None:
    table = LiveTable(("stroma", "fat"), {"r0": "focal", "r1": "focal"})
    table.recall("r0", [[0.5, math.nan], [0.7, math.nan]])
    table.recall("r1", [])
    table.update(RunProgress("r1", "r1", 10, 20, 0.5, ((5, 5, 5), (1, 0, 0)), 10))
    runs, values = table.means()["focal"]
    assert runs == 2
    assert values[1:] == [0.6, 1.0]
    console, file = terminal()
    with ProgressDisplay(console, runs=1, unit_steps=1, table=table):  # drawn at once
        pass
    assert "0.600" in file.getvalue()
