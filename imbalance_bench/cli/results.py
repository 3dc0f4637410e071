"""Commands on what a study left behind: prediction, comparison of studies, export."""

import json
import os
from pathlib import Path
from typing import Any

import click

from imbalance_bench.cli.options import CACHE_OPTION, FILE, FOLDER, JSON_OPTION, OUT_FILE, OUT_FOLDER, TRACKERS
from imbalance_bench.file_access import require_writable
from imbalance_bench.places import study_folder


@click.command()
@click.argument("run_dir", type=FOLDER)
@click.argument("images", nargs=-1, required=True, type=FILE)
@click.option("--out", type=OUT_FOLDER, required=True, help="Folder of masks, overlays, outlines and areas.csv.")
@click.option("--mpp", type=float, help="um per pixel of the images; overrides what their files state.")
@click.option("--overlap", type=click.IntRange(min=0), help="Pixels shared by tiles.  [default: as in the run]")
@click.option("--outlines/--no-outlines", default=True, show_default=True, help="GeoJSON that QuPath opens.")
@click.option("--palette", is_flag=True, help="Masks in the classes' colours, which many programs read as such.")
@click.option("--tissue/--no-tissue", default=True, show_default=True, help="Skip the glass of large slides.")
def predict(
    run_dir: Path,
    images: tuple[Path, ...],
    out: Path,
    mpp: float | None,
    overlap: int | None,
    outlines: bool,
    palette: bool,
    tissue: bool,
) -> None:
    """Predict new IMAGES, pictures or slides, with the model of a finished run.

    Of slides with more than 4,096 x 4,096 pixels glass is skipped, and the mask is a pyramidal OME-TIFF. A command that
    was interrupted resumes.
    """
    from imbalance_bench.cli.result_view import predict_and_print
    from imbalance_bench.inference.prediction import PredictionOptions

    predict_and_print(run_dir, images, out, PredictionOptions(mpp, overlap, outlines, palette, tissue))


@click.command()
@click.argument("study_dirs", nargs=-1, required=True, type=FOLDER)
@click.option(
    "--out", type=OUT_FOLDER, default=Path("results/comparison"), show_default=True, help="Tables and figure."
)
@click.option(
    "--classes-apart",
    is_flag=True,
    help="A name is another class in each data set: only for a series whose levels were dealt anew to each.",
)
def compare(study_dirs: tuple[Path, ...], out: Path, classes_apart: bool) -> None:
    """Put analysed studies side by side: scores, ranks over data sets, what the biases follow in all of them."""
    from imbalance_bench.cli.result_view import compare_and_print

    compare_and_print(study_dirs, out, classes_apart=classes_apart)


@click.command("compare-scores")
@click.argument("scores", type=FILE)
@click.option("--control", help="Method that the others are compared with.  [default: the first in the table]")
@click.option("--alpha", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.05, show_default=True)
@click.option("--margin", type=click.FloatRange(min=0), default=0.01, show_default=True, help="Of equivalence.")
@click.option("--score", default="Dice", show_default=True, help="Name of the score in sentences.")
@click.option("--points/--no-points", default=True, show_default=True, help="Write differences in hundredths.")
@click.option("--out", type=OUT_FOLDER, help="Folder of scores.csv, comparisons.csv and verdicts.json.")
@JSON_OPTION
def compare_scores(scores: Path, out: Path | None, as_json: bool, **plan: Any) -> None:
    """Compare methods by a table of SCORES that was computed anywhere: tables in, verdicts out.

    SCORES is a CSV file with the column `method`, the columns `image` or `group`, where there are several also `fold`,
    `seed` and `class`, and either `value` or `numerator` and `denominator`. `group` is the slide or patient.
    """
    from imbalance_bench.cli.result_view import compare_scores_and_print

    compare_scores_and_print(scores, plan, out, as_json=as_json)


@click.command()
@click.argument("study_dir", type=FOLDER)
@click.option("--out", type=OUT_FILE, help="The bundle.  [default: STUDY_DIR.records.zip]")
def export(study_dir: Path, out: Path | None) -> None:
    """Put the records of finished runs, those of tuning too, into one file to share: no paths, weights or images."""
    from imbalance_bench.bundle import SUFFIX, export_bundle
    from imbalance_bench.terminal import Terminal

    target = out or Path(os.path.normpath(study_dir.absolute()) + SUFFIX)
    require_writable(target)
    bundled = export_bundle(study_dir, target)
    Terminal().print(f"{bundled}: {target} ({target.stat().st_size / 2**20:.1f} MiB)", soft_wrap=True)


