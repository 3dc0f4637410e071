"""Several runners on one study, and a study that grows or is killed while it is planned."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from imbalance_bench import planning
from imbalance_bench.cli.main import main
from imbalance_bench.config import ComputeSection
from imbalance_bench.engines.base import Listener, Obstacle, RunJob, RunOutcome, RunProgress
from imbalance_bench.engines.rounds import Effort, execute_rounds
from imbalance_bench.errors import UserError
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.locking import LockHeldError, is_locked, locked
from imbalance_bench.planned_study import open_run
from imbalance_bench.records import RunState, StudyRecords
from tests.faults.listener import Told, errors
from tests.small_study import small_config, write_study


def execution(cache: Path) -> Execution:
    return Execution(cache=cache, engine="serial")


def test_a_lock_is_held_by_one_and_seen_by_all(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_locked(path)
    with locked(path):
        assert is_locked(path)
        with pytest.raises(LockHeldError), locked(path, patience_s=0.1):
            pass
    assert not is_locked(path)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"), locked(path):
        pass


def test_a_lock_that_is_removed_while_one_waits_is_taken_anew(tmp_path: Path) -> None:
    path, order = tmp_path / "lock", []

    def waits() -> None:
        with locked(path):
            order.append(path.exists())

    with locked(path):
        waiting = threading.Thread(target=waits)
        waiting.start()
        time.sleep(0.3)
        path.unlink()
    waiting.join()
    assert order == [True]


def test_a_run_of_another_runner_is_waited_for(tmp_path: Path) -> None:
    record = StudyRecords(tmp_path).run("theirs")
    record.path.mkdir(parents=True)
    asked: list[list[str]] = []

    class Ours:
        def execute(self, jobs: Sequence[RunJob], listener: Listener) -> list[RunOutcome]:
            asked.append([job.run_id for job in jobs])
            in_use = [job for job in jobs if is_locked(StudyRecords(tmp_path).run(job.run_id).lock_path)]
            outcomes = [RunOutcome(job.run_id, "", "x", Obstacle.IN_USE) for job in in_use]
            outcomes += [RunOutcome(job.run_id, "") for job in jobs if job not in in_use]
            for outcome in outcomes:
                listener.on_outcome(outcome)
            return outcomes

    def theirs() -> None:
        with locked(record.lock_path):
            started.set()
            time.sleep(1.0)
            record.write_status(RunState.DONE, step=1, steps=1)

    started, told = threading.Event(), Told()
    other = threading.Thread(target=theirs)
    other.start()
    started.wait()
    wanted = [RunJob(tmp_path, run_id, "", tmp_path) for run_id in ("theirs", "ours")]
    outcomes = execute_rounds(lambda _: Ours(), Effort(1, retries=0), wanted, told)
    other.join()
    assert errors(outcomes) == {"ours": None, "theirs": None}
    assert asked == [["theirs", "ours"]]  # finished meanwhile, so never tried again
    assert told.remarks == ["waiting for another process, which trains 1 run"]
    assert len(told.outcomes) == 2


def test_two_runners_share_a_study_and_both_end_well(
    tmp_path: Path, dataset: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second begins while the first is in the middle of a run, with one more method."""
    from imbalance_bench.engines import serial

    root, ended = tmp_path / "s", {}
    straight, begun = serial.execute_job, threading.Event()
    config = small_config(dataset, methods=["cross_entropy", "focal"])
    grown = small_config(dataset, methods=["dfa", "focal"], compute={"threads": 1, "saved_predictions": 1})

    def slowly(job: RunJob, report: Callable[[RunProgress], None]) -> RunOutcome:
        if threading.current_thread() is threading.main_thread():
            return straight(job, report)
        record = StudyRecords(root).run(job.run_id)
        if not begun.is_set():
            record.path.mkdir(parents=True)
            with locked(record.lock_path):
                begun.set()
                time.sleep(2.0)
        return straight(job, report)

    def first() -> None:
        try:
            execute_study(config, root, execution(shared_cache))
            ended["first"] = None
        except BaseException as error:  # noqa: BLE001 - told to the test
            ended["first"] = error

    monkeypatch.setattr(serial, "execute_job", slowly)
    other = threading.Thread(target=first)
    other.start()
    assert begun.wait(60)
    execute_study(grown, root, execution(shared_cache))
    other.join()
    assert ended == {"first": None}
    records = StudyRecords(root)
    assert [run["method"] for run in records.plan()["runs"]] == ["cross_entropy", "focal", "dfa"]
    assert len(records.finished()) == 3


