"""Successive halving: the same rungs for every method, decided on validation, and the same again after a kill."""

import json
import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from analysis.pipeline import analyze_study
from analysis.plots import AnalysedStudy, NotDrawableError, draw_figure
from analysis.scoring.tuned import read_tuning
from imbalance_bench.errors import UserError
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.manifest import write_json
from imbalance_bench.records import StudyRecords
from imbalance_bench.training.run import RunExecution
from imbalance_bench.tuning import execution as tuning_execution
from imbalance_bench.tuning.choice import TrialScore
from imbalance_bench.tuning.draws import trials_of
from imbalance_bench.tuning.halving import promoted, shortened
from imbalance_bench.tuning.section import HalvingSection, Rung, TuningSection
from tests.runner.test_tuning import meddle
from tests.small_study import small_config, write_dataset

TUNING = {
    "trials": 4,
    "seeds": [7],
    "shared": {"learning_rate": {"low": 1e-4, "high": 1e-2}},
    "halving": {"factor": 2, "min_steps": 3},
}
METHODS = ["cross_entropy", "focal"]
TRAINING = {"steps": 6, "warmup_steps": 1}
RUNGS = (Rung(3, 4), Rung(6, 2))


def halved_config(folder: Path):
    return small_config(folder / "data", methods=METHODS, tuning=TUNING, training=TRAINING)


@pytest.fixture(scope="module")
def halved_root(tmp_path_factory) -> Path:
    """A finished study, tuned by halving."""
    folder = tmp_path_factory.mktemp("halved")
    write_dataset(folder / "data")
    execute_study(halved_config(folder), folder / "study", Execution(cache=folder / "cache", engine="serial"))
    return folder


def choices_of(root: Path) -> dict:
    content = json.loads((root / "tuning" / "choices.json").read_text())
    for method in content["methods"].values():
        for trial in method["trials"]:
            del trial["seconds"]
    return content


@pytest.mark.parametrize(
    ("trials", "factor", "min_steps", "steps", "expected"),
    [
        (8, 2, 50, 600, [(150, 8), (300, 4), (600, 2)]),
        (8, 2, 151, 600, [(300, 8), (600, 4)]),  # `min_steps` leaves two rungs
        (8, 3, 50, 600, [(66, 8), (200, 3), (600, 2)]),
        (9, 3, 1, 900, [(100, 9), (300, 3), (900, 2)]),
        (3, 2, 50, 100, [(50, 3), (100, 2)]),
        (2, 2, 1, 100, [(100, 2)]),
        (8, 2, 301, 600, [(600, 8)]),
    ],
)
def test_rungs_multiply_the_steps_and_divide_the_trials(trials, factor, min_steps, steps, expected):
    section = TuningSection(trials=trials, seeds=(7,), halving=HalvingSection(factor=factor, min_steps=min_steps))
    assert [(rung.steps, rung.trials) for rung in section.rungs(steps)] == expected


def test_without_halving_every_trial_is_trained_in_full():
    assert TuningSection(trials=8, seeds=(7,)).rungs(600) == (Rung(600, 8),)
    assert "halving" not in TuningSection(trials=8, seeds=(7,)).model_dump()  # older records keep their form


def test_the_default_and_the_best_go_on(tmp_path):
    section = TuningSection(trials=5, seeds=(7,))
    trials = trials_of(small_config(tmp_path, methods=["focal"]).methods[0], section)

    def after(*validation: float) -> list[int]:
        return promoted([TrialScore(t, v, {}, 3, 1.0) for t, v in zip(trials, validation, strict=True)], 3)

    assert after(0.1, 0.2, 0.5, 0.4, 0.3) == [0, 2, 3]
    assert after(0.9, 0.2, 0.5, 0.4, 0.3) == [0, 2, 3]
    assert after(0.9, 0.2, 0.3, 0.3, 0.3) == [0, 2, 3]  # equal ones: the first


def test_a_shorter_trial_keeps_its_setting_and_a_share_of_its_steps(tmp_path):
    config = small_config(tmp_path, methods=[{"name": "focal", "steps_fraction": 0.5}])
    trial = trials_of(config.methods[0], TuningSection(trials=3, seeds=(7,)))[1]
    brief = shortened(trial, 20, 80)
    assert brief.entry.label == "focal.t1.s20"
    assert brief.entry.steps(80) == 10  # half of the study's, as the study file wants of this method
    assert (brief.entry.parts, brief.number) == (trial.entry.parts, trial.number)
    assert shortened(trial, 80, 80) == trial


