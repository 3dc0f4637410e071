"""What a trained run leaves behind: counts per image, predictions, attention maps, weights, manifest."""

import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from safetensors.numpy import save as serialise_arrays
from safetensors.torch import save as serialise_tensors

from imbalance_bench.evaluation.counts import Counts, confusion_matrix, count_pixels
from imbalance_bench.evaluation.image_tables import (
    BoundarySetting,
    ImageKeys,
    boundary_rows,
    confusion_rows,
    count_rows,
    probability_rows,
)
from imbalance_bench.evaluation.interventions import LEARNED, changed_biases
from imbalance_bench.evaluation.prediction import most_likely
from imbalance_bench.evaluation.probabilities import count_probabilities
from imbalance_bench.manifest import code_version, library_versions, write_atomically, write_json
from imbalance_bench.models.licences import licences
from imbalance_bench.records import SCHEMA_VERSION, RunRecord, write_table
from imbalance_bench.seeding import generator
from imbalance_bench.study import PlannedRun, Study
from imbalance_bench.training.image_evaluation import ImageEvaluation, QueriedImage
from imbalance_bench.training.journal import RunJournal
from imbalance_bench.training.optimisation import parameter_counts

_TIMED = ("prediction", "probabilities", "boundary", "interventions", "attention")  # parts of an evaluation


class RecordTables:
    """Collects the rows that images leave in the record tables.

    Args:
        evaluation: The trained model.
        record: The run's folder.
    """

    def __init__(self, evaluation: ImageEvaluation, record: RunRecord) -> None:
        section = evaluation.study.config.evaluation
        mpp = evaluation.study.dataset.info.mpp_um
        self._evaluation, self._record = evaluation, record
        self._boundary = BoundarySetting(
            mpp_um=None if mpp is None else (mpp, mpp),
            diagonal=section.boundary_diagonal,
            boundary_um=section.boundary_um,
            surface_um=section.surface_um,
            trimap_um=section.trimap_um,
        )
        bias = evaluation.components.attention_bias
        self._biases = {} if bias is None else changed_biases(bias, section.permuted_biases)
        self._tables: dict[str, list[pd.DataFrame]] = {}
        self.seconds: dict[str, float] = dict.fromkeys(_TIMED, 0.0)

    def add(self, image_id: str, split: str, *, keep: bool) -> None:
        """Predict one image and collect its rows; with `keep`, its predicted mask and attention maps are written."""
        evaluation = self._evaluation
        keys = ImageKeys(image_id, evaluation.study.dataset.entry(image_id).group_id, split)
        target = evaluation.target(image_id)
        with self._timed("prediction"):
            query = evaluation.query(image_id) if self._biases or keep else None
            logits = evaluation.logits(image_id) if query is None else query.logits()
            predicted = most_likely(logits)
        confusion = confusion_matrix(predicted, target, evaluation.n_classes)
        self._append("confusion", confusion_rows(keys, confusion))
        counts = count_rows(keys, Counts.of_confusion(confusion))
        self._append("counts", counts)
        with self._timed("probabilities"):
            self._append("probabilities", probability_rows(keys, count_probabilities(logits, predicted, target)))
        with self._timed("boundary"):
            self._append("boundary", boundary_rows(keys, predicted, target, evaluation.n_classes, self._boundary))
        if query is not None and self._biases:
            self._append("interventions", counts.assign(intervention=LEARNED))
            with self._timed("interventions"):
                self._intervene(keys, query, target)
        if keep:
            _write_prediction(self._record, image_id, predicted)
        if keep and query is not None:
            with self._timed("attention"):
                _write_attention(self._record, query)

    def write(self) -> None:
        """Write every table that has rows."""
        for name, tables in self._tables.items():
            write_table(self._record.path / f"{name}.parquet", name, pd.concat(tables, ignore_index=True))

    def _intervene(self, keys: ImageKeys, query: QueriedImage, target: np.ndarray) -> None:
        for name, bias in self._biases.items():
            counts = count_pixels(query.predict(bias), target, self._evaluation.n_classes)
            self._append("interventions", count_rows(keys, counts).assign(intervention=name))

    def _append(self, name: str, rows: pd.DataFrame) -> None:
        self._tables.setdefault(name, []).append(rows)

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[what] += time.monotonic() - started


