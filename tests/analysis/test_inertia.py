"""Inertia: what is left of the start. Oracles: closed forms, least squares with class dummies."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.schema import rows_of
from analysis.study.runs import AnalysisPlan, RunData, StudyTables
from analysis.topics.inertia import families, inertia, inertia_verdict, kept_share, movement
from analysis.verdicts import Word

PLAN = AnalysisPlan("cross_entropy", 0.05, 0.01, 100, 100, 0, 0.5, 2.0, "auto")
RNG = np.random.default_rng(0)
START = np.array([2.0, -1, 0.5, -2, 0.5])
LEARNED = np.array([0.3, 0.6, -1.0, 0.4, -0.3])


def study(starts: dict[str, float], *, kept=0.9, learned=LEARNED, noise=0.02, seeds=4, options=None) -> StudyTables:
    """One method per start; each start is a multiple of START."""
    runs = []
    for method, times in starts.items():
        for seed in range(seeds):
            first = times * START
            last = kept * first + learned + noise * RNG.normal(size=5)
            ledger = [
                [0, step, c, name, values[c]]
                for step, bias in ((0, first), (50, last))
                for name, values in (("attention_bias", bias), ("attention_bias_initial", first))
                for c in range(5)
            ]
            frame = pd.DataFrame(ledger, columns=["stage", "step", "class_id", "parameter", "value"])
            part = {"name": "dfa", "prior": method, "alpha": times} | (options or {}).get(method, {})
            manifest = {"method": {"parts": [part]}}
            runs.append(RunData(f"{method}{seed}", method, method, "class_query", 0, seed, manifest, frame, frame))
    table = pd.DataFrame({"method": [run.method for run in runs]})
    return StudyTables(table, tuple(runs), tuple("abcde"), ((True,) * 5,), {}, "test")


def word(found: pd.DataFrame, view: str, plan: AnalysisPlan = PLAN) -> Word:
    return inertia_verdict(next(row for row in rows_of(found) if row["view"] == view), plan).word


def test_movement_of_one_start_in_closed_form():
    start = np.tile(START, (3, 1))
    found = movement(start + 7, 0.25 * start - 3)  # constants mean nothing
    assert found is not None
    assert found.slope.mean == pytest.approx(0.25)
    assert found.moved.mean == pytest.approx(0.75)
    assert (found.correlation, found.decay) == (pytest.approx(1), pytest.approx(-1))
    assert movement(np.ones((3, 5)), start) is None  # a cold start


def test_share_kept_is_least_squares_with_class_intercepts():
    initial = RNG.normal(size=(3, 2, 6))
    final = 0.4 * initial + RNG.normal(size=(1, 2, 6)) + 0.1 * RNG.normal(size=(3, 2, 6))
    slopes = []
    for seed in range(2):
        x, y = (each[:, seed] - each[:, seed].mean(1, keepdims=True) for each in (initial, final))
        design = np.column_stack([x.ravel(), np.tile(np.eye(6), (3, 1))])
        slopes.append(np.linalg.lstsq(design, y.ravel(), rcond=None)[0][0])
    found = kept_share(initial, final)
    assert found is not None
    assert found.mean == pytest.approx(np.mean(slopes))
    assert found.low < found.mean < found.high
    assert kept_share(np.ones((3, 2, 6)), final) is None
    assert kept_share(initial[:1], final[:1]) is None


def test_a_class_without_values_is_left_out():
    gap = np.array([np.nan, 0, 0, 0, 0])
    found, without = movement(START + gap[None], LEARNED[None]), movement(START[None, 1:], LEARNED[None, 1:])
    assert found == without or str(found) == str(without)  # NaN ends of one run


def test_the_final_bias_is_the_prior():
    assert word(inertia(study({"dfa": 1.0}, kept=1.0, learned=0 * LEARNED)), "one_start") == Word.INERTIA


def test_the_start_was_left():
    assert word(inertia(study({"dfa": 1.0}, kept=0.0)), "one_start") == Word.NOT_SUPPORTED


def test_between_and_cold_and_single_runs():
    found = inertia(study({"dfa": 1.0}, kept=0.5, learned=0 * LEARNED, noise=0.5))
    assert word(found, "one_start") == Word.UNDECIDED
    assert word(inertia(study({"dfa": 0.0})), "one_start") == Word.NOT_TESTABLE
    alone = inertia(study({"dfa": 1.0}, seeds=1))
    assert word(alone, "one_start") == Word.NOT_TESTABLE
    assert "one run" in inertia_verdict(rows_of(alone)[0], PLAN).sentence


def test_several_starts_tell_what_one_cannot():
    """Learning what the prior says looks like inertia in one start, and does not in several."""
    prior_is_right = START * 1.0
    starts = {"dfa": 1.0, "cold": 0.0, "inverted": -1.0}
    found = inertia(study(starts, kept=0.0, learned=prior_is_right))
    assert word(found, "one_start") == Word.INERTIA
    assert word(found, "several_starts") == Word.NOT_SUPPORTED
    assert word(inertia(study(starts, kept=0.9)), "several_starts") == Word.INERTIA


def test_the_plan_says_how_much_of_the_start_is_inertia():
    starts = {"dfa": 1.0, "cold": 0.0, "inverted": -1.0}
    one, several = inertia(study({"dfa": 1.0}, kept=0.7, learned=0 * LEARNED)), inertia(study(starts, kept=0.7))
    for found, view in ((one, "one_start"), (several, "several_starts")):
        words = [word(found, view, replace(PLAN, inertia_kept=limit)) for limit in (0.6, 0.8)]
        assert words == [Word.INERTIA, Word.NOT_SUPPORTED]
    rules = [inertia_verdict(rows_of(each)[-1], replace(PLAN, inertia_kept=0.8)).rule for each in (one, several)]
    assert "below 0.2" in rules[0]  # of the spread of the start, the change
    assert "above 0.8" in rules[1]


def test_families_differ_in_their_start_only():
    both = study({"dfa": 1.0, "cold": 0.0})
    assert families(both) == [["dfa", "cold"]]
    other = study({"dfa": 1.0, "cold": 0.0}, options={"cold": {"l2": 0.1}})
    assert families(other) == []
    assert set(inertia(other)["view"]) == {"one_start"}


def test_a_method_without_a_bias_has_no_row():
    bare = study({"dfa": 1.0})
    ledger = pd.DataFrame([[0, 0, 0, "loss_weight", 1.0]], columns=["stage", "step", "class_id", "parameter", "value"])
    runs = tuple(RunData("r", "ce", "ce", "unet", 0, 0, {}, ledger, ledger) for _ in range(1))
    assert inertia(StudyTables(bare.runs, runs, bare.class_names, bare.occurring, {}, "test")).empty
