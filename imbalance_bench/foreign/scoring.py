"""`imbalance-bench score`: predictions that were made elsewhere become the records of a study."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from imbalance_bench.damage import damages
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.unchanged import file_marks, remember_marks
from imbalance_bench.errors import UserError
from imbalance_bench.evaluation.counts import Counts, confusion_matrix
from imbalance_bench.evaluation.image_tables import (
    BoundarySetting,
    ImageKeys,
    boundary_rows,
    confusion_rows,
    count_rows,
    probability_rows,
)
from imbalance_bench.evaluation.kept_predictions import panel, write_prediction
from imbalance_bench.evaluation.probabilities import count_probabilities
from imbalance_bench.foreign.checking import ForeignRun, find_runs
from imbalance_bench.foreign.labels import NO_CLASS
from imbalance_bench.foreign.masks import read_classes, read_probabilities
from imbalance_bench.foreign.section import ForeignConfig
from imbalance_bench.locking import locked
from imbalance_bench.manifest import (
    LOCK,
    canonical_hash,
    code_version,
    library_versions,
    sweep_temporaries,
    write_atomically,
    write_json,
)
from imbalance_bench.planning import earlier_plan, first_difference, require_same_material
from imbalance_bench.preregistration import primary_choices
from imbalance_bench.record_documents import SCHEMA_VERSION
from imbalance_bench.records import FOREIGN, FOREIGN_FILE, RunRecord, RunState, StudyRecords
from imbalance_bench.run_lock import exclusive
from imbalance_bench.study_data import OnProgress, StudyData, dataset_facts, read_study_data
from imbalance_bench.table_files import write_table
from imbalance_bench.table_schemas import TABLES

_LEAST_PROBABILITY = 1e-30  # its logarithm is finite; its share of a sum is 0


@dataclass(frozen=True)
class Scored:
    """What `score_predictions` did.

    Attributes:
        runs: Every run, scored now or before.
        new: How many of them were scored now.
        remarks: What is odd and stops nothing.
    """

    runs: tuple[ForeignRun, ...]
    new: int
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class _Checked:
    """What is to be scored.

    Attributes:
        data: The data set, divided.
        marks: Of its files, before they were read.
        planned: Run id -> its predictions.
        remarks: What is odd and stops nothing.
    """

    data: StudyData
    marks: str
    planned: Mapping[str, ForeignRun]
    remarks: tuple[str, ...]


def score_predictions(config: ForeignConfig, root: Path, where: str, on_progress: OnProgress) -> Scored:
    """Check every prediction, write the plan, then the records of each run that is not scored yet.

    Args:
        config: The file.
        root: The study directory; on one that `score` made, what is there already stays.
        where: Name of the file, for messages.
        on_progress: Called with (phase, done, total).

    Raises:
        UserError: Anything is wrong with file, data or predictions (nothing has been written), or the disk is full.
        RunInUseError: Another process scores a run.
    """
    checked, records = _check(config, root, where, on_progress), StudyRecords(root)
    _write_plan(config, checked, records)
    remember_marks(root, checked.marks, checked.data.data_hash)
    waiting = {run_id: run for run_id, run in checked.planned.items() if not _is_whole(records.run(run_id))}
    total, n_done = sum(len(run.masks) for run in waiting.values()), 0
    for run_id, run in waiting.items():
        on_image = partial(_told, on_progress, n_done, total)
        with exclusive(records.run(run_id)):
            if not _is_whole(records.run(run_id)):  # another process may have scored it meanwhile
                _score_run(run, records.run(run_id), config, checked.data, on_image)
        n_done += len(run.masks)
    return Scored(tuple(checked.planned.values()), len(waiting), checked.remarks)


def check_predictions(config: ForeignConfig, root: Path, where: str, on_progress: OnProgress) -> Scored:
    """Check everything that `score_predictions` checks, and write nothing; arguments and errors as there."""
    checked = _check(config, root, where, on_progress)
    return Scored(tuple(checked.planned.values()), 0, checked.remarks)


def _check(config: ForeignConfig, root: Path, where: str, on_progress: OnProgress) -> _Checked:
    earlier = earlier_plan(root, FOREIGN)
    _require_extension(config, root, earlier)
    dataset = PreparedDataset.open(config.dataset.path)
    marks = file_marks(dataset)
    data = read_study_data(dataset, config.dataset, config.splits, on_progress)
    require_same_material(root, _hashes(data), earlier)
    runs, remarks = find_runs(config, data, where, on_progress)
    planned = {_run_id(run, config, data): run for run in runs}
    return _Checked(data, marks, planned, (*remarks, *_changed(planned, earlier)))


def _is_whole(record: RunRecord) -> bool:
    """Return whether a run is scored and undamaged; a damaged one is scored again, since its predictions are there."""
    return record.is_done() and not damages(record, thorough=True)


def _told(on_progress: OnProgress, before: int, total: int, images: int) -> None:
    on_progress("scoring", before + images, total)


def _require_extension(config: ForeignConfig, root: Path, earlier: dict[str, Any]) -> None:
    """Refuse to mix other classes or distances in one directory."""
    if not earlier:
        return
    before, now = ({**identity, "schema": None} for identity in (earlier["identity"], _identity(config)))
    changed = first_difference(before, now) or first_difference(
        earlier["evaluation"], config.evaluation.model_dump(mode="json"), "evaluation"
    )
    if changed:
        raise UserError(
            f"{root} holds a study with {changed}. Give another --out, or the settings that it was started with."
        )


def _identity(config: ForeignConfig) -> dict[str, Any]:
    """What the runs of a directory share, apart from data and splits."""
    dataset = config.dataset.model_dump(mode="json", include={"groups", "ignore"})
    return {"schema": SCHEMA_VERSION, "origin": FOREIGN, "dataset": dataset}


def _hashes(data: StudyData) -> dict[str, str]:
    return {"data": data.data_hash, "splits": data.splits.hash}


def _run_id(run: ForeignRun, config: ForeignConfig, data: StudyData) -> str:
    """First 12 hex digits of the hash of everything that can change the run's records."""
    own = {"method": run.method.label, "fold": run.fold, "seed": run.seed, "axes": run.axes}
    labels = {"labels": sorted(run.labels.table.ids.items()), "colours": run.labels.table.colours}
    return canonical_hash(_identity(config) | _hashes(data) | own | labels | {"files": dict(run.digests)})[:12]