def test_every_method_has_the_same_rungs_in_the_records(halved_root):
    records = StudyRecords.open(halved_root / "study" / "tuning")
    content = choices_of(halved_root / "study")
    assert content["format"] == 2
    trained: dict[str, Counter] = {}
    for run in records.plan()["runs"]:
        record = records.run(run["run_id"])
        assert record.is_done()
        method = run["method"].partition(".")[0]
        trained.setdefault(method, Counter())[record.manifest()["cost"]["steps"]] += 1
    assert trained == {method: Counter({rung.steps: rung.trials for rung in RUNGS}) for method in METHODS}
    budget = sum(rung.steps * rung.trials for rung in RUNGS)
    for method in content["methods"].values():
        assert sum(trial["steps"] for trial in method["trials"]) == budget
        assert [trial["trial"] for trial in method["trials"]] == list(range(4))
        assert [len(trial["rungs"]) for trial in method["trials"]].count(len(RUNGS)) == 2
        assert method["trials"][0]["in_full"]


def test_each_rung_keeps_the_best_and_the_winner_is_the_best_trained_in_full(halved_root):
    for method in choices_of(halved_root / "study")["methods"].values():
        for place, (rung, following) in enumerate(pairwise(RUNGS)):
            on = {t["trial"]: t["rungs"][place]["validation"] for t in method["trials"] if len(t["rungs"]) > place}
            assert len(on) == rung.trials
            kept = {t["trial"] for t in method["trials"] if len(t["rungs"]) > place + 1}
            best = sorted(on.keys() - {0}, key=lambda number: (-on[number], number))
            assert kept == {0, *best[: following.trials - 1]}
        in_full = {t["trial"]: t["validation"] for t in method["trials"] if t["in_full"]}
        assert in_full[method["winner"]] == max(in_full.values())


def test_the_winner_is_retrained_in_full(halved_root):
    final = StudyRecords.open(halved_root / "study")
    assert {final.run(run["run_id"]).manifest()["cost"]["steps"] for run in final.plan()["runs"]} == {6}
    for label, method in choices_of(halved_root / "study")["methods"].items():
        assert final.plan()["methods"][label] == method["settings"]


def test_a_study_that_is_killed_in_each_rung_chooses_the_same_winners(halved_root, tmp_path, monkeypatch):
    config, root = halved_config(halved_root), tmp_path / "study"
    execution = Execution(cache=halved_root / "cache", engine="serial")
    for rung in range(len(RUNGS)):
        with monkeypatch.context() as patch:
            patch.setattr(RunExecution, "_train", dying_in(rung))
            with pytest.raises(KeyboardInterrupt):
                execute_study(config, root, execution)
        assert not (root / "tuning" / "choices.json").exists()
    execute_study(config, root, execution)
    assert choices_of(root) == choices_of(halved_root / "study")


def dying_in(rung: int):
    """Train, but die with the second trial of a rung: one is done then, and this one trained and not recorded."""
    train, seen = RunExecution._train, set()

    def train_and_die(self, index, trainer):
        train(self, index, trainer)
        label = self._run.method.label
        brief = f".s{RUNGS[rung].steps}"
        if label.endswith(brief) or (rung + 1 == len(RUNGS) and ".s" not in label and not label.endswith(".t0")):
            seen.add(label)
            if len(seen) == 2:
                raise KeyboardInterrupt

    return train_and_die


def test_test_images_cannot_influence_who_goes_on(halved_root, tmp_path):
    root = tmp_path / "study"
    shutil.copytree(halved_root / "study", root)
    (root / "tuning" / "choices.json").unlink()
    records = StudyRecords.open(root / "tuning")
    for run in records.plan()["runs"]:
        hopeless = hash_parity(run["method"])
        meddle(records.run(run["run_id"]), lambda counts: counts["split"] == "test", hopeless=hopeless)
    execute_study(halved_config(halved_root), root, Execution(cache=halved_root / "cache", engine="serial"))
    before, after = choices_of(halved_root / "study"), choices_of(root)
    for label, method in before["methods"].items():
        assert after["methods"][label]["trials"] == method["trials"]
        assert after["methods"][label]["winner"] == method["winner"]
        assert after["methods"][label]["test_of_tuning_seeds"] != method["test_of_tuning_seeds"]


