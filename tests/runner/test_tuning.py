"""Tuning: equal budgets, shared draws, choices that see validation images alone, and winners that are retrained."""

import hashlib
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from analysis.pipeline import analyze_study
from analysis.scoring.tuned import read_tuning
from imbalance_bench.bundle import FORMAT, INDEX, Bundled, export_bundle, import_bundle
from imbalance_bench.config import load_study, parse_study
from imbalance_bench.data.splits import Fold, Splits
from imbalance_bench.errors import UserError
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.manifest import write_json
from imbalance_bench.records import StudyRecords
from imbalance_bench.table_files import write_table
from imbalance_bench.tuning.choice import TrialScore, best, choose, score_of_counts, write_choices
from imbalance_bench.tuning.draws import points, trials_of, tunable
from imbalance_bench.tuning.execution import folds_to_choose_in, trial_study
from imbalance_bench.tuning.section import TuningSection
from tests.small_study import small_config, study_content, write_dataset

TUNING = {
    "trials": 3,
    "seeds": [7],
    "shared": {"learning_rate": {"low": 1e-4, "high": 1e-2}},
}
METHODS = ["cross_entropy", "focal", {"name": "tversky", "cross_entropy_weight": 1.0}, {"parts": ["dfa", "topk"]}]


@pytest.fixture(scope="module")
def tuned_root(tmp_path_factory) -> Path:
    """A finished tuned study."""
    folder = tmp_path_factory.mktemp("tuned")
    config = small_config(write_dataset(folder / "data"), methods=METHODS[:3], tuning=TUNING)
    execute_study(config, folder / "study", Execution(cache=folder / "cache", engine="serial"))
    return folder


def tuned_config(folder: Path):
    return small_config(folder / "data", methods=METHODS[:3], tuning=TUNING)


@pytest.mark.parametrize("draws", ["sobol", "random", "latin"])
def test_points_are_in_the_unit_cube_and_the_same_for_a_seed(draws):
    first = points(draws, 5, 0)
    assert first.shape == (5, 32)
    assert (first >= 0).all()
    assert (first < 1).all()
    assert np.array_equal(first, points(draws, 5, 0))
    assert not np.array_equal(first, points(draws, 5, 1))


@pytest.mark.parametrize("draws", ["sobol", "random"])
def test_more_trials_begin_with_the_same_points(draws):
    assert np.array_equal(points(draws, 3, 4), points(draws, 9, 4)[:3])


def test_sobol_points_fill_each_option_more_evenly_than_chance():
    sobol = points("sobol", 16, 0)
    assert all(np.array_equal(np.sort((sobol[:, k] * 16).astype(int)), np.arange(16)) for k in range(32))


def test_every_method_has_the_same_number_of_trials_and_the_same_shared_draws(tmp_path):
    config = small_config(tmp_path, methods=METHODS, tuning=TUNING | {"trials": 6})
    assert config.tuning is not None
    trials = {entry.label: trials_of(entry, config.tuning) for entry in config.methods}
    assert {len(of_method) for of_method in trials.values()} == {6}
    recipes = [[trial.recipe for trial in of_method] for of_method in trials.values()]
    assert all(recipe == recipes[0] for recipe in recipes)
    assert len({recipe["learning_rate"] for recipe in recipes[0][1:]}) == 5
    assert trials["focal"][0].draw == {}
    gammas = [trial.draw["gamma"] for trial in trials["focal"][1:]]
    assert all(0.5 <= gamma <= 5 for gamma in gammas)
    assert [t.entry.parts["focal"].model_dump()["gamma"] for t in trials["focal"][1:]] == gammas
    assert [t.entry.recipe.learning_rate for t in trials["focal"]] == [
        None,
        *(r["learning_rate"] for r in recipes[0][1:]),
    ]
    assert set(trials["dfa+topk"][1].draw) == {"dfa.gamma", "dfa.alpha", "dfa.lr_multiplier", "topk.share"}


