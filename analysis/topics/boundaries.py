"""What happens at borders, and which classes are taken for which: from records that older runs do not have."""

from typing import Any

from analysis.schema import table
from analysis.scoring.boundary_scores import BoundaryCounts, boundary_rows, trimap_rows
from analysis.scoring.confusion import confusion_rows
from analysis.topics.context import Context, TopicResult, not_recorded
from imbalance_bench.errors import UserError
from imbalance_bench.records import RunRecord


def analyze(context: Context) -> TopicResult:
    """Score borders and confusions of every method whose runs recorded them; say so where they did not."""
    names, plan = context.study.class_names, context.plan
    rows: dict[str, list[dict[str, Any]]] = {"boundary_scores": [], "trimap_curves": [], "confusion": []}
    lacking: dict[str, str] = {}
    for method in context.study.methods:
        try:
            boundary = context.recorded(method, RunRecord.boundary)
            confusion = context.recorded(method, RunRecord.confusion)
        except UserError as error:
            lacking[method] = str(error)
            continue
        counts = BoundaryCounts(boundary, context.units[method])
        ends_um = context.records.plan()["evaluation"]["trimap_um"]
        rows["boundary_scores"] += boundary_rows(method, counts, names, plan)
        rows["trimap_curves"] += trimap_rows(method, counts, names, ends_um, plan)
        rows["confusion"] += confusion_rows(method, confusion, names)
    tables = {name: table(name, each) for name, each in rows.items()}
    return TopicResult(
        tables, not_recorded("borders", "borders and confusions", "boundary.parquet or confusion.parquet", lacking)
    )
