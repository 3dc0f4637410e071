"""The plan that is hashed before training holds every choice, and a later change is said."""

from dataclasses import fields

import pytest

from analysis.standing import plan_verdict
from analysis.tables import AnalysisPlan
from analysis.verdicts import Word
from imbalance_bench import preregistration
from imbalance_bench.config import AnalysisSection
from imbalance_bench.manifest import canonical_hash
from imbalance_bench.preregistration import primary_choices

PLAN = AnalysisSection(control="cross_entropy").model_dump(mode="json") | primary_choices()
HASH = canonical_hash(PLAN)


def test_the_hashed_plan_holds_every_choice_of_the_analysis():
    assert {each.name for each in fields(AnalysisPlan)} <= set(PLAN)
    assert PLAN["primary_measures"] == preregistration.PRIMARY_MEASURES
    assert PLAN["primary_estimands"] == ["change", "effective_offset"]


def test_an_unchanged_plan_says_nothing():
    assert plan_verdict(PLAN, HASH) is None
    older = {key: value for key, value in PLAN.items() if not key.startswith("primary")}
    assert plan_verdict(older, canonical_hash(older)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"rope_dice": 0.02},
        {"alpha": 0.1},
        {"reliability_floor": 0.3},
        {"seed": 1},
        {"control": "focal"},
        {"primary_measures": {"frequency": "image_share"}},
    ],
)
def test_a_changed_plan_is_said(change):
    found = plan_verdict(PLAN | change, HASH)
    assert found is not None
    assert found.verdict == Word.LIMITED
    assert "changed" in found.sentence


def test_another_primary_measure_in_the_software_is_said(monkeypatch):
    monkeypatch.setitem(preregistration.PRIMARY_MEASURES, "frequency", "image_share")
    found = plan_verdict(PLAN, HASH)
    assert found is not None
    assert found.verdict == Word.LIMITED
