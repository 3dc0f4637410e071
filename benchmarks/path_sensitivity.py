"""How much of what each decoder predicts passes through the attention that a class bias acts on, as Markdown tables.

    python -m benchmarks.path_sensitivity [--data phantom consep glas] [--decoders unet tied ...]
        [--methods cross_entropy dfa] [--seeds 3] [--steps 300] [--set key=value ...] [--workers N] [--out DIR]
        [--level .95]

Trains every method with every decoder and seed on phantom tissue and, where `../shared` holds them, on CoNSeP and on
GlaS, whose patients are divided once; a stopped call goes on where it was. Everything is read from the records of the
runs (`path_controls.parquet`). Dice is pooled over images, macro is the mean over classes, differences are in points of
macro Dice between a control and the model as trained on the same test images: mean over runs (smallest to largest).
Decoders are to be chosen by the column of validation images. "bias zeroed" is of methods that learned one.

Of a dose that is added to the bias (or to the output logit) of one class: *monotone* is a class whose predicted share
never falls from dose -4 over -2, 0 and 2 to 4, and is larger at the end; *specific* is a dose that moves the share of
its own class, in its own direction, at least as far as that of any other. The last column is what the doses of the bias
do beyond the shift of the output logit that predicts the class as often in each image: near 0, the bias is no more than
logit adjustment.

A second table compares each decoder with the first one, seed by seed, by the macro Dice of validation and test images:
mean difference and its interval of `--level` (Student's t over seeds: trainings, not images, are what varies).
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from analysis.statistics.starting_point import MeanOverRuns
from imbalance_bench.config import DecoderName, StudyConfig, load_study
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.quickstart import make_phantom
from imbalance_bench.records import RunRecord, StudyRecords
from imbalance_bench.table_schemas import PathControl

ROOT = Path(__file__).parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
CONSEP = SHARED_DATA / "consep"
CONSEP_WEIGHTS = ROOT.parent / "shared" / "weights" / "tf_efficientnet_lite0_in1k.safetensors"
# what differs from examples/consep.yaml
PHANTOM_RECIPE = [
    "dataset.tile_px=256",
    "dataset.stride_px=256",
    "dataset.groups={}",
    "model.encoder=resnet18",
    "model.encoder_weights=none",
    "model.channels=64",
    "model.heads=4",
    "model.mlp_channels=128",
    "model.pixel_channels=[64,32,32]",
    "training.batch_size=4",
    "training.crop_px=128",
    "training.learning_rate=0.002",
]
REAL = {"consep": [], "glas": ["splits.folds=1"]}  # data set and study file of the examples -> what differs from it
EVALUATION = [
    "evaluation.path_controls=4",
    "evaluation.permuted_biases=0",
    "evaluation.dynamics_crops=0",
    "evaluation.surface_um=[]",
    "evaluation.trimap_um=[]",
    "evaluation.boundary_um=[]",
    "compute.saved_predictions=0",
]
ZEROED = "zeroed"  # of interventions.parquet: only methods that learned a bias have it
CEILINGS = (PathControl.UNIFORM, PathControl.REMOVED, PathControl.ORACLE, PathControl.ROLLED)
DOSED = (PathControl.BIAS_DOSE, PathControl.LOGIT_DOSE)


@dataclass(frozen=True)
class Trial:
    """What is trained and where it lies.

    Attributes:
        out: Folder of all studies.
        methods: Names of methods.
        seeds: Number of seeds.
        steps: Optimiser steps.
        overrides: Further `key=value` of the study files.
        workers: Runs at a time; None chooses by cores.
    """

    out: Path
    methods: tuple[str, ...]
    seeds: int
    steps: int
    overrides: tuple[str, ...]
    workers: int | None = None

    def study(self, data: str, decoder: str) -> Path:
        """Train what is missing of one decoder on one data set and return its study directory."""
        root = self.out / f"{data}-{decoder}-{self.steps}"
        execution = Execution(cache=self.out / "cache", workers=self.workers)
        execute_study(self._config(data, decoder), root, execution)
        return root

    def _config(self, data: str, decoder: str) -> StudyConfig:
        if data in REAL:
            file = f"{data}.yaml"
            own = [f"dataset.path={SHARED_DATA / data}", f"model.encoder_weights={CONSEP_WEIGHTS}", *REAL[data]]
        else:
            file, own = "consep.yaml", [f"dataset.path={self._phantom()}", *PHANTOM_RECIPE]
        asked = [f"name={data}-{decoder}", f"model.decoder={decoder}", f"training.steps={self.steps}"]
        asked += [f"methods={list(self.methods)}", f"seeds={list(range(self.seeds))}"]
        return load_study(ROOT / "examples" / file, [*own, *EVALUATION, *asked, *self.overrides])

    def _phantom(self) -> Path:
        folder = self.out / "phantom"
        return folder if (folder / "index.csv").exists() else make_phantom(folder, preset="tissue")


@dataclass(frozen=True)
class Sensitivity:
    """What one run's path controls say.

    Attributes:
        ceilings: Change of macro Dice under each of CEILINGS, points.
        largest: Largest change of macro Dice by a bias dose, points.
        monotone: Share of classes whose doses are monotone, of each of DOSED.
        specific: Share of doses that are specific, of each of DOSED.
        beyond_logits: Mean over classes and bias doses of macro Dice minus that of the output shift that predicts the
            class as often, points.
    """

    ceilings: dict[str, float]
    largest: float
    monotone: dict[str, float]
    specific: dict[str, float]
    beyond_logits: float


def macro_dice(counts: pd.DataFrame) -> float:
    """Dice of counts added up over images, mean over the classes that occur; points."""
    total = counts.groupby("class_id")[["tp", "fp", "fn"]].sum()
    total = total[total.tp + total.fn > 0]
    return float(100 * (2 * total.tp / (2 * total.tp + total.fp + total.fn)).mean())


def sensitivity(rows: pd.DataFrame) -> Sensitivity:
    """Evaluate the rows of one run's path_controls.parquet."""
    learned = rows[rows.control == PathControl.LEARNED]
    base = macro_dice(learned)
    ceilings = {str(name): macro_dice(rows[rows.control == name]) - base for name in CEILINGS}
    rows = rows[rows.image_id.isin(rows[rows.control == PathControl.BIAS_DOSE].image_id)]
    curves = {str(name): _curves(rows, name) for name in DOSED}
    bias, matched = curves[PathControl.BIAS_DOSE], _curves(rows, PathControl.LOGIT_MATCHED)
    return Sensitivity(
        ceilings=ceilings,
        largest=max(abs(dice - curve.dice[0.0]) for curve in bias for dice in curve.dice.values()),
        monotone={name: float(np.mean([curve.monotone for curve in each])) for name, each in curves.items()},
        specific={name: float(np.mean([hit for c in each for hit in c.specific])) for name, each in curves.items()},
        beyond_logits=float(np.mean([gap for b, z in zip(bias, matched, strict=True) for gap in b.gaps(z)])),
    )


