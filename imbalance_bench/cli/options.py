"""Options that several commands share."""

from pathlib import Path

import click

CACHE_OPTION = click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results/cache"),
    envvar="IMBALANCE_BENCH_CACHE",
    show_default=True,
    show_envvar=True,
    help="Tiles and frozen features, shared by all studies.",
)
