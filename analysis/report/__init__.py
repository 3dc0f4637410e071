"""The report of a study: a self-contained HTML file, its figures and its tables. It computes nothing."""

from analysis.report.build import build_report, write_report

__all__ = ["build_report", "write_report"]
