"""Study records as tidy frames. Runs that are missing, unfinished or damaged are listed, not fatal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from pydantic import ValidationError

from analysis.schema import table
from analysis.study.consolidated import HeldRun
from analysis.study.ledger import LedgerEnds
from imbalance_bench.analysis_section import AnalysisSection
from imbalance_bench.config_errors import first_error
from imbalance_bench.damage import damages
from imbalance_bench.data.splits import Splits
from imbalance_bench.errors import UserError
from imbalance_bench.preregistration import INERTIA_KEPT, LARGEST_VIF, LATER_CHOICES, PRIMARY_MEASURES
from imbalance_bench.record_checks import TRAIN_AGAIN
from imbalance_bench.records import FOREIGN, PICTURE_FOLDERS, RunRecord, RunState, StudyRecords, run_name
from imbalance_bench.run_ids import without_label
from imbalance_bench.status import DAMAGED


@dataclass(frozen=True)
class AnalysisPlan:
    """The `analysis` part of plan.json: what was decided before anything ran.

    Args:
        control: Method that the others are compared with, or None.
        alpha: Level of every test.
        rope_dice: Half width of the region of practical equivalence, Dice.
        resamples: Bootstrap resamples.
        permutations: Monte Carlo permutations where all cannot be listed.
        seed: Of every random procedure.
        reliability_floor: ICC(3,k) below which no correlation is interpreted.
        boundary_band_um: Width d of the band on each side of a class border, um.
        unit: auto | group | image.
        inertia_kept: Inertia is named where more than this share of the start is still there.
        largest_vif: Variance inflation above which two measures are not told apart.
        hypotheses: Constructs in the order in which they are tested (one: the primary hypothesis); none: all, by Holm.
        primary_measures: Construct -> its primary measure; of those that are not named, the default.
    """

    control: str | None
    alpha: float
    rope_dice: float
    resamples: int
    permutations: int
    seed: int
    reliability_floor: float
    boundary_band_um: float
    unit: str
    inertia_kept: float = INERTIA_KEPT
    largest_vif: float = LARGEST_VIF
    hypotheses: tuple[str, ...] = ()
    primary_measures: Mapping[str, str] = field(default_factory=dict)

    @property
    def primary(self) -> dict[str, str]:
        """The primary measure of every construct."""
        return PRIMARY_MEASURES | dict(self.primary_measures)

    @classmethod
    def default(cls, **changes: Any) -> "AnalysisPlan":
        """Return the plan of a study file that says nothing about it, but for some changes.

        Raises:
            UserError: An unknown key, or a value out of range.
        """
        try:
            section = AnalysisSection.model_validate(changes)
        except ValidationError as error:
            raise UserError(f"plan: {first_error(error, AnalysisSection)}") from error
        return cls(**{name: getattr(section, name) for name in cls.__dataclass_fields__})

    @classmethod
    def of(cls, records: StudyRecords) -> "AnalysisPlan":
        """Read the plan of a study.

        Raises:
            UserError: A key is missing, or the unit is unknown.
        """
        path, content = records.root / "plan.json", records.plan().get("analysis", {})
        content = LATER_CHOICES | {"primary_measures": {}} | content
        missing = [name for name in cls.__dataclass_fields__ if name not in content]
        if missing:
            raise UserError(f"{path}: `analysis` must have '{missing[0]}'. Run the study again to write a new plan.")
        content = content | {"hypotheses": tuple(content["hypotheses"])}
        plan = cls(**{name: content[name] for name in cls.__dataclass_fields__})
        if plan.unit not in ("auto", "group", "image"):
            raise UserError(f"{path}: `analysis.unit` must be auto, group or image. Got '{plan.unit}'. Write auto.")
        return plan

    def unit_kind(self, groups_known: bool) -> str:
        """Return what is independent: "group" where groups are known (unless the plan says image), else "image"."""
        return "image" if self.unit == "image" or not groups_known else "group"


@dataclass(frozen=True)
class RunData:
    """One finished run in memory.

    Args:
        run_id: Its folder's name.
        label: Label of the method in the plan.
        method: The same; with several models "label (model)".
        model: Label of its model; in a study of one, its architecture.
        fold: Fold.
        seed: Seed.
        manifest: Content of manifest.json.
        counts: Columns of table_schemas.COUNTS.
        ledger: Columns of table_schemas.CLASS_PARAMETERS.
        damaged_pictures: Saved predictions and attention maps that cannot be read.
    """

    run_id: str
    label: str
    method: str
    model: str
    fold: int
    seed: int
    manifest: dict[str, Any] = field(repr=False)
    counts: pd.DataFrame = field(repr=False)
    ledger: pd.DataFrame = field(repr=False)
    damaged_pictures: tuple[str, ...] = ()

    def ledger_ends(self, n_classes: int) -> LedgerEnds:
        """Return what each class parameter was first and last in the last stage."""
        return LedgerEnds.of(self.ledger, n_classes)

    @property
    def is_foreign(self) -> bool:
        """Whether `score` read its predictions, so that nothing is known of a training."""
        return self.manifest.get("origin") == FOREIGN


@dataclass(frozen=True)
class StudyTables:
    """Everything read from a study.

    Args:
        runs: Table `runs`, one row per planned run.
        data: Finished runs, in the order of the plan.
        class_names: K names.
        occurring: Per fold, (K,) bool: class has training pixels.
        dataset: Content of dataset.json.
        split: Split that is scored: "test", or "val" where nothing was tested.
    """

    runs: pd.DataFrame
    data: tuple[RunData, ...]
    class_names: tuple[str, ...]
    occurring: tuple[tuple[bool, ...], ...]
    dataset: dict[str, Any]
    split: str

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods with a finished run, in the order of the plan."""
        return tuple(dict.fromkeys(run.method for run in self.data))

    @property
    def is_foreign(self) -> bool:
        """Whether some predictions were made elsewhere."""
        return any(run.is_foreign for run in self.data)

    def runs_of(self, method: str) -> list[RunData]:
        """Finished runs of one method."""
        return [run for run in self.data if run.method == method]