def test_an_option_that_the_study_file_gives_is_kept(tmp_path):
    config = small_config(tmp_path, methods=METHODS, tuning=TUNING)
    assert config.tuning is not None
    assert set(tunable(config.methods[2])) == {("tversky", "fn_weight")}
    assert all("cross_entropy_weight" not in trial.draw for trial in trials_of(config.methods[2], config.tuning))


@pytest.mark.parametrize(
    ("own", "drawn"),
    [({"learning_rate": 0.02}, {"weight_decay"}), ({"weight_decay": 0.0}, {"learning_rate"}), ({}, None)],
)
def test_a_recipe_that_the_study_file_gives_a_method_is_kept_and_the_rest_is_drawn_alike(tmp_path, own, drawn):
    shared = {"learning_rate": {"low": 1e-4, "high": 1e-2}, "weight_decay": {"low": 1e-3, "high": 0.1}}
    methods = ["cross_entropy", {"name": "focal", "recipe": own}]
    config = small_config(tmp_path, methods=methods, tuning=TUNING | {"shared": shared})
    assert config.tuning is not None
    control, trials = (trials_of(entry, config.tuning) for entry in config.methods)
    assert trials[0].entry.recipe.changes() == own
    for trial, alike in zip(trials[1:], control[1:], strict=True):
        assert trial.recipe == {name: alike.recipe[name] for name in drawn or shared}
        assert trial.entry.recipe.changes() == own | trial.recipe


def test_the_recipe_of_a_method_stays_where_none_is_drawn_and_a_method_with_nothing_open_is_trained_once(tmp_path):
    own, bare = {"recipe": {"learning_rate": 0.02}}, TUNING | {"shared": {}}
    config = small_config(tmp_path, methods=["cross_entropy", {"name": "focal"} | own], tuning=bare)
    assert config.tuning is not None
    assert [t.entry.recipe.learning_rate for t in trials_of(config.methods[1], config.tuning)] == [0.02] * 3
    assert len({t.entry.label for t in trials_of(config.methods[1], config.tuning)}) == 3
    config = small_config(tmp_path, methods=["focal", {"name": "cross_entropy"} | own], tuning=TUNING)
    assert config.tuning is not None
    closed = trials_of(config.methods[1], config.tuning)
    assert [trial.entry.label for trial in closed] == ["cross_entropy.t0"] * 3
    assert [trial.recipe for trial in closed] == [{}] * 3


def test_a_method_without_options_is_trained_once_where_the_recipe_is_not_drawn(tmp_path):
    config = small_config(tmp_path, methods=METHODS, tuning=TUNING | {"shared": {}})
    assert config.tuning is not None
    trials = {entry.label: trials_of(entry, config.tuning) for entry in config.methods}
    assert [trial.entry.label for trial in trials["cross_entropy"]] == ["cross_entropy.t0"] * 3
    study = trial_study(config, trials)
    assert len(study.methods) == 1 + 3 * 3
    assert study.seeds == (7,)
    assert study.tuning is None


def test_tuned_studies_hold_every_trial_and_retrain_the_winners_with_their_own_seeds(tuned_root):
    root = tuned_root / "study"
    choices = json.loads((root / "tuning" / "choices.json").read_text())
    final = StudyRecords.open(root).plan()
    assert {run["seed"] for run in final["runs"]} == {0}
    assert {run["seed"] for run in StudyRecords.open(root / "tuning").plan()["runs"]} == {7}
    assert set(choices["methods"]) == {"cross_entropy", "focal", "tversky"}
    for label, method in choices["methods"].items():
        assert [trial["trial"] for trial in method["trials"]] == [0, 1, 2]
        assert method["settings"] == final["methods"][label]
        scores = [trial["validation"] for trial in method["trials"]]
        assert scores[method["winner"]] == max(scores)
        assert method["test_of_tuning_seeds"]["oracle"] >= method["test_of_tuning_seeds"]["winner"]
        shared = [trial["shared"] for trial in method["trials"]]
        assert shared == [trial["shared"] for trial in choices["methods"]["focal"]["trials"]]
        assert all(trial["steps"] == 6 for trial in method["trials"])


