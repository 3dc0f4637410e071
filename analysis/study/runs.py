"""Study records as tidy frames. Runs that are missing, unfinished or damaged are listed, and stop nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from pydantic import ValidationError

from analysis.schema import table
from analysis.study.consolidated import ConsolidatedRun
from analysis.study.ledger import LedgerEnds
from imbalance_bench.analysis_section import AnalysisSection
from imbalance_bench.config_errors import first_error
from imbalance_bench.damage import damages
from imbalance_bench.data.splits import Splits
from imbalance_bench.errors import UserError
from imbalance_bench.preregistration import INERTIA_KEPT, LARGEST_VIF, LATER_CHOICES, PRIMARY_MEASURES
from imbalance_bench.record_checks import TRAIN_AGAIN
from imbalance_bench.records import FOREIGN, PICTURE_FOLDERS, RunRecord, RunState, StudyRecords, run_name
from imbalance_bench.run_ids import of_fold, without_label
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
        inertia_kept: A quantity is called inert where more than this share of its start is left at the end.
        largest_vif: Variance inflation above which two measures are not separated.
        hypotheses: Constructs in the order in which they are tested (one: the primary hypothesis); none: all, by Holm.
        primary_measures: Construct -> its primary measure; constructs that are not named have the default one.
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
        """Return the default plan, that of a study file without one, with some changes.

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
        run_id: Name of its folder.
        label: Label of the method in the plan.
        method: The label; in a study of several models "label (model)".
        model: Label of its model; in a study of one model, its architecture.
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
        """Return the first and last entry of each class parameter in the last stage."""
        return LedgerEnds.of(self.ledger, n_classes)

    @property
    def is_foreign(self) -> bool:
        """Whether `score` read its predictions, so that nothing is known about its training."""
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
        """Whether some of the predictions were made elsewhere."""
        return any(run.is_foreign for run in self.data)

    def runs_of(self, method: str) -> list[RunData]:
        """Return the finished runs of one method."""
        return [run for run in self.data if run.method == method]


def read_study(records: StudyRecords) -> StudyTables:
    """Read every planned run that is done, and list the others with their state.

    Raises:
        UserError: plan.json or dataset.json is missing or malformed, or no run is finished.
    """
    planned, dataset = _planned(records), records.dataset()
    expected = _Expected.of(records, dataset)
    # consolidated records are stored in the order of models and methods
    reading_order = sorted(range(len(planned)), key=lambda i: (planned[i]["model"], planned[i]["label"]))
    loaded = {i: _read_run(records.run(planned[i]["run_id"]), planned[i], expected) for i in reading_order}
    rows = [loaded[i][0] for i in range(len(planned))]
    data = [run_data for i in range(len(planned)) if (run_data := loaded[i][1]) is not None]
    if not data:
        states = pd.Series([row["state"] for row in rows]).value_counts().to_dict()
        raise UserError(f"{records.root}: no run is finished ({states}). Run the study first.", exit_code=1)
    class_names = tuple(info["name"] for info in sorted(dataset["classes"], key=lambda info: info["id"]))
    tested = any((run.counts["split"] == "test").any() for run in data)
    return StudyTables(
        runs=table("runs", rows),
        data=tuple(data),
        class_names=class_names,
        occurring=tuple(tuple(count > 0 for count in fold["train"]["pixels"]) for fold in dataset["folds"]),
        dataset=dataset,
        split="test" if tested else "val",
    )


def _planned(records: StudyRecords) -> list[dict[str, Any]]:
    path, runs = records.root / "plan.json", records.plan().get("runs")
    if not runs:
        raise UserError(f"{path} must list `runs`. Got none. Run the study again to write a new plan.")
    required = ("run_id", "method", "fold", "seed", "architecture")
    for run in runs:
        missing = [key for key in required if key not in run]
        if missing:
            raise UserError(f"{path}: every run must have '{missing[0]}'. Run the study again to write a new plan.")
    runs = [run | {"model": run.get("model") or run["architecture"]} for run in runs]
    if len({run["model"] for run in runs}) > 1:
        return [run | {"label": run["method"], "method": run_name(run["method"], run["model"])} for run in runs]
    return [run | {"label": run["method"]} for run in runs]


