"""Rare or hard: planted truths, refusals, and several data sets at once."""

import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.schema import rows_of
from analysis.study.class_points import StudyFrames, class_points
from analysis.topics.explanation import associate_studies, explanation_verdict, judge, mixed_verdict, partial_verdict
from analysis.verdicts import Topic, Verdict, Word
from benchmarks.planted_truth import EXPLANATIONS, INERTIA, Truth, plan, rates, simulate

QUICK = ("frequency only", "difficulty only", "frequency only, correlated .98", "seeds disagree")
RELIABLE = {"reliability": lambda *_: Word.RELIABLE, "inertia": lambda *_: None}


def frames(classes=(6, 6), seed=0, **options) -> list[StudyFrames]:
    truth = replace(Truth("", classes, 1, 0, ""), **options)
    return [each for _, each in simulate(truth, np.random.default_rng(seed))]


def verdicts(studies, **options) -> dict[str, Verdict]:
    judged = judge(associate_studies(studies, plan(0)), plan(0), **RELIABLE | options)
    return {each.id: each for each in judged.verdicts}


@pytest.mark.parametrize(
    ("truth", "at_least"),
    [
        *((each, 2) for each in EXPLANATIONS if each.classes == (10, 10) and each.name in QUICK),
        *((each, 3) for each in EXPLANATIONS if len(each.classes) == 1),
    ],
    ids=lambda each: each.name if isinstance(each, Truth) else "",
)
def test_planted_truths_are_found(truth, at_least):
    """The rates over many studies are printed by the benchmark."""
    counted = rates(truth, 3, seed=1)
    assert counted[truth.expected] >= at_least, counted
    wrong = {"supported: frequency", "supported: difficulty"} - {truth.expected}
    assert not any(counted[each] for each in wrong)


@pytest.mark.parametrize("truth", INERTIA, ids=lambda each: each.name)
def test_planted_inertia_is_found(truth):
    counted = rates(truth, 6, seed=1)
    assert counted[truth.expected] >= 4, counted
    assert not counted["inertia" if truth.expected == "not_supported" else "not_supported"]


def test_nothing_is_rarely_supported():
    counted: Counter[str] = rates(EXPLANATIONS[0], 10, seed=2)
    assert sum(n for word, n in counted.items() if word.startswith("supported")) <= 2


def test_several_data_sets_can_show_what_one_cannot():
    one, three = frames((5,)), frames((5, 5, 5))
    assert verdicts(one)["explanation/dfa/change"].word == Word.NOT_TESTABLE
    found = associate_studies(three, plan(0))
    assert found.associations["min_p"].max() < 1e-4
    assert set(found.associations["n_data_sets"]) == {3}
    assert found.partial_associations.set_index("construct").loc["frequency", "residual_df"] == 15 - 3 - 4


@pytest.mark.parametrize("k", [2, 3])
def test_two_and_three_classes_are_refused_with_the_reason(k):
    found = verdicts(frames((k,)))
    assert {each.word for each in found.values()} == {Word.NOT_TESTABLE}
    assert "no residual degree of freedom" in found["explanation/dfa/change"].sentence
    assert "too few for 4 measures" in found["mixed/dfa/change"].sentence


def test_a_scale_of_one_data_set_changes_nothing():
    studies = frames()
    bias = studies[1].bias.assign(value=studies[1].bias["value"] * 50)
    scaled = [studies[0], replace(studies[1], bias=bias)]
    for first, second in zip(
        *(vars(associate_studies(each, plan(0))).values() for each in (studies, scaled)), strict=True
    ):
        numbers = [
            each.select_dtypes("number").drop(columns=["icc", "low", "high"], errors="ignore")
            for each in (first, second)
        ]
        pd.testing.assert_frame_equal(*numbers, rtol=1e-6)


def test_missing_measures_and_classes():
    studies = frames((8, 8))
    lacking = studies[0].measures.copy()
    lacking.loc[(lacking["construct"] == "context"), "value"] = np.nan
    lacking.loc[(lacking["construct"] == "boundary") & (lacking["class_id"] == 3), "value"] = np.nan
    points = class_points([replace(studies[0], measures=lacking), studies[1]], "dfa", "change")
    assert points.constructs == ("frequency", "boundary", "morphology")
    assert len(points.values) == 7 + 8
    assert associate_studies([replace(studies[0], measures=lacking.iloc[:0])], plan(0)).partition.empty
    nothing = lacking.assign(value=np.where(lacking["construct"] == "frequency", 0.0, lacking["value"]))
    assert associate_studies([replace(studies[0], measures=nothing)], plan(0)).partial_associations.empty


def test_runs_may_differ_in_number_between_data_sets():
    studies = frames((6, 6))
    fewer = studies[1].bias[studies[1].bias["seed"] < 2]
    points = class_points([studies[0], replace(studies[1], bias=fewer)], "dfa", "change")
    assert points.values.shape == (12, 4)
    assert points.complete_runs().shape == (12, 2)
    assert np.isfinite(points.means).all()


