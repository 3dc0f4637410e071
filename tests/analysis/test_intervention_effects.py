"""Interventions on the bias: planted losses come back, and gaps are defined."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from analysis.schema import rows_of
from analysis.schema.names import MACRO
from analysis.scoring.comparisons import judged_families
from analysis.scoring.pairs import rules_of
from analysis.study.runs import AnalysisPlan, StudyTables, read_study
from analysis.topics import path_controls
from analysis.topics.context import Context
from analysis.topics.interventions import (
    analyze,
    family_of,
    intervention_runs,
    intervention_tests,
    intervention_verdict,
)
from analysis.topics.path_ceiling import Ceiling
from analysis.verdicts import Verdict, Word
from imbalance_bench.records import StudyRecords
from tests.analysis.synthetic import write_synthetic_study
from tests.analysis.synthetic_runs import INTERVENTION_LOSS

QUICK = {"resamples": 200, "permutations": 500}


@pytest.fixture(scope="module")
def records(tmp_path_factory) -> StudyRecords:
    root = tmp_path_factory.mktemp("interventions") / "study"
    methods = ("cross_entropy", "dfa")
    options = {"methods": methods, "n_images": 10, "classes": 3, "interventions": True, "dataset": False}
    return StudyRecords.open(write_synthetic_study(root, **options, analysis=QUICK))


def effects(records: StudyRecords) -> tuple[pd.DataFrame, StudyTables, AnalysisPlan]:
    study, plan = read_study(records), AnalysisPlan.of(records)
    tests = intervention_tests(intervention_runs(records, study), study, plan, "group")
    return pd.DataFrame(judged_families(tests, family_of, rules_of(plan))), study, plan


def judged(row: pd.Series | dict, plan: AnalysisPlan, **changes) -> Verdict:
    row = {"magnitude": 0.0, "share_of_ceiling": float("nan")} | dict(row) | changes
    return intervention_verdict(row, rules_of(plan), Ceiling(Word.UNDECIDED))


def test_planted_losses_are_found_with_the_right_sign_and_size(records):
    found, study, plan = effects(records)
    macro = found[found["class"] == MACRO].set_index("intervention")
    assert macro.loc["zeroed", "difference"] == pytest.approx(-INTERVENTION_LOSS, abs=0.03)
    assert 2 * macro["difference"]["permuted"] == pytest.approx(macro["difference"]["zeroed"], abs=0.01)
    assert list(found[found["intervention"] == "shifted"]["class"]) == list(study.class_names)
    assert (found[found["intervention"] == "shifted"]["difference"] > 0).all()
    words = {(row["intervention"], row["class"]): judged(row, plan) for row in rows_of(found)}
    assert words["zeroed", MACRO].word == Word.WORSE
    assert words["shifted", study.class_names[1]].word == Word.BETTER
    assert "Setting the bias of dfa to zero makes macro Dice worse" in words["zeroed", MACRO].sentence


def test_differences_are_those_of_the_counts(records):
    found, study, _ = effects(records)
    runs = intervention_runs(records, study)["dfa"]
    parts = []
    for _, rows in runs:
        rows = rows[(rows["split"] == "test") & (rows["class_id"] == 1)]
        dice = (2 * rows["tp"] / (2 * rows["tp"] + rows["fp"] + rows["fn"])).groupby(
            [rows["intervention"], rows["group_id"]]
        )
        mean = dice.mean().unstack("intervention")
        parts.append((mean["zeroed"] - mean["learned"]).mean())
    row = found[(found["intervention"] == "zeroed") & (found["class"] == study.class_names[1])].iloc[0]
    assert row["difference"] == pytest.approx(sum(parts) / len(parts))


def test_families_of_the_correction(records):
    found, _, _ = effects(records)
    sizes = found.groupby([found["class"] == MACRO, "intervention"])["family"].unique()
    assert sizes.loc[True, "zeroed"] == [2]  # zeroed and permuted, macro
    assert sizes.loc[False, "shifted"] == [3]
    assert (found["p_holm"] >= found["p"] - 1e-12).all()


def test_methods_and_runs_without_records_are_left_out(records, tmp_path):
    copied = StudyRecords.open(Path(shutil.copytree(records.root, tmp_path / "study")))
    study = read_study(copied)
    assert set(intervention_runs(copied, study)) == {"dfa"}
    for run in study.runs_of("dfa"):
        (copied.run(run.run_id).path / "interventions.parquet").unlink()
    context = Context(copied, study, AnalysisPlan.of(copied), lambda *_: None, None)
    context.add(path_controls.analyze(context), ())
    found = analyze(context).tables["interventions"]
    assert found.empty
    assert "p_holm" in found.columns


def test_words_of_small_equal_and_single_studies(records):
    found, _, plan = effects(records)
    row = rows_of(found)[0]
    said = judged(row, plan, word=Word.NOT_TESTABLE, n_units=5).sentence
    assert "cannot be judged on macro Dice: over 5 groups no test that does without the normal distribution" in said
    alone = judged(row, plan, word=Word.NOT_TESTABLE, n_units=1, low_holm=float("nan"), high_holm=float("nan")).sentence
    assert "it occurs in 1 group." in alone
    assert "nan" not in alone
    assert "leaves macro Dice within 1 point" in judged(row, plan, word=Word.EQUIVALENT).sentence
    assert "has no shown effect" in judged(row, plan, word=Word.UNDECIDED).sentence
    assert "this trained model alone" in judged(row, plan, n_seeds=1).sentence
