"""The schema of what a run leaves behind: write it, read it, refuse what does not fit. No torch.

    results/studies/<study>/
        study.yaml       the resolved study file       plan.json   the runs it asks for, with their hashes
        dataset.json     class names, colours, counts  splits.json the folds
        runs/<run_id>/   manifest.json status.json epochs.parquet counts.parquet class_parameters.parquet
                         confusion.parquet boundary.parquet interventions.parquet (runs with an attention bias)
                         path_controls.parquet (runs with class tokens) dynamics.parquet probabilities.parquet
                         model.safetensors predictions/<image_id>.png progress.jsonl (times; read by `track` only)
                         attention/<image_id>.safetensors (runs with class tokens)

Where `score` read predictions that were made elsewhere, foreign.yaml takes the place of study.yaml, plan and manifests
say `origin: foreign`, and runs have no model; nothing of their training is known.

Counts are integers and no ratio is stored: Dice and IoU exist only in `analysis`, so a new metric needs no retraining.
Tables that a run need not have (`OPTIONAL_TABLES`) read as None where it has none.
"""

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
from imbalance_bench.file_access import refusal
from imbalance_bench.manifest import LOCK, file_hash, write_atomically, write_json
from imbalance_bench.record_checks import require_sound_rows
from imbalance_bench.record_documents import DatasetDocument, PlanDocument, read_document

SCHEMA_VERSION = 2  # of plan and manifest: 2 has run ids without labels, and digests of a run's files
READABLE_SCHEMAS = (1, 2)
TABLES_VERSION = 1
FOREIGN = "foreign"  # origin, in plan and manifests, of predictions that were made elsewhere
STUDY_FILE, FOREIGN_FILE = "study.yaml", "foreign.yaml"  # what `run` and `score` were told; a study has one of them

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
TRAIN_AGAIN = "Delete the run's folder and run the study again."
WEIGHTS = "model.safetensors"
CHECKPOINT = "checkpoint.pt"  # only while a run is not finished
PICTURE_FOLDERS = ("predictions", "attention")  # of a run, one file per image of the panel
PROBABILITY_BINS = 15  # as Guo et al. 2017
_MAY_PREDICT_NONE = "imbalance_bench.may_predict_none"
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


def as_table(name: str, rows: pd.DataFrame) -> pa.Table:
    """Return `rows` with exactly the schema of the table called `name`.

    Raises:
        ValueError: A column is missing, unknown, or does not convert without loss.
    """
    schema = TABLES[name]
    if set(rows.columns) != set(schema.names):
        raise ValueError(f"{name} must have the columns {schema.names}. Got {list(rows.columns)}.")
    return pa.Table.from_pandas(rows[schema.names], schema=schema, preserve_index=False, safe=True)


def write_table(path: Path, name: str, rows: pd.DataFrame, *, may_predict_none: bool = False) -> None:
    """Write `rows` as the table called `name` (a key of TABLES), atomically, with exactly its schema.

    Args:
        path: The file.
        name: Of the table.
        rows: Its rows.
        may_predict_none: A pixel may have been predicted as none of the classes; the file says so, and then not every
            false negative of a class is a false positive of another.

    Raises:
        ValueError: A column is missing, unknown, or does not convert without loss.
    """
    table = as_table(name, rows)
    facts = {"imbalance_bench.schema": f"{name}/{TABLES_VERSION}"}
    if may_predict_none:
        facts[_MAY_PREDICT_NONE] = "1"
    table = table.replace_schema_metadata(facts)
    write_atomically(path, lambda file: pq.write_table(table, file, compression="zstd"))


def read_table(path: Path, name: str) -> pd.DataFrame:
    """Read the table called `name`.

    Raises:
        UserError: The file is damaged or of another schema, or its rows contradict one another.
    """
    table = read_arrow(path, name)
    rows = table.to_pandas()
    require_sound_rows(path, name, rows, may_predict_none=may_predict_none(table))
    return rows


def read_arrow(path: Path, name: str, content: bytes | None = None) -> pa.Table:
    """Read the table called `name` as it is stored; what its rows say is not checked.

    Args:
        path: The file.
        name: A key of TABLES.
        content: The file's bytes, where they have been read already.

    Raises:
        UserError: The file is damaged or of another schema.
    """
    try:
        # several times as fast as `pq.read_table`, which prepares to read many files
        table = pq.ParquetFile(pa.BufferReader(path.read_bytes() if content is None else content)).read()
        table.validate(full=True)  # text is UTF-8, too
        names = table.schema.names
    except (OSError, pa.ArrowException, ValueError) as error:  # damaged text is a UnicodeDecodeError
        if isinstance(error, OSError) and (refused := refusal(error, path)) is not None:
            raise refused from error
        raise UserError(
            f"{path}: not a readable {name} table ({error}). {TRAIN_AGAIN}",
            exit_code=1,
        ) from error
    if not table.schema.equals(TABLES[name]):
        raise UserError(f"{path}: columns {names} are not those of schema {TABLES_VERSION}.", exit_code=1)
    return table


