"""What `analyze` writes, one file per topic: each computes its tables and judges them. They run in this order.

A topic reads the study and the tables of the topics before it, and returns its own tables and verdicts. To add one: a
file with a function `analyze(Context) -> TopicResult`, one line in `TOPICS`, and its tables in `analysis/schema/`.
"""

from collections.abc import Callable

from analysis.topics import (
    association,
    boundaries,
    class_difficulty,
    explanation,
    inertia,
    interventions,
    leaders,
    learned_bias,
    method_comparison,
    probability_calibration,
    ranking,
    scores,
)
from analysis.topics.context import Context, TopicResult

TOPICS: tuple[Callable[[Context], TopicResult], ...] = (
    scores.analyze,
    boundaries.analyze,
    probability_calibration.analyze,
    method_comparison.analyze,
    leaders.analyze,
    ranking.analyze,
    learned_bias.analyze,
    class_difficulty.analyze,
    inertia.analyze,
    association.analyze,
    explanation.analyze,
    interventions.analyze,
)
