"""`imbalance-bench power`: what a study can show, before it is trained."""

from pathlib import Path
from typing import Any

import click

from imbalance_bench.cli.options import FILE, FOLDER, JSON_OPTION
from imbalance_bench.errors import UserError
from imbalance_bench.preregistration import PRIMARY_MEASURES

POINT = 0.01  # one point of Dice


def _sizes(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """Read a list such as 5,5,6."""
    if value is None:
        return None
    try:
        sizes = tuple(int(part) for part in value.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 2:
        raise click.BadParameter(f"must be classes per data set, 2 or more each, such as 5,5,6. Got '{value}'.")
    return sizes


@click.command()
@click.argument("study", required=False, type=FILE)
@click.option("--pilot", type=FOLDER, help="Finished study that the deviations come from.")
@click.option("--classes", callback=_sizes, metavar="K,K,...", help="Classes of each data set.")
@click.option(
    "--shared-names", type=click.IntRange(min=0), default=0, show_default=True, help="Names in all data sets."
)
@click.option("--slides", type=click.IntRange(min=1), help="Independent test slides or patients.")
@click.option("--folds", type=click.IntRange(min=1), help="Of cross-validation; each tests other slides.  [default: 1]")
@click.option("--seeds", type=click.IntRange(min=1), help="Seeds per method.")
@click.option("--methods", type=click.IntRange(min=1), help="Methods compared with their control, over all models.")
@click.option("--slide-sd", type=click.FloatRange(min=0), help="Of a difference over slides, points.  [default: 3]")
@click.option("--seed-sd", type=click.FloatRange(min=0), help="Of a difference over seeds, points.  [default: 1]")
@click.option("--noise-sd", type=click.FloatRange(min=0), help="Of slide and seed together, points.  [default: 0]")
@click.option("--fold-sd", type=click.FloatRange(min=0), help="Over folds, beyond their slides, points.  [default: 0]")
@click.option("--difference", type=click.FloatRange(min=0), default=2.0, show_default=True, help="True one, points.")
@click.option("--correlation", type=click.FloatRange(0, 1), default=0.8, show_default=True, help="Bias and difficulty.")
@click.option("--measure-reliability", type=click.FloatRange(0, 1), default=1.0, show_default=True)
@click.option(
    "--tests",
    type=click.IntRange(min=1),
    default=len(PRIMARY_MEASURES),
    show_default=True,
    help="Associations in one family.",
)
@click.option("--alpha", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="[default: 0.05]")
@click.option("--margin", type=click.FloatRange(min=0), help="Of equivalence, points.  [default: 1]")
@click.option("--simulations", type=click.IntRange(min=20), default=400, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the simulation.")
@JSON_OPTION
@click.option("--yaml", "as_yaml", is_flag=True, help="Print `analysis.power`, which puts it into a study's plan.")
def power(study: Path | None, pilot: Path | None, as_json: bool, as_yaml: bool, **options: Any) -> None:
    """Say what a study can show before it is trained: of a STUDY file, or of the sizes that are given.

    Prints the smallest difference between methods that survives Holm's correction, split into what slides, folds and
    seeds ask for; how often each verdict would be given, by simulating studies and judging them as `analyze` does; the
    cheapest way to a power of .8; and how many classes "rare or hard?" needs. `--yaml` prints what was supposed, and a
    hash of the result, for the study file: the plan then holds it, and `analyze` says where another study was run.
    """
    from imbalance_bench.cli.power_view import print_power

    print_power(study, pilot, options, form="json" if as_json else "yaml" if as_yaml else "")


def required(value: Any, option: str, study: Path | None) -> Any:
    """Return a value that a study file or an option must give.

    Raises:
        UserError: Neither does.
    """
    if value is None:
        where = f"{study} does not give it" if study else "there is no study file"
        raise UserError(f"power needs {option}: {where}. Give {option} N.")
    return value