def write_records(
    study: Study,
    run: PlannedRun,
    record: RunRecord,
    evaluation: ImageEvaluation,
    journal: RunJournal,
    *,
    pairing: dict[str, Any],
    cost: dict[str, Any],
    precision: str,
    seconds: Callable[[], float],
) -> None:
    """Evaluate validation and test images and write every record but the status.

    Args:
        study: The study.
        run: The run.
        record: Its folder.
        evaluation: The trained model.
        journal: Rows collected in training.
        pairing: Digests that say with which runs this one may be paired.
        cost: What is known of the cost so far.
        precision: `float32` or `bfloat16`.
        seconds: Time spent so far.
    """
    fold = study.splits.folds[run.fold]
    panel = set(_panel(fold.test, study.config.compute.saved_predictions))
    tables = RecordTables(evaluation, record)
    for split, image_ids in (("val", fold.val), ("test", fold.test)):
        for image_id in image_ids:
            tables.add(image_id, split, keep=split == "test" and image_id in panel)
    tables.write()
    write_table(record.path / "epochs.parquet", "epochs", journal.epochs())
    write_table(record.path / "class_parameters.parquet", "class_parameters", journal.ledger())
    dynamics = journal.dynamics(lambda image_id: study.dataset.entry(image_id).group_id)
    if len(dynamics):
        write_table(record.path / "dynamics.parquet", "dynamics", dynamics)
    state = {name: value.contiguous().cpu() for name, value in evaluation.segmenter.stored_state().items()}
    content = serialise_tensors(state)  # without metadata, whose order varies: same run, same bytes
    write_atomically(record.path / "model.safetensors", lambda file: file.write(content))
    trained = cost.pop("seconds_before_evaluation")
    cost |= {
        "seconds": seconds(),
        "steps_per_second": cost["steps"] / max(trained, 1e-9),
        "peak_memory_mib": peak_memory_mib(evaluation.data.device),
        "evaluation_seconds": {name: round(spent, 3) for name, spent in tables.seconds.items()},
    }
    manifest = _manifest(study, run, evaluation, pairing, cost, precision)
    write_json(record.path / "manifest.json", manifest)


def peak_memory_mib(device: torch.device) -> float:
    """Largest memory held so far: of the device on CUDA, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 1 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _panel(image_ids: tuple[str, ...], limit: int) -> list[str]:
    """Test images whose predictions are kept: all, or a draw that depends on nothing but their number."""
    if len(image_ids) <= limit:
        return list(image_ids)
    chosen = generator(0, "panel").permutation(len(image_ids))[:limit]
    return [image_ids[i] for i in sorted(chosen)]


def _write_prediction(record: RunRecord, image_id: str, predicted: np.ndarray) -> None:
    image = Image.fromarray(predicted, mode="L")
    write_atomically(record.prediction_path(image_id), partial(image.save, format="PNG"))


def _write_attention(record: RunRecord, query: QueriedImage) -> None:
    tensors = {
        "weights": query.attention().astype(np.float16),
        "stride_px": np.array([query.decoder.size.token_stride_px], dtype=np.int32),
    }
    content = serialise_arrays(tensors)
    write_atomically(record.attention_path(query.image_id), lambda file: file.write(content))


def _manifest(
    study: Study,
    run: PlannedRun,
    evaluation: ImageEvaluation,
    pairing: dict[str, Any],
    cost: dict[str, Any],
    precision: str,
) -> dict[str, Any]:
    config = study.config
    return {
        "schema": SCHEMA_VERSION,
        "run_id": run.run_id,
        "study": config.name,
        "method": run.method.resolved(),
        "fold": run.fold,
        "seed": run.seed,
        "dataset": study.dataset.info.name,
        "model": config.model.model_dump(mode="json"),
        "training": config.training.model_dump(mode="json"),
        "evaluation": config.evaluation.model_dump(mode="json"),
        "pairing": pairing,
        "hashes": {"data": study.data_hash, "splits": study.splits.hash, "encoder_weights": study.weights_hash},
        "environment": {
            "device": str(evaluation.data.device),
            "precision": precision,
            "deterministic": config.compute.deterministic,
            "threads": config.compute.threads,
            "versions": library_versions(),
            "code": code_version(),
        },
        "cost": cost,
        "parameters": parameter_counts(evaluation.segmenter),
        "licences": licences(config.model, study.dataset.info.licence),
    }
