"""Finished and failed runs written for TensorBoard or MLflow, from their records: training knows of neither."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from imbalance_bench.errors import UserError
from imbalance_bench.records import RunRecord, StudyRecords, run_name

EXTRA = "Run: pip install 'imbalance-bench[tracking]'."
NOT_PER_CLASS = -1


class Scalar(NamedTuple):
    """One number of one run."""

    name: str  # such as "train/loss", "val/dice/tumour", "ledger/attention_bias/tumour"
    step: int  # optimiser steps since the first stage began
    value: float


def run_scalars(record: RunRecord, class_names: list[str]) -> Iterator[Scalar]:
    """Yield every number of a run's epochs and ledger, in the order of the steps.

    Validation counts become Dice per class, for looking at; results come from `analyze`.
    """
    epochs = record.epochs()
    offset = _stage_offsets(epochs)
    for row in epochs[epochs["class_id"] == NOT_PER_CLASS].to_dict("records"):
        yield Scalar(f"{row['split']}/{row['quantity']}", row["step"] + offset[row["stage"]], row["value"])
    counts = epochs[(epochs["split"] == "val") & (epochs["class_id"] != NOT_PER_CLASS)]
    wide = counts.pivot_table(index=["stage", "step", "class_id"], columns="quantity", values="value")
    for row in wide.reset_index().to_dict("records"):
        if row["tp"] + row["fn"] > 0:
            dice = 2 * row["tp"] / (2 * row["tp"] + row["fp"] + row["fn"])
            yield Scalar(f"val/dice/{class_names[row['class_id']]}", row["step"] + offset[row["stage"]], dice)
    for row in record.class_parameters().to_dict("records"):
        name = f"ledger/{row['parameter']}/{class_names[row['class_id']]}"
        yield Scalar(name, row["step"] + offset[row["stage"]], row["value"])


def export_tensorboard(study: StudyRecords, out: Path) -> int:
    """Write one TensorBoard folder per finished run, `[<model>-]<method>-fold<f>-seed<s>`, and return how many.

    Raises:
        UserError: TensorBoard is not installed.
    """
    if find_spec("tensorboard") is None:
        raise UserError(f"TensorBoard is not installed. {EXTRA}")
    from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore[reportMissingImports]
    from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportMissingImports]
    from tensorboard.summary.writer.event_file_writer import EventFileWriter  # pyright: ignore[reportMissingImports]

    def write(run: dict[str, Any], record: RunRecord, names: list[str]) -> None:
        model = f"{run['model']}-" if "model" in run else ""
        folder = out / f"{model}{run['method']}-fold{run['fold']}-seed{run['seed']}"
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()  # exporting again replaces
        writer = EventFileWriter(str(folder))
        for scalar in run_scalars(record, names):
            value = Summary.Value(tag=scalar.name, simple_value=scalar.value)
            writer.add_event(Event(step=scalar.step, wall_time=float(scalar.step), summary=Summary(value=[value])))
        writer.close()

    return _each_finished(study, write)


def export_mlflow(study: StudyRecords, out: Path) -> int:
    """Write one MLflow run per finished run into `out`/mlflow.db, in an experiment named after the study.

    Raises:
        UserError: MLflow is not installed.
    """
    if find_spec("mlflow") is None:
        raise UserError(f"MLflow is not installed. {EXTRA}")
    from mlflow.entities import Metric, Param, RunTag  # pyright: ignore[reportMissingImports]
    from mlflow.tracking import MlflowClient  # pyright: ignore[reportMissingImports]

    out.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(tracking_uri=f"sqlite:///{out.resolve() / 'mlflow.db'}")
    name = str(study.plan().get("name") or study.root.name)
    experiment = client.get_experiment_by_name(name)
    identity = experiment.experiment_id if experiment else client.create_experiment(name, (out / "artifacts").as_uri())
    for old in client.search_runs([identity]):
        client.delete_run(old.info.run_id)  # exporting again replaces

    def write(run: dict[str, Any], record: RunRecord, names: list[str]) -> None:
        tags = {
            "run_id": record.run_id,
            "mlflow.runName": f"{run_name(run['method'], run.get('model'))} fold {run['fold']} seed {run['seed']}",
        }
        made = client.create_run(identity, start_time=0, tags=tags).info.run_id
        metrics = [Metric(_plain(scalar.name), scalar.value, 0, scalar.step) for scalar in run_scalars(record, names)]
        params = [Param(key, str(run[key])) for key in ("model", "method", "fold", "seed") if key in run]
        for start in range(0, len(metrics), 1000):  # what the server takes at a time
            client.log_batch(made, metrics=metrics[start : start + 1000])
        client.log_batch(made, params=params, tags=[RunTag("study", name)])
        client.set_terminated(made)

    return _each_finished(study, write)


EXPORTS: dict[str, Callable[[StudyRecords, Path], int]] = {"tensorboard": export_tensorboard, "mlflow": export_mlflow}


def _each_finished(study: StudyRecords, write: Callable[[dict[str, Any], RunRecord, list[str]], None]) -> int:
    names = [str(class_["name"]) for class_ in study.dataset()["classes"]]
    finished = [(run, study.run(run["run_id"])) for run in study.plan()["runs"]]
    finished = [(run, record) for run, record in finished if record.is_done()]
    if not finished:
        raise UserError(
            f"{study.root} has no finished run to export. `imbalance-bench status` shows them.", exit_code=1
        )
    for run, record in finished:
        write(run, record, names)
    return len(finished)


def _stage_offsets(epochs: pd.DataFrame) -> dict[int, int]:
    """Return the steps before each stage."""
    lengths = epochs.groupby("stage")["step"].max().sort_index()
    return {int(stage): int(lengths[lengths.index < stage].sum()) for stage in lengths.index}


def _plain(name: str) -> str:
    """MLflow takes letters, digits, and _ - . / space : in names."""
    return "".join(
        each if each.isascii() and (each.isalnum() or each in "_-./ :") else f"U{ord(each):04X}" for each in name
    )
