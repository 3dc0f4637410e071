"""Tables for papers: LaTeX (booktabs), Markdown and CSV, with marks from the statistical tests."""

from analysis.report.paper_tables.build import write_paper_tables

__all__ = ["write_paper_tables"]