def test_a_learning_rate_of_its_own_reaches_the_training(tuned_root):
    records = StudyRecords.open(tuned_root / "study" / "tuning")
    rates = {}
    for run in records.plan()["runs"]:
        epochs = records.run(run["run_id"]).epochs()
        rates[run["method"]] = epochs.loc[epochs["quantity"] == "learning_rate", "value"].max()
    config = tuned_config(tuned_root)
    assert config.tuning is not None
    trials = {entry.label: trials_of(entry, config.tuning) for entry in config.methods}
    for number in (1, 2):
        drawn = trials["focal"][number].recipe["learning_rate"]
        ratio = rates[f"focal.t{number}"] / rates["focal.t0"]
        assert ratio == pytest.approx(drawn / 1e-3, rel=1e-6)
        assert rates[f"focal.t{number}"] == rates[f"cross_entropy.t{number}"]


def test_a_second_run_changes_nothing_and_a_lost_choice_is_made_again(tuned_root, tmp_path):
    root = tmp_path / "study"
    shutil.copytree(tuned_root / "study", root)
    before = (root / "plan.json").read_bytes(), json.loads((root / "tuning" / "choices.json").read_text())
    (root / "tuning" / "choices.json").unlink()
    shutil.rmtree(root / "runs")
    execute_study(tuned_config(tuned_root), root, Execution(cache=tuned_root / "cache", engine="serial"))
    after = (root / "plan.json").read_bytes(), json.loads((root / "tuning" / "choices.json").read_text())
    assert json.loads(after[0])["methods"] == json.loads(before[0])["methods"]
    assert after[1] == before[1]


def meddle(record, rows, *, hopeless: bool) -> None:
    """Rewrite counts so that every labelled pixel of some rows is missed or hit, as if the run had written them."""
    counts = record.counts()
    labelled = counts["tp"] + counts["fn"]
    mistaken = labelled.groupby([counts["split"], counts["image_id"]]).transform(lambda n: np.roll(n, 1))
    counts.loc[rows(counts), "tp"] = 0 if hopeless else labelled
    counts.loc[rows(counts), "fn"] = labelled if hopeless else 0
    counts.loc[rows(counts), "fp"] = mistaken if hopeless else 0
    write_table(record.path / "counts.parquet", "counts", counts)
    manifest = record.manifest()
    write_json(record.path / "manifest.json", {key: value for key, value in manifest.items() if key != "files"})


def test_runs_of_other_seeds_that_the_folder_holds_do_not_count(tuned_root, tmp_path):
    """Seed 7 tunes first, with every default made hopeless; then seed 8, while the study itself takes seed 7."""
    root = tmp_path / "study"
    shutil.copytree(tuned_root / "study" / "tuning", root / "tuning")
    records = StudyRecords.open(root / "tuning")
    for run in records.plan()["runs"]:
        hopeless = run["method"].endswith(".t0")
        meddle(records.run(run["run_id"]), lambda counts: counts["split"] == "val", hopeless=hopeless)
    config = small_config(tuned_root / "data", methods=METHODS[:3], seeds=[7], tuning=TUNING | {"seeds": [8]})
    execute_study(config, root, Execution(cache=tuned_root / "cache", engine="serial"))
    assert {run["seed"] for run in StudyRecords.open(root / "tuning").plan()["runs"]} == {7, 8}
    for method in json.loads((root / "tuning" / "choices.json").read_text())["methods"].values():
        trials = method["trials"]
        assert {run["seed"] for trial in trials for run in trial["of_runs"]} == {8}
        assert {trial["steps"] for trial in trials} == {6}
        assert method["winner"] == max(trials, key=lambda trial: trial["validation"])["trial"]
    tuned = read_tuning(StudyRecords.open(root))  # refused where the records give another score
    assert tuned is not None
    assert {run.seed for run in tuned.runs.data} == {8}


