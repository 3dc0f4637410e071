"""A study on disk: everything is checked first, then the plan is written, then any process can execute its runs."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from imbalance_bench.config import MethodEntry, StudyConfig, parse_study
from imbalance_bench.data.class_statistics import ClassCounts, per_image_pixels, training_counts
from imbalance_bench.data.integrity import require_sound
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.splits import Splits, grouped_splits, published_splits
from imbalance_bench.data.taxonomy import Taxonomy
from imbalance_bench.errors import UserError
from imbalance_bench.manifest import canonical_hash, write_atomically, write_json
from imbalance_bench.models.encoders import require_known_encoder, weights_identity
from imbalance_bench.models.segmenter import CLASS_QUERY, build_segmenter, require_known_architecture
from imbalance_bench.records import SCHEMA_VERSION, StudyRecords, read_json
from imbalance_bench.seeding import derive_seed
from methods.base import BuildContext, ClassFeedback, ClassStatistics, Requirement, SlotConflictError, compose

OnProgress = Callable[[str, int, int], None]  # what is being done, how far, of how much


@dataclass(frozen=True)
class PlannedRun:
    """One training of the study."""

    run_id: str
    method: MethodEntry
    fold: int
    seed: int

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.method.label} fold {self.fold} seed {self.seed}"


@dataclass(frozen=True)
class Study:
    """A checked study.

    Attributes:
        root: Its directory.
        config: The study file.
        dataset: The prepared data set.
        taxonomy: Merged classes.
        splits: The folds.
        counts: Training counts of each fold.
        data_hash: Content of the data set.
        weights_hash: Identity of the encoder's weights.
    """

    root: Path
    config: StudyConfig
    dataset: PreparedDataset
    taxonomy: Taxonomy
    splits: Splits
    counts: tuple[ClassCounts, ...]
    data_hash: str
    weights_hash: str

    @property
    def records(self) -> StudyRecords:
        """What the runs leave behind."""
        return StudyRecords(self.root)

    @property
    def runs(self) -> list[PlannedRun]:
        """Every training of the study: seeds innermost last, so that early results compare all methods."""
        return [
            PlannedRun(self._run_id(method, fold, seed), method, fold, seed)
            for fold in range(len(self.splits.folds))
            for seed in self.config.seeds
            for method in self.config.methods
        ]

    def run(self, run_id: str) -> PlannedRun:
        """Return the planned run of this id."""
        return next(run for run in self.runs if run.run_id == run_id)

    def statistics(self, fold: int) -> ClassStatistics:
        """Counts of a fold's training split in the form that methods see."""
        counts = self.counts[fold]
        pixels, images, components, exposed = (
            torch.from_numpy(np.asarray(values)).double()
            for values in (counts.pixels, counts.images, counts.components, counts.pixels_of_images_with_class)
        )
        return ClassStatistics(counts.names, pixels, images, components, exposed, counts.n_images)

    def _run_id(self, method: MethodEntry, fold: int, seed: int) -> str:
        """First 12 hex digits of the hash of everything that can change the run's result."""
        return canonical_hash(
            shared_identity(self.config)
            | {
                "method": method.resolved(),
                "fold": fold,
                "seed": seed,
                "data": self.data_hash,
                "splits": self.splits.hash,
                "encoder_weights": self.weights_hash,
            }
        )[:12]


def shared_identity(config: StudyConfig) -> dict[str, Any]:
    """The part of a study file that all of its runs share and that can change their results. No paths."""
    content = config.dump()
    dataset = {key: value for key, value in content["dataset"].items() if key != "path"}
    model = {key: value for key, value in content["model"].items() if key != "encoder_weights"}
    return {"schema": SCHEMA_VERSION, "dataset": dataset, "model": model, "training": content["training"]}


