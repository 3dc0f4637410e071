"""`imbalance-bench advise`: which methods are worth a try on a data set, and what speaks for them."""

from pathlib import Path

import click

from imbalance_bench.cli.options import JSON_OPTION

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("data", type=FOLDER)
@click.option("--split", type=click.Choice(["train", "val", "test"]), help="Measure this split only.")
@click.option("--evidence", multiple=True, type=FOLDER, metavar="STUDY", help="Finished studies, beside the project's.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes.  [default: every core]")
@JSON_OPTION
def advise(data: Path, split: str | None, evidence: tuple[Path, ...], workers: int | None, as_json: bool) -> None:
    """Suggest methods for DATA, a prepared data set, from how rare and how hard its classes are.

    Every suggestion names what of the data speaks for it, who published that, and what finished studies saw. It is a
    list to try, not a verdict: only a study on the data itself can give one.
    """
    from imbalance_bench.cli.advice_view import advise_and_print

    advise_and_print(data, split or "", evidence, workers, as_json=as_json)