def read_study(records: StudyRecords) -> StudyTables:
    """Read every planned run that is done; list the others with their state.

    Raises:
        UserError: plan.json or dataset.json is missing or malformed, or no run is finished.
    """
    planned, dataset = _planned(records), records.dataset()
    expected = _Expected.of(records, dataset)
    # consolidated records lie in the order of models and methods
    by_method = sorted(range(len(planned)), key=lambda place: (planned[place]["model"], planned[place]["label"]))
    found = {place: _read_run(records.run(planned[place]["run_id"]), planned[place], expected) for place in by_method}
    rows = [found[place][0] for place in range(len(planned))]
    data = [loaded for place in range(len(planned)) if (loaded := found[place][1]) is not None]
    if not data:
        states = pd.Series([row["state"] for row in rows]).value_counts().to_dict()
        raise UserError(f"{records.root}: no run is finished ({states}). Run the study first.", exit_code=1)
    names = tuple(each["name"] for each in sorted(dataset["classes"], key=lambda each: each["id"]))
    tested = any((run.counts["split"] == "test").any() for run in data)
    return StudyTables(
        runs=table("runs", rows),
        data=tuple(data),
        class_names=names,
        occurring=tuple(tuple(count > 0 for count in fold["train"]["pixels"]) for fold in dataset["folds"]),
        dataset=dataset,
        split="test" if tested else "val",
    )


def _planned(records: StudyRecords) -> list[dict[str, Any]]:
    path, runs = records.root / "plan.json", records.plan().get("runs")
    if not runs:
        raise UserError(f"{path} must list `runs`. Got none. Run the study again to write a new plan.")
    needed = ("run_id", "method", "fold", "seed", "architecture")
    for run in runs:
        lacking = [key for key in needed if key not in run]
        if lacking:
            raise UserError(f"{path}: every run must have '{lacking[0]}'. Run the study again to write a new plan.")
    runs = [run | {"model": run.get("model") or run["architecture"]} for run in runs]
    if len({run["model"] for run in runs}) > 1:
        return [run | {"label": run["method"], "method": run_name(run["method"], run["model"])} for run in runs]
    return [run | {"label": run["method"]} for run in runs]


