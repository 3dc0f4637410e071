"""`imbalance-bench data ...`: prepared data sets."""

from pathlib import Path

import click

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
def data() -> None:
    """Check and make prepared data sets."""


@data.command()
@click.argument("folder", type=FOLDER)
def check(folder: Path) -> None:
    """Decode every file of a prepared data set and count its classes; exit 1 if anything is wrong."""
    from imbalance_bench.printing import check_and_print

    if not check_and_print(folder):
        raise SystemExit(1)


@data.command()
@click.argument("dest", type=FOLDER)
@click.option("--preset", default="tissue", show_default=True, help="Planted classes and factors.")
@click.option("--seed", type=click.IntRange(min=0), help="Instead of the preset's.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True)
def phantom(dest: Path, preset: str, seed: int | None, workers: int) -> None:
    """Make synthetic tissue with known truth, as a prepared data set."""
    from imbalance_bench.quickstart import make_phantom

    click.echo(str(make_phantom(dest, preset=preset, seed=seed, workers=workers)))
