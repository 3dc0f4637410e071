"""`imbalance-bench data ...`: prepared data sets."""

from pathlib import Path

import click

from imbalance_bench.cli.options import ANY, CACHE_READ_OPTION, FILE, FOLDER, JSON_OPTION, OUT_FILE, OUT_FOLDER


@click.group()
def data() -> None:
    """Check and make prepared data sets."""


@data.command()
@click.argument("folder", type=FOLDER)
def check(folder: Path) -> None:
    """Decode every file of a prepared data set and count its classes; exit 1 if anything is wrong."""
    from imbalance_bench.cli.study_view import check_and_print

    if not check_and_print(folder):
        raise SystemExit(1)


@data.command()
@click.argument("source", type=ANY)
@click.option("--group-regex", metavar="RE", help="Group in each image id: the first parenthesis.")
@click.option("--site-regex", metavar="RE", help="Site in each image id.  [default: TCGA's]")
@click.option("--tile-px", type=click.IntRange(min=1), help="Edge of the tiles that a split file lists.")
@click.option("--out", type=OUT_FILE, help="Write the findings there, as JSON.")
@JSON_OPTION
def audit(
    source: Path,
    group_regex: str | None,
    site_regex: str | None,
    tile_px: int | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Look for leakage in a prepared data set or a CSV of splits; exit 1 if there is any."""
    from imbalance_bench.cli.data_view import audit_and_print
    from imbalance_bench.data.audit import AuditOptions

    if not audit_and_print(source, AuditOptions(group_regex, site_regex, tile_px), out, as_json=as_json):
        raise SystemExit(1)


@data.command()
@click.argument("name")
@click.argument("source", type=FOLDER)
@click.argument("dest", type=OUT_FOLDER)
@click.option("--config", type=FILE, help="Classes and names, for `folder` and `sampath`.")
@click.option("--group-regex", metavar="RE", help="Patient or slide in each image id: the first parenthesis.")
@click.option("--splits", type=FILE, help="Split file, for `sampath`.  [default: SOURCE/cv.csv]")
@click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: every core]")
@click.option("--overwrite", is_flag=True, help="Replace DEST where it is a prepared data set.")
def prepare(
    name: str,
    source: Path,
    dest: Path,
    config: Path | None,
    group_regex: str | None,
    splits: Path | None,
    workers: int | None,
    overwrite: bool,
) -> None:
    """Convert the public data set NAME, or any folder; resumes where an interrupted call stopped.

    NAME is bcss, bdsa, consep, crag, glas, pannuke, sampath or folder; docs/datasets/NAME.md shows the layout.
    """
    from imbalance_bench.cli.data_view import prepare_and_print
    from imbalance_bench.data.converters.source import PrepareOptions

    prepare_and_print(name, source, dest, PrepareOptions(config, group_regex, splits), workers, overwrite=overwrite)


@data.command()
@click.argument("folder", type=FOLDER)
@click.option("--folds", type=click.IntRange(min=1), default=5, show_default=True, help="Each group is tested once.")
@click.option("--repeats", type=click.IntRange(min=1), default=1, show_default=True, help="Divisions to draw.")
@click.option("--test-fraction", type=float, help="Share of the images to test, with --folds 1.")
@click.option("--validation-fraction", type=float, default=0.15, show_default=True, help="Share of the rest.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--from", "split_file", type=FILE, help="Read a cv.csv or a JSON of splits instead of drawing.")
@click.option("--rotate", is_flag=True, help="With --from cv.csv: let every fold validate once.")
@click.option("--out", type=OUT_FILE, help="Write the splits there, as JSON with their hash.")
def splits(
    folder: Path,
    folds: int,
    repeats: int,
    test_fraction: float | None,
    validation_fraction: float,
    seed: int,
    split_file: Path | None,
    rotate: bool,
    out: Path | None,
) -> None:
    """Draw splits by group, or import them, and show how evenly they share out the classes."""
    from imbalance_bench.cli.data_view import SplitRequest, split_and_print

    request = SplitRequest(folds, repeats, test_fraction, validation_fraction, seed, split_file, rotate)
    split_and_print(folder, request, out)


@data.command()
@click.argument("folder", type=FOLDER)
@click.option("--out", type=OUT_FOLDER, help="Folder of the cards.  [default: results/cards/NAME]")
@click.option("--split", type=click.Choice(["train", "val", "test"]), help="Measure this split only.")
@click.option(
    "--encoder",
    metavar="NAME",
    help="Whose features to use, where the cache holds several kinds; also the name of a store.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: every core]")
@CACHE_READ_OPTION
@JSON_OPTION
def describe(
    folder: Path,
    out: Path | None,
    split: str | None,
    encoder: str | None,
    workers: int | None,
    cache: Path,
    as_json: bool,
) -> None:
    """Measure how rare and how hard each class is, and write a card per class."""
    from analysis.cards.description import CardOptions
    from imbalance_bench.cli.card_view import describe_and_print

    options = CardOptions(split=split or "", cache_dir=cache, encoder=encoder, workers=workers)
    describe_and_print(folder, out, options, as_json=as_json)


@data.command()
@click.argument("dest", type=OUT_FOLDER)
@click.option("--preset", help="Planted classes and factors: tissue or organ.  [default: tissue]")
@click.option("--design", help="A series of data sets instead: latin (5), wide (10), steep (5) or factorial (40).")
@click.option("--seed", type=click.IntRange(min=0), help="Instead of the preset's, or 0.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True)
def phantom(dest: Path, preset: str | None, design: str | None, seed: int | None, workers: int) -> None:
    """Make synthetic tissue with known truth, as a prepared data set.

    With --design, a series in which every class carries every level of every factor, so that frequency and difficulty
    are uncorrelated; resumes where an interrupted call stopped.
    """
    if design is not None:
        from imbalance_bench.cli.data_view import series_and_print

        if preset is not None:
            raise click.UsageError("--design brings its own preset. Leave --preset out.")
        series_and_print(design, dest, seed or 0, workers)
        return
    from imbalance_bench.quickstart import make_phantom

    click.echo(str(make_phantom(dest, preset=preset or "tissue", seed=seed, workers=workers)))
