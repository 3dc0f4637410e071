"""Export of records: the numbers that arrive are those of the records."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from imbalance_bench.cli.main import main
from imbalance_bench.errors import UserError
from imbalance_bench.records import StudyRecords
from imbalance_bench.tracking import EXPORTS, run_scalars
from tests.small_study import CLASSES


def test_scalars_are_those_of_the_records(finished_study: Path) -> None:
    study = StudyRecords(finished_study)
    run = next(run for run in study.plan()["runs"] if run["method"] == "dfa")
    record = study.run(run["run_id"])
    scalars = list(run_scalars(record, list(CLASSES)))
    losses = record.epochs().query("quantity == 'loss'")
    assert [each.value for each in scalars if each.name == "train/loss"] == losses["value"].tolist()
    ledger = record.class_parameters().query("parameter == 'attention_bias' and class_id == 2")
    found = [each for each in scalars if each.name == "ledger/attention_bias/rare"]
    assert [each.value for each in found] == ledger["value"].tolist()
    assert [each.step for each in found] == ledger["step"].tolist()
    counts = record.epochs().query("split == 'val' and class_id == 1 and step == 6").set_index("quantity")["value"]
    expected = 2 * counts["tp"] / (2 * counts["tp"] + counts["fp"] + counts["fn"])
    assert next(each.value for each in scalars if each.name == "val/dice/common" and each.step == 6) == expected


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="TensorBoard is not installed")
def test_tensorboard_reads_what_was_exported(finished_study: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # pyright: ignore[reportMissingImports]

    for _ in range(2):  # exporting again replaces
        done = CliRunner().invoke(main, ["track", str(finished_study), "--to", "tensorboard", "--out", str(tmp_path)])
        assert done.exit_code == 0, done.output
    assert len(list(tmp_path.iterdir())) == 10
    study = StudyRecords(finished_study)
    run = next(run for run in study.plan()["runs"] if (run["method"], run["seed"]) == ("dfa", 1))
    losses = study.run(run["run_id"]).epochs().query("quantity == 'loss'")
    events = EventAccumulator(str(tmp_path / "dfa-fold0-seed1")).Reload()
    read = events.Scalars("train/loss")
    assert [each.step for each in read] == losses["step"].tolist()
    assert [each.value for each in read] == pytest.approx(losses["value"].tolist(), rel=1e-6)


@pytest.mark.filterwarnings("default")  # MLflow uses what SQLAlchemy calls deprecated
@pytest.mark.skipif(find_spec("mlflow") is None, reason="MLflow is not installed")
def test_mlflow_reads_what_was_exported(finished_study: Path, tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient  # pyright: ignore[reportMissingImports]

    study = StudyRecords(finished_study)
    for _ in range(2):
        assert EXPORTS["mlflow"](study, tmp_path) == 10
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 10
    run = next(run for run in runs if run.data.params == {"method": "dfa", "fold": "0", "seed": "1"})
    losses = study.run(run.data.tags["run_id"]).epochs().query("quantity == 'loss'")
    read = client.get_metric_history(run.info.run_id, "train/loss")
    assert [each.value for each in sorted(read, key=lambda each: each.step)] == losses["value"].tolist()


def test_what_cannot_be_exported_is_one_line(
    finished_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imbalance_bench.tracking.find_spec", lambda _: None)
    for target, name in (("tensorboard", "TensorBoard"), ("mlflow", "MLflow")):
        with pytest.raises(UserError, match=rf"{name} is not installed.*imbalance-bench\[tracking\]"):
            EXPORTS[target](StudyRecords(finished_study), tmp_path)
    done = CliRunner().invoke(main, ["track", str(tmp_path), "--to", "mlflow"])
    assert done.exit_code == 2
    assert "not a study directory" in done.output