@dataclass(frozen=True)
class _Expected:
    """What the records of every run of a study must contain.

    Args:
        n_classes: K.
        methods: Label -> the method with every option, as planned; None in plans that do not list methods.
        images: Per fold the (split, image_id) pairs that are scored; None if the study has no splits.json.
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
            {(split, image) for split in splits for image in getattr(fold, split)} for fold in Splits.load(path).folds
        )
        return cls(n_classes, plan.get("methods"), images)

    def require(self, run: RunRecord, planned: dict[str, Any], manifest: dict[str, Any], counts: pd.DataFrame) -> None:
        """Raise if the records are not those of the planned run.

        Raises:
            UserError: Another fold, seed or method, or an image or class without counts.
        """
        for name in ("fold", "seed"):
            if manifest.get(name) != planned[name]:
                raise UserError(
                    f"{run.path}/manifest.json must be of {name} {planned[name]}, as plan.json says. "
                    f"Got {manifest.get(name)}. {TRAIN_AGAIN}"
                )
        planned_method = (
            None
            if self.methods is None
            else without_label(of_fold(self.methods.get(planned["label"], {}), planned["fold"]))
        )
        if planned_method is not None and planned_method != without_label(manifest.get("method", {})):
            raise UserError(
                f"{run.path}/manifest.json must be of the method that plan.json calls '{planned['label']}'. "
                f"{TRAIN_AGAIN}"
            )
        path, counted_images = run.path / "counts.parquet", set(zip(counts["split"], counts["image_id"], strict=True))
        if counts["class_id"].max() != self.n_classes - 1:
            raise UserError(f"{path} must count {self.n_classes} classes. {TRAIN_AGAIN}")
        if self.images is not None and not 0 <= planned["fold"] < len(self.images):
            raise UserError(
                f"{run.path} is planned for fold {planned['fold']}, and splits.json has {len(self.images)}."
            )
        if self.images is not None and (missing := self.images[planned["fold"]] - counted_images):
            split, image_id = min(missing)
            others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise UserError(
                f"{path} must count every image of its fold. {split} '{image_id}'{others} is missing. {TRAIN_AGAIN}"
            )


def _read_run(
    run: RunRecord, planned_run: dict[str, Any], expected: _Expected
) -> tuple[dict[str, Any], RunData | None]:
    row = {key: planned_run[key] for key in ("run_id", "method", "fold", "seed")}
    row |= {"state": "missing", "seconds": None, "steps": None, "steps_per_second": None, "error": ""}
    if isinstance(run, ConsolidatedRun):
        pictures = run.damaged_pictures
    else:
        damaged = damages(run, thorough=True)
        score_damages = [str(damage) for damage in damaged if damage.touches_scores]
        if score_damages:
            return row | {"state": DAMAGED, "error": "; ".join(score_damages)}, None
        pictures = tuple(damage.path.name for damage in damaged if damage.path.parent.name in PICTURE_FOLDERS)
    try:
        status = run.status()
        if not status:
            return row, None
        row |= {"state": str(status.get("state")), "steps": status.get("step"), "error": status.get("error") or ""}
        if status.get("state") != RunState.DONE:
            return row, None
        manifest, counts, ledger = run.manifest(), run.counts(), run.class_parameters()
        expected.require(run, planned_run, manifest, counts)
        cost = manifest.get("cost", {})
        row |= {key: cost.get(key) for key in ("seconds", "steps", "steps_per_second")}
    except UserError as error:
        return row | {"state": DAMAGED, "error": str(error)}, None
    identity = (planned_run[name] for name in ("run_id", "label", "method", "model", "fold", "seed"))
    return row, RunData(*identity, manifest=manifest, counts=counts, ledger=ledger, damaged_pictures=pictures)
