"""Tables behind the answers, one module per topic."""

from analysis.reading.analysed_study import AnalysedStudy
from analysis.report.details import bias, classes, methods, tuning
from analysis.report.tables import ReportTable

__all__ = ["detail_tables"]


def detail_tables(study: AnalysedStudy) -> list[ReportTable]:
    """Build every table of this folder."""
    modules = (methods, tuning, bias, classes)
    return [detail.build(study) for module in modules for detail in module.DETAILS]