@dataclass(frozen=True)
class DoseCurve:
    """One class's doses.

    Attributes:
        class_id: The dosed class.
        shares: Dose -> predicted share of each class, (K,).
        dice: Dose -> macro Dice, points.
    """

    class_id: int
    shares: dict[float, np.ndarray]
    dice: dict[float, float]

    @property
    def monotone(self) -> bool:
        """True if the class's share never falls with the dose and rises over all of them."""
        own = np.array([self.shares[dose][self.class_id] for dose in sorted(self.shares)])
        return bool((np.diff(own) >= 0).all() and own[-1] > own[0])

    @property
    def specific(self) -> Iterator[bool]:
        """Of each dose: whether it moves its own class, in its direction, at least as far as any other."""
        for dose in self.shares:
            if dose:
                moved = self.shares[dose] - self.shares[0.0]
                own = moved[self.class_id] * np.sign(dose)
                yield bool(own > 0 and own >= np.abs(moved).max())

    def gaps(self, other: "DoseCurve") -> Iterator[float]:
        """Of each dose, the macro Dice of this curve minus that of another, points."""
        for dose in self.shares:
            if dose:
                yield self.dice[dose] - other.dice[dose]


def _curves(rows: pd.DataFrame, control: PathControl) -> list[DoseCurve]:
    """Return the dose curves of every class, the model as trained as dose 0."""
    learned = rows[rows.control == PathControl.LEARNED]
    dosed = rows[rows.control == control]
    return [
        DoseCurve(
            class_id,
            {dose: _shares(part) for dose, part in _doses(dosed, class_id, learned)},
            {dose: macro_dice(part) for dose, part in _doses(dosed, class_id, learned)},
        )
        for class_id in sorted(learned.class_id.unique())
    ]


def _doses(dosed: pd.DataFrame, class_id: int, learned: pd.DataFrame) -> Iterator[tuple[float, pd.DataFrame]]:
    yield 0.0, learned
    own = dosed[dosed.target_id == class_id]
    for dose, part in own.groupby("dose"):
        yield float(np.asarray(dose)), part


def _shares(counts: pd.DataFrame) -> np.ndarray:
    predicted = (counts.tp + counts.fp).groupby(counts.class_id).sum().to_numpy()
    return predicted / predicted.sum()


HEADINGS = (
    *(
        "decoder",
        "method",
        "runs",
        "val macro",
        "test macro",
        "bias zeroed",
        *map(str, CEILINGS),
        "largest bias dose",
        "monotone",
    ),
    *("specific", "logit: monotone", "logit: specific", "beyond a logit shift"),
)


