"""The command that explains tables which were made elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from analysis.explain import Explained

from imbalance_bench.cli.options import FILE, JSON_OPTION, OUT_FOLDER

NUMBERS = ("fold", "seed", "value", "start", "standard_error", "reliability", "n")


@click.command()
@click.argument("quantities", type=FILE)
@click.argument("measures", type=FILE)
@click.option("--hypothesis", "hypotheses", multiple=True, help="Construct to test first; several: in this order.")
@click.option("--alpha", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.05, show_default=True)
@click.option("--out", type=OUT_FOLDER, help="Folder of the tables and verdicts.json.")
@JSON_OPTION
def explain(quantities: Path, measures: Path, out: Path | None, as_json: bool, **plan: Any) -> None:
    """Say what QUANTITIES that were learned of classes follow: MEASURES of how rare and how hard the classes are.

    QUANTITIES is a CSV file with the columns `data_set`, `method`, `class`, `value` and, where there is more to say,
    `model`, `fold`, `seed`, `family`, `quantity`, `start`, `start_name`. MEASURES has `data_set`, `class`, `measure`,
    `value` and `construct`, `standard_error`, `reliability`, `n`, `primary`.
    """
    from analysis.explain import explain as explain_tables
    from imbalance_bench.csv_cells import read_frame

    explained = explain_tables(read_frame(quantities, NUMBERS), read_frame(measures, NUMBERS), plan)
    if as_json:
        click.echo(json.dumps([verdict.as_json() for verdict in explained.verdicts], indent=2))
    else:
        _print(explained)
    if out is not None:
        _write(explained, out)


def _print(explained: Explained) -> None:
    """Print the headlines, then the other verdicts, one line each."""
    from imbalance_bench.terminal import Terminal

    console = Terminal()
    first = [verdict for verdict in explained.verdicts if verdict.topic == "explanation"]
    for verdict in (*first, *(verdict for verdict in explained.verdicts if verdict not in first)):
        style = "bold" if verdict in first else None
        word = verdict.word.replace("_", " ")
        console.print(f"{word:>13}  {verdict.sentence}", style=style, highlight=False, soft_wrap=True)


def _write(explained: Explained, out: Path) -> None:
    from analysis.schema.files import write_table
    from imbalance_bench.manifest import write_json

    out.mkdir(parents=True, exist_ok=True)
    for name, frame in explained.tables.items():
        write_table(out, name, frame)
    write_json(out / "verdicts.json", {"verdicts": [verdict.as_json() for verdict in explained.verdicts]})
