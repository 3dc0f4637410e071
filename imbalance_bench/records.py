"""The schema of what a run leaves behind: write it, read it, refuse what does not fit. No torch.

    results/studies/<study>/
        study.yaml       the resolved study file       plan.json   the runs it asks for, with their hashes
        dataset.json     class names, colours, counts  splits.json the folds
        runs/<run_id>/   manifest.json status.json epochs.parquet counts.parquet class_parameters.parquet
                         confusion.parquet boundary.parquet interventions.parquet (runs with an attention bias)
                         path_controls.parquet (runs with class tokens) dynamics.parquet probabilities.parquet
                         model.safetensors predictions/<image_id>.png
                         attention/<image_id>.safetensors (runs with class tokens)

Where `score` read predictions that were made elsewhere, foreign.yaml takes the place of study.yaml, plan and manifests
say `origin: foreign`, and runs have no model; nothing of their training is known.

Counts are integers and no ratio is stored: Dice and IoU exist only in `analysis`, so a new metric needs no retraining.
Tables that a run need not have (`OPTIONAL_TABLES`) read as None where it has none.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import load_file

from imbalance_bench.errors import UserError
from imbalance_bench.manifest import write_atomically, write_json

SCHEMA_VERSION = 1
FOREIGN = "foreign"  # origin, in plan and manifests, of predictions that were made elsewhere

COUNTS = pa.schema(
    [
        ("image_id", pa.string()),
        ("group_id", pa.string()),
        ("split", pa.string()),  # val | test
        ("class_id", pa.int16()),
        ("tp", pa.int64()),  # pixels
        ("fp", pa.int64()),
        ("fn", pa.int64()),
        ("n_valid", pa.int64()),  # labelled pixels of the image, the same for each of its classes
    ]
)
EPOCHS = pa.schema(
    [
        ("stage", pa.int8()),
        ("step", pa.int32()),  # optimiser steps done
        ("split", pa.string()),  # train | val
        ("quantity", pa.string()),  # loss, <loss part>, learning_rate, tp, fp, fn
        ("class_id", pa.int16()),  # -1: not per class
        ("value", pa.float64()),
    ]
)
CLASS_PARAMETERS = pa.schema(
    [
        ("stage", pa.int8()),
        ("step", pa.int32()),
        ("class_id", pa.int16()),
        ("parameter", pa.string()),  # attention_bias, attention_bias_initial, effective_offset, loss_weight, ...
        ("value", pa.float64()),
    ]
)
CONFUSION = pa.schema(
    [
        ("image_id", pa.string()),
        ("group_id", pa.string()),
        ("split", pa.string()),  # val | test
        ("true_id", pa.int16()),
        ("predicted_id", pa.int16()),  # K, one past the last class: as none of them
        ("pixels", pa.int64()),  # labelled pixels, > 0: pairs that do not occur have no row
    ]
)
BOUNDARY = pa.schema(
    [
        ("image_id", pa.string()),
        ("group_id", pa.string()),
        ("split", pa.string()),  # val | test
        ("class_id", pa.int16()),
        ("measure", pa.string()),  # a BoundaryMeasure
        ("distance_um", pa.float64()),  # null where the measure has none; inf: beyond the last band
        ("numerator", pa.int64()),
        ("denominator", pa.int64()),  # > 0: a class that is neither labelled nor predicted has no row
    ]
)
INTERVENTIONS = pa.schema(
    [
        ("image_id", pa.string()),
        ("group_id", pa.string()),
        ("split", pa.string()),  # val | test
        (
            "intervention",
            pa.string(),
        ),  # learned, zeroed, permuted_<i>, shifted_<class_id>: see evaluation.interventions
        ("class_id", pa.int16()),
        ("tp", pa.int64()),  # pixels
        ("fp", pa.int64()),
        ("fn", pa.int64()),
        ("n_valid", pa.int64()),
    ]
)
PATH_CONTROLS = pa.schema(
    [
        ("image_id", pa.string()),
        ("group_id", pa.string()),
        ("split", pa.string()),  # test
        ("control", pa.string()),  # a PathControl
        ("target_id", pa.int16()),  # the dosed class; -1: none
        ("dose", pa.float64()),  # natural log-odds; 0: none
        ("class_id", pa.int16()),
        ("tp", pa.int64()),  # pixels
        ("fp", pa.int64()),
        ("fn", pa.int64()),
        ("n_valid", pa.int64()),
    ]
)
PROBABILITIES = pa.schema(
    [
        ("image_id", pa.string()),
        ("group_id", pa.string()),
        ("split", pa.string()),  # val | test
        ("class_id", pa.int16()),  # whose probability is looked at
        ("predicted", pa.bool_()),  # the pixels are predicted as the class
        ("bin", pa.int16()),  # of its probability, from 0 to PROBABILITY_BINS - 1, equally wide
        ("pixels", pa.int64()),  # labelled pixels, > 0
        ("true_pixels", pa.int64()),  # those labelled as the class
        ("p_millionths", pa.int64()),  # sum of the probability over the pixels
        ("true_p_millionths", pa.int64()),  # over those labelled as the class
        ("p_squared_millionths", pa.int64()),  # sum of its square over the pixels
    ]
)
DYNAMICS = pa.schema(
    [
        ("stage", pa.int8()),
        ("image_id", pa.string()),  # of the training split
        ("group_id", pa.string()),
        ("class_id", pa.int16()),  # the true class
        ("looks", pa.int32()),  # times that the pixels were predicted during the stage
        ("pixels", pa.int64()),  # watched pixels, > 0
        ("learned", pa.int64()),  # pixels that were right at least once
        ("forgotten", pa.int64()),  # pixels that were right and wrong at the next look at least once
        ("forgettings", pa.int64()),  # changes from right to wrong, over all pixels
        ("probability_millionths", pa.int64()),  # sum over pixels and looks of the true class's probability
        ("margin_millionths", pa.int64()),  # sum over pixels and looks of its logit minus the largest other one
    ]
)
TABLES = {
    "counts": COUNTS,
    "epochs": EPOCHS,
    "class_parameters": CLASS_PARAMETERS,
    "confusion": CONFUSION,
    "boundary": BOUNDARY,
    "interventions": INTERVENTIONS,
    "path_controls": PATH_CONTROLS,
    "dynamics": DYNAMICS,
    "probabilities": PROBABILITIES,
}
# runs of earlier versions have none
OPTIONAL_TABLES = ("confusion", "boundary", "interventions", "path_controls", "dynamics", "probabilities")
PROBABILITY_BINS = 15  # as Guo et al. 2017
PROBABILITY_UNIT = 1_000_000  # sums of probabilities and margins are stored in whole millionths


class BoundaryMeasure(StrEnum):
    """Measures of boundary.parquet, each a ratio whose sums over images stay exact; `evaluation.boundary` defines them.

    BOUNDARY_IOU: pixels in both bands / pixels in either; the band is `distance_um` wide.
    BOUNDARY_IOU_DIAGONAL: the same with a band of a share of the image's diagonal; no distance in um.
    SURFACE_DICE: border length within `distance_um` of the other border / length of both borders, pm.
    HAUSDORFF_95: distance, pm / 1; a row only where the class is both labelled and predicted.
    TRIMAP: wrongly predicted pixels of the class / its labelled pixels, between the next smaller `distance_um` and this
        one from the true border; the last band has no outer end (inf).
    """

    BOUNDARY_IOU = "boundary_iou"
    BOUNDARY_IOU_DIAGONAL = "boundary_iou_diagonal"
    SURFACE_DICE = "surface_dice"
    HAUSDORFF_95 = "hausdorff_95"
    TRIMAP = "trimap"


class PathControl(StrEnum):
    """What path_controls.parquet changes in a trained model, in every layer and head of the image->token attention.

    LEARNED: nothing.
    UNIFORM: each place attends equally to every class.
    REMOVED: no class reaches any place: all weights are 0.
    ORACLE: each place attends to the classes by their shares in the true mask.
    ROLLED: the same, each class getting the share of the one before it, the first that of the last.
    BIAS_DOSE: `dose` is added to the attention bias of `target_id`.
    LOGIT_DOSE: `dose` is added to the output logit of `target_id`; the attention is as trained.
    LOGIT_MATCHED: what predicts `target_id` as often in the image as after BIAS_DOSE of `dose` is added to its logit.
    """

    LEARNED = "learned"
    UNIFORM = "uniform"
    REMOVED = "removed"
    ORACLE = "oracle"
    ROLLED = "rolled"
    BIAS_DOSE = "bias_dose"
    LOGIT_DOSE = "logit_dose"
    LOGIT_MATCHED = "logit_matched"


class RunState(StrEnum):
    """State of a run. A run that was killed still says `running`; its lock says that nobody works on it."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