def test_test_images_cannot_influence_the_choice(tuned_root, tmp_path):
    """Test counts are made perfect for the losers and hopeless for the winners: the choice must stay."""
    folder = tmp_path / "tuning"
    shutil.copytree(tuned_root / "study" / "tuning", folder)
    config, records = tuned_config(tuned_root), StudyRecords.open(folder)
    assert config.tuning is not None
    trials = {entry.label: trials_of(entry, config.tuning) for entry in config.methods}
    before = choose(trials, records, config.tuning)
    winners = {winner.trial.entry.label for winner, _ in before.values()}
    for run in records.plan()["runs"]:
        record = records.run(run["run_id"])
        assert (record.counts()["split"] == "test").any()
        meddle(record, lambda counts: counts["split"] == "test", hopeless=run["method"] in winners)
    after = choose(trials, records, config.tuning)
    assert {k: w.trial.number for k, (w, _) in after.items()} == {k: w.trial.number for k, (w, _) in before.items()}
    for run in records.plan()["runs"]:  # and validation counts do decide
        if run["method"] in winners:
            meddle(records.run(run["run_id"]), lambda counts: counts["split"] == "val", hopeless=True)
    changed = choose(trials, records, config.tuning)
    assert all(changed[k][0].trial.number != before[k][0].trial.number for k in before)


def test_ties_go_to_the_cheaper_trial_then_to_the_first(tuned_root):
    config, records = tuned_config(tuned_root), StudyRecords.open(tuned_root / "study" / "tuning")
    assert config.tuning is not None
    _, scores = choose({"focal": trials_of(config.methods[1], config.tuning)}, records, config.tuning)["focal"]
    even = [replace(score, validation=0.5, steps=steps) for score, steps in zip(scores, (9, 6, 6), strict=True)]
    assert best(even).trial.number == 1
    assert best([replace(score, validation=0.5) for score in scores]).trial.number == 0
    assert best([replace(even[0], validation=0.6), *even[1:]]).trial.number == 0


def test_a_planted_good_value_is_found_and_a_placebo_option_chosen_by_chance(tmp_path):
    """Scores peak at gamma .7, far from the default of 2; runs differ by a noise of .01."""
    config = small_config(tmp_path, methods=["focal"], tuning=TUNING)
    found, placebo = 0, []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        section = config.tuning.model_copy(update={"trials": 8, "seed": seed}) if config.tuning else None
        assert section is not None
        trials = trials_of(config.methods[0], section)
        gammas = np.array([trial.entry.parts["focal"].model_dump()["gamma"] for trial in trials])
        planted = 0.8 - 0.2 * np.abs(np.log(gammas / 0.7)) + rng.normal(0, 0.01, 8)
        winner = best([TrialScore(t, float(v), {}, 6, 1.0) for t, v in zip(trials, planted, strict=True)])
        found += abs(np.log(gammas[winner.trial.number] / 0.7)) < abs(np.log(2.0 / 0.7)) / 2
        flat = best(
            [TrialScore(t, float(v), {}, 6, 1.0) for t, v in zip(trials, rng.normal(0.8, 0.01, 8), strict=True)]
        )
        placebo.append(flat.trial.number)
    assert found >= 9
    assert len(set(placebo)) > 3


def test_scores_of_counts():
    counts = pd.DataFrame(
        {
            "class_id": [0, 1, 2, 0, 1, 2],
            "tp": [40, 10, 0, 40, 0, 0],
            "fp": [10, 0, 5, 10, 0, 0],
            "fn": [0, 10, 0, 0, 20, 0],
        }
    )  # Dice 160/180, 20/50, none
    assert score_of_counts(counts, "macro_dice") == pytest.approx((160 / 180 + 0.4) / 2)
    assert score_of_counts(counts, "worst_dice") == pytest.approx(0.4)
    assert score_of_counts(counts, "macro_iou") == pytest.approx((80 / 100 + 0.25) / 2)


