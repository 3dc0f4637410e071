"""Tuning under cross-validation: each fold chooses on its own validation images, and trains what it chose."""

import json
import shutil
from pathlib import Path

import pytest

from analysis.compare import _options as options_of
from analysis.pipeline import analyze_study
from analysis.plots import AnalysedStudy, draw_figure
from analysis.report import build_report
from analysis.report.provenance import provenance
from analysis.scoring.tuned import read_tuning
from imbalance_bench.config import StudyConfig, parse_study
from imbalance_bench.data.splits import Fold, Splits
from imbalance_bench.errors import UserError
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.manifest import write_json
from imbalance_bench.planned_study import open_run
from imbalance_bench.planning import prepare_study
from imbalance_bench.records import StudyRecords
from imbalance_bench.study import Study
from imbalance_bench.training.run import RunExecution
from imbalance_bench.tuning.execution import folds_to_choose_in
from imbalance_bench.tuning.section import TuningSection
from tests.runner.test_tuning import meddle
from tests.small_study import SPLITS as SLIDES
from tests.small_study import small_config, study_content, write_dataset

TUNING = {"trials": 3, "seeds": [7]}
METHODS = ["cross_entropy", "focal", "tversky"]
SPLITS = {"kind": "grouped", "folds": 2, "validation_fraction": 0.3}
BEST = {"focal": (1, 2), "tversky": (2, 2)}  # trial that is made the best of each fold; `cross_entropy` has one setting


def tuned_config(folder: Path, **tuning):
    return small_config(folder / "data", methods=METHODS, splits=SPLITS, tuning=TUNING | tuning)


def execute(folder: Path, root: Path) -> None:
    execute_study(tuned_config(folder), root, Execution(cache=folder / "cache", engine="serial"))


def planned(config: StudyConfig, root: Path) -> Study:
    return prepare_study(config, root, lambda *_: None, write=False)