def table(studies: dict[str, Path]) -> list[str]:
    """Return the Markdown table of the studies of one data set, decoder -> study directory."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
    for decoder, root in studies.items():
        runs: dict[str, list[RunRecord]] = {}
        for run in StudyRecords.open(root).finished():
            runs.setdefault(str(run.manifest()["method"]["label"]), []).append(run)
        for method, members in runs.items():
            lines.append("| " + " | ".join((decoder, method, str(len(members)), *_cells(members))) + " |")
    return lines


def compared(studies: Mapping[str, Path], level: float) -> list[str]:
    """Return the Markdown table of the differences between each decoder and the first one of one data set."""
    reached = {decoder: _macro_of_runs(root) for decoder, root in studies.items()}
    first, *others = reached
    if not others:
        return []
    lines = [f"| minus `{first}` | method | runs | val macro | test macro |", "|---|---|---|---|---|"]
    for decoder in others:
        pairs = reached[first].merge(reached[decoder], on=["method", "seed"], suffixes=("_first", ""))
        for method, each in pairs.groupby("method"):
            cells = [_interval(each[split] - each[f"{split}_first"], level) for split in ("val", "test")]
            lines.append(f"| {decoder} | {method} | {len(each)} | {cells[0]} | {cells[1]} |")
    return lines


def _macro_of_runs(root: Path) -> pd.DataFrame:
    """Macro Dice of every run, points, by method and seed."""
    rows = []
    for run in StudyRecords.open(root).finished():
        counts, manifest = run.counts(), run.manifest()
        reached = {split: macro_dice(counts[counts.split == split]) for split in ("val", "test")}
        rows.append({"method": manifest["method"]["label"], "seed": manifest["seed"], **reached})
    return pd.DataFrame(rows)


def _interval(differences: pd.Series, level: float) -> str:
    """Mean, and its interval by Student's t."""
    found = MeanOverRuns.of(differences.to_numpy(dtype=float), level)
    ends = f" ({found.low:+.1f} to {found.high:+.1f})" if len(differences) > 1 else ""
    return f"{found.mean:+.1f}{ends}"


def _cells(runs: Sequence[RunRecord]) -> Iterator[str]:
    ordered = sorted(runs, key=lambda run: int(run.manifest()["seed"]))
    counts = [run.counts() for run in ordered]
    for split in ("val", "test"):
        yield _spread([macro_dice(count[count.split == split]) for count in counts])
    changed = [rows[rows.split == "test"] for run in ordered if (rows := run.interventions()) is not None]
    yield _spread([macro_dice(_done(rows, ZEROED)) - macro_dice(_done(rows, "learned")) for rows in changed])
    found = [sensitivity(rows) for run in ordered if (rows := run.path_controls()) is not None]
    for name in CEILINGS:
        yield _spread([each.ceilings[name] for each in found])
    yield _spread([each.largest for each in found])
    for name in DOSED:
        yield _spread([100 * each.monotone[name] for each in found], "%")
        yield _spread([100 * each.specific[name] for each in found], "%")
    yield _spread([each.beyond_logits for each in found])


def _done(rows: pd.DataFrame, intervention: str) -> pd.DataFrame:
    return rows[rows.intervention == intervention]


def _spread(values: Sequence[float], unit: str = "") -> str:
    """Mean, and smallest and largest over runs."""
    if not values:
        return "-"
    digits = 0 if unit else 1
    ends = f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{unit}{ends}"


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=("phantom", *REAL), default=["phantom", "consep"])
    parser.add_argument("--decoders", nargs="+", choices=get_args(DecoderName), default=get_args(DecoderName))
    parser.add_argument("--methods", nargs="+", default=["cross_entropy", "dfa"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--workers", type=int, help="runs at a time; by cores unless given")
    parser.add_argument("--level", type=float, default=0.95, help="of the intervals of the second table")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "studies" / "path_sensitivity")
    options = parser.parse_args()
    trial = Trial(
        options.out,
        methods=tuple(options.methods),
        seeds=options.seeds,
        steps=options.steps,
        overrides=tuple(options.overrides),
        workers=options.workers,
    )
    for data in options.data:
        if data in REAL and not ((SHARED_DATA / data).is_dir() and CONSEP_WEIGHTS.is_file()):
            print(f"\n{data}: left out, {SHARED_DATA.parent} does not hold it")
            continue
        studies = {decoder: trial.study(data, decoder) for decoder in options.decoders}
        print(f"\n{data}, {options.steps} steps\n")
        print("\n".join([*table(studies), "", *compared(studies, options.level)]), flush=True)


if __name__ == "__main__":
    main()
