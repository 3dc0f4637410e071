"""The results of finished studies for a method: its difference from the control, computed from their records."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.schema.names import MACRO
from analysis.study.pairing import require_pairs
from analysis.study.runs import AnalysisPlan, read_study
from analysis.topics import method_comparison
from analysis.topics.context import Context
from imbalance_bench.records import StudyRecords

REFERENCE = Path(__file__).parents[2] / "results" / "reference"  # exists in a checkout, not in a wheel


@dataclass(frozen=True)
class ReferenceResult:
    """One method in one study.

    Args:
        study: Folder of the study.
        dataset: Name of its data set.
        method: Label of the method.
        control: Label of the method that it was compared with.
        difference: Macro Dice minus that of the control, -1 to 1.
        low: Lower end of its 95 % interval.
        high: Upper end.
        verdict: better, worse, equivalent, undecided or not_testable, after Holm's correction.
    """

    study: str
    dataset: str
    method: str
    control: str
    difference: float
    low: float
    high: float
    verdict: str


def reference_studies() -> list[Path]:
    """Return the folders of the reference studies of this checkout."""
    return sorted(path.parent for path in REFERENCE.glob("*/plan.json"))


def reference_results(roots: Sequence[Path]) -> list[ReferenceResult]:
    """Compare every method of finished studies with its control, as `analyze` does.

    Args:
        roots: Study directories.

    Raises:
        UserError: A directory is not a study, or its runs cannot be paired.
    """
    results = []
    for root in roots:
        records = StudyRecords.open(root)
        study = read_study(records)
        require_pairs(study.data, study.split)
        context = Context(records, study, AnalysisPlan.of(records), lambda *_: None, None)
        rows = method_comparison.analyze(context).tables["comparisons"]
        dataset = str(records.dataset()["name"])
        results += [
            ReferenceResult(
                str(root), dataset, str(row["method"]), str(row["control"]),
                float(row["difference"]), float(row["low"]), float(row["high"]), str(row["verdict"]),
            )
            for row in rows[rows["class"] == MACRO].to_dict("records")
        ]  # fmt: skip
    return results