def test_a_planned_run_keeps_its_settings_whatever_becomes_of_study_yaml(
    tmp_path: Path, dataset: Path, shared_cache: Path
) -> None:
    root = tmp_path / "s"
    methods = [{"name": "dfa", "alpha": 0.3, "label": "strong"}]
    execute_study(small_config(dataset, methods=methods), root, execution(shared_cache))
    run_id = StudyRecords(root).plan()["runs"][0]["run_id"]
    execute_study(small_config(dataset, methods=["cross_entropy"], name="other"), root, execution(shared_cache))
    assert "strong" not in (root / "study.yaml").read_text()
    (root / "study.yaml").unlink()
    study, run = open_run(root, run_id)
    assert (run.label, run.method.parts["dfa"].model_dump()["alpha"]) == ("strong fold 0 seed 0", 0.3)
    assert study.runs[0].run_id == run_id  # so nothing that defines the run is lost
    threads = open_run(root, run_id, ComputeSection(threads=3))[0].config.compute.threads
    assert threads == 3

    record = StudyRecords(root).run(run_id)
    image = dataset / "images" / "im_6.png"
    done = CliRunner().invoke(main, ["predict", str(record.path), str(image), "--out", str(tmp_path / "p")])
    assert done.exit_code == 0, done.output
    kept = np.asarray(Image.open(record.prediction_path("im_6")))
    assert (np.asarray(Image.open(tmp_path / "p" / "im_6_mask.png")) == kept).all()


def test_an_unknown_run_is_refused(finished_study: Path) -> None:
    with pytest.raises(UserError, match=r"plan\.json must list the run 0123456789ab\. Got none"):
        open_run(finished_study, "0123456789ab")


@pytest.mark.parametrize("after", range(4))
def test_a_study_that_was_killed_while_it_was_planned_goes_on(
    tmp_path: Path, dataset: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Killed after each file that planning writes; the same command then completes it."""
    study, out = write_study(tmp_path / "study.yaml", dataset, methods=["cross_entropy"]), tmp_path / "out"
    straight, replaced = Path.replace, []

    def dies(path: Path, target: Path) -> Path:
        if Path(target).parent == out:
            if len(replaced) == after:
                raise SystemExit(9)
            replaced.append(target)
        return straight(path, target)

    words = ["run", str(study), "--out", str(out), "--cache", str(shared_cache), "--engine", "serial"]
    monkeypatch.setattr(Path, "replace", dies)
    assert CliRunner().invoke(main, words).exit_code == 9
    monkeypatch.undo()
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert len(StudyRecords(out).finished()) == 1


def test_a_folder_of_something_else_is_still_refused(tmp_path: Path, dataset: Path) -> None:
    study, out = write_study(tmp_path / "study.yaml", dataset), tmp_path / "out"
    out.mkdir()
    (out / "study.yaml").write_text("mine: true\n")
    done = CliRunner().invoke(main, ["run", str(study), "--out", str(out)])
    assert done.exit_code == 2
    assert "holds files that are no study" in done.output
    assert (out / "study.yaml").read_text() == "mine: true\n"


def test_planning_takes_time_in_proportion_to_the_runs(
    tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted, not timed: a training is hashed twice (what it is, and its id), and never when a job is opened."""
    from imbalance_bench import run_ids

    hashed = []
    straight = run_ids.canonical_hash
    monkeypatch.setattr(run_ids, "canonical_hash", lambda content: hashed.append(1) or straight(content))
    config = small_config(dataset, methods=["cross_entropy", "focal", "dfa"], seeds=list(range(20)))
    study = planning.prepare_study(config, tmp_path / "s", lambda *_: None)
    assert (len(study.runs), len(hashed)) == (60, 2 * 60)
    open_run(tmp_path / "s", study.runs[-1].run_id)
    assert len(hashed) == 2 * 60


def test_a_plan_of_an_earlier_version_reads_weights_from_study_yaml(
    tmp_path: Path, dataset: Path, shared_cache: Path
) -> None:
    root = tmp_path / "s"
    execute_study(small_config(dataset, methods=["cross_entropy"]), root, execution(shared_cache))
    for name, key in (("plan.json", "compute"), ("dataset.json", "encoder_weights")):
        content = json.loads((root / name).read_text())
        del content[key]
        (root / name).write_text(json.dumps(content))
    run_id = StudyRecords(root).plan()["runs"][0]["run_id"]
    assert open_run(root, run_id)[0].config.model.encoder_weights == "none"
    content = yaml.safe_load((root / "study.yaml").read_text())
    content["model"]["encoder_weights"] = "imagenet"
    (root / "study.yaml").write_text(yaml.safe_dump(content))
    assert open_run(root, run_id)[0].config.model.encoder_weights == "imagenet"