@click.command("import")
@click.argument("bundle", type=FILE)
@click.argument("study_dir", type=OUT_FOLDER)
def import_(bundle: Path, study_dir: Path) -> None:
    """Check a BUNDLE of `export` to the last byte and make STUDY_DIR of it, for `status`, `analyze` and `report`."""
    from imbalance_bench.bundle import import_bundle
    from imbalance_bench.terminal import Terminal

    bundled = import_bundle(bundle, study_dir)
    Terminal().print(f"{bundled}, every file as it was exported: {study_dir}", soft_wrap=True)
    Terminal().print(f"next: imbalance-bench analyze {study_dir} && imbalance-bench report {study_dir}", soft_wrap=True)


@click.command("import-official")
@click.argument("checkpoint", type=FILE)
@click.option("--config", "study", type=FILE, required=True, help="Study file, such as examples/paper_bcss.yaml.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a study key, repeatably.")
@click.option("--out", type=OUT_FOLDER, help="Study directory.  [default: results/studies/NAME]")
@click.option(
    "--class-order",
    metavar="NAME,NAME,...",
    help="Classes of the study in the order of the checkpoint's outputs.  [default: that of the study]",
)
@click.option("--method", help="Label of the run.  [default: the one with `token_layout: official_ignored`]")
@click.option("--seed", type=int, help="Of the run that it becomes.  [default: the study's first]")
@CACHE_OPTION
def import_official(
    checkpoint: Path, study: Path, overrides: tuple[str, ...], out: Path | None, class_order: str | None,
    method: str | None, seed: int | None, cache: Path,
) -> None:  # fmt: skip
    """Make a run record of a CHECKPOINT of the official code of Dynamic Focal Attention.

    The model is evaluated as a trained run of the study is: scores, interventions, path controls and dose curves. A
    checkpoint holds no names: --class-order says which class each of its outputs is, and the study takes that order.
    """
    from imbalance_bench.config import load_study
    from imbalance_bench.terminal import Terminal

    order = (
        []
        if class_order is None
        else [f"dataset.class_order={json.dumps([name.strip() for name in class_order.split(',')])}"]
    )
    config = load_study(study, [*overrides, *order])
    root = study_folder(config.name, out)
    require_writable(root)
    from imbalance_bench.official_import import import_checkpoint  # torch, once the study file is right

    console = Terminal()
    run_dir = import_checkpoint(checkpoint, config, root, cache, console, method=method, seed=seed)
    console.print(f"run: {run_dir}", highlight=False, soft_wrap=True)
    console.print(f"next: imbalance-bench predict {run_dir} IMAGES --out FOLDER", highlight=False, soft_wrap=True)


@click.command()
@click.argument("study_dir", type=FOLDER)
@click.option("--to", "target", type=click.Choice(TRACKERS), required=True, help="Of an extra.")
@click.option("--out", type=OUT_FOLDER, help="Folder of the export.  [default: STUDY_DIR/tracking/TARGET]")
@click.option("--follow", is_flag=True, help="Go on until every planned run is done.")
def track(study_dir: Path, target: str, out: Path | None, follow: bool) -> None:
    """Export losses, Dice, ledger, settings, cost and scores of the runs for TensorBoard, MLflow or W&B.

    What was exported of STUDY_DIR before is replaced. Runs that still train are exported as far as they are; --follow
    waits for the rest. `run --track` does the same while it trains.
    """
    from imbalance_bench.cli.tracking_view import track_and_print

    track_and_print(study_dir, target, out, follow=follow)


@click.command()
@click.argument("study_dir", type=FOLDER)
def repair(study_dir: Path) -> None:
    """Mend damaged runs of STUDY_DIR, and remove what killed writers left.

    A status is rebuilt from the other records; pictures and tables of an evaluation are made again by `run` from the
    trained model; a run that must be trained again is moved to STUDY_DIR/damaged. Runs in progress are left alone.
    """
    from imbalance_bench.cli.repair_view import repair_and_print

    repair_and_print(study_dir)
