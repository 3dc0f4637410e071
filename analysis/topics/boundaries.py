"""Scores at borders, and confusion between classes, from records that older runs do not have."""

from typing import Any

from analysis.schema import table
from analysis.scoring.boundary_scores import BoundaryCounts, boundary_rows, trimap_rows
from analysis.scoring.confusion import confusion_rows
from analysis.topics.context import Context, TopicResult, not_recorded
from imbalance_bench.errors import UserError
from imbalance_bench.records import RunRecord


def analyze(context: Context) -> TopicResult:
    """Score borders and confusions of every method whose runs recorded them; a verdict names the others."""
    names = context.study.class_names
    rows: dict[str, list[dict[str, Any]]] = {"boundary_scores": [], "trimap_curves": [], "confusion": []}
    reasons: dict[str, str] = {}
    for method in context.study.methods:
        try:
            boundary = context.recorded(method, RunRecord.boundary)
            confusion = context.recorded(method, RunRecord.confusion)
        except UserError as error:
            reasons[method] = str(error)
            continue
        counts = BoundaryCounts(boundary, context.units[method])
        ends_um = context.records.plan()["evaluation"]["trimap_um"]
        rows["boundary_scores"] += boundary_rows(method, counts, names)
        rows["trimap_curves"] += trimap_rows(method, counts, names, ends_um)
        rows["confusion"] += confusion_rows(method, confusion, names)
    tables = {name: table(name, rows_of_table) for name, rows_of_table in rows.items()}
    return TopicResult(
        tables, not_recorded("borders", "borders and confusions", "boundary.parquet or confusion.parquet", reasons)
    )