def test_the_example_is_valid_although_yaml_reads_its_on_as_true():
    config = load_study(Path(__file__).parents[2] / "examples" / "tuned.yaml")
    assert config.tuning is not None
    assert config.tuning.on == "validation"
    assert config.tuning.trials == 4
    assert len(config.methods) == 5
    assert len({*config.seeds, *config.tuning.seeds}) == 4


def test_seeds_of_tuning_must_be_its_own(tmp_path):
    with pytest.raises(UserError, match=r"tuning.seeds` must differ from `seeds`.*Got 0 in both"):
        small_config(tmp_path, tuning=TUNING | {"seeds": [7, 0]})
    with pytest.raises(UserError, match=r"unknown key `tuning.trails`.*Did you mean .*trials"):
        small_config(tmp_path, tuning=TUNING | {"trails": 3})
    with pytest.raises(UserError, match="trials` must be >= 2"):
        small_config(tmp_path, tuning=TUNING | {"trials": 1})
    with pytest.raises(UserError, match="low < high"):
        small_config(tmp_path, tuning=TUNING | {"shared": {"learning_rate": {"low": 1, "high": 0.1}}})


def test_folds_without_validation_images_are_refused():
    fold = Fold(train=("a",), val=("b",), test=("c",))
    section = TuningSection(seeds=(7,))
    assert folds_to_choose_in(Splits("published", 0, (fold,)), section) == [None]
    with pytest.raises(UserError, match="fold 1 has none"):
        folds_to_choose_in(Splits("published", 0, (fold, replace(fold, val=()))), section)


@pytest.mark.parametrize("select", ["macro_dice", "macro_iou", "worst_dice"])
def test_validation_images_without_a_labelled_pixel_are_refused_before_training(tmp_path, select):
    data = write_dataset(tmp_path / "data")
    for name in ("im_4", "im_5"):
        Image.fromarray(np.full((64, 64), 255, np.uint8)).save(data / "masks" / f"{name}.png")
    config = small_config(data, tuning=TUNING | {"select": select})
    with pytest.raises(UserError, match=r"those of fold 0 \(2, such as 'im_4'\) hold no labelled pixel"):
        execute_study(config, tmp_path / "study", Execution(cache=tmp_path / "cache", engine="serial"))
    assert not (tmp_path / "study" / "tuning").exists()


@pytest.mark.parametrize("select", ["macro_dice", "worst_dice"])
def test_counts_of_no_labelled_pixel_choose_nothing_and_are_no_ceiling(tuned_root, tmp_path, select):
    folder = tmp_path / "tuning"
    shutil.copytree(tuned_root / "study" / "tuning", folder)
    config, records = tuned_config(tuned_root), StudyRecords.open(folder)
    assert config.tuning is not None
    section = config.tuning.model_copy(update={"select": select})
    trials = {"focal": trials_of(config.methods[1], section)}
    unlabel(records, "test")
    write_choices(folder, [choose(trials, records, section)], records, section)
    made = json.loads((folder / "choices.json").read_text())["methods"]["focal"]
    assert made["test_of_tuning_seeds"] == {"winner": None, "oracle_trial": None, "oracle": None}
    unlabel(records, "val")
    with pytest.raises(UserError, match="those of fold 0 hold no labelled pixel"):
        choose(trials, records, section)


def unlabel(records: StudyRecords, split: str) -> None:
    """Rewrite the counts of all runs as if no pixel of a split were labelled."""
    for run in records.plan()["runs"]:
        record = records.run(run["run_id"])
        counts = record.counts()
        counts.loc[counts["split"] == split, ["tp", "fp", "fn", "n_valid"]] = 0
        write_table(record.path / "counts.parquet", "counts", counts)
        manifest = record.manifest()
        write_json(record.path / "manifest.json", {key: value for key, value in manifest.items() if key != "files"})


