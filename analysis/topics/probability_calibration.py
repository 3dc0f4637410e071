"""Calibration of predicted probabilities, from records that older runs do not have."""

import math
from collections.abc import Mapping
from typing import Any

from analysis.schema import rows_of, table
from analysis.scoring.predicted_probabilities import (
    ALL,
    OVERCONFIDENCE,
    ProbabilitySums,
    calibration_rows,
    diagram_rows,
)
from analysis.topics.context import Context, TopicResult, not_recorded
from analysis.verdicts import Topic, Verdict, Word
from imbalance_bench.errors import UserError
from imbalance_bench.records import RunRecord


def analyze(context: Context) -> TopicResult:
    """Judge the probabilities of every method whose runs recorded them; a verdict names the others."""
    names = context.study.class_names
    rows: dict[str, list[dict[str, Any]]] = {"calibration": [], "reliability_diagram": []}
    lacking: dict[str, str] = {}
    for method in context.study.methods:
        try:
            recorded = context.recorded(method, RunRecord.probabilities)
        except UserError as error:
            lacking[method] = str(error)
            continue
        sums = ProbabilitySums.of_rows(recorded, context.units[method])
        rows["calibration"] += calibration_rows(method, sums, names)
        rows["reliability_diagram"] += diagram_rows(method, sums, names)
    tables = {name: table(name, rows_of_table) for name, rows_of_table in rows.items()}
    of_all = tables["calibration"][(tables["calibration"]["measure"] == OVERCONFIDENCE)]
    verdicts = [confidence_verdict(row) for row in rows_of(of_all[of_all["class"] == ALL])]
    lacking_verdicts = not_recorded("probabilities", "the probabilities", "probabilities.parquet", lacking)
    return TopicResult(tables, (*verdicts, *lacking_verdicts))


def confidence_verdict(row: Mapping[str, Any]) -> Verdict:
    """Say whether a method is over- or under-confident.

    Args:
        row: Row `overconfidence` of `all` of table `calibration`.
    """
    method, value = str(row["method"]), row["value"]
    rule = (
        "supported: the 95 % interval of mean confidence minus share of right pixels excludes 0, not corrected for the "
        "number of methods; not_testable: there is no interval; else not_supported"
    )
    numbers = {key: row[key] for key in ("value", "low", "high", "n_units", "n_seeds")}
    gap = f"mean probability of the predicted class minus share of right pixels {value:+.3f}"
    if not math.isfinite(value):
        word = Word.NOT_TESTABLE
        sentence = f"Whether {method} is over-confident cannot be tested: no scored pixel is labelled."
    elif not math.isfinite(row["low"]):
        word, units = Word.NOT_TESTABLE, "one unit" if row["n_units"] == 1 else f"{row['n_units']} units"
        sentence = f"Whether {method} is over-confident cannot be tested with {units}: {gap}."
    else:
        interval = f"{gap}, 95 % interval {row['low']:+.3f} to {row['high']:+.3f}"
        if row["low"] <= 0 <= row["high"]:
            word = Word.NOT_SUPPORTED
            sentence = f"{method} is not shown to be over- or under-confident: {interval}."
        else:
            word = Word.SUPPORTED
            sentence = f"{method} is {'over' if value > 0 else 'under'}-confident: {interval}."
    return Verdict(
        topic=Topic.CALIBRATION,
        method=method,
        subject=f"confidence of {method}",
        word=word,
        sentence=sentence,
        numbers=numbers,
        rule=rule,
    )
