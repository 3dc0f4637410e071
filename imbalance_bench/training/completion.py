"""What a trained run leaves behind: its tables, weights and manifest."""

import resource
import sys
from collections.abc import Callable
from typing import Any

import torch
from safetensors.torch import save as serialise_tensors

from imbalance_bench.config import ModelSection
from imbalance_bench.encoder_config import without_folders
from imbalance_bench.evaluation.kept_predictions import panel
from imbalance_bench.manifest import code_version, library_versions, write_atomically, write_json
from imbalance_bench.models.licences import licences
from imbalance_bench.record_documents import SCHEMA_VERSION
from imbalance_bench.records import WEIGHTS, RunRecord
from imbalance_bench.study import PlannedRun, Study
from imbalance_bench.table_files import write_table
from imbalance_bench.training.image_evaluation import ImageEvaluation
from imbalance_bench.training.journal import RunJournal
from imbalance_bench.training.optimisation import parameter_counts
from imbalance_bench.training.record_tables import RecordTables
from imbalance_bench.training.tile_data import TileData


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
    origin: dict[str, Any] | None = None,
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
        origin: Of a model that was trained elsewhere: where it comes from.
    """
    tables = evaluate_images(study, run, record, evaluation)
    tables.write()
    write_table(record.path / "epochs.parquet", "epochs", journal.epochs())
    write_table(record.path / "class_parameters.parquet", "class_parameters", journal.ledger())
    dynamics = journal.dynamics(lambda image_id: study.dataset.entry(image_id).group_id)
    if len(dynamics):
        write_table(record.path / "dynamics.parquet", "dynamics", dynamics)
    state = {name: value.contiguous().cpu() for name, value in evaluation.segmenter.stored_state().items()}
    content = serialise_tensors(state)  # without metadata, whose order varies: same run, same bytes
    write_atomically(record.path / WEIGHTS, lambda file: file.write(content))
    trained = cost.pop("seconds_before_evaluation")
    cost |= {
        "seconds": seconds(),
        "steps_per_second": cost["steps"] / max(trained, 1e-9),
        "peak_memory_mib": peak_memory_mib(evaluation.data.device),
        "evaluation_seconds": {name: round(spent, 3) for name, spent in tables.seconds.items()},
    }
    manifest = _manifest(study, run, record, evaluation, pairing, cost, precision)
    write_json(record.path / "manifest.json", manifest | ({"trained_elsewhere": origin} if origin else {}))


def _model_without_folders(model: ModelSection) -> dict[str, Any]:
    """The model as recorded: a file of weights by its name, since `hashes` says which one it was."""
    content = model.model_dump(mode="json")
    return content | {"encoder_weights": without_folders(content["encoder_weights"])}


def recorded_encoders(study: Study, data: TileData) -> list[dict[str, Any]]:
    """Return what a run records of each encoder: how it was resolved, and the key of its features where they were read.

    Args:
        study: Of one model.
        data: What the run was trained on.
    """
    keys = (None,) * len(study.resolved) if data.cache is None else data.cache.keys
    return [encoder.as_json() | {"features": key} for encoder, key in zip(study.resolved, keys, strict=True)]


def evaluate_images(study: Study, run: PlannedRun, record: RunRecord, evaluation: ImageEvaluation) -> RecordTables:
    """Predict every validation and test image, write the pictures of the panel, and return the tables."""
    fold = study.splits.folds[run.fold]
    shown_images = set(panel(fold.test, study.config.compute.saved_predictions))
    tables = RecordTables(evaluation, record, _controlled(fold.test, study.config.evaluation.path_controls))
    for split, image_ids in (("val", fold.val), ("test", fold.test)):
        for image_id in image_ids:
            tables.add(image_id, split, keep=split == "test" and image_id in shown_images)
    return tables


def peak_memory_mib(device: torch.device) -> float:
    """Largest memory held so far: of the device on CUDA, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 1 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _controlled(image_ids: tuple[str, ...], dosed: int) -> dict[str, bool]:
    """Test images on which the attention path is controlled, and whether with doses too."""
    with_doses = set(panel(image_ids, dosed))
    return {image_id: image_id in with_doses for image_id in image_ids if dosed}


def _manifest(
    study: Study,
    run: PlannedRun,
    record: RunRecord,
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
        "model": _model_without_folders(config.model),
        "training": config.training.model_dump(mode="json"),
        "evaluation": config.evaluation.model_dump(mode="json"),
        "pairing": pairing,
        "encoders": recorded_encoders(study, evaluation.data),
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
        "files": record.digests(),
    }
