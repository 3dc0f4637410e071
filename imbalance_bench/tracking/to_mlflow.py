"""MLflow: an experiment per study name, a parent run per study directory, a child run per run."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from imbalance_bench.tracking.history import Scalar
from imbalance_bench.tracking.sheet import RunSheet, StudySheet

BATCH = 1000  # metrics that a server takes at a time
PARAMS = 100
LONGEST_PARAM = 500
FOLDER_TAG, RUN_TAG, PARENT_TAG, NAME_TAG = "study_folder", "run_id", "mlflow.parentRunId", "mlflow.runName"


class Mlflow:
    """Writes into `out`/mlflow.db, artifacts below `out`/artifacts; see `export.Tracker`.

    Args:
        study: The study; what was exported of its directory before is deleted.
        out: Folder.
    """

    def __init__(self, study: StudySheet, out: Path) -> None:
        from mlflow.tracking import MlflowClient  # pyright: ignore[reportMissingImports]

        folder = out.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        self._client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
        self._experiment = self._experiment_named(study.name, (folder / "artifacts").as_uri())
        self._delete_earlier(str(study.folder))
        self._study = study
        self._parent = self._create(study.name, {FOLDER_TAG: str(study.folder)} | study.tags, _milliseconds())
        self._log_settings(self._parent, study.settings)
        self._runs: dict[str, str] = {}
        self._ended: dict[str, int] = {}

    def write(self, run: RunSheet, scalars: Sequence[Scalar]) -> None:
        """Add numbers to a child run."""
        from mlflow.entities import Metric  # pyright: ignore[reportMissingImports]

        mlflow_id = self._run(run, min((scalar.time for scalar in scalars), default=time.time()))
        metrics = [
            Metric(allowed(scalar.name), scalar.value, _milliseconds(scalar.time), scalar.step) for scalar in scalars
        ]
        for batch in _parts(metrics, BATCH):
            self._client.log_batch(mlflow_id, metrics=batch)
        self._ended[run.run_id] = max((metric.timestamp for metric in metrics), default=_milliseconds())

    def finish(self, run: RunSheet, summary: dict[str, float]) -> None:
        """Add scores, cost and files, and end the child run."""
        mlflow_id = self._run(run, time.time())
        ended = self._ended.get(run.run_id, _milliseconds())
        for name, value in summary.items():
            self._client.log_metric(mlflow_id, allowed(name), value, timestamp=ended)
        self._keep(mlflow_id, run.files)
        self._client.set_terminated(mlflow_id, end_time=ended)

    def close(self) -> None:
        """Keep the files of the study with the parent run, and end it."""
        self._keep(self._parent, self._study.files)
        self._client.set_terminated(self._parent)

    def _experiment_named(self, name: str, artifacts: str) -> str:
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            return self._client.create_experiment(name, artifacts)
        if experiment.lifecycle_stage == "deleted":
            self._client.restore_experiment(experiment.experiment_id)
        return experiment.experiment_id

    def _delete_earlier(self, folder: str) -> None:
        """Delete the parent runs of the same study directory, and their children."""
        token, runs = None, []
        while token != "":
            page = self._client.search_runs([self._experiment], max_results=BATCH, page_token=token)
            runs += page
            token = page.token or ""
        parents = {run.info.run_id for run in runs if run.data.tags.get(FOLDER_TAG) == folder}
        for run in runs:
            if run.info.run_id in parents or run.data.tags.get(PARENT_TAG) in parents:
                self._client.delete_run(run.info.run_id)

    def _run(self, run: RunSheet, started: float) -> str:
        if run.run_id not in self._runs:
            tags = {RUN_TAG: run.run_id, PARENT_TAG: self._parent} | run.tags
            mlflow_id = self._create(run.title, tags, _milliseconds(started))
            self._log_settings(mlflow_id, run.settings)
            self._runs[run.run_id] = mlflow_id
        return self._runs[run.run_id]

    def _create(self, title: str, tags: dict[str, str], started: int) -> str:
        named = {NAME_TAG: title} | {allowed(key): value for key, value in tags.items()}
        return self._client.create_run(self._experiment, start_time=started, tags=named).info.run_id

    def _log_settings(self, mlflow_id: str, settings: dict[str, Any]) -> None:
        from mlflow.entities import Param  # pyright: ignore[reportMissingImports]

        params = [Param(allowed(key), str(value)[:LONGEST_PARAM]) for key, value in settings.items()]
        for batch in _parts(params, PARAMS):
            self._client.log_batch(mlflow_id, params=batch)

    def _keep(self, mlflow_id: str, files: Sequence[Path]) -> None:
        for path in files:
            if path.is_dir():
                self._client.log_artifacts(mlflow_id, str(path), path.name)
            else:
                self._client.log_artifact(mlflow_id, str(path))


def allowed(name: str) -> str:
    """Return a name in the characters that MLflow takes: letters, digits, and _ - . / space :."""
    return "".join(
        character
        if character.isascii() and (character.isalnum() or character in "_-./ :")
        else f"U{ord(character):04X}"
        for character in name
    )


def _milliseconds(at: float | None = None) -> int:
    return round((time.time() if at is None else at) * 1000)


def _parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