def plant(root: Path) -> None:
    """Make one trial perfect on the validation images of a fold, others hopeless; on test images the other way round.

    The default keeps its test scores.
    """
    records = StudyRecords.open(root / "tuning")
    for run in records.plan()["runs"]:
        method, trial = run["method"].split(".t")
        if method in BEST:
            winner = BEST[method][run["fold"]]
            record = records.run(run["run_id"])
            meddle(record, lambda counts: counts["split"] == "val", hopeless=int(trial) != winner)
            if int(trial):
                meddle(record, lambda counts: counts["split"] == "test", hopeless=int(trial) == winner)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A study in two folds whose validation and test images overlap, with a planted best setting of each fold."""
    folder = tmp_path_factory.mktemp("by_fold")
    write_dataset(folder / "data")
    root = folder / "study"
    execute(folder, root)
    plant(root)
    shutil.rmtree(root / "runs")
    (root / "plan.json").unlink()
    (root / "tuning" / "choices.json").unlink()
    execute(folder, root)
    return folder


def choices_of(root: Path) -> dict:
    return json.loads((root / "tuning" / "choices.json").read_text())


def trained(root: Path) -> dict[tuple[str, int], dict]:
    """Return (method, fold) -> what its manifest says was trained."""
    records = StudyRecords.open(root)
    manifests = [records.run(run["run_id"]).manifest() for run in records.plan()["runs"]]
    return {(m["method"]["label"], m["fold"]): m["method"] for m in manifests}


def test_each_fold_trains_the_setting_that_its_own_validation_images_prefer(folder):
    root, choices = folder / "study", choices_of(folder / "study")
    assert choices["format"] == 3
    trials = StudyRecords.open(root / "tuning").plan()["methods"]
    for (label, fold), method in trained(root).items():
        made = choices["methods"][label]["by_fold"][fold]
        assert made["winner"] == BEST.get(label, (0, 0))[fold]
        assert method["parts"] == trials[f"{label}.t{made['winner']}"]["parts"]
        assert {run["fold"] for trial in made["trials"] for run in trial["of_runs"]} == {fold}
        if label in BEST:
            assert made["test_of_tuning_seeds"]["oracle_trial"] == 3 - made["winner"]
    methods = trained(root)
    assert methods["focal", 0]["parts"] != methods["focal", 1]["parts"]
    assert methods["tversky", 0] == methods["tversky", 1]


def test_the_plan_holds_the_settings_of_each_fold_and_one_where_they_are_the_same(folder):
    root = folder / "study"
    plan, methods = StudyRecords.open(root).plan(), trained(root)
    assert set(plan["methods"]["focal"]) == {"label", "by_fold"}
    assert plan["methods"]["tversky"] == methods["tversky", 0]
    assert {label: method["settings"] for label, method in choices_of(root)["methods"].items()} == plan["methods"]
    for row in plan["runs"]:
        _, run = open_run(root, row["run_id"])
        assert run.method.resolved() == methods[row["method"], row["fold"]]
        assert run.fold == row["fold"]


def test_the_id_of_a_run_depends_on_the_setting_of_its_own_fold_alone(folder, tmp_path):
    root = folder / "study"
    rows = {(r["method"], r["fold"]): r["run_id"] for r in StudyRecords.open(root).plan()["runs"]}
    first = {**trained(root)["focal", 0]}
    untuned = small_config(folder / "data", methods=["cross_entropy", first], splits=SPLITS)
    ids = {(r.method.label, r.fold): r.run_id for r in planned(untuned, tmp_path / "new").runs}
    assert ids["cross_entropy", 1] == rows["cross_entropy", 1]
    assert ids["focal", 0] == rows["focal", 0]
    assert ids["focal", 1] != rows["focal", 1]


def test_the_study_file_of_the_folder_gives_the_same_runs(folder, tmp_path):
    content = study_content(folder / "data", splits=SPLITS)
    content["methods"] = list(StudyRecords.open(folder / "study").plan()["methods"].values())
    config = parse_study(content, source="test")
    assert config.dump()["methods"] == content["methods"]
    ids = {run.run_id for run in planned(config, tmp_path / "new").runs}
    assert ids == {run["run_id"] for run in StudyRecords.open(folder / "study").plan()["runs"]}
    again = parse_study(content | {"tuning": TUNING}, source="test")
    with pytest.raises(UserError, match="method 'focal' has them already"):
        execute_study(again, tmp_path / "new", Execution(cache=tmp_path / "cache", engine="serial"))


def test_a_study_that_was_killed_goes_on_with_the_same_choice(folder, tmp_path, monkeypatch):
    root = tmp_path / "study"
    shutil.copytree(folder / "study", root)
    before, plan = choices_of(root), StudyRecords.open(root).plan()
    shutil.rmtree(root / "runs")
    for name in ("plan.json", "tuning/choices.json"):
        (root / name).unlink()
    killed = [
        r["run_id"] for r in StudyRecords.open(root / "tuning").plan()["runs"] if r["method"] == "cross_entropy.t0"
    ]
    for run_id in killed:
        shutil.rmtree(root / "tuning" / "runs" / run_id)
    train, left = RunExecution._train, [1]

    def dies(self, index, trainer):
        train(self, index, trainer)
        if not left:
            raise KeyboardInterrupt
        left.pop()

    with monkeypatch.context() as patched:
        patched.setattr(RunExecution, "_train", dies)
        with pytest.raises(KeyboardInterrupt):
            execute(folder, root)
    assert not (root / "tuning" / "choices.json").exists()
    execute(folder, root)
    assert StudyRecords.open(root).plan()["methods"] == plan["methods"]
    assert [r["run_id"] for r in StudyRecords.open(root).plan()["runs"]] == [r["run_id"] for r in plan["runs"]]
    assert without_seconds(choices_of(root)) == without_seconds(before)


def without_seconds(choices: dict) -> dict:
    for method in choices["methods"].values():
        for trial in (trial for fold in method["by_fold"] for trial in fold["trials"]):
            del trial["seconds"]
    return choices


def test_another_setting_of_one_fold_is_refused_in_the_same_folder(folder, tmp_path):
    root = tmp_path / "study"
    shutil.copytree(folder / "study", root)
    content = study_content(folder / "data", splits=SPLITS)
    methods = list(StudyRecords.open(root).plan()["methods"].values())
    content["methods"] = [m if "by_fold" not in m else m | {"by_fold": m["by_fold"][::-1]} for m in methods]
    with pytest.raises(UserError, match="holds runs of 'focal' with other options"):
        planned(parse_study(content, source="test"), root)


def test_settings_by_fold_are_checked(tmp_path):
    write_dataset(tmp_path / "data")
    folds = [{"name": "focal", "gamma": 1.0}, {"name": "focal", "gamma": 3.0}]

    def config(entry):
        return small_config(tmp_path / "data", methods=["cross_entropy", entry], splits=SPLITS)

    study = planned(config({"label": "f", "by_fold": folds}), tmp_path / "s")
    gammas = {
        run.fold: run.method.parts["focal"].model_dump()["gamma"] for run in study.runs if run.method.label == "f"
    }
    assert gammas == {0: 1.0, 1: 3.0}
    with pytest.raises(UserError, match=r"must hold the settings of 2 folds\. Got 3"):
        planned(config({"label": "f", "by_fold": [*folds, "focal"]}), tmp_path / "s")
    for wrong in ({"by_fold": folds}, {"label": "f", "by_fold": folds, "name": "focal"}, {"label": "f", "by_fold": []}):
        with pytest.raises(UserError, match="`label` and a list `by_fold`, and nothing else"):
            config(wrong)
    with pytest.raises(UserError, match="without `label` and `by_fold`"):
        config({"label": "f", "by_fold": [folds[0], {"label": "g", "by_fold": folds}]})
    with pytest.raises(UserError, match="gama"):
        config({"label": "f", "by_fold": [folds[0], {"name": "focal", "gama": 1}]})


def leaking() -> Splits:
    def fold(val: str, test: str) -> Fold:
        return Fold(train=("a",), val=(val,), test=(test,))

    return Splits("published", 0, (fold("b", "c"), fold("c", "b")))


def test_a_setting_is_chosen_for_each_fold_where_one_would_see_test_images():
    apart = Splits("published", 0, tuple(Fold(train=("a",), val=("b",), test=(test,)) for test in "cd"))
    one = Splits("published", 0, leaking().folds[:1])
    halving = {"factor": 2, "min_steps": 3}
    section = TuningSection(trials=4, seeds=(7,))
    asked = {choice: TuningSection(trials=4, seeds=(7,), choice=choice) for choice in ("shared", "per_fold")}
    assert folds_to_choose_in(leaking(), section) == folds_to_choose_in(leaking(), asked["per_fold"]) == [0, 1]
    assert folds_to_choose_in(apart, section) == folds_to_choose_in(apart, asked["shared"]) == [None]
    assert folds_to_choose_in(apart, asked["per_fold"]) == [0, 1]
    assert folds_to_choose_in(one, asked["per_fold"]) == [None]
    with pytest.raises(UserError, match="fold 0 validates on 'b', which fold 1 tests"):
        folds_to_choose_in(leaking(), asked["shared"])
    with pytest.raises(UserError, match=r"`tuning.halving` drops trials in all folds at once.*which fold 1 tests"):
        folds_to_choose_in(leaking(), TuningSection.model_validate({"trials": 4, "seeds": [7], "halving": halving}))
    with pytest.raises(ValueError, match="Leave one of them out"):
        TuningSection.model_validate({"trials": 4, "seeds": [7], "halving": halving, "choice": "per_fold"})


def test_older_tuning_sections_keep_their_form():
    assert "choice" not in TuningSection(trials=4, seeds=(7,)).model_dump()


def test_the_analysis_tells_the_setting_of_each_fold_and_compares_them_together(folder, tmp_path):
    root = tmp_path / "study"
    shutil.copytree(folder / "study", root)
    found = analyze_study(root)
    summary = found.tables["tuning"].set_index("method")
    assert summary["winner"].isna().to_dict() == {"cross_entropy": False, "focal": True, "tversky": False}
    drawn = [
        made["trials"][made["winner"]]["draw"]["gamma"] for made in choices_of(root)["methods"]["focal"]["by_fold"]
    ]
    assert summary.loc["focal", "setting"] == f"fold 0: gamma {drawn[0]:.3g}; fold 1: gamma {drawn[1]:.3g}"
    assert "fold" not in str(summary.loc["tversky", "setting"])
    assert (summary["tuning_steps"] == [6 * 2, 6 * 2 * 3, 6 * 2 * 3]).all()
    for label in BEST:  # perfect on what they were chosen by, hopeless on test images; no trial is either in all folds
        scores = [summary.loc[label, name] for name in ("validation_winner", "test_winner", "test_oracle")]
        assert scores == [1.0, 0.0, 1.0]
    assert summary[["validation_again", "test_again"]].notna().all(axis=None)
    effects = found.tables["tuning_effects"].set_index(["method", "class"])
    assert effects.loc[("focal", "macro"), "of_tuned"] == 0 < effects["of_default"].loc[("focal", "macro")]
    assert effects.loc[("focal", "macro"), "n_units"] == len(SLIDES)
    trials = found.tables["tuning_trials"].set_index(["method", "fold", "trial"])
    assert trials.index.is_unique
    assert trials.loc[("focal", 0, 1), "winner"]
    assert not trials.loc[("focal", 1, 1), "winner"]
    budgets = found.tables["tuning_budgets"].set_index(["method", "trials"])
    assert [budgets.loc[("focal", 3), name] for name in ("validation", "test")] == [1.0, 0.0]
    text = build_report(root).read_text()
    assert str(summary.loc["focal", "setting"]) in text
    study, methods = AnalysedStudy.open(root), trained(root)
    shown = {method: json.loads(content) for method, content in provenance(study).methods.items()}
    assert {fold: content["method"] for fold, content in shown["focal"].items()} == {
        f"fold {fold}": methods["focal", fold] for fold in (0, 1)
    }
    assert shown["tversky"]["method"] == methods["tversky", 0]
    assert options_of(study, "focal") == [methods["focal", fold]["parts"] for fold in (0, 1)]
    assert options_of(study, "tversky") == methods["tversky", 0]["parts"]
    figure = draw_figure("tuning", AnalysedStudy.open(root))
    assert len(figure.axes) == 2


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("winner",), 2, "trial 2 of focal in fold 0 is not the best on validation"),
        (("trials", 1, "validation"), 0.5, "trial 1 of focal in fold 0 is 0.500000"),
    ],
)
def test_choices_of_a_fold_that_the_records_do_not_give_are_refused(folder, tmp_path, place, value, told):
    root = tmp_path / "study"
    shutil.copytree(folder / "study", root)
    content = choices_of(root)
    part = content["methods"]["focal"]["by_fold"][0]
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    write_json(root / "tuning" / "choices.json", content)
    with pytest.raises(UserError, match=told):
        read_tuning(StudyRecords.open(root))
