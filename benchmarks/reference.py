"""The studies whose results are committed: how each is made, and whether it can still be reprinted.

    python -m benchmarks.reference list
    python -m benchmarks.reference make NAME --data PREPARED [--weights FILE] [--out DIR] [--workers N]
    python -m benchmarks.reference update [NAME ...]      analyse the committed records anew, write tables and figures
    python -m benchmarks.reference check [NAME ...]       the same, but compare; exit code 1 where something differs
    python -m benchmarks.reference admit BUNDLE           is a record bundle comparable with a committed study?

`make` prints the plan, its cost and what the design can show, trains what is missing, analyses, and copies the records
(without weights, images and paths), tables and figures into `results/reference/NAME`; then it prints how many seeds the
margin needs, given how far differences vary. What is taken from images, such as measures of difficulty, is computed
where the images are, and kept. The data is not part of the project: docs/datasets says how each is prepared.
"""

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.pipeline import analyze_study
from analysis.plots import NotDrawableError, draw
from analysis.schema.files import csv_text, read_table, write_table
from benchmarks.command import end_with
from benchmarks.reference_records import copy_records
from imbalance_bench.bundle import import_bundle
from imbalance_bench.cli.power_view import print_power
from imbalance_bench.config import StudyConfig, load_study
from imbalance_bench.errors import UserError, nearest
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.preregistration import PRIMARY_MEASURES
from imbalance_bench.records import StudyRecords

ROOT = Path(__file__).parents[1]
CONTROL = "cross_entropy"
COMMITTED = ROOT / "results" / "reference"
ANSWERS = Path("answers")  # `report` writes folders named tables and figures beside the records, which git ignores
TABLES = ("method_scores", "comparisons", "practical_differences", "rankings", "path_controls", "interventions")
OF_IMAGES = ("measures", "associations", "partial_associations")  # rest on the images, so that `update` keeps them
FIGURES = ("class_dice", "paired_differences", "path_controls", "bias_vs_difficulty")
EIGHT_SEEDS = "seeds=[0,1,2,3,4,5,6,7]"
LIVE = "model.decoder=tied_detail"
METHODS = "methods=[cross_entropy,inverse_sqrt,focal,cdb,dfa,{name: dfa, label: dfa_cold, prior: none}]"
POWER: dict[str, Any] = {
    **{
        "difference": 1.0,
        "correlation": 0.8,
        "measure_reliability": 1.0,
        "tests": len(PRIMARY_MEASURES),
        "shared_names": 0,
    },
    **{"simulations": 400, "seed": 0},
}
"""What `power` supposes: its defaults, and a true difference of the margin."""


@dataclass(frozen=True)
class ReferenceStudy:
    """A study whose results are committed.

    Attributes:
        file: Study file, from the root.
        data: Data set, as in docs/datasets.
        about: What it is, in a few words.
        core_minutes: Estimated processor time.
        overrides: `key=value` on top of the file.
    """

    file: str
    data: str
    about: str
    core_minutes: int
    overrides: tuple[str, ...] = ()

    def config(self, name: str, data: Path, weights: str) -> StudyConfig:
        """Return the study on prepared data, with local weights or those of a name; in float32 on a GPU too."""
        own = ["training.precision=float32", f"name={name}", f"dataset.path={data}", f"model.encoder_weights={weights}"]
        return load_study(ROOT / self.file, [*self.overrides, *own])


STUDIES: dict[str, ReferenceStudy] = {
    "consep": ReferenceStudy(
        "examples/consep.yaml",
        "consep",
        "five merged classes, published split, frozen encoder, six methods, eight seeds",
        200,
        (EIGHT_SEEDS, LIVE, METHODS),
    ),
    "consep_tuned": ReferenceStudy(
        "examples/consep.yaml",
        "consep",
        "the same, after four trials of every method on validation images",
        400,
        (EIGHT_SEEDS, LIVE, METHODS, "tuning={trials: 4, seeds: [100, 101], draws: sobol}"),
    ),
    "glas": ReferenceStudy(
        "examples/glas.yaml", "glas", "three classes, 16 patients in four grouped folds, frozen encoder, six seeds", 200
    ),
    # five methods x four trials x four folds with one seed, 80 short runs beside the 120 of `glas`
    "glas_tuned": ReferenceStudy(
        "examples/glas.yaml",
        "glas",
        "the same, after four trials of every method on the validation images of each fold",
        290,
        ("tuning={trials: 4, seeds: [100], draws: sobol, shared: {learning_rate: {low: 3e-4, high: 3e-3}}}",),
    ),
    "glas_finetuned": ReferenceStudy(
        "examples/glas.yaml",
        "glas",
        "the same with a trained encoder, three methods and four seeds",
        220,
        ("model.encoder_frozen=false", "methods=[cross_entropy,inverse_sqrt,dfa]", "seeds=[0,1,2,3]"),
    ),
}


def make(name: str, data: Path, weights: str, out: Path, workers: int | None) -> None:
    """Say what the design can show, train what is missing, analyse and copy.

    Args:
        name: Key of STUDIES.
        data: Prepared data set.
        weights: Of the encoder: a file, or a name.
        out: Folder of studies and cache.
        workers: Runs at a time; None chooses by cores.
    """
    config, root, cache = STUDIES[name].config(name, data.resolve(), weights), out / name, out / "cache"
    print(f"{name}: {STUDIES[name].about}; about {STUDIES[name].core_minutes} core-minutes", flush=True)
    execute_study(config, root, Execution(cache=cache, workers=workers, dry_run=True))
    execute_study(config, root, Execution(cache=cache, workers=workers, what_next=False))
    analyze_study(root, cache_dir=cache)
    committed = COMMITTED / name
    shutil.rmtree(committed, ignore_errors=True)
    copy_records(root, committed)
    _keep(root, committed / ANSWERS, (*TABLES, *OF_IMAGES))
    print_power(None, root, POWER | {"classes": (len(StudyRecords.open(root).dataset()["classes"]),)})
    print(f"{committed}: {sum(path.stat().st_size for path in committed.rglob('*')) / 2**20:.1f} MiB")


