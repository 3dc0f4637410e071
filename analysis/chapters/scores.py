"""Scores of runs, methods and units, and what the data allow to be said."""

from analysis import scores, standing
from analysis.chapters.findings import Chapter, Findings


def chapter(found: Findings) -> Chapter:
    """Score everything; judge independence, missing runs and absent classes."""
    found.report("scores", 0, 1)
    sensitivity = scores.absent_class_sensitivity(found.units)
    tables = {
        "runs": found.study.runs,
        "class_scores": scores.class_scores(found.study),
        "method_scores": scores.method_scores(found.study, found.units, found.plan),
        "unit_scores": scores.unit_scores(found.study, found.units),
        "sensitivity": sensitivity,
    }
    found.report("scores", 1, 1)
    written = found.records.plan()
    judged = (
        standing.plan_verdict(written["analysis"], written.get("analysis_hash")),
        *standing.data_verdicts(found.study, found.units, found.plan),
        standing.sensitivity_verdict(sensitivity, found.plan.control),
    )
    return Chapter(tables, tuple(each for each in judged if each is not None))
