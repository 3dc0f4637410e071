"""A class that is learned and lost again during training: the rule, the table and the sentence."""

import math
from pathlib import Path

import pandas as pd
import pytest

from analysis.pipeline import analyze_study
from analysis.report import build_report
from analysis.verdicts import Verdict, Word
from imbalance_bench.records import StudyRecords
from imbalance_bench.table_files import write_table
from imbalance_bench.training.collapse import collapse
from tests.analysis.synthetic import write_synthetic_study

PIXELS = 1000


@pytest.mark.parametrize(
    ("dice", "died"),
    [
        ([0.1, 0.5, 0.1, 0.1], True),
        ([0.5, 0.1, 0.1], True),
        ([math.nan, 0.5, 0.0, math.nan, 0.0], True),
        ([0.5, 0.1], False),  # too few validations to tell
        ([0.5, 0.1, 0.1, 0.4], False),  # it came back
        ([0.5, 0.4, 0.1], False),  # once is no end
        ([0.19, 0.0, 0.0], False),  # never learned
        ([0.5, 0.125, 0.125], False),  # a quarter is not below a quarter
        ([0.1, 0.5, 0.9], False),
        ([], False),
        ([math.nan] * 5, False),
    ],
)
def test_the_rule(dice: list[float], died: bool) -> None:
    assert (collapse(dice) is not None) == died


def study(folder: Path, *, seeds: int = 2) -> Path:
    return write_synthetic_study(folder, methods=("cross_entropy", "focal"), seeds=seeds, n_images=6, classes=3)


def rewrite_validation(root: Path, method: str, seed: int, curve: dict[tuple[int, int], float]) -> None:
    """Give class 2 of a run other validations: (stage, step) -> Dice."""
    records = StudyRecords.open(root)
    run_id = next(r["run_id"] for r in records.plan()["runs"] if (r["method"], r["seed"]) == (method, seed))
    run = records.run(run_id)
    epochs = run.epochs()
    kept = epochs[~((epochs["split"] == "val") & (epochs["class_id"] == 2))]
    rows = []
    for (stage, step), dice in curve.items():
        tp = round(PIXELS * dice)
        for quantity, value in {"tp": tp, "fp": PIXELS - tp, "fn": PIXELS - tp}.items():
            rows.append([stage, step, "val", quantity, 2, float(value)])
    new = pd.DataFrame(rows, columns=list(epochs.columns)).astype(epochs.dtypes.to_dict())
    write_table(run.path / "epochs.parquet", "epochs", pd.concat([kept, new], ignore_index=True))


def verdict_of(verdicts: tuple[Verdict, ...]) -> Verdict | None:
    return next((each for each in verdicts if each.aspect == "collapse"), None)


def test_a_class_that_died_stands_in_table_verdict_and_report(tmp_path: Path) -> None:
    root = study(tmp_path / "study")
    rewrite_validation(root, "focal", 1, {(0, 90): 0.3, (0, 300): 0.6, (1, 50): 0.05, (1, 100): 0.02})
    rewrite_validation(root, "focal", 0, {(0, 90): 0.3, (0, 180): 0.02, (0, 240): 0.01, (0, 300): 0.3})
    found = analyze_study(root)
    rows = found.tables["collapsed_classes"].to_dict("records")
    assert [(row["method"], row["seed"], row["class"]) for row in rows] == [("focal", 1, "stroma")]
    assert (rows[0]["best"], rows[0]["best_step"], rows[0]["last"], rows[0]["last_step"]) == (0.6, 300, 0.02, 400)
    verdict = verdict_of(found.verdicts)
    assert verdict is not None
    assert verdict.word == Word.LIMITED
    assert verdict.sentence.startswith("In 1 of 4 runs a class was learned and lost again during training")
    assert "stroma of focal (fold 0, seed 1: 0.60 at step 300, 0.02 at the end)" in verdict.sentence
    text = build_report(root).read_text()
    assert text.count("learned and lost again during training") >= 2  # beside the curves, and among the limits
    assert "Classes that were learned and lost again" in text


def test_healthy_curves_raise_no_alarm(tmp_path: Path) -> None:
    found = analyze_study(study(tmp_path / "study", seeds=1))
    assert found.tables["collapsed_classes"].empty
    assert verdict_of(found.verdicts) is None


def test_too_few_validations_are_told(tmp_path: Path) -> None:
    root = study(tmp_path / "study", seeds=1)
    for method in ("cross_entropy", "focal"):
        records = StudyRecords.open(root)
        run_id = next(r["run_id"] for r in records.plan()["runs"] if r["method"] == method)
        epochs = records.run(run_id).epochs()
        kept = epochs[(epochs["split"] == "train") | epochs["step"].isin([150, 300])]
        write_table(records.run(run_id).path / "epochs.parquet", "epochs", kept)
    verdict = verdict_of(analyze_study(root).verdicts)
    assert verdict is not None
    assert "cannot be told" in verdict.sentence