def prepare_study(config: StudyConfig, root: Path, on_progress: OnProgress, *, write: bool = True) -> Study:
    """Check everything that can be checked before training, then write the plan.

    Args:
        config: The study file.
        root: The study directory; may hold an earlier plan that this one extends.
        on_progress: Called while data is read.
        write: False to check only.

    Raises:
        UserError: Anything is wrong; nothing has been written.
    """
    _require_extension(config, root)
    require_known_architecture(config.model.architecture)
    require_known_encoder(config.model.encoder)
    weights_hash = weights_identity(config.model.encoder, config.model.encoder_weights)
    dataset = PreparedDataset.open(config.dataset.path)
    taxonomy = Taxonomy(dataset.info, config.dataset.groups, config.dataset.ignore)
    require_sound(dataset, on_progress=lambda done, total: on_progress("checking images", done, total))
    data_hash = dataset.content_hash()
    splits = _make_splits(config, dataset, taxonomy, on_progress)
    counts = tuple(training_counts(dataset, taxonomy, fold.train) for fold in splits.folds)
    study = Study(root, config, dataset, taxonomy, splits, counts, data_hash, weights_hash)
    for number, fold in enumerate(splits.folds):
        if not fold.test:
            raise UserError(
                f"{dataset.root / 'index.csv'}: fold {number} has no test image. "
                "Mark some, or set `splits.kind: grouped`."
            )
    _require_methods_fit(study)
    build_segmenter(config.model, n_classes=len(taxonomy.names), seed=0)
    if write:
        _write_plan(study)
    return study


def open_study(root: Path) -> Study:
    """Open a study that `prepare_study` wrote; no data is read."""
    content = yaml.safe_load((root / "study.yaml").read_text(encoding="utf-8"))
    config = parse_study(content, source=str(root / "study.yaml"))
    facts = read_json(root / "dataset.json")
    dataset = PreparedDataset.open(config.dataset.path)
    taxonomy = Taxonomy(dataset.info, config.dataset.groups, config.dataset.ignore)
    counts = tuple(_counts_from_json(fold["train"], taxonomy.names, fold["n_train"]) for fold in facts["folds"])
    splits = Splits.load(root / "splits.json")
    return Study(root, config, dataset, taxonomy, splits, counts, facts["data_hash"], facts["encoder_weights_hash"])


def _make_splits(config: StudyConfig, dataset: PreparedDataset, taxonomy: Taxonomy, on_progress: OnProgress) -> Splits:
    section = config.splits
    presence = per_image_pixels(
        dataset, taxonomy, on_progress=lambda done, total: on_progress("counting classes", done, total)
    )
    if section.kind == "published":
        return published_splits(
            dataset,
            validation_fraction=section.validation_fraction,
            seed=section.seed,
            presence=presence,
            names=taxonomy.names,
        )
    return grouped_splits(
        dataset,
        presence,
        folds=section.folds,
        validation_fraction=section.validation_fraction,
        seed=section.seed,
        names=taxonomy.names,
    )


def _require_methods_fit(study: Study) -> None:
    """Refuse methods whose needs the study does not meet, or that do not compose."""
    architecture = study.config.model.architecture
    without_validation = [number for number, fold in enumerate(study.splits.folds) if not fold.val]
    for method in study.config.methods:
        needs = method.requirements()
        if Requirement.CLASS_QUERY in needs and architecture != CLASS_QUERY:
            raise UserError(
                f"Method '{method.label}' needs `model.architecture: {CLASS_QUERY}`. Got {architecture}, whose decoder "
                "has no attention that is normalised over class tokens, so a class bias would have nothing to act on."
            )
        if Requirement.VALIDATION_FEEDBACK in needs and without_validation:
            raise UserError(
                f"Method '{method.label}' needs a validation split, and fold {without_validation[0]} has none. "
                "Set `splits.validation_fraction` above 0."
            )
        try:
            compose(method.parts, build_context(study, study.runs[0], stage=0, finished=()))
        except (SlotConflictError, ValueError) as error:
            raise UserError(f"Method '{method.label}': {error}") from error


def build_context(study: Study, run: PlannedRun, *, stage: int, finished: tuple[ClassFeedback, ...]) -> BuildContext:
    """What a method is told when its components are built."""
    model = study.config.model
    query = model.architecture == CLASS_QUERY
    return BuildContext(
        statistics=study.statistics(run.fold),
        seed=derive_seed(run.seed, "method"),
        attention_layers=model.depth if query else 0,
        attention_heads=model.heads if query else 0,
        stage=stage,
        finished=finished,
    )


