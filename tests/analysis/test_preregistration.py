"""The plan that is hashed before training holds every choice, and a later change is said."""

import json
from dataclasses import fields

import pytest
from pydantic import ValidationError

from analysis.study.runs import AnalysisPlan
from analysis.topics.study_limits import plan_verdict
from analysis.verdicts import Word
from imbalance_bench import preregistration
from imbalance_bench.analysis_section import AnalysisSection
from imbalance_bench.manifest import canonical_hash
from imbalance_bench.preregistration import primary_choices
from imbalance_bench.records import StudyRecords

PLAN = AnalysisSection(control="cross_entropy").model_dump(mode="json") | primary_choices({})
HASH = canonical_hash(PLAN)


def test_the_hashed_plan_holds_every_choice_of_the_analysis():
    assert {each.name for each in fields(AnalysisPlan)} <= set(PLAN)
    assert PLAN["primary_measures"] == preregistration.PRIMARY_MEASURES
    assert PLAN["primary_estimands"] == ["change", "effective_offset"]


def test_an_unchanged_plan_says_nothing():
    assert plan_verdict(PLAN, HASH) is None
    older = {key: value for key, value in PLAN.items() if not key.startswith("primary")}
    assert plan_verdict(older, canonical_hash(older)) is None


def test_a_plan_of_before_a_choice_existed_means_what_the_software_did_then(tmp_path):
    older = {key: value for key, value in PLAN.items() if key not in ("inertia_kept", "largest_vif", "hypotheses")}
    (tmp_path / "plan.json").write_text(json.dumps({"analysis": older}))
    read = AnalysisPlan.of(StudyRecords.open(tmp_path))
    assert (read.inertia_kept, read.largest_vif, read.hypotheses) == (0.5, 5.0, ())
    assert plan_verdict(older, canonical_hash(older)) is None
    assert plan_verdict(PLAN, canonical_hash(older)) is None  # resumed by a version that writes them down
    assert plan_verdict(PLAN | {"largest_vif": 10.0}, canonical_hash(older)) is not None
    (tmp_path / "plan.json").write_text(json.dumps({"analysis": PLAN | {"largest_vif": 10.0}}))
    assert AnalysisPlan.of(StudyRecords.open(tmp_path)).largest_vif == 10.0


@pytest.mark.parametrize(
    "change",
    [
        {"rope_dice": 0.02},
        {"alpha": 0.1},
        {"reliability_floor": 0.3},
        {"seed": 1},
        {"control": "focal"},
        {"inertia_kept": 0.6},
        {"largest_vif": 10.0},
        {"hypotheses": ["frequency"]},
        {"primary_measures": {"frequency": "image_share"}},
    ],
)
def test_a_changed_plan_is_said(change):
    found = plan_verdict(PLAN | change, HASH)
    assert found is not None
    assert found.word == Word.LIMITED
    assert "changed" in found.sentence


def test_the_plan_decides_which_measures_are_primary(tmp_path, monkeypatch):
    section = AnalysisSection(primary_measures={"context": "rival_stain_overlap"})
    plan = section.model_dump(mode="json") | {"control": None} | primary_choices(section.primary_measures)
    assert plan["primary_measures"] == preregistration.PRIMARY_MEASURES | {"context": "rival_stain_overlap"}
    (tmp_path / "plan.json").write_text(json.dumps({"analysis": plan}))
    monkeypatch.setitem(preregistration.PRIMARY_MEASURES, "frequency", "image_share")  # a later version's default
    read = AnalysisPlan.of(StudyRecords.open(tmp_path))
    assert read.primary == plan["primary_measures"]
    assert plan_verdict(plan, canonical_hash(plan)) is None


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"context": "rival_stain_overlab"}, "rival_stain_overlap"),
        ({"context": "pixel_share"}, "context.*must be one of nearest_rival_overlap"),
        ({"texture": "silhouette"}, "frequency"),
    ],
)
def test_an_unknown_primary_measure_is_refused_with_what_may_be_named(chosen, said):
    with pytest.raises(ValidationError, match=said):
        AnalysisSection(primary_measures=chosen)
