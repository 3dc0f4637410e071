"""A checked study, and how any process opens one from its directory to execute a run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from imbalance_bench.config import MethodEntry, StudyConfig, parse_study
from imbalance_bench.data.class_statistics import ClassCounts
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.splits import Splits
from imbalance_bench.data.taxonomy import Taxonomy
from imbalance_bench.manifest import canonical_hash
from imbalance_bench.models.segmenter import CLASS_QUERY
from imbalance_bench.records import SCHEMA_VERSION, StudyRecords, read_json
from imbalance_bench.seeding import derive_seed
from methods.base import BuildContext, ClassFeedback, ClassStatistics

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
    def hashes(self) -> dict[str, str]:
        """What the runs rest on, apart from the study file."""
        return {"data": self.data_hash, "splits": self.splits.hash, "encoder weights": self.weights_hash}

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
        return class_statistics(self.counts[fold])

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
    dataset = {key: value for key, value in content["dataset"].items() if key not in ("path", "families")}
    model = {key: value for key, value in content["model"].items() if key != "encoder_weights"}
    return {"schema": SCHEMA_VERSION, "dataset": dataset, "model": model, "training": content["training"]}


def open_study(root: Path) -> Study:
    """Open a study that `prepare_study` wrote; no data is read."""
    content = yaml.safe_load((root / "study.yaml").read_text(encoding="utf-8"))
    config = parse_study(content, source=str(root / "study.yaml"))
    facts = read_json(root / "dataset.json")
    dataset = PreparedDataset.open(config.dataset.path)
    taxonomy = Taxonomy(dataset.info, config.dataset.groups, config.dataset.ignore)
    counts = recorded_counts(facts, taxonomy.names)
    splits = Splits.load(root / "splits.json")
    return Study(root, config, dataset, taxonomy, splits, counts, facts["data_hash"], facts["encoder_weights_hash"])


def build_context(study: Study, run: PlannedRun, *, stage: int, finished: tuple[ClassFeedback, ...]) -> BuildContext:
    """What a method is told when its components are built."""
    return method_context(study.config, study.statistics(run.fold), run.seed, stage=stage, finished=finished)


def method_context(
    config: StudyConfig, statistics: ClassStatistics, seed: int, *, stage: int, finished: tuple[ClassFeedback, ...]
) -> BuildContext:
    """The same from the study file and the training statistics alone; no data set is needed."""
    query = config.model.architecture == CLASS_QUERY
    return BuildContext(
        statistics=statistics,
        seed=derive_seed(seed, "method"),
        attention_layers=config.model.depth if query else 0,
        attention_heads=config.model.heads if query else 0,
        stage=stage,
        steps=config.training.steps,
        finished=finished,
    )


def class_statistics(counts: ClassCounts) -> ClassStatistics:
    """Training counts in the form that methods see."""
    pixels, images, components, exposed = (
        torch.from_numpy(np.asarray(values)).double()
        for values in (counts.pixels, counts.images, counts.components, counts.pixels_of_images_with_class)
    )
    return ClassStatistics(counts.names, pixels, images, components, exposed, counts.n_images)


def recorded_counts(facts: Mapping[str, Any], names: tuple[str, ...]) -> tuple[ClassCounts, ...]:
    """Training counts of each fold, from the content of dataset.json."""
    return tuple(_counts_from_json(fold["train"], names, fold["n_train"]) for fold in facts["folds"])


def _counts_from_json(train: dict[str, list[int]], names: tuple[str, ...], n_images: int) -> ClassCounts:
    arrays = {name: np.asarray(values, dtype=np.int64) for name, values in train.items()}
    return ClassCounts(names=names, valid_pixels=int(arrays["pixels"].sum()), n_images=n_images, **arrays)