def write_table(path: Path, name: str, rows: pd.DataFrame) -> None:
    """Write `rows` as the table called `name` (a key of TABLES), atomically, with exactly its schema.

    Raises:
        ValueError: A column is missing, unknown, or does not convert without loss.
    """
    schema = TABLES[name]
    if set(rows.columns) != set(schema.names):
        raise ValueError(f"{name} must have the columns {schema.names}. Got {list(rows.columns)}.")
    table = pa.Table.from_pandas(rows[schema.names], schema=schema, preserve_index=False, safe=True)
    table = table.replace_schema_metadata({"imbalance_bench.schema": f"{name}/{SCHEMA_VERSION}"})
    write_atomically(path, lambda file: pq.write_table(table, file, compression="zstd"))


def read_table(path: Path, name: str) -> pd.DataFrame:
    """Read the table called `name`; a damaged file or one of another schema is a `UserError`."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise UserError(
            f"{path}: not a readable {name} table ({error}). Delete the run's folder and run the study again.",
            exit_code=1,
        ) from error
    if not table.schema.equals(TABLES[name]):
        raise UserError(f"{path}: columns {table.schema.names} are not those of schema {SCHEMA_VERSION}.", exit_code=1)
    return table.to_pandas()


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; a damaged file is a `UserError` that names it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist. Is this a study directory made by `imbalance-bench run`?") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable as JSON ({error}).", exit_code=1) from error
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold a JSON object. Got {type(content).__name__}.", exit_code=1)
    return content


def run_name(method: str, model: str | None) -> str:
    """Name a method, and the model that it trains where a study has several."""
    return method if model is None else f"{method} ({model})"


@dataclass(frozen=True)
class AttentionMaps:
    """How much each place of one image attends to each class (the attention step that a class bias joins).

    Attributes:
        weights: (K, h, w) float16, mean over layers and heads; sums to 1 over classes (less with extra tokens).
        stride_px: Image pixels per map pixel along each axis; the last row and column may reach beyond the image.
    """

    weights: np.ndarray
    stride_px: int


@dataclass(frozen=True)
class RunRecord:
    """One run's folder."""

    path: Path

    @property
    def run_id(self) -> str:
        """First 12 hex digits of the hash of everything that defines the run."""
        return self.path.name

    def manifest(self) -> dict[str, Any]:
        """Configuration, hashes, seeds, versions, timing and pairing digests."""
        return read_json(self.path / "manifest.json")

    def status(self) -> dict[str, Any]:
        """{"state", "step", "steps", "updated", "error"}; an empty object before the run has started."""
        path = self.path / "status.json"
        return read_json(path) if path.exists() else {}

    def is_done(self) -> bool:
        """True if the run finished and its records are complete."""
        return self.status().get("state") == RunState.DONE

    def write_status(self, state: RunState, *, step: int, steps: int, error: str | None = None) -> None:
        """Replace status.json atomically."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(
            self.path / "status.json",
            {"state": str(state), "step": step, "steps": steps, "updated": now, "error": error},
        )

    def counts(self) -> pd.DataFrame:
        """Image x class integer counts; columns of COUNTS."""
        return read_table(self.path / "counts.parquet", "counts")

    def epochs(self) -> pd.DataFrame:
        """Loss parts and validation counts over steps; columns of EPOCHS."""
        return read_table(self.path / "epochs.parquet", "epochs")

    def class_parameters(self) -> pd.DataFrame:
        """The class-parameter ledger; columns of CLASS_PARAMETERS."""
        return read_table(self.path / "class_parameters.parquet", "class_parameters")

    def confusion(self) -> pd.DataFrame | None:
        """Pixels by true and predicted class of each image; columns of CONFUSION; None if the run did not record it."""
        return self._optional("confusion")

    def boundary(self) -> pd.DataFrame | None:
        """Integer boundary counts; columns of BOUNDARY; None if the run did not record them."""
        return self._optional("boundary")

    def interventions(self) -> pd.DataFrame | None:
        """Counts of predictions with a changed attention bias; columns of INTERVENTIONS.

        None for runs without an attention bias, or of a version that did not record them.
        """
        return self._optional("interventions")

    def path_controls(self) -> pd.DataFrame | None:
        """Counts of predictions with another image->token attention or shifted logits; columns of PATH_CONTROLS.

        None for runs without class tokens, with `evaluation.path_controls: 0`, or of a version that did not record
        them. Test images only; doses on as many of them as `evaluation.path_controls` says.
        """
        return self._optional("path_controls")

    def dynamics(self) -> pd.DataFrame | None:
        """What watched training pixels went through; columns of DYNAMICS; None if the run did not record it."""
        return self._optional("dynamics")

    def probabilities(self) -> pd.DataFrame | None:
        """Pixels by predicted probability; columns of PROBABILITIES; None if the run did not record them."""
        return self._optional("probabilities")

    def attention_path(self, image_id: str) -> Path:
        """Attention of one image; exists only for images of the panel and runs with class tokens."""
        return self.path / "attention" / f"{image_id}.safetensors"

    def attention(self, image_id: str) -> "AttentionMaps | None":
        """Image->token attention of one image; None where none was kept."""
        path = self.attention_path(image_id)
        if not path.exists():
            return None
        try:
            stored = load_file(path)
            return AttentionMaps(weights=stored["weights"], stride_px=int(stored["stride_px"][0]))
        except (OSError, SafetensorError, KeyError) as error:
            raise UserError(f"{path}: not readable attention maps ({error}).", exit_code=1) from error

    def _optional(self, name: str) -> pd.DataFrame | None:
        path = self.path / f"{name}.parquet"
        return read_table(path, name) if path.exists() else None

    def prediction_path(self, image_id: str) -> Path:
        """Predicted class ids of one image as a PNG; exists only for images of the panel."""
        return self.path / "predictions" / f"{image_id}.png"


@dataclass(frozen=True)
class StudyRecords:
    """A study directory."""

    root: Path

    @classmethod
    def open(cls, root: Path) -> "StudyRecords":
        """Open a study directory made by `run`.

        Raises:
            UserError: `root` is not one.
        """
        if not (root / "plan.json").exists():
            raise UserError(
                f"{root} is not a study directory: it has no plan.json. Make one with `imbalance-bench run`."
            )
        return cls(root)

    def plan(self) -> dict[str, Any]:
        """{"name", "runs": [{"run_id", "method", "fold", "seed", "architecture"}], "analysis": {...}}.

        Runs of a study of several models also have `model`, its label; such a plan holds them resolved in `models`.
        """
        return read_json(self.root / "plan.json")

    def dataset(self) -> dict[str, Any]:
        """Name, path, classes (name, colour), mpp_um, groups_known, per-class training counts, class merging."""
        return read_json(self.root / "dataset.json")

    def run(self, run_id: str) -> RunRecord:
        """The record of one run, started or not."""
        return RunRecord(self.root / "runs" / run_id)

    def runs(self) -> Iterator[RunRecord]:
        """Every run folder that exists, in the order of their ids."""
        folder = self.root / "runs"
        for path in sorted(folder.iterdir()) if folder.exists() else ():
            if path.is_dir() and not path.name.startswith("."):
                yield RunRecord(path)

    def finished(self) -> list[RunRecord]:
        """Runs whose records are complete."""
        return [run for run in self.runs() if run.is_done()]
