"""Where nothing could be measured, verdicts, report and figures say so, and none of them rests on NaN."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.compare_scores import compare
from analysis.pipeline import StudyAnalysis, analyze_study
from analysis.plots import KINDS, NotDrawableError, draw
from analysis.report import build_report
from analysis.verdicts import DECISIVE, REFUSALS, UNMEASURED_RULE, Topic, Verdict, Word
from imbalance_bench.errors import UserError
from imbalance_bench.records import StudyRecords
from imbalance_bench.table_files import write_table
from tests.analysis.synthetic import write_synthetic_study

NO_NUMBER = re.compile(r"(?<![\w.])[+-]?(nan|inf)\b")
ASSERTING = [word for word in Word if word not in REFUSALS]
COUNTS = ["tp", "fp", "fn", "n_valid"]


def small_study(root: Path, folds: int = 1) -> Path:
    return write_synthetic_study(
        root,
        methods=("cross_entropy", "focal", "dfa"),
        seeds=2,
        n_images=8,
        folds=folds,
        borders=True,
        interventions=True,
        analysis={"resamples": 50, "permutations": 100},
    )


def ignore_the_truth(root: Path) -> None:
    """Make records of test images without a labelled pixel."""
    for run in StudyRecords.open(root).runs():
        for name in ("counts", "interventions"):
            rows = getattr(run, name)()
            if rows is not None:
                rows.loc[rows["split"] == "test", COUNTS] = 0
                write_table(run.path / f"{name}.parquet", name, rows)
        for name in ("confusion", "boundary", "probabilities"):
            rows = getattr(run, name)()
            write_table(run.path / f"{name}.parquet", name, rows[rows["split"] != "test"])


@pytest.fixture(scope="module", params=[1, 2], ids=["one fold", "two folds"])
def unscored(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> StudyAnalysis:
    root = small_study(tmp_path_factory.mktemp("unscored") / "study", folds=request.param)
    ignore_the_truth(root)
    return analyze_study(root)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> StudyAnalysis:
    return analyze_study(small_study(tmp_path_factory.mktemp("scored") / "study"))


def test_no_verdict_speaks_of_what_was_not_measured(unscored: StudyAnalysis) -> None:
    found = {each.id: each for each in unscored.verdicts}
    for verdict in unscored.verdicts:
        assert not NO_NUMBER.search(verdict.sentence), verdict.sentence
        assert verdict.rule != UNMEASURED_RULE, f"{verdict.id}: its topic leaves it to the last guard"
    judged = (Topic.COMPARISON, Topic.LEADERS, Topic.RANKING, Topic.CALIBRATION, Topic.INTERVENTION)
    words = {each.topic: each.word for each in unscored.verdicts if each.topic in judged}
    assert set(words.values()) == {Word.NOT_TESTABLE}
    assert "nothing could be measured" in found["data/absent"].sentence
    assert found["answer/method"].word == Word.NOT_TESTABLE


def test_report_and_figures_show_no_nan(unscored: StudyAnalysis) -> None:
    root = unscored.folder.parent
    page = build_report(root).read_text(encoding="utf-8")
    text = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL)
    assert not NO_NUMBER.search(text)
    refused = set()
    for kind in KINDS:
        try:
            drawn = draw(kind, root).read_text(encoding="utf-8")
        except NotDrawableError:
            refused.add(kind)
            continue
        assert not NO_NUMBER.search(re.sub(r'"data:[^"]*"', "", drawn)), kind
    assert {"class_dice", "paired_differences", "ranks", "interventions", "calibration", "gallery"} <= refused


def test_every_kind_of_verdict_falls_with_the_numbers_that_it_rests_on(scored: StudyAnalysis) -> None:
    fallen = set()
    for verdict in scored.verdicts:
        for key in DECISIVE.get(verdict.topic, ()):
            if key not in verdict.numbers:
                continue
            for word in ASSERTING:
                for value in (np.nan, np.inf, float("nan"), None):
                    changed = replace(verdict, word=word, numbers={**verdict.numbers, key: value})
                    assert (changed.word, changed.rule) == (Word.NOT_TESTABLE, UNMEASURED_RULE)
            fallen.add((verdict.topic, key))
    seen = {topic for topic, _ in fallen}
    absent = {Topic.MIXED_MODEL, Topic.MODEL}  # of few classes no mixed model is fitted, and there is one model
    assert seen >= set(DECISIVE) - absent


@pytest.mark.parametrize(("topic", "keys"), DECISIVE.items(), ids=map(str, DECISIVE))
def test_each_deciding_number_is_needed(topic: Topic, keys: tuple[str, ...]) -> None:
    known = dict.fromkeys(keys, 0.5)
    parts = {"topic": topic, "subject": "focal", "word": Word.SUPPORTED, "sentence": "It does."}
    assert Verdict(**parts, numbers=known).word == Word.SUPPORTED
    for key in keys:
        assert Verdict(**parts, numbers=known | {key: np.nan}).word == Word.NOT_TESTABLE


def test_no_sentence_quotes_a_number_that_is_none(scored: StudyAnalysis) -> None:
    topics = set()
    for verdict in scored.verdicts:
        numbers = re.search(r"[+-]?\d+(\.\d+)?", verdict.sentence)
        if numbers is None:
            continue
        topics.add(verdict.topic)
        for text in ("nan", "+nan", "nan%", "-inf", "inf"):
            sentence = f"{verdict.sentence[: numbers.start()]}{text} {verdict.sentence[numbers.end() :]}"
            changed = replace(verdict, sentence=sentence)
            assert changed.word == Word.NOT_TESTABLE
            assert not NO_NUMBER.search(changed.sentence)
    assert len(topics) > 6


@pytest.mark.parametrize("name", ["nan", "inf", "NaN cells"])
def test_a_class_may_be_called_so(name: str) -> None:
    verdict = Verdict(
        topic=Topic.COMPARISON,
        class_name=name,
        subject="focal",
        word=Word.BETTER,
        sentence=f"focal is better on {name}.",
    )
    assert verdict.word == Word.BETTER


def test_a_stored_verdict_on_nothing_is_taken_back(scored: StudyAnalysis) -> None:
    stored = next(each for each in scored.verdicts if each.topic == Topic.RANKING).as_json()
    stored |= {"verdict": "sound", "sentence": "a ranks first in nan% of resamples (rank nan to nan)."}
    assert Verdict.from_json(stored).word == Word.NOT_TESTABLE


def test_scores_from_anywhere_that_are_all_missing_give_no_verdict() -> None:
    rows = [(m, f"image_{i}", np.nan) for m in ("a", "b", "c") for i in range(8)]
    try:
        found = compare(pd.DataFrame(rows, columns=["method", "image", "value"]))
    except UserError:
        return
    assert {each.word for each in found.verdicts} <= {Word.NOT_TESTABLE, Word.LIMITED}
    assert not any(NO_NUMBER.search(each.sentence) for each in found.verdicts)
