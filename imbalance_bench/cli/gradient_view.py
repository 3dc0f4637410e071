"""The gradient view for people: a table in the terminal, and a file on request."""

from pathlib import Path

import click
import pandas as pd
from rich.table import Table

from imbalance_bench.csv_cells import csv_text
from imbalance_bench.errors import UserError
from imbalance_bench.gradient_view import CLASSES, REFERENCE, STEPS, fixed_batch, gradient_table, methods_elsewhere
from imbalance_bench.manifest import write_atomically
from imbalance_bench.method_lookup import method_named
from imbalance_bench.terminal import Terminal

PICTURES = (".svg", ".pdf", ".png")


def print_gradients(name: str | None, out: Path | None) -> None:
    """Print the gradient of every method or of one, beside cross-entropy, and write it to a file.

    Raises:
        UserError: The method is unknown or leaves the loss alone, or the file has another suffix.
    """
    if out is not None and out.suffix.lower() not in (".csv", *PICTURES):
        raise UserError(
            f"The gradient view must be one of .csv, {', '.join(PICTURES)}. Got '{out}'. Change the suffix."
        )
    gradients = gradient_table(None if name is None else {name: method_named(name)})
    if name is not None and name not in set(gradients["method"]):
        raise UserError(f"Method '{name}' leaves the loss alone, so that its gradient is that of {REFERENCE}.")
    _print_table(gradients)
    if name is None:
        click.echo(f"without a loss of their own: {', '.join(methods_elsewhere())}")
    if out is not None:
        _write(gradients, out)
        click.echo(f"wrote {out}")


def _print_table(gradients: pd.DataFrame) -> None:
    console = Terminal()
    dice = fixed_batch().feedback.dice.tolist()
    table = Table("method", *(c.name for c in CLASSES), "all", box=None, pad_edge=False)
    table.add_row("share of pixels", *(f"{c.share:.0%}" for c in CLASSES), "", style="dim")
    table.add_row("Dice of the batch", *(f"{value:.2f}" for value in dice), "", style="dim")
    for method, rows in gradients.groupby("method", sort=False):
        factors = [f"{value:.2f}" for value in rows["relative_share"]]
        table.add_row(str(method), *factors, f"{rows['relative_total'].iloc[0]:.2f}")
    console.print(table, highlight=False)
    console.print(
        "Each class's share of the gradient, times its share under cross-entropy + Dice; last, the whole gradient, "
        f"times the same. One synthetic batch (seed 0), step {STEPS} of {STEPS}, default options.",
        style="dim",
        highlight=False,
    )


def _write(gradients: pd.DataFrame, out: Path) -> None:
    if out.suffix.lower() == ".csv":
        content = csv_text(gradients).encode()
        write_atomically(out, lambda file: file.write(content))
        return
    from analysis.plots.gradients import draw_gradients
    from analysis.plots.style import figure_style, save

    with figure_style():
        figure = draw_gradients(gradients)
    save(figure, out)
