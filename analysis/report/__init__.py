"""The report of a study: one HTML file that needs nothing else, its figures and its tables. It computes nothing."""

from analysis.report.build import build_report

__all__ = ["build_report"]
