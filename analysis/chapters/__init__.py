"""What `analyze` writes, one file per chapter: each makes its tables and judges them. They are written in this order.

A chapter reads the study and the tables of the chapters before it, and returns its own tables and verdicts. To add one:
a file with a function `(Findings) -> Chapter`, one line in `CHAPTERS`, and its columns in `analysis/columns/`.
"""

from collections.abc import Callable

from analysis.chapters import (
    association,
    borders,
    calibration,
    comparison,
    difficulty,
    explanation,
    inertia,
    interventions,
    leaders,
    learning,
    ranking,
    scores,
)
from analysis.chapters.findings import Chapter, Findings

CHAPTERS: tuple[Callable[[Findings], Chapter], ...] = (
    scores.chapter,
    borders.chapter,
    calibration.chapter,
    comparison.chapter,
    leaders.chapter,
    ranking.chapter,
    learning.chapter,
    difficulty.chapter,
    inertia.chapter,
    association.chapter,
    explanation.chapter,
    interventions.chapter,
)