@dataclass(frozen=True)
class _Expected:
    """What the records of every run of a study must hold.

    Args:
        n_classes: K.
        methods: Label -> the method with every option, as planned; None in plans that do not say.
        images: Per fold the (split, image_id) pairs that are scored; None where the study has no splits.json.
    """

    n_classes: int
    methods: dict[str, Any] | None
    images: tuple[set[tuple[str, str]], ...] | None

    @classmethod
    def of(cls, records: StudyRecords, dataset: dict[str, Any]) -> "_Expected":
        path, plan, n_classes = records.root / "splits.json", records.plan(), len(dataset["classes"])
        if not path.exists():
            return cls(n_classes, plan.get("methods"), None)
        splits = ("test",) if plan.get("origin") == FOREIGN else ("val", "test")  # `score` reads test images alone
        images = tuple(
            {(split, each) for split in splits for each in getattr(fold, split)} for fold in Splits.load(path).folds
        )
        return cls(n_classes, plan.get("methods"), images)

    def require(self, run: RunRecord, keys: dict[str, Any], manifest: dict[str, Any], counts: pd.DataFrame) -> None:
        """Refuse records that are not those of the planned run.

        Raises:
            UserError: Another fold, seed or method, or an image or class without counts.
        """
        for name in ("fold", "seed"):
            if manifest.get(name) != keys[name]:
                raise UserError(
                    f"{run.path}/manifest.json must be of {name} {keys[name]}, as plan.json says. "
                    f"Got {manifest.get(name)}. {TRAIN_AGAIN}"
                )
        planned = None if self.methods is None else without_label(self.methods.get(keys["label"], {}))
        if planned is not None and planned != without_label(manifest.get("method", {})):
            raise UserError(
                f"{run.path}/manifest.json must be of the method that plan.json calls '{keys['label']}'. {TRAIN_AGAIN}"
            )
        path, found = run.path / "counts.parquet", set(zip(counts["split"], counts["image_id"], strict=True))
        if counts["class_id"].max() != self.n_classes - 1:
            raise UserError(f"{path} must count {self.n_classes} classes. {TRAIN_AGAIN}")
        if self.images is not None and not 0 <= keys["fold"] < len(self.images):
            raise UserError(f"{run.path} is planned for fold {keys['fold']}, and splits.json has {len(self.images)}.")
        if self.images is not None and (missing := self.images[keys["fold"]] - found):
            split, image_id = min(missing)
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise UserError(
                f"{path} must count every image of its fold. {split} '{image_id}'{more} is missing. {TRAIN_AGAIN}"
            )


def _read_run(run: RunRecord, keys: dict[str, Any], expected: _Expected) -> tuple[dict[str, Any], RunData | None]:
    row = {key: keys[key] for key in ("run_id", "method", "fold", "seed")}
    row |= {"state": "missing", "seconds": None, "steps": None, "steps_per_second": None, "error": ""}
    if isinstance(run, HeldRun):
        pictures = run.damaged_pictures
    else:
        damaged = damages(run, thorough=True)
        of_scores = [str(each) for each in damaged if each.touches_scores]
        if of_scores:
            return row | {"state": DAMAGED, "error": "; ".join(of_scores)}, None
        pictures = tuple(each.path.name for each in damaged if each.path.parent.name in PICTURE_FOLDERS)
    try:
        status = run.status()
        if not status:
            return row, None
        row |= {"state": str(status.get("state")), "steps": status.get("step"), "error": status.get("error") or ""}
        if status.get("state") != RunState.DONE:
            return row, None
        manifest, counts, ledger = run.manifest(), run.counts(), run.class_parameters()
        expected.require(run, keys, manifest, counts)
        cost = manifest.get("cost", {})
        row |= {key: cost.get(key) for key in ("seconds", "steps", "steps_per_second")}
    except UserError as error:
        return row | {"state": DAMAGED, "error": str(error)}, None
    identity = (keys[name] for name in ("run_id", "label", "method", "model", "fold", "seed"))
    return row, RunData(*identity, manifest=manifest, counts=counts, ledger=ledger, damaged_pictures=pictures)
