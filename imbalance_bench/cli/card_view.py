"""What `data describe` prints. No torch."""

import json
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from analysis.cards import Description, describe_dataset, write_cards
from analysis.cards.description import CardOptions
from imbalance_bench.cli.progress import ProgressDisplay
from imbalance_bench.preregistration import CONSTRUCTS, PRIMARY_MEASURES
from imbalance_bench.terminal import Terminal


def describe_and_print(folder: Path, out: Path | None, options: CardOptions, *, as_json: bool = False) -> None:
    """Describe a data set, write its cards and print the primary measures, or what describe.json holds."""
    console = Terminal(stderr=as_json)
    with ProgressDisplay(Terminal(stderr=True)) as display:
        described = describe_dataset(folder, options, on_progress=display.on_phase)
    target = out or Path("results/cards") / described.dataset.info.name
    index = write_cards(described, target)
    if as_json:
        click.echo(json.dumps(described.as_json(), indent=2))
    else:
        print_description(described, console)
    console.print(f"cards: {index}", highlight=False, soft_wrap=True)


def print_description(described: Description, console: Console) -> None:
    """Print the primary measures of every class, with intervals, and the nearest rivals."""
    table = Table(box=None, pad_edge=False)
    table.add_column("class", no_wrap=True)
    for construct in CONSTRUCTS:
        table.add_column(construct, justify="right", no_wrap=True)
    for name in described.class_names:
        rows = described.primary(name)
        table.add_row(name, *(_cell(rows[construct]) for construct in CONSTRUCTS))
    console.print(table, highlight=False)
    primary = ", ".join(f"{construct} {PRIMARY_MEASURES[construct]}" for construct in CONSTRUCTS)
    console.print(f"primary measures with 95 % intervals: {primary}", highlight=False, soft_wrap=True)
    rivals = {name: row["other"] for name in described.class_names if (row := described.rival(name))}
    pairs = ", ".join(f"{name} - {other}" for name, other in rivals.items())
    console.print(f"nearest rivals: {pairs or 'none'}", highlight=False, soft_wrap=True)
    if described.stores:
        console.print(
            f"context: features of {described.encoder} ({', '.join(described.stores)})", highlight=False, soft_wrap=True
        )
    if described.no_features:
        console.print(f"context: not measured: {described.no_features}", highlight=False, soft_wrap=True)
    if not described.dataset.info.groups_known:
        console.print("slides unknown: intervals treat images as independent", highlight=False)


def _cell(row: dict) -> str:
    if not np.isfinite(row["value"]):
        return "-"
    if not np.isfinite(row["low"]):
        return f"{row['value']:.3g}"
    return f"{row['value']:.3g}\n{row['low']:.2g}..{row['high']:.2g}"
