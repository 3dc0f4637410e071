"""`imbalance-bench init`: from a folder to files that run."""

from pathlib import Path

import click

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("data", type=FOLDER)
@click.option("--out", type=FOLDER, help="Folder of the files.  [default: NAME-study]")
@click.option(
    "--classes", metavar="NAMES", help="Names of the labels: a,b,c in their order, or 0=a,1=b,255=unlabelled."
)
@click.option("--mpp", type=float, metavar="UM", help="Micrometres per pixel, if the files do not state them.")
@click.option("--group-regex", metavar="RE", help="Patient or slide in each image id: the first parenthesis.")
@click.option("--weights", metavar="FILE", help="Of the encoder: a local file, imagenet, or none.")
@click.option("--yes", is_flag=True, help="Ask nothing; what is unknown is reported and left so.")
def init(
    data: Path,
    out: Path | None,
    classes: str | None,
    mpp: float | None,
    group_regex: str | None,
    weights: str | None,
    yes: bool,
) -> None:
    """Look at DATA, a folder of images and masks or a prepared data set, and write a study that runs.

    Writes layout.yaml (for `data prepare folder`; not for a prepared data set) and study.yaml, says what the data can
    and cannot show, and names the next commands. DATA is not changed. In a terminal it asks what it cannot know.
    """
    from imbalance_bench.cli.init_view import InitOptions, init_and_print

    init_and_print(data, InitOptions(out, classes, mpp, group_regex, weights, yes))