def _changed(planned: Mapping[str, ForeignRun], earlier: Mapping[str, Any]) -> list[str]:
    """Say which runs take the place of others that were scored before."""
    before = {(run["method"], run["fold"], run["seed"]): run["run_id"] for run in earlier.get("runs", ())}
    changed = [
        run.name
        for run_id, run in planned.items()
        if before.get((run.method.label, run.fold, run.seed), run_id) != run_id
    ]
    return [f"{name}: its files or labels changed since they were scored; they are scored again." for name in changed]


def _write_plan(config: ForeignConfig, checked: _Checked, records: StudyRecords) -> None:
    """Write plan.json, which makes the directory a study, then what it rests on; one process at a time.

    A process that is killed on the way leaves a study that the same command completes.
    """
    root, data = records.root, checked.data
    root.mkdir(parents=True, exist_ok=True)
    with locked(root / LOCK):
        sweep_temporaries(root)
        earlier = earlier_plan(root, FOREIGN)  # another process may have planned since the checks
        _require_extension(config, root, earlier)
        require_same_material(root, _hashes(data), earlier)
        text = yaml.safe_dump(config.dump(), sort_keys=False, allow_unicode=True)
        write_json(root / "plan.json", _plan(config, checked, records, earlier))
        write_atomically(root / FOREIGN_FILE, lambda file: file.write(text.encode()))
        write_json(root / "dataset.json", dataset_facts(config.dataset, data))
        data.splits.save(root / "splits.json")