def _keep(analysed: Path, answers: Path, tables: Sequence[str]) -> None:
    """Copy tables that have rows, and draw the figures that the study can have."""
    for name in tables:
        frame = read_table(analysed / "analysis", name)
        if len(frame):
            write_table(answers / "tables", name, frame)
    for kind in FIGURES:
        try:
            draw(kind, analysed, answers / "figures" / f"{kind}.svg")
        except NotDrawableError as error:
            print(f"no {kind}: {error}")


def reanalysed(name: str, folder: Path) -> Path:
    """Analyse a copy of the committed records of a study in `folder` and return the copy."""
    copy = Path(shutil.copytree(COMMITTED / name, folder / name, ignore=shutil.ignore_patterns(str(ANSWERS))))
    analyze_study(copy)
    return copy


def differences(name: str, analysed: Path) -> list[str]:
    """Return the committed tables that the analysis does not reprint, a line each."""
    lines = []
    for table in TABLES:
        frame = read_table(analysed / "analysis", table)
        path = COMMITTED / name / ANSWERS / "tables" / f"{table}.csv"
        committed = path.read_text(encoding="utf-8") if path.exists() else ""
        if committed != (csv_text(table, frame) if len(frame) else ""):
            lines.append(f"{path}: not what `analyze` makes of the committed records")
    return lines


def admitted(bundle: Path) -> str:
    """Return the committed study that the runs of a bundle can stand beside.

    Raises:
        UserError: None has the same images, split and control runs; the message says what differs.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "received"
        import_bundle(bundle, root)
        received = StudyRecords.open(root)
        reasons = {name: _differs(received, StudyRecords.open(COMMITTED / name)) for name in committed_names()}
    found = next((name for name, reason in reasons.items() if not reason), None)
    if found is None:
        said = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise UserError(f"{bundle} must share images, split and control with a committed study. Got: {said}.")
    return found


def _differs(received: StudyRecords, reference: StudyRecords) -> str:
    """Return why runs cannot be paired with those of a reference study; empty if they can."""
    if received.dataset()["data_hash"] != reference.dataset()["data_hash"]:
        return "other images or classes"
    own, committed = _digests(received), _digests(reference)
    shared = own.keys() & committed.keys()
    if not shared:
        return "no run of its control with a fold and seed of the reference"
    return "" if all(own[key] == committed[key] for key in shared) else "other splits, start weights or batches"


def _digests(records: StudyRecords) -> dict[tuple[int, int], Any]:
    """Return what must agree for two runs to be paired, of each fold and seed of the control."""
    control = records.plan().get("analysis", {}).get("control") or CONTROL
    manifests = [run.manifest() for run in records.finished()]
    return {
        (int(each["fold"]), int(each["seed"])): each["pairing"]
        for each in manifests
        if each["method"]["label"] == control
    }


def committed_names() -> list[str]:
    """Return the studies with committed records."""
    return [name for name in STUDIES if (COMMITTED / name / "plan.json").exists()]


def _lines() -> Iterator[str]:
    yield "| study | what | core-minutes | committed |"
    yield "|---|---|---|---|"
    for name, study in STUDIES.items():
        yield f"| {name} | {study.about} | {study.core_minutes} | {'yes' if name in committed_names() else 'no'} |"
    yield f"\nall: {sum(study.core_minutes for study in STUDIES.values()) / 60:.1f} core-hours"


def main() -> None:
    """Parse the command line and do it."""
    options = _parser().parse_args()
    end_with(lambda: _do(options))


def _do(options: argparse.Namespace) -> int:
    if options.what == "list":
        print("\n".join(_lines()))
        return 0
    if options.what == "make":
        make(_known(options.name), options.data, options.weights, options.out, options.workers)
        return 0
    if options.what == "admit":
        print(f"{options.bundle} can stand beside {admitted(options.bundle)}")
        return 0
    found: list[str] = []
    for name in [_known(each) for each in options.names] or committed_names():
        with tempfile.TemporaryDirectory() as folder:
            analysed = reanalysed(name, Path(folder))
            if options.what == "update":
                _keep(analysed, COMMITTED / name / ANSWERS, TABLES)
            found += differences(name, analysed)
    print("\n".join(found) or "every committed table is reprinted")
    return int(bool(found))


def _known(name: str) -> str:
    if name not in STUDIES:
        raise UserError(f"no reference study is called '{name}'.{nearest(name, STUDIES)}")
    return name


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reference",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("list")
    command = commands.add_parser("make")
    command.add_argument("name")
    command.add_argument("--data", type=Path, required=True, help="prepared data set")
    command.add_argument("--weights", default="imagenet", help="of the encoder  [default: %(default)s]")
    command.add_argument("--out", type=Path, default=ROOT / "results" / "studies" / "reference")
    command.add_argument("--workers", type=int, help="runs at a time; by cores unless given")
    for name in ("update", "check"):
        commands.add_parser(name).add_argument("names", nargs="*", metavar="NAME")
    commands.add_parser("admit").add_argument("bundle", type=Path)
    return parser


if __name__ == "__main__":
    main()
