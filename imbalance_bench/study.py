"""A checked study, and the context of its runs."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from imbalance_bench.config import ModelSection, StudyConfig
from imbalance_bench.data.class_statistics import ClassCounts
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.splits import Splits
from imbalance_bench.data.taxonomy import Taxonomy
from imbalance_bench.method_entry import MethodEntry
from imbalance_bench.models.resolved_encoders import ResolvedEncoder
from imbalance_bench.models.segmenter import CLASS_QUERY
from imbalance_bench.record_documents import SCHEMA_VERSION
from imbalance_bench.records import StudyRecords, run_name
from imbalance_bench.run_ids import PlannedIds, Trained, hash_name, without_label
from imbalance_bench.seeding import derive_seed
from imbalance_bench.study_data import OnProgress as OnProgress
from imbalance_bench.study_data import StudyData
from methods.base import BuildContext, ClassFeedback, ClassStatistics


@dataclass(frozen=True)
class PlannedRun:
    """One training of the study; `method` has the settings of its fold."""

    run_id: str
    method: MethodEntry
    fold: int
    seed: int
    model: ModelSection

    @property
    def name(self) -> str:
        """Of method and, in a study of several, model."""
        return run_name(self.method.label, self.model.label)

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.name} fold {self.fold} seed {self.seed}"

    def planned(self) -> dict[str, Any]:
        """The row of plan.json; `model` is the label of one of several models and absent from a study with one."""
        row = {"run_id": self.run_id, "method": self.method.label, "fold": self.fold, "seed": self.seed}
        row |= {"architecture": self.model.architecture}
        return row if self.model.label is None else row | {"model": self.model.label}


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
        weights: Identity of the weights of each model's encoder, by the model's label (None in a study with one).
        planned: Ids of the runs that its directory has planned before.
        encoders: The encoders of each model, by its label, as they were resolved when the study was planned.
    """

    root: Path
    config: StudyConfig
    dataset: PreparedDataset
    taxonomy: Taxonomy
    splits: Splits
    counts: tuple[ClassCounts, ...]
    data_hash: str
    weights: Mapping[str | None, str]
    planned: PlannedIds = field(default_factory=PlannedIds)
    encoders: Mapping[str | None, tuple[ResolvedEncoder, ...]] = field(default_factory=dict)

    @property
    def weights_hash(self) -> str:
        """Identity of the encoder's weights, in a study with one model."""
        return self.weights[self.config.model.label]

    @property
    def resolved(self) -> tuple[ResolvedEncoder, ...]:
        """Its encoders as they were resolved, in a study with one model."""
        return self.encoders[self.config.model.label]

    def of(self, model: ModelSection) -> "Study":
        """Return the study as the runs of one of its models see it."""
        return replace(self, config=self.config.only(model))

    @property
    def data(self) -> StudyData:
        """What it rests on before any method is named."""
        return StudyData(self.dataset, self.taxonomy, self.splits, self.counts, self.data_hash)

    @property
    def records(self) -> StudyRecords:
        """What the runs leave behind."""
        return StudyRecords(self.root)

    @property
    def hashes(self) -> dict[str, str]:
        """What the runs rest on, apart from the study file."""
        named = {hash_name(label): value for label, value in self.weights.items()}
        return {"data": self.data_hash, "splits": self.splits.hash} | named

    @cached_property
    def runs(self) -> list[PlannedRun]:
        """Every training of the study: seeds innermost last, so that early results compare all methods."""
        runs: dict[str, PlannedRun] = {}
        shared = shared_identity(self.config)
        for fold in range(len(self.splits.folds)):
            for seed in self.config.seeds:
                for model in self.config.each_model:
                    for method in (entry.of_fold(fold) for entry in self.config.methods):
                        run_id = self._run_id(shared, model, method, fold, seed, runs)
                        runs[run_id] = PlannedRun(run_id, method, fold, seed, model)
        return list(runs.values())

    def statistics(self, fold: int) -> ClassStatistics:
        """Counts of a fold's training split in the form that methods see."""
        return class_statistics(self.counts[fold])

    def remarks(self) -> list[str]:
        """Return what the methods say of themselves on these data: one sentence each, of the first fold that asks."""
        first_remarks: dict[str, str] = {}
        for fold in range(len(self.splits.folds)):
            for method in self.config.methods:
                for config in method.of_fold(fold).parts.values():
                    for remark in config.remarks(self.statistics(fold)):
                        first_remarks.setdefault(method.label, f"'{method.label}': {remark}")
        return list(first_remarks.values())

    def _run_id(
        self,
        shared: Mapping[str, Any],
        model: ModelSection,
        method: MethodEntry,
        fold: int,
        seed: int,
        taken: Collection[str],
    ) -> str:
        """Choose the id of a run, other than those that are taken; `shared` is what all runs of the study share."""
        own, weights = without_label(method.resolved()), self.weights[model.label]
        trained = Trained(method=own, model=model_identity(model), weights=weights, fold=fold, seed=seed)
        identity = {
            **shared,
            "model": trained.model,
            "method": own,
            "fold": fold,
            "seed": seed,
            "data": self.data_hash,
            "splits": self.splits.hash,
            "encoder_weights": weights,
        }
        labels = [entry.label for entry in self.config.methods]
        return self.planned.choose(trained, identity, method.label, labels, taken)


def shared_identity(config: StudyConfig) -> dict[str, Any]:
    """The part of a study file that the runs of all its models share and that can change their results. No paths."""
    content = config.dump()
    dataset = {key: value for key, value in content["dataset"].items() if key not in ("path", "source", "families")}
    return {"schema": SCHEMA_VERSION, "dataset": dataset, "training": content["training"]}


def model_identity(model: ModelSection) -> dict[str, Any]:
    """What of a model can change the result of a run; its label cannot, and its weights are known by their hash."""
    content = model.model_dump(mode="json")
    return {key: value for key, value in content.items() if key not in ("label", "encoder_weights")}


def build_context(study: Study, run: PlannedRun, *, stage: int, finished: tuple[ClassFeedback, ...]) -> BuildContext:
    """What a method knows when its components are built."""
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
