"""From synthetic records with known truth to every file of the contract, and through every gap a study can have."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.explanation.agreement import agreement_rows
from analysis.pipeline import StudyAnalysis, analyze_study
from analysis.reading.analysed_study import AnalysedStudy
from analysis.report import build_report
from analysis.report.details import detail_tables
from analysis.report.tables import make_tables
from analysis.schema import TABLES, learning, planted, table, tuning
from analysis.schema.column import Kind
from analysis.schema.files import read_table
from analysis.study.class_frames import quantities_frame
from analysis.study.class_points import class_points
from analysis.study.runs import AnalysisPlan, read_study
from analysis.topics import TOPICS
from analysis.topics.context import Context, TopicResult
from analysis.topics.explanation import quantities_of, training_overlap
from analysis.verdicts import Topic, Word
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.splits import Splits
from imbalance_bench.data.unchanged import file_marks, remember_marks
from imbalance_bench.errors import UserError
from imbalance_bench.manifest import write_json
from imbalance_bench.preregistration import PRIMARY_MEASURES
from imbalance_bench.records import RunState, StudyRecords
from tests.analysis.synthetic import write_synthetic_study
from tests.analysis.synthetic_runs import METHOD_GAIN, true_difficulty

QUICK = {"resamples": 100, "permutations": 500}
TWO = ("cross_entropy", "dfa")


def study(root: Path, **options) -> StudyAnalysis:
    """Write and analyse a small study; without a data set, so without measures, unless asked for."""
    small = {"seeds": 2, "n_images": 10, "dataset": False}
    options = small | options | {"analysis": QUICK | options.get("analysis", {})}
    return analyze_study(write_synthetic_study(root / "study", **options))


def verdict(found: StudyAnalysis, identity: str):
    return next(each for each in found.verdicts if each.id == identity)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> StudyAnalysis:
    root = tmp_path_factory.mktemp("whole") / "study"
    return analyze_study(
        write_synthetic_study(root, borders=True, interventions=True, attention="live", analysis={"resamples": 500})
    )


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("template") / "study"
    return write_synthetic_study(root, methods=TWO, seeds=4, dataset=False, analysis=QUICK)


@pytest.fixture
def copied(template, tmp_path) -> Path:
    """A study without a data set, to be changed."""
    return shutil.copytree(template, tmp_path / "study")


def test_importing_analysis_does_not_load_torch():
    modules = "analysis, analysis.pipeline, analysis.measures.estimates"
    code = f"import sys, {modules}; assert 'torch' not in sys.modules, 'torch'"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


OF_SEVERAL_MODELS = {"model_differences", "model_interactions"}


def test_every_table_of_the_contract_is_written_with_its_columns(whole):
    for name, declared in TABLES.items():
        written = pd.read_csv(whole.folder / f"{name}.csv")
        assert list(written.columns) == list(declared.columns)
        assert len(written) == len(whole.tables[name])
        # one model, no phantom, nothing tuned, and no class lost
        assert len(written) or name in {*OF_SEVERAL_MODELS, *planted.TABLES, *tuning.TABLES, *learning.TABLES}
    readme = (whole.folder / "README.md").read_text()
    assert all(f"| {column} |" in readme for each in TABLES.values() for column in each.columns)


def test_verdicts_are_valid_json_with_unique_ids(whole):
    content = json.loads((whole.folder / "verdicts.json").read_text(), parse_constant=pytest.fail)
    assert set(content) == {"plan_hash", "verdicts"}
    ids = [each["id"] for each in content["verdicts"]]
    assert len(set(ids)) == len(ids)
    for each in content["verdicts"]:
        assert each["topic"] in set(Topic)
        assert each["verdict"] in set(Word)
        assert each["sentence"].endswith((".", "!"))
        assert "nan" not in each["sentence"]
        assert each["rule"]


def test_planted_effects_are_found(whole):
    macro = whole.tables["comparisons"].query("`class` == 'macro'").set_index("method")
    assert macro.loc["dfa", "verdict"] == Word.BETTER
    assert macro.loc["inverse_frequency", "verdict"] == Word.WORSE
    assert macro.loc["focal", "verdict"] in (Word.UNDECIDED, Word.EQUIVALENT)
    order = macro["difference"].sort_values().index
    assert list(order) == sorted(macro.index, key=lambda name: (METHOD_GAIN[name], name))
    change = whole.tables["learned_bias"].query("estimand == 'change'").groupby("class_id")["value"].mean()
    assert list(np.argsort(np.argsort(change))) == list(true_difficulty(5))
    assert verdict(whole, "reliability/dfa/change").word == Word.RELIABLE


def test_tables_agree_with_one_another(whole):
    scores, units = whole.tables["method_scores"], whole.tables["unit_scores"]
    of_classes = scores.query("aggregation == 'per_group' and metric == 'dice' and `class` != 'macro'")
    expected = units[units["class"] != "macro"].groupby(["method", "class"])["dice"].mean()
    found = of_classes.set_index(["method", "class"])["mean"]
    pd.testing.assert_series_equal(found.sort_index(), expected.sort_index(), check_names=False)
    macro = scores.query("aggregation == 'per_group' and metric == 'dice' and `class` == 'macro'").set_index("method")
    compared = whole.tables["comparisons"].query("`class` == 'macro'").set_index("method")["difference"]
    for method, difference in compared.items():
        assert macro.loc[method, "mean"] - macro.loc["cross_entropy", "mean"] == pytest.approx(difference)
    runs = whole.tables["class_scores"].query("aggregation == 'pooled' and metric == 'dice'")
    pooled = scores.query("aggregation == 'pooled' and metric == 'dice'").set_index(["method", "class"])["mean"]
    for keys, value in runs.groupby(["method", "class"])["value"].mean().items():
        assert pooled[keys] == pytest.approx(value)
    assert (scores["low"] <= scores["mean"]).all()
    assert (scores["mean"] <= scores["high"]).all()


def test_learned_bias_is_centred(whole):
    bias = whole.tables["learned_bias"].query("estimand != 'attention_mass'")
    sums = bias.groupby(["method", "fold", "seed", "estimand"])["value"].sum()
    np.testing.assert_allclose(sums, 0, atol=1e-9)


def test_five_classes_cannot_show_what_the_bias_follows(whole):
    primary = whole.tables["associations"].query("primary")
    assert set(primary["measure"]) == set(PRIMARY_MEASURES.values())
    assert set(primary["estimand"]) == {"change", "effective_offset"}
    measured = primary.query("construct != 'context'")  # nothing is cached, so there are no features to compare
    np.testing.assert_allclose(measured.query("method == 'cross_entropy'")["min_p"], 2 / 120)
    assert primary.query("construct == 'context'")["spearman"].isna().all()
    assert Word.SUPPORTED not in set(primary["verdict"])
    assert set(primary.query("method == 'dfa'")["given"]) == {"start"}  # the one start of its runs may explain it
    assert verdict(whole, "association/dfa/change/pixel_share").word == Word.NOT_SEPARABLE
    assert verdict(whole, "answer/reason/dfa").word != Word.SUPPORTED
    found = verdict(whole, "attainability/classes")
    assert found.word == Word.NOT_TESTABLE
    assert found.numbers["classes_needed"] == 6
    exploratory = whole.tables["associations"].query(
        "not primary and estimand != 'loss_weight' and estimand != 'difficulty'"
    )
    assert exploratory["p_holm"].isna().all()
    assert primary["p_bh"].isna().all()


def test_seven_classes_can(tmp_path):
    found = study(tmp_path, methods=TWO, classes=7, dataset=True)
    primary = found.tables["associations"].query("primary and method == 'dfa'")
    measured = primary["construct"] != "context"
    assert set(primary[measured]["verdict"]) <= {Word.NOT_SEPARABLE, Word.NOT_SUPPORTED, Word.UNRELIABLE}
    assert set(primary[~measured]["verdict"]) == {Word.NOT_TESTABLE}
    assert verdict(found, "attainability/classes").word == Word.TESTABLE
    assert verdict(found, "attainability/classes").numbers["tests"] == 3


def test_a_primary_hypothesis_is_corrected_for_every_method_and_quantity(tmp_path):
    methods = ("cross_entropy", "inverse_frequency", "focal")
    found = study(tmp_path, methods=methods, dataset=True, analysis=QUICK | {"hypotheses": ["frequency"]})
    tested = found.tables["associations"].query("primary and construct == 'frequency' and spearman == spearman")
    attained = verdict(found, "attainability/classes")
    assert attained.numbers["tests"] == len(tested) > 1
    assert set(tested["verdict"]) == {Word.NOT_TESTABLE}
    assert attained.word == Word.NOT_TESTABLE  # as one test alone, five classes would have been called enough
    assert f"corrected for {len(tested)} methods and quantities (frequency first" in attained.sentence


def test_same_records_same_bytes(tmp_path):
    root = write_synthetic_study(tmp_path / "study", methods=TWO, seeds=1, analysis=QUICK)
    before = {path.name: path.read_bytes() for path in analyze_study(root).folder.iterdir()}
    after = {path.name: path.read_bytes() for path in analyze_study(root).folder.iterdir()}
    assert before == after
    assert not [name for name in after if name.startswith(".")]


def test_unknown_slides_are_said(tmp_path):
    found = study(tmp_path, methods=TWO, groups_known=False)
    said = verdict(found, "data/independence")
    assert said.word == Word.LIMITED
    assert "images are treated as independent" in said.sentence
    assert set(found.tables["comparisons"]["unit"]) == {"image"}


def test_groups_are_the_unit_where_they_are_known(tmp_path):
    found = study(tmp_path, methods=TWO, images_per_group=2)
    macro = found.tables["comparisons"].iloc[0]
    assert (macro["unit"], macro["n_units"]) == ("group", 5)
    per_image = found.tables["method_scores"].query("aggregation == 'per_image'")
    per_group = found.tables["method_scores"].query("aggregation == 'per_group'")
    assert not np.allclose(per_image["mean"], per_group["mean"])


@pytest.mark.parametrize(("alpha", "needed"), [(0.05, 6), (0.2, 0)])
def test_classes_in_too_few_units_for_the_level_are_named(tmp_path, alpha, needed):
    found = study(tmp_path, methods=TWO, images_per_group=2, analysis={"alpha": alpha})  # five groups
    rare = [each for each in found.verdicts if each.id == "data/rare"]
    assert [f"fewer than {needed} units" in each.sentence for each in rare] == [True] * bool(needed)


@pytest.mark.parametrize("classes", [2, 3])
def test_few_classes(tmp_path, classes):
    found = study(tmp_path, methods=TWO, classes=classes, seeds=3, dataset=True)
    assert set(found.tables["associations"]["verdict"]) <= {Word.NOT_TESTABLE, Word.UNRELIABLE}
    assert verdict(found, "attainability/classes").word == Word.NOT_TESTABLE
    assert verdict(found, "comparison/dfa/macro").word == Word.BETTER


def test_one_seed_is_honest_about_methods_and_reliability(tmp_path):
    found = study(tmp_path, methods=TWO, seeds=1, classes=6, dataset=True)
    assert found.tables["method_scores"]["sd_over_seeds"].isna().all()
    assert found.tables["reliability"]["icc"].isna().all()
    assert set(found.tables["associations"].query("primary")["verdict"]) == {Word.NOT_TESTABLE}
    assert "there is one run" in verdict(found, "reliability/dfa/change").sentence
    assert "cannot be tested" in verdict(found, "association/dfa/change/pixel_share").sentence
    assert "one seed" in verdict(found, "comparison/dfa/macro").sentence


def test_one_method_alone_and_no_bias(tmp_path):
    found = study(tmp_path, methods=("cross_entropy",))
    assert found.tables["comparisons"].empty
    assert list(found.tables["comparisons"].columns) == list(TABLES["comparisons"].columns)
    unet = study(tmp_path / "other", methods=TWO, architecture="unet", dataset=True)
    assert unet.tables["learned_bias"].empty
    assert set(unet.tables["associations"]["estimand"]) == {"logit_gradient_norm"}
    assert not [each for each in unet.verdicts if each.topic == Topic.ASSOCIATION]


def test_a_control_that_was_not_run_leaves_comparisons_empty(tmp_path):
    assert study(tmp_path, methods=TWO, analysis={"control": "focal"}).tables["comparisons"].empty
    assert study(tmp_path / "none", methods=TWO, analysis={"control": None}).tables["comparisons"].empty


def test_class_absent_from_test(tmp_path):
    found = study(tmp_path, methods=TWO, absent_class=True)
    rows = found.tables["class_scores"].query("`class` == 'vessel'")
    assert rows["value"].isna().all()
    assert (rows["n_present"] == 0).all()
    assert verdict(found, "data/absent").numbers["absent"] == ["vessel"]
    assert verdict(found, "comparison/dfa/vessel").word == Word.NOT_TESTABLE
    scores = found.tables["method_scores"].query("aggregation == 'pooled' and metric == 'dice'")
    mean = scores.set_index(["method", "class"])["mean"]["dfa"]
    assert mean["macro"] == pytest.approx(mean.drop(["macro", "vessel"]).mean())
    changed = found.tables["sensitivity"].pivot(index=["method", "aggregation"], columns="absent_class")["macro_dice"]
    np.testing.assert_allclose(changed["left_out"], changed["zero_if_predicted"])  # absent everywhere: left out by both


def test_reliability_over_training_sets_knows_that_a_cross_validation_was_repeated(tmp_path):
    found = study(tmp_path, methods=TWO, folds=2, repeats=3)
    shared = training_overlap(StudyRecords(found.folder.parent))
    assert shared is not None
    np.testing.assert_allclose(shared.diagonal(), 1)
    trained = [set(fold.train) for fold in Splits.load(found.folder.parent / "splits.json").folds]
    assert shared[0, 2] == pytest.approx(len(trained[0] & trained[2]) / np.sqrt(len(trained[0]) * len(trained[2])))
    row = found.tables["reliability"].query("over == 'training_sets'").iloc[0]
    learned = quantities_of("", found.tables["learned_bias"], {}).query(f"method == '{row['method']}'")
    points = class_points(quantities_frame(learned), row["method"], row["estimand"])
    known, unknown = (
        agreement_rows(points, row["method"], row["estimand"], overlap)[-1] for overlap in ({"": shared}, None)
    )
    assert row["icc"] == pytest.approx(known["icc"])
    assert unknown["icc"] > known["icc"]  # these folds also share a fixed part, which no division would have


def test_folds_are_scored_together(tmp_path):
    found = study(tmp_path, methods=TWO, folds=2, dataset=True)
    macro = found.tables["comparisons"].iloc[0]
    assert macro["n_units"] == 10
    raters = found.tables["reliability"].groupby("over")["n_seeds"].agg(set).to_dict()
    assert raters["seeds"] == {4}
    assert raters["folds"] == raters["training_sets"] == {2}
    overlap = verdict(found, "data/overlap")
    assert overlap.word == Word.LIMITED
    assert "trained on images that others are trained or tested on: where these vary" in overlap.sentence
    assert not found.tables["measures"]["value"].isna().all()


def test_repeated_folds_have_a_part_in_the_intervals_of_every_table(tmp_path):
    found = study(tmp_path, methods=TWO, seeds=2, folds=2, repeats=2, borders=True)
    assert verdict(found, "data/overlap").numbers["folds"] == 4
    said = verdict(found, "data/overlap").sentence
    assert "several folds test the same images" in said
    assert "as many degrees of freedom as 2 folds have" in said
    assert found.tables["comparisons"].iloc[0]["n_units"] == 10
    for name in ("method_scores", "boundary_scores", "trimap_curves", "calibration", "profiles", "iqm"):
        assert np.isfinite(found.tables[name]["low"]).any(), name


def test_folds_on_one_test_set_are_added_to_the_variation_over_units(tmp_path):
    found = study(tmp_path, methods=TWO, folds=3, rotate=True)
    overlap = verdict(found, "data/overlap")
    assert overlap.numbers["folds"] == 3
    assert overlap.sentence.startswith("The 3 folds test the same images and divide the others into training and")
    assert "is added to that over units" in overlap.sentence
    assert found.tables["comparisons"].iloc[0]["n_units"] == 10


def test_missing_running_failed_and_damaged_runs_are_reported(copied):
    root = copied
    runs = [each["run_id"] for each in StudyRecords(root).plan()["runs"] if each["method"] == "dfa"]
    shutil.rmtree(root / "runs" / runs[0])
    StudyRecords(root).run(runs[1]).write_status(RunState.FAILED, step=3, steps=300, error="out of memory")
    counts = root / "runs" / runs[2] / "counts.parquet"
    counts.write_bytes(counts.read_bytes()[:100])
    found = analyze_study(root)
    rows = found.tables["runs"].set_index("run_id").loc[runs]
    assert list(rows["state"]) == ["missing", "failed", "damaged", "done"]
    assert rows["error"].iloc[1] == "out of memory"
    assert "3 of 8 planned runs are not finished" in verdict(found, "data/runs").sentence
    macro = found.tables["comparisons"].iloc[0]
    assert "one seed" in verdict(found, "comparison/dfa/macro").sentence  # only the seed both have
    assert macro["n_units"] == 14


def test_a_seed_without_all_folds_is_left_out_and_said(tmp_path):
    root = write_synthetic_study(tmp_path / "study", methods=TWO, seeds=3, folds=2, dataset=False, analysis=QUICK)
    last = next(e for e in StudyRecords(root).plan()["runs"] if (e["method"], e["fold"], e["seed"]) == ("dfa", 1, 2))
    shutil.rmtree(root / "runs" / last["run_id"])
    found = analyze_study(root)
    assert "left out" in verdict(found, "data/folds").sentence
    scores = found.tables["method_scores"].query("`class` == 'macro' and method == 'dfa'")
    assert set(scores["n_seeds"]) == {2}
    assert set(scores["n_units"]) == {14}


def test_without_the_data_set_measures_are_skipped_with_a_sentence(tmp_path):
    found = study(tmp_path, methods=TWO, seeds=3)
    assert found.tables["measures"].empty
    assert found.tables["associations"].empty
    assert "no longer where dataset.json says" in verdict(found, "data/measures").sentence
    assert verdict(found, "comparison/dfa/macro").word == Word.BETTER


def test_a_broken_image_skips_measures_and_names_the_file(tmp_path):
    root = write_synthetic_study(tmp_path / "study", methods=TWO, seeds=1, analysis=QUICK)
    image = root / "dataset" / "images" / "train_003.png"
    image.write_bytes(image.read_bytes()[:50])
    dataset = PreparedDataset.open(root / "dataset")
    remember_marks(root, file_marks(dataset), StudyRecords.open(root).dataset()["data_hash"])  # a disk that lost bytes
    assert "train_003.png" in verdict(analyze_study(root), "data/measures").sentence


def test_two_architectures_are_compared_within_each(copied, tmp_path):
    root = copied
    other = write_synthetic_study(tmp_path / "other", methods=TWO, seeds=2, architecture="unet", analysis=QUICK)
    plan = StudyRecords(root).plan()
    plan["runs"] += StudyRecords(other).plan()["runs"]
    write_json(root / "plan.json", plan)
    shutil.copytree(other / "runs", root / "runs", dirs_exist_ok=True)
    found = analyze_study(root)
    pairs = set(map(tuple, found.tables["comparisons"][["method", "control"]].to_numpy()))
    assert pairs == {(f"dfa ({a})", f"cross_entropy ({a})") for a in ("class_query", "unet")}


def test_a_plan_changed_afterwards_is_said(copied, whole):
    assert not [each for each in whole.verdicts if each.id == "data/plan"]
    plan = StudyRecords(copied).plan()
    plan["analysis"]["alpha"] = 0.1
    write_json(copied / "plan.json", plan)
    assert verdict(analyze_study(copied), "data/plan").word == Word.LIMITED


def test_progress_is_reported(tmp_path):
    root = write_synthetic_study(tmp_path / "study", methods=TWO, seeds=1, analysis=QUICK)
    seen = []
    analyze_study(root, on_progress=lambda what, done, of: seen.append((what, done, of)))
    assert ("measures", 10, 10) in seen


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda plan: plan["analysis"].pop("alpha"), "must have 'alpha'"),
        (lambda plan: plan["analysis"].update(unit="slide"), "auto, group or image"),
        (lambda plan: plan.update(runs=[]), "must list `runs`"),
        (lambda plan: plan["runs"][0].pop("seed"), r"`runs\.0\.seed` is required"),
    ],
)
def test_a_malformed_plan_is_one_line(copied, change, message):
    plan = StudyRecords(copied).plan()
    change(plan)
    write_json(copied / "plan.json", plan)
    with pytest.raises(UserError, match=message) as caught:
        analyze_study(copied)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_no_study_or_has_no_finished_run(copied, tmp_path):
    with pytest.raises(UserError, match="not a study directory"):
        analyze_study(tmp_path)
    shutil.rmtree(copied / "runs")
    with pytest.raises(UserError, match="no run is finished"):
        analyze_study(copied)


def test_every_table_is_read_back_as_it_was_computed(whole):
    kinds = set()
    for name, declared in TABLES.items():
        computed, read = table(name, whole.tables[name]), read_table(whole.folder, name)
        pd.testing.assert_frame_equal(read, computed, rtol=1e-12)
        kinds |= {column.kind for column in declared.columns.values()}
        assert not computed.duplicated(list(declared.key)).any(), name
    assert kinds == set(Kind)
    assert whole.tables["inertia"]["view"].isin(["one_start", "several_starts"]).all()
    assert (whole.tables["partial_associations"]["given"] != "").all()


def test_no_cell_of_a_report_is_a_raw_value(whole):
    page = build_report(whole.folder.parent).read_text()
    cells = [
        re.sub(r"<[^>]*>", " ", cell).strip() for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", page, re.DOTALL)
    ]
    assert len(cells) > 500
    for cell in cells:
        assert not re.search(r"(?<![\w-])(nan|None|True|False|<NA>|inf)(?![\w-])", cell), cell
        assert not re.search(r"\d\.\d{7,}", cell), cell


def test_every_download_of_a_report_is_its_table(whole):
    study = AnalysedStudy.open(whole.folder.parent)
    for name, shown in make_tables(study, whole.folder.parent / "again", detail_tables(study)).items():
        source = {"scores": "method_scores"}.get(name, name)
        computed = (whole.folder / f"{source}.csv").read_text().splitlines()
        assert set(shown.csv.splitlines()) <= set(computed), name
        assert shown.csv.splitlines()[0] == computed[0]


def test_a_topic_runs_on_what_it_declares_that_it_needs(whole):
    records = StudyRecords.open(whole.folder.parent)
    study, plan = read_study(records), AnalysisPlan.of(records)
    for name, step in TOPICS.items():
        needed = {*step.needs}
        for other in reversed(TOPICS):
            needed |= set(TOPICS[other].needs) if other in needed else set()
        context = Context(records, study, plan, lambda *_: None, None)
        for other in [each for each in TOPICS if each in needed]:  # the order of TOPICS puts needs first
            assert list(TOPICS).index(other) < list(TOPICS).index(name)
            context.add(TOPICS[other].analyze(context), TOPICS[other].judges)
        found = step.analyze(context)
        assert {each.topic for each in found.verdicts} <= {*step.judges, Topic.DATA}


def test_a_verdict_is_not_asked_for_before_it_is_judged(whole):
    records = StudyRecords.open(whole.folder.parent)
    context = Context(records, read_study(records), AnalysisPlan.of(records), lambda *_: None, None)
    with pytest.raises(LookupError, match="'reliability'"):
        context.word(Topic.RELIABILITY, method="dfa", estimand="change")
    context.add(TopicResult({}), (Topic.RELIABILITY,))
    assert context.word(Topic.RELIABILITY, method="dfa", estimand="change") is None


def test_verdicts_are_read_back_as_they_were_written(whole):
    assert [each.as_json() for each in AnalysedStudy.open(whole.folder.parent).verdicts] == [
        each.as_json() for each in whole.verdicts
    ]
