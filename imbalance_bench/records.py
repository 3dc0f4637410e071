"""The folders of a study and of its runs: where every file is, and how it is read. No torch.

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

`table_schemas` defines the columns of the tables, `record_documents` the keys of the JSON files.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file

from imbalance_bench.errors import UserError
from imbalance_bench.manifest import LOCK, file_hash, write_json
from imbalance_bench.record_checks import TRAIN_AGAIN
from imbalance_bench.record_documents import (
    DatasetDocument,
    ManifestDocument,
    PlanDocument,
    read_document,
    require_known_schema,
)
from imbalance_bench.table_files import read_table

FOREIGN = "foreign"  # origin, in plan and manifests, of predictions that were made elsewhere
STUDY_FILE, FOREIGN_FILE = "study.yaml", "foreign.yaml"  # input of `run` and of `score`; a study has one of them

WEIGHTS = "model.safetensors"
CHECKPOINT = "checkpoint.pt"  # only while a run is not finished
PICTURE_FOLDERS = ("predictions", "attention")  # of a run, one file per image of the panel


class RunState(StrEnum):
    """State of a run. A run that was killed still says `running`; its lock says that nobody works on it."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


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
        content = read_document(path, ManifestDocument)
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
        recorded_hash = (
            self.manifest().get("files", {}).get(path.name) if (self.path / "manifest.json").exists() else None
        )
        if recorded_hash is None:
            return
        try:
            current_hash = file_hash(path)
        except OSError as error:
            raise UserError(f"{path}: not readable ({error.strerror}). {TRAIN_AGAIN}", exit_code=1) from None
        if current_hash != recorded_hash:
            raise UserError(f"{path} has changed since the run wrote it. {TRAIN_AGAIN}", exit_code=1)

    def status(self) -> dict[str, Any]:
        """{"state", "step", "steps", "updated", "error"}; an empty object before the run has started."""
        path = self.path / "status.json"
        return read_document(path) if path.exists() else {}

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
        """The command that makes the runs, and the file of the directory with which it resumes."""
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
