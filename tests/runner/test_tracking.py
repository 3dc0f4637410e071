"""Runs for TensorBoard, MLflow and Weights & Biases: what arrives is what the records say, when they say it."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from analysis.pipeline import analyze_study
from imbalance_bench.cli.main import main
from imbalance_bench.cli.options import TRACKERS
from imbalance_bench.errors import UserError
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.progress_log import ProgressLog, read_progress
from imbalance_bench.records import RunRecord, StudyRecords
from imbalance_bench.tracking import TARGETS, Export, following
from imbalance_bench.tracking.export import PACKAGES
from imbalance_bench.tracking.history import History, Scalar
from imbalance_bench.tracking.sheet import RunSheet, StudySheet
from tests.small_study import CLASSES, small_config, write_dataset

needs = {name: pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed") for name in TRACKERS}


class Heard:
    """A tracker that keeps what it is told."""

    def __init__(self) -> None:
        self.scalars: dict[str, list[Scalar]] = {}
        self.summaries: dict[str, dict[str, float]] = {}
        self.closed = False

    def write(self, run: RunSheet, scalars: Sequence[Scalar]) -> None:
        self.scalars.setdefault(run.run_id, []).extend(scalars)

    def finish(self, run: RunSheet, summary: dict[str, float]) -> None:
        assert run.run_id not in self.summaries
        self.summaries[run.run_id] = summary

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    """What the target `heard` is told."""
    tracker = Heard()
    monkeypatch.setitem(TARGETS, "heard", lambda _study, _out: tracker)
    monkeypatch.setitem(PACKAGES, "heard", ("json", "Heard", "none"))
    return tracker


def record_of(study: Path, method: str, seed: int) -> RunRecord:
    records = StudyRecords(study)
    runs = (run for run in records.plan()["runs"] if (run["method"], run["seed"]) == (method, seed))
    return records.run(next(runs)["run_id"])


def by_name(scalars: Sequence[Scalar], name: str) -> list[Scalar]:
    return [each for each in scalars if each.name == name]


def test_scalars_are_those_of_the_records(finished_study: Path) -> None:
    record = record_of(finished_study, "dfa", 0)
    scalars = list(History.of(record).scalars(CLASSES))
    epochs = record.epochs()
    losses = epochs.query("quantity == 'loss'")
    assert [each.value for each in by_name(scalars, "train/loss")] == losses["value"].tolist()
    part = epochs.query("split == 'train' and quantity == 'dice'")
    assert [each.value for each in by_name(scalars, "train/loss/dice")] == part["value"].tolist()
    assert not by_name(scalars, "train/dice")  # a loss is no Dice
    ledger = record.class_parameters().query("parameter == 'attention_bias' and class_id == 2")
    found = by_name(scalars, "ledger/attention_bias/rare")
    assert [(each.step, each.value) for each in found] == list(zip(ledger["step"], ledger["value"], strict=True))
    dice = {}
    for class_id, name in enumerate(CLASSES):
        rows = epochs.query(f"split == 'val' and class_id == {class_id} and step == 6").set_index("quantity")["value"]
        dice[name] = 2 * rows["tp"] / (2 * rows["tp"] + rows["fp"] + rows["fn"])
        assert [each.value for each in by_name(scalars, f"val/dice/{name}") if each.step == 6] == [dice[name]]
    last = [each.value for each in by_name(scalars, "val/dice/macro") if each.step == 6]
    assert last == [pytest.approx(sum(dice.values()) / 3)]


def test_times_are_those_of_the_clock(tmp_path: Path, shared_cache: Path) -> None:
    before = time.time()
    config = small_config(write_dataset(tmp_path / "discs"), methods=["cross_entropy"])
    execute_study(config, tmp_path / "s", Execution(cache=shared_cache, engine="serial"))
    record = record_of(tmp_path / "s", "cross_entropy", 0)
    scalars = list(History.of(record).scalars(CLASSES))
    assert all(before <= each.time <= time.time() for each in scalars)
    losses = by_name(scalars, "val/dice/macro")
    assert [each.time for each in losses] == sorted(each.time for each in losses)
    log = read_progress(record.progress_path)
    assert log.epochs.to_numpy().tolist() == record.epochs().to_numpy().tolist()
    assert log.ledger.to_numpy().tolist() == record.class_parameters().to_numpy().tolist()
    record.progress_path.unlink()  # of an earlier version, or imported: spread over what the stage took
    spread = list(History.of(record).scalars(CLASSES))
    assert all(before - 2 <= each.time <= time.time() + 2 for each in spread)
    assert [each[:3] for each in spread] == [each[:3] for each in scalars]


def test_a_resumed_run_takes_back_what_it_does_again(tmp_path: Path) -> None:
    log = ProgressLog(tmp_path / "progress.jsonl")
    rows = [(0, step, "train", "loss", -1, float(step)) for step in (2, 4, 6)]
    for row in rows:
        log.add([row], [(0, row[1], 1, "logit_gradient_norm", float("nan"))])
    with (tmp_path / "progress.jsonl").open("a") as file:
        file.write('{"time": 1, "epochs": [[0, 7, "tr')  # killed while it wrote
    assert read_progress(tmp_path / "progress.jsonl").epochs["step"].tolist() == [2, 4, 6]
    log.begin((0, 4))
    read = read_progress(tmp_path / "progress.jsonl")
    assert read.epochs["step"].tolist() == [2, 4]
    assert read.ledger["value"].isna().all()
    log.begin(None)
    assert read_progress(tmp_path / "progress.jsonl").epochs.empty


def test_following_tells_everything_once_while_runs_train(
    tmp_path: Path, shared_cache: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config(write_dataset(tmp_path / "discs"), methods=["cross_entropy", "dfa"])
    root, seen = tmp_path / "s", []
    execution = Execution(cache=shared_cache, engine="serial", track=("heard",))
    write = heard.write

    def noting(run: RunSheet, scalars: Sequence[Scalar]) -> None:
        seen.append(run.record.is_done())
        write(run, scalars)

    heard.write = noting  # type: ignore[method-assign]
    monkeypatch.setattr("imbalance_bench.tracking.export.INTERVAL_S", 0.02)
    execute_study(config, root, execution)
    assert heard.closed
    assert not all(seen)  # some of it while the run trained
    for method in ("cross_entropy", "dfa"):
        record = record_of(root, method, 0)
        wanted = sorted(each[:3] for each in History.of(record).scalars(CLASSES))
        assert sorted(each[:3] for each in heard.scalars[record.run_id]) == wanted
        assert heard.summaries[record.run_id]["cost/seconds"] > 0


def test_test_scores_are_those_of_the_analysis(finished_study: Path, tmp_path: Path, heard: Heard) -> None:
    export = Export(StudyRecords(finished_study), "heard", tmp_path)
    export.update()
    export.update()  # nothing new
    assert (export.runs, export.is_complete) == (10, True)
    scores = analyze_study(finished_study).tables["class_scores"]
    scores = scores.query("aggregation == 'pooled' and metric == 'dice'").set_index(["run_id", "class"])["value"]
    for run_id, summary in heard.summaries.items():
        told = {name.removeprefix("test/dice/"): value for name, value in summary.items() if name.startswith("test/")}
        assert told["macro"] == pytest.approx(sum(value for name, value in told.items() if name != "macro") / 3)
        for name in CLASSES:
            assert told[name] == pytest.approx(scores[run_id, name], abs=1e-12)
    sheet = RunSheet.of(*_planned(finished_study, "dfa", 1))
    assert sheet.settings["options/dfa/prior"] == "one_minus_frequency"
    assert (sheet.settings["fold"], sheet.settings["seed"], sheet.settings["training/steps"]) == (0, 1, 6)
    assert {"hash/data", "hash/splits", "hash/encoder weights"} <= set(sheet.tags)
    study = StudySheet.of(StudyRecords(finished_study))
    assert {"study.yaml", "plan.json"} <= {path.name for path in study.files}


def _planned(study: Path, method: str, seed: int) -> tuple[dict, dict, RunRecord]:
    plan = StudyRecords(study).plan()
    run = next(run for run in plan["runs"] if (run["method"], run["seed"]) == (method, seed))
    return run, plan, StudyRecords(study).run(run["run_id"])


def test_a_damaged_run_hides_no_other(finished_study: Path, tmp_path: Path, heard: Heard) -> None:
    study = shutil.copytree(finished_study, tmp_path / "study")
    record = record_of(study, "cdb", 0)
    (record.path / "epochs.parquet").write_bytes(b"nothing")
    export = Export(StudyRecords(study), "heard", tmp_path)
    export.update()
    assert len(heard.summaries) == 9
    assert "epochs" in export.remarks[record.run_id]


def test_what_a_tracker_dies_of_stops_no_run(finished_study: Path, tmp_path: Path, heard: Heard) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("disk full\nand more")

    heard.write = fail  # type: ignore[method-assign]
    told: list[str] = []
    with following(StudyRecords(finished_study), "heard", tmp_path, told.append, interval_s=0.01):
        time.sleep(0.2)
    assert told == ["tracking with heard ended: disk full"]


@needs["tensorboard"]
def test_tensorboard_reads_what_was_exported(finished_study: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # pyright: ignore[reportMissingImports]

    for _ in range(2):  # exporting again replaces
        done = CliRunner().invoke(main, ["track", str(finished_study), "--to", "tensorboard", "--out", str(tmp_path)])
        assert done.exit_code == 0, done.output
    assert len(list(tmp_path.iterdir())) == 10
    assert len(list((tmp_path / "dfa-fold0-seed1").iterdir())) == 1
    record = record_of(finished_study, "dfa", 1)
    losses = record.epochs().query("quantity == 'loss'")
    events = EventAccumulator(str(tmp_path / "dfa-fold0-seed1")).Reload()
    read = events.Scalars("train/loss")
    assert [each.step for each in read] == losses["step"].tolist()
    assert [each.value for each in read] == pytest.approx(losses["value"].tolist(), rel=1e-6)
    assert all(time.time() - 3600 < each.wall_time <= time.time() for each in events.Scalars("val/dice/macro"))
    assert "_hparams_/session_start_info" in events.summary_metadata
    assert events.Scalars("test/dice/macro")


@needs["mlflow"]
@pytest.mark.filterwarnings("default")  # MLflow uses what SQLAlchemy calls deprecated
def test_mlflow_reads_what_was_exported(finished_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient  # pyright: ignore[reportMissingImports]

    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # a relative folder, and exporting again replaces
        done = CliRunner().invoke(main, ["track", str(finished_study), "--to", "mlflow", "--out", "tracked"])
        assert done.exit_code == 0, done.output
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'tracked' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = (run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(runs) == len(children) + 1 == 11
    assert {each.path for each in client.list_artifacts(parent.info.run_id)} >= {"study.yaml", "plan.json"}
    record = record_of(finished_study, "dfa", 1)
    run = next(run for run in children if run.data.tags["run_id"] == record.run_id)
    losses = record.epochs().query("quantity == 'loss'")
    read = sorted(client.get_metric_history(run.info.run_id, "train/loss"), key=lambda each: each.step)
    assert [each.value for each in read] == losses["value"].tolist()
    assert all(time.time() - 3600 < each.timestamp / 1000 <= time.time() for each in read)
    assert run.data.params["options/dfa/prior"] == "one_minus_frequency"
    assert run.data.tags["hash/data"] == StudyRecords(finished_study).plan()["hashes"]["data"]
    assert {"test/dice/macro", "cost/seconds", "val/dice/rare"} <= set(run.data.metrics)
    assert {each.path for each in client.list_artifacts(run.info.run_id)} >= {"manifest.json", "predictions"}


@needs["wandb"]
def test_wandb_writes_one_offline_run_each(finished_study: Path, tmp_path: Path) -> None:
    script = f"from imbalance_bench.cli.main import main; main(['track', {str(finished_study)!r}, '--to', 'wandb', "
    script += f"'--out', {str(tmp_path)!r}])"
    root = Path(__file__).parents[2]
    for _ in range(2):  # in processes of their own: wandb keeps threads
        done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    runs = {path.name.rsplit("-", 1)[-1] for path in (tmp_path / "wandb").glob("offline-run-*")}
    assert runs == {run["run_id"] for run in StudyRecords(finished_study).plan()["runs"]}
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == 10


def test_what_cannot_be_exported_is_one_line(
    finished_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = CliRunner().invoke(main, ["track", str(tmp_path), "--to", "mlflow"])
    assert done.exit_code == 2
    assert "not a study directory" in done.output
    monkeypatch.setattr("imbalance_bench.tracking.export.find_spec", lambda _: None)
    assert set(TRACKERS) == set(PACKAGES) == set(TARGETS)
    for target, (_, title, extra) in PACKAGES.items():
        with pytest.raises(UserError, match=rf"{title} is not installed.*imbalance-bench\[{extra}\]"):
            Export(StudyRecords(finished_study), target, tmp_path)
    config = small_config(write_dataset(tmp_path / "discs"))
    with pytest.raises(UserError, match="TensorBoard is not installed"):  # before anything is planned
        execute_study(config, tmp_path / "s", Execution(cache=tmp_path, track=("tensorboard",)))
    assert not (tmp_path / "s").exists()


def test_a_study_without_a_run_leaves_nothing(finished_study: Path, tmp_path: Path, heard: Heard) -> None:
    study = shutil.copytree(finished_study, tmp_path / "study", ignore=shutil.ignore_patterns("runs"))
    export = Export(StudyRecords(study), "heard", tmp_path / "out")
    export.update()
    export.close()
    assert not heard.closed
    assert not (tmp_path / "out").exists()
    assert json.loads((study / "plan.json").read_text())["runs"]