def _plan(
    config: ForeignConfig, checked: _Checked, records: StudyRecords, earlier: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the content of plan.json."""
    analysis = config.analysis.model_dump(mode="json") | {"control": config.control}
    analysis |= primary_choices(config.analysis.primary_measures)
    scored = bool(earlier) and bool(records.finished())
    return {
        "name": config.name,
        "created": earlier.get("created", datetime.now(UTC).isoformat(timespec="seconds")),
        "origin": FOREIGN,
        "identity": _identity(config),
        "methods": {method.label: _method(method.label) for method in config.methods},
        "hashes": _hashes(checked.data),
        "runs": [
            # one architecture for all: methods are compared whatever they are
            {"run_id": run_id, "method": run.method.label, "fold": run.fold, "seed": run.seed}
            | {"architecture": FOREIGN}
            for run_id, run in checked.planned.items()
        ],
        "evaluation": config.evaluation.model_dump(mode="json"),
        "analysis": analysis,
        # of the plan that the first predictions were scored under: `analyze` says so when it was changed afterwards
        "analysis_hash": earlier["analysis_hash"] if scored else canonical_hash(analysis),
    }


def _method(label: str) -> dict[str, Any]:
    """What is known of a method, in the form of a resolved one."""
    return {"label": label, "parts": [{"name": FOREIGN, "label": label}]}


def _score_run(
    run: ForeignRun, record: RunRecord, config: ForeignConfig, data: StudyData, on_image: Callable[[int], None]
) -> None:
    """Write the records of one run; only then it is done."""
    started = time.monotonic()
    shown_images = set(panel(tuple(run.masks), config.saved_predictions))
    setting = BoundarySetting.of(config.evaluation, data.dataset.info.mpp_um)
    tables: dict[str, list[pd.DataFrame]] = {}
    for number, image_id in enumerate(run.masks, start=1):
        predicted = read_classes(run.masks[image_id], run.labels, run.axes)
        for name, rows in _image_rows(run, image_id, predicted, data, setting).items():
            tables.setdefault(name, []).append(rows)
        if image_id in shown_images:
            write_prediction(record, image_id, predicted)
        on_image(number)
    open_ended = NO_CLASS in run.labels.table.ids.values()
    for name, frames in tables.items():
        rows = pd.concat(frames, ignore_index=True)
        write_table(record.path / f"{name}.parquet", name, rows, may_predict_none=open_ended)
    for name in ("epochs", "class_parameters"):  # every run has them; nobody saw this one being trained
        write_table(record.path / f"{name}.parquet", name, TABLES[name].empty_table().to_pandas())
    write_json(record.path / "manifest.json", _manifest(run, record, config, data, time.monotonic() - started))
    record.write_status(RunState.DONE, step=len(run.masks), steps=len(run.masks))


def _image_rows(
    run: ForeignRun, image_id: str, predicted: np.ndarray, data: StudyData, setting: BoundarySetting
) -> dict[str, pd.DataFrame]:
    """Return the rows that one image leaves in each table; what is predicted as no class is class K there."""
    k, entry = len(data.taxonomy), data.dataset.entry(image_id)
    keys = ImageKeys(image_id, entry.group_id, "test")
    target = data.taxonomy.apply(data.dataset.read_mask(image_id))
    predicted = np.where(predicted == NO_CLASS, k, predicted).astype(np.uint8)
    confusion = confusion_matrix(predicted, target, k + 1)
    whole = Counts.of_confusion(confusion)
    rows = {
        "confusion": confusion_rows(keys, confusion),
        "counts": count_rows(keys, Counts(whole.tp[:k], whole.fp[:k], whole.fn[:k], whole.n_valid)),
        "boundary": boundary_rows(keys, predicted, target, k, setting),
    }
    if run.probabilities:
        values = read_probabilities(run.probabilities[image_id], run.labels, k, target.shape)
        logits = np.log(np.maximum(values, _LEAST_PROBABILITY))
        likely = probability_rows(keys, count_probabilities(logits, predicted, target))
        rows["probabilities"] = likely[likely["class_id"] < k]
    return rows


def _manifest(
    run: ForeignRun, record: RunRecord, config: ForeignConfig, data: StudyData, seconds: float
) -> dict[str, Any]:
    return {
        "schema": SCHEMA_VERSION,
        "origin": FOREIGN,
        "run_id": record.run_id,
        "study": config.name,
        "method": _method(run.method.label),
        "fold": run.fold,
        "seed": run.seed,
        "dataset": data.dataset.info.name,
        "evaluation": config.evaluation.model_dump(mode="json"),
        "predictions": {
            "pattern": Path(run.method.predictions).name,  # foreign.yaml says where; the hash says which
            "labels": {str(code): int(k) for code, k in run.labels.table.ids.items()},
            "hash": canonical_hash(dict(run.digests)),
        },
        "hashes": _hashes(data),
        "environment": {"versions": library_versions(), "code": code_version()},
        "cost": {"seconds": seconds},
        "files": record.digests(),
    }