def may_predict_none(table: pa.Table) -> bool:
    """Return whether pixels of a table that was read may have been predicted as none of the classes."""
    return _MAY_PREDICT_NONE.encode() in (table.schema.metadata or {})


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; a damaged file is a `UserError` that names it."""
    return read_document(path)


def require_known_schema(path: Path, schema: object) -> None:
    """Refuse records of a version that this one does not know."""
    if schema in READABLE_SCHEMAS and not isinstance(schema, bool):
        return
    newer = isinstance(schema, int) and schema > SCHEMA_VERSION
    fix = "Update imbalance-bench." if newer else "The file is damaged, or was not written by imbalance-bench."
    raise UserError(f"{path}: `schema` must be at most {SCHEMA_VERSION}. Got {schema!r}. {fix}", exit_code=1)


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

    @property
    def lock_path(self) -> Path:
        """Locked by the process that works on the run."""
        return self.path / LOCK

    def manifest(self) -> dict[str, Any]:
        """Configuration, hashes, seeds, versions, timing and pairing digests.

        Raises:
            UserError: It is missing or damaged, of a newer version, or of another run.
        """
        path = self.path / "manifest.json"
        content = read_json(path)
        require_known_schema(path, content.get("schema"))
        if content.get("run_id") != self.run_id:
            raise UserError(f"{path} must be of run {self.run_id}. Got {content.get('run_id')!r}.", exit_code=1)
        return content

    def table(self, name: str) -> pd.DataFrame:
        """Read a table of the run, and refuse a file that is not the one that the run wrote.

        Raises:
            UserError: The file, or the manifest that knows its digest, is damaged.
        """
        path = self.path / f"{name}.parquet"
        self.require_as_written(path)
        return read_table(path, name)

    def digests(self) -> dict[str, str]:
        """SHA-256 (hex) of the tables and weights that the run has written, by file name."""
        paths = [*self.path.glob("*.parquet"), *self.path.glob("*.safetensors")]
        return {path.name: file_hash(path) for path in sorted(paths)}

    def require_as_written(self, path: Path) -> None:
        """Refuse a file of the run whose content is not what the manifest says; manifests of schema 1 say nothing.

        Raises:
            UserError: It differs, or cannot be read.
        """
        known = self.manifest().get("files", {}).get(path.name) if (self.path / "manifest.json").exists() else None
        if known is None:
            return
        try:
            found = file_hash(path)
        except OSError as error:
            raise UserError(f"{path}: not readable ({error.strerror}). {TRAIN_AGAIN}", exit_code=1) from None
        if found != known:
            raise UserError(f"{path} has changed since the run wrote it. {TRAIN_AGAIN}", exit_code=1)

    def status(self) -> dict[str, Any]:
        """{"state", "step", "steps", "updated", "error"}; an empty object before the run has started."""
        path = self.path / "status.json"
        return read_json(path) if path.exists() else {}

    def is_done(self) -> bool:
        """True if the run finished; a status that cannot be read says nothing of the kind."""
        try:
            return self.status().get("state") == RunState.DONE
        except UserError:
            return False

    def last_step(self) -> int:
        """Steps done when the status was last written; 0 where it says nothing."""
        try:
            return int(self.status().get("step", 0))
        except UserError:
            return 0

    def write_status(self, state: RunState, *, step: int, steps: int, error: str | None = None) -> None:
        """Replace status.json atomically."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(
            self.path / "status.json",
            {"state": str(state), "step": step, "steps": steps, "updated": now, "error": error},
        )

    def counts(self) -> pd.DataFrame:
        """Image x class integer counts; columns of COUNTS."""
        return self.table("counts")

    def epochs(self) -> pd.DataFrame:
        """Loss parts and validation counts over steps; columns of EPOCHS."""
        return self.table("epochs")

    def class_parameters(self) -> pd.DataFrame:
        """The class-parameter ledger; columns of CLASS_PARAMETERS."""
        return self.table("class_parameters")

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
        manifest = self.path / "manifest.json"
        promised = manifest.exists() and f"{name}.parquet" in self.manifest().get("files", {})
        return self.table(name) if promised or (self.path / f"{name}.parquet").exists() else None

    @property
    def progress_path(self) -> Path:
        """What the run wrote down while it trained, with times; see `progress_log`. No part of its records."""
        return self.path / "progress.jsonl"

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
        try:
            (root / "plan.json").stat()  # one that must not be looked at is another matter
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(
                f"{root} is not a study directory: it has no plan.json. Make one with `imbalance-bench run`."
            ) from None
        return cls(root)

    @property
    def made_by(self) -> tuple[str, str]:
        """The command that makes the runs, and the file of the directory that it is given to go on."""
        return ("score", FOREIGN_FILE) if (self.root / FOREIGN_FILE).exists() else ("run", STUDY_FILE)

    def plan(self) -> dict[str, Any]:
        """{"name", "runs": [{"run_id", "method", "fold", "seed", "architecture"}], "analysis": {...}}.

        Runs of a study of several models also have `model`, its label; such a plan holds them resolved in `models`.
        """
        path = self.root / "plan.json"
        content = read_document(path, PlanDocument)
        if "identity" in content:
            require_known_schema(path, content["identity"].get("schema"))
        return content

    def dataset(self) -> dict[str, Any]:
        """Name, path, classes (name, colour), mpp_um, groups_known, per-class training counts, class merging."""
        return read_document(self.root / "dataset.json", DatasetDocument)

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