def test_runs_of_other_seeds_do_not_decide_who_goes_on(halved_root, tmp_path):
    root = tmp_path / "study"
    shutil.copytree(halved_root / "study" / "tuning", root / "tuning")
    config = small_config(
        halved_root / "data", methods=METHODS, tuning=TUNING | {"seeds": [8]}, training=TRAINING, seeds=[7]
    )
    execute_study(config, root, Execution(cache=halved_root / "cache", engine="serial"))
    budget = sum(rung.steps * rung.trials for rung in RUNGS)
    for method in choices_of(root)["methods"].values():
        assert sum(trial["steps"] for trial in method["trials"]) == budget
        assert {run["seed"] for trial in method["trials"] for run in trial["of_runs"]} == {8}
    assert read_tuning(StudyRecords.open(root)) is not None


def hash_parity(label: str) -> bool:
    return sum(map(ord, label)) % 2 == 0


def test_the_analysis_compares_what_was_trained_equally_long(halved_root, tmp_path):
    root = tmp_path / "study"
    shutil.copytree(halved_root / "study", root)
    found = analyze_study(root)
    trials = found.tables["tuning_trials"]
    assert (trials.groupby("method")["in_full"].sum() == RUNGS[-1].trials).all()
    summary = found.tables["tuning"].set_index("method")
    assert (summary["tuning_steps"] == sum(rung.steps * rung.trials for rung in RUNGS)).all()
    in_full = trials[trials["in_full"]].groupby("method")
    assert (in_full["test"].max() == summary["test_oracle"]).all()
    assert (in_full["validation"].max() == summary["validation_winner"]).all()
    assert found.tables["tuning_budgets"].empty  # of dropped trials nobody knows what they would have reached
    assert (found.tables["tuning_options"]["n"] == RUNGS[0].trials - 1).all()  # the first rung, where all were equal
    assert not [each for each in found.verdicts if each.aspect == "budget"]
    with pytest.raises(NotDrawableError, match="Halving dropped"):
        draw_figure("tuning", AnalysedStudy.open(root))


@pytest.mark.parametrize("place", [0, 1])
def test_a_score_of_a_rung_that_the_records_do_not_give_is_refused(halved_root, tmp_path, place):
    shutil.copytree(halved_root / "study", tmp_path / "study")
    path = tmp_path / "study" / "tuning" / "choices.json"
    content = json.loads(path.read_text())
    content["methods"]["focal"]["trials"][0]["rungs"][place]["validation"] += 0.01
    write_json(path, content)
    with pytest.raises(UserError, match="its records give"):
        read_tuning(StudyRecords.open(tmp_path / "study"))


def test_a_dry_run_trains_nothing_and_says_what_halving_costs(halved_root, tmp_path, capsys):
    execute_study(halved_config(halved_root), tmp_path / "study", Execution(halved_root / "cache", dry_run=True))
    told = " ".join(capsys.readouterr().out.split())
    assert "4 of 3 steps, 2 of 6 steps; 24 steps together instead of 4 x 6 = 24" in told
    assert not (tmp_path / "study" / "tuning").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"halving": {"min_steps": 4}}, "needs 3 `trials` and `training.steps` of `factor` x `min_steps` or more"),
        ({"trials": 2}, "Got 2 trials, 6 steps and 2 x 3"),
        ({"halving": {"min_steps": 1}}, "must be > `training.warmup_steps` (1)"),
        ({"halving": {"factor": 1}}, "`tuning.halving.factor` must be >= 2"),
        ({"halving": {"min_step": 3}}, "Did you mean"),
    ],
)
def test_halving_that_cannot_be_is_refused(tmp_path, change, told):
    with pytest.raises(UserError) as error:
        small_config(tmp_path, methods=METHODS, tuning=TUNING | change, training=TRAINING)
    assert told in str(error.value)


def test_halving_adds_nothing_to_tuning_without_it(tmp_path):
    config = small_config(tmp_path, methods=METHODS, tuning={**TUNING, "halving": None}, training=TRAINING)
    assert config.tuning is not None
    trials = {entry.label: trials_of(entry, config.tuning) for entry in config.methods}
    plain = tuning_execution.trial_study(config, trials)
    assert [entry.label for entry in plain.methods] == [f"{method}.t{n}" for method in METHODS for n in range(4)]