def _require_extension(config: StudyConfig, root: Path) -> None:
    """Refuse to mix runs of two recipes in one directory."""
    path = root / "plan.json"
    if not path.exists():
        if root.exists() and any(root.iterdir()):
            raise UserError(f"{root} holds files that are no study of imbalance-bench. Give another --out.")
        return
    plan = read_json(path)
    before, now = plan["identity"], shared_identity(config)
    changed = _first_difference(before, now)
    if changed:
        raise UserError(
            f"{root} holds a study with {changed}. Give another --out, or the settings that it was started with."
        )
    known = plan["methods"]
    for method in config.methods:
        if method.label in known and known[method.label] != method.resolved():
            raise UserError(
                f"{root} holds runs of '{method.label}' with other options. Give this method a `label` of its own."
            )


def _first_difference(before: Any, now: Any, path: str = "") -> str:
    """Describe the first value that differs, or return an empty string."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            found = _first_difference(before.get(key), now.get(key), f"{path}.{key}".lstrip("."))
            if found:
                return found
        return ""
    return "" if before == now else f"`{path}` {before!r} instead of {now!r}"


def _write_plan(study: Study) -> None:
    """Write study.yaml, splits.json, dataset.json and, last, plan.json, which makes the directory a study."""
    root, config = study.root, study.config
    text = yaml.safe_dump(config.dump(), sort_keys=False, allow_unicode=True)
    write_atomically(root / "study.yaml", lambda file: file.write(text.encode()))
    study.splits.save(root / "splits.json")
    write_json(root / "dataset.json", _dataset_facts(study))
    analysis = config.analysis.model_dump(mode="json") | {"control": config.control}
    earlier = read_json(root / "plan.json") if (root / "plan.json").exists() else {}
    write_json(
        root / "plan.json",
        {
            "name": config.name,
            "created": earlier.get("created", datetime.now(UTC).isoformat(timespec="seconds")),
            "identity": shared_identity(config),
            "methods": earlier.get("methods", {}) | {m.label: m.resolved() for m in config.methods},
            "runs": [
                {"run_id": r.run_id, "method": r.method.label, "fold": r.fold, "seed": r.seed}
                | {"architecture": config.model.architecture}
                for r in study.runs
            ],
            "analysis": analysis,
            "analysis_hash": canonical_hash(analysis),
        },
    )


def _dataset_facts(study: Study) -> dict[str, Any]:
    taxonomy, info = study.taxonomy, study.dataset.info
    folds = [
        {
            "n_train": len(fold.train),
            "n_val": len(fold.val),
            "n_test": len(fold.test),
            "train": {
                name: getattr(counts, name).tolist()
                for name in ("pixels", "images", "components", "pixels_of_images_with_class")
            },
        }
        for fold, counts in zip(study.splits.folds, study.counts, strict=True)
    ]
    return {
        "name": info.name,
        "path": str(study.config.dataset.path.resolve()),
        "mpp_um": info.mpp_um,
        "groups_known": info.groups_known,
        "citation": info.citation,
        "licence": info.licence,
        "n_images": len(study.dataset.entries),
        "data_hash": study.data_hash,
        "encoder_weights_hash": study.weights_hash,
        "classes": [
            {"id": k, "name": name, "colour": colour}
            for k, (name, colour) in enumerate(zip(taxonomy.names, taxonomy.colours, strict=True))
        ],
        "merging": {"groups": study.config.dataset.groups, "ignore": study.config.dataset.ignore},
        "folds": folds,
    }


def _counts_from_json(train: dict[str, list[int]], names: tuple[str, ...], n_images: int) -> ClassCounts:
    arrays = {name: np.asarray(values, dtype=np.int64) for name, values in train.items()}
    return ClassCounts(names=names, valid_pixels=int(arrays["pixels"].sum()), n_images=n_images, **arrays)
