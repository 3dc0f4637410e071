"""What a trained run leaves behind: counts per image, predictions, weights, manifest."""

import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from safetensors.torch import save as serialise_tensors

from imbalance_bench.evaluation.counts import Counts, count_pixels
from imbalance_bench.evaluation.prediction import predict_image
from imbalance_bench.manifest import code_version, library_versions, write_atomically, write_json
from imbalance_bench.models.segmenter import Segmenter
from imbalance_bench.records import SCHEMA_VERSION, RunRecord, write_table
from imbalance_bench.seeding import generator
from imbalance_bench.study import PlannedRun, Study
from imbalance_bench.training.journal import RunJournal
from imbalance_bench.training.optimisation import autocast, parameter_counts
from imbalance_bench.training.tile_data import TileData
from methods.base import Components


@dataclass(frozen=True)
class ImageEvaluation:
    """Predicts and counts whole images with the model as it stands."""

    study: Study
    data: TileData
    rows: Mapping[str, Sequence[int]]
    segmenter: Segmenter
    components: Components
    precision: str

    def predict(self, image_id: str) -> np.ndarray:
        """Return the predicted mask, (H, W) uint8."""
        entry = self.study.dataset.entry(image_id)
        self.segmenter.eval()
        with autocast(self.precision, self.data.device):
            return predict_image(
                lambda rows: self.data.tile_logits(self.segmenter, rows),
                self.data.tiles.tiles,
                self.rows[image_id],
                n_classes=len(self.study.taxonomy.names),
                height_px=entry.height_px,
                width_px=entry.width_px,
                adjust_logits=self.components.adjust_logits,
            )

    def counts(self, image_id: str) -> Counts:
        """Return the pixel counts of one image."""
        return self.compare(image_id, self.predict(image_id))

    def compare(self, image_id: str, predicted: np.ndarray) -> Counts:
        """Count a predicted mask against the truth."""
        target = self.study.taxonomy.apply(self.study.dataset.read_mask(image_id))
        return count_pixels(predicted, target, len(self.study.taxonomy.names))


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
    tables = []
    for split, image_ids in (("val", fold.val), ("test", fold.test)):
        for image_id in image_ids:
            predicted = evaluation.predict(image_id)
            tables.append(_rows(study, image_id, split, evaluation.compare(image_id, predicted)))
            if split == "test" and image_id in panel:
                _write_prediction(record, image_id, predicted)
    write_table(record.path / "counts.parquet", "counts", pd.concat(tables, ignore_index=True))
    write_table(record.path / "epochs.parquet", "epochs", journal.epochs())
    write_table(record.path / "class_parameters.parquet", "class_parameters", journal.ledger())
    state = {name: value.contiguous().cpu() for name, value in evaluation.segmenter.stored_state().items()}
    content = serialise_tensors(state)  # without metadata, whose order varies: same run, same bytes
    write_atomically(record.path / "model.safetensors", lambda file: file.write(content))
    trained = cost.pop("seconds_before_evaluation")
    cost |= {
        "seconds": seconds(),
        "steps_per_second": cost["steps"] / max(trained, 1e-9),
        "peak_memory_mib": peak_memory_mib(evaluation.data.device),
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


def _rows(study: Study, image_id: str, split: str, counts: Counts) -> pd.DataFrame:
    """Rows of counts.parquet of one image."""
    return pd.DataFrame(
        {
            "image_id": image_id,
            "group_id": study.dataset.entry(image_id).group_id,
            "split": split,
            "class_id": np.arange(len(counts.tp), dtype=np.int16),
            "tp": counts.tp,
            "fp": counts.fp,
            "fn": counts.fn,
            "n_valid": counts.n_valid,
        }
    )


def _write_prediction(record: RunRecord, image_id: str, predicted: np.ndarray) -> None:
    image = Image.fromarray(predicted, mode="L")
    write_atomically(record.prediction_path(image_id), partial(image.save, format="PNG"))


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
    }