def test_intervals_say_what_they_resample():
    for classes, what in (((5, 5, 6), "classes"), ((6,), "runs"), ((5,), "")):
        found = associate_studies(frames(classes), plan(0)).partition
        shares = found[found["kind"] == "share"].set_index("component")
        assert set(shares["resampled"]) - {""} == ({what} if what else set())
        assert shares["low"].isna()["total"]
    assert len(found[found["kind"] == "commonality"]) == 15
    assert found[found["kind"] == "dominance"]["vif"].notna().all()


def test_exact_association_and_partial_tests_of_three_data_sets_are_fast():
    studies = frames((5, 5, 6))
    start = time.process_time()
    associate_studies(studies, plan(0))
    assert time.process_time() - start < 20  # a guard against another order of growth, not a benchmark


ROW = {"method": "dfa", "estimand": "change", "construct": "frequency", "given": "boundary", "n_classes": 16}
ROW |= {"residual_df": 9, "r2": 0.6, "p": 0.001, "p_holm": 0.002, "min_p": 1e-7, "family": 2, "vif": 1.2}
ROW |= {"partial_rho": 0.7, "n_data_sets": 3}


@pytest.mark.parametrize(
    ("changes", "reliability", "expected"),
    [
        ({}, Word.RELIABLE, Word.SUPPORTED),
        ({"p_holm": 0.05}, Word.RELIABLE, Word.NOT_SUPPORTED),
        ({"vif": 5.1}, Word.RELIABLE, Word.NOT_SEPARABLE),
        ({"vif": 5.0}, Word.RELIABLE, Word.SUPPORTED),
        ({"min_p": 0.025}, Word.RELIABLE, Word.NOT_TESTABLE),
        ({"residual_df": 0, "p": np.nan, "r2": np.nan}, Word.RELIABLE, Word.NOT_TESTABLE),
        ({"p": np.nan, "r2": np.nan}, Word.RELIABLE, Word.NOT_TESTABLE),
        ({"vif": np.inf, "p": np.nan, "r2": np.nan}, Word.RELIABLE, Word.NOT_SEPARABLE),
        ({}, Word.UNRELIABLE, Word.UNRELIABLE),
        ({}, None, Word.NOT_TESTABLE),
    ],
)
def test_each_rule_of_a_partial_association(changes, reliability, expected):
    found = partial_verdict(ROW | changes, plan(0), reliability)
    assert found.word == expected
    assert "nan" not in found.sentence
    assert found.topic == Topic.PARTIAL_ASSOCIATION


def test_the_plan_says_how_far_measures_may_go_together():
    stricter = replace(plan(0), largest_vif=2.0)
    assert partial_verdict(ROW | {"vif": 2.1}, stricter, Word.RELIABLE).word == Word.NOT_SEPARABLE
    assert "VIF above 2;" in partial_verdict(ROW, stricter, Word.RELIABLE).rule


def test_each_rule_of_the_whole():
    def word(*pair: Word, inertia: Word | None = None) -> tuple[Word, str]:
        both = [Verdict(topic=Topic.PARTIAL_ASSOCIATION, measure=name, subject="", word=each, sentence=".",
                        numbers={"p_holm": 0.5})
                for name, each in zip(("frequency", "difficulty"), pair, strict=True)]  # fmt: skip
        found = explanation_verdict("dfa", "change", (both[0], both[1]), {"total": 0.5}, inertia)
        return found.word, found.numbers["follows"]

    yes, no = Word.SUPPORTED, Word.NOT_SUPPORTED
    assert word(yes, no) == (yes, "frequency")
    assert word(no, yes) == (yes, "difficulty")
    assert word(yes, yes) == (yes, "frequency+difficulty")
    assert word(no, no) == (no, "")
    assert word(yes, Word.NOT_SEPARABLE)[0] == Word.NOT_SEPARABLE
    assert word(Word.NOT_TESTABLE, yes)[0] == Word.NOT_TESTABLE
    assert word(yes, no, inertia=Word.INERTIA)[0] == Word.INERTIA
    assert word(Word.UNRELIABLE, Word.UNRELIABLE, inertia=Word.INERTIA)[0] == Word.UNRELIABLE


def test_each_rule_of_a_slope():
    row = rows_of(associate_studies(frames((8, 8), class_noise=0.1), plan(0)).mixed_models)[0]
    assert mixed_verdict(row, plan(0), Word.RELIABLE).word == Word.SUPPORTED
    assert mixed_verdict(row, plan(0), Word.UNRELIABLE).word == Word.UNRELIABLE
    assert mixed_verdict(row, plan(0), None).word == Word.NOT_TESTABLE
    assert mixed_verdict(row | {"p_holm": 0.06}, plan(0), Word.RELIABLE).word == Word.NOT_SUPPORTED
    assert mixed_verdict(row | {"converged": False}, plan(0), Word.RELIABLE).word == Word.NOT_TESTABLE
    assert "singular" in mixed_verdict(row | {"singular": True}, plan(0), Word.RELIABLE).sentence
