"""`score`: predictions that were made elsewhere through the same statistics."""

from pathlib import Path

import click

from imbalance_bench.cli.options import FILE, OUT_FOLDER


@click.command()
@click.argument("foreign", type=FILE)
@click.option("--out", type=OUT_FOLDER, help="Study directory.  [default: results/studies/NAME]")
@click.option("--dry-run", is_flag=True, help="Check every prediction, write nothing.")
def score(foreign: Path, out: Path | None, dry_run: bool) -> None:
    """Score predictions of other tools: FOREIGN is a YAML file that says where they are and what they mean.

    \b
    name: tools_on_glas
    dataset: {path: data/glas}                  # a prepared data set
    splits: {kind: published}                   # or grouped, or file
    labels: nnUNet_raw/Dataset501/dataset.json  # or {class name: value, ...}
    methods: [{label: nnunet, predictions: "nnunet/fold_{fold}/{image_id}.nii.gz"},
              {label: monai, predictions: "monai/seed_{seed}/{image_id}.png"}]
    analysis: {control: nnunet}

    Masks are grey or palette PNG, TIFF or NIfTI. Everything is checked before anything is written, and the same command
    resumes after an interruption. Then `analyze`, `report` and the others take the study directory as they take that
    of a `run`. docs/score.md explains every key.
    """  # noqa: D301 - \b is an instruction to click
    from imbalance_bench.cli.score_view import score_and_print

    score_and_print(foreign, out, dry_run=dry_run)