def test_a_study_without_tuning_keeps_its_bytes(tmp_path):
    content = study_content(tmp_path)
    assert "tuning" not in parse_study(content, source="test").dump()
    assert set(parse_study(content, source="test").methods[0].resolved()) == {"label", "parts"}


def test_tuned_settings_survive_the_study_file(tmp_path):
    config = small_config(tmp_path, methods=METHODS, tuning=TUNING)
    assert config.tuning is not None
    methods = tuple(trials_of(entry, config.tuning)[1].entry for entry in config.methods)
    changed = config.model_copy(update={"methods": methods})
    again = parse_study(changed.dump(), source="test")
    assert [m.resolved() for m in again.methods] == [m.resolved() for m in methods]
    assert again.tuning == config.tuning


TUNING_TABLES = ("tuning", "tuning_effects", "tuning_trials", "tuning_budgets", "tuning_options")


def test_a_bundle_holds_the_trials_and_tuning_is_analysed_alike(tuned_root, tmp_path):
    root, bundle, received = tuned_root / "study", tmp_path / "bundle.zip", tmp_path / "received"
    assert export_bundle(root, bundle) == Bundled(3, 9)
    with zipfile.ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert json.loads(files[INDEX])["format"] == FORMAT
    assert not [name for name in files if name.endswith((".png", ".safetensors", ".jsonl"))]
    assert not [name for name, raw in files.items() if str(tuned_root).encode() in raw], "no path"
    assert import_bundle(bundle, received) == Bundled(3, 9)
    before, after = analyze_study(root), analyze_study(received)
    for name in TUNING_TABLES:
        assert len(before.tables[name])
        pd.testing.assert_frame_equal(after.tables[name], before.tables[name])
    said = [[verdict.sentence for verdict in each.verdicts if verdict.topic == "tuning"] for each in (before, after)]
    assert said[0]
    assert said[1] == said[0]
    assert len(analyze_study(received / "tuning").tables["runs"]) == 9
    export_bundle(received, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()


def test_trials_that_no_plan_names_or_data_of_this_machine_are_refused(tuned_root, tmp_path):
    root = shutil.copytree(tuned_root / "study", tmp_path / "study")
    plan = json.loads((root / "tuning" / "plan.json").read_text())
    export_bundle(root, tmp_path / "whole.zip")
    gone = plan["runs"].pop()["run_id"]
    for name, change, told in (
        ("plan.json", plan, f"holds the run {gone}, which its plan does not name"),
        (
            "dataset.json",
            json.loads((root / "tuning" / "dataset.json").read_text()),
            "names a data set on this machine",
        ),
    ):
        with zipfile.ZipFile(tmp_path / "whole.zip") as archive, zipfile.ZipFile(tmp_path / "bad.zip", "w") as bad:
            index = json.loads(archive.read(INDEX))
            raw = json.dumps(change).encode()
            index["files"][f"tuning/{name}"] = {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
            for each in index["files"]:
                bad.writestr(each, raw if each == f"tuning/{name}" else archive.read(each))
            bad.writestr(INDEX, json.dumps(index))
        with pytest.raises(UserError, match=told):
            import_bundle(tmp_path / "bad.zip", tmp_path / "in")
        assert not (tmp_path / "in").exists()


def test_trials_that_a_bundle_of_an_earlier_version_lacks_are_missed_aloud(tuned_root, tmp_path):
    root = shutil.copytree(tuned_root / "study", tmp_path / "study", ignore=shutil.ignore_patterns("tuning"))
    said = [verdict.sentence for verdict in analyze_study(root).verdicts if "about tuning" in verdict.sentence]
    assert len(said) == 1
    assert "choices.json must exist, because study.yaml has a `tuning` section" in said[0]
