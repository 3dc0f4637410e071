"""What `analyze` writes, one file per topic: each computes its tables and judges them.

A topic reads the study and the results of the topics that it `needs`, and returns its own tables and verdicts. To add a
topic, write a file with a function `analyze(Context) -> TopicResult`, a line in `TOPICS`, and its tables in
`analysis/schema/`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from analysis.topics import (
    announced_power,
    boundaries,
    class_difficulty,
    distributions,
    environment,
    explanation,
    image_scores,
    interventions,
    leaders,
    learned_bias,
    learning,
    method_comparison,
    models,
    origin,
    path_controls,
    planted,
    practical_differences,
    probability_calibration,
    ranking,
    scores,
    tuning,
)
from analysis.topics.context import Context, TopicResult
from analysis.verdicts import Topic


@dataclass(frozen=True)
class Step:
    """One topic of the analysis.

    Args:
        analyze: Computes its tables and verdicts.
        judges: Topics of its verdicts, besides the limits of the data, on which every step may give verdicts.
        needs: Names of the steps whose tables or verdicts it reads; they come before it.
    """

    analyze: Callable[[Context], TopicResult]
    judges: tuple[Topic, ...] = ()
    needs: tuple[str, ...] = ()


TOPICS: dict[str, Step] = {
    "origin": Step(origin.analyze),
    "scores": Step(scores.analyze, (Topic.DATA,)),
    "image_scores": Step(image_scores.analyze),
    "learning": Step(learning.analyze, (Topic.DATA,)),
    "environment": Step(environment.analyze, (Topic.DATA,)),
    "boundaries": Step(boundaries.analyze),
    "probability_calibration": Step(probability_calibration.analyze, (Topic.CALIBRATION,)),
    "method_comparison": Step(method_comparison.analyze, (Topic.COMPARISON, Topic.ATTAINABILITY)),
    "announced_power": Step(announced_power.analyze, (Topic.DATA,)),
    "practical_differences": Step(practical_differences.analyze),
    "models": Step(models.analyze, (Topic.MODEL,)),
    "tuning": Step(tuning.analyze, (Topic.TUNING,)),
    "distributions": Step(distributions.analyze),
    "leaders": Step(leaders.analyze, (Topic.LEADERS,)),
    "ranking": Step(ranking.analyze, (Topic.RANKING,), needs=("leaders",)),
    "learned_bias": Step(learned_bias.analyze),
    "class_difficulty": Step(class_difficulty.analyze, (Topic.DATA,), needs=("scores", "boundaries")),
    "path_controls": Step(path_controls.analyze, (Topic.PATH,)),
    "explanation": Step(
        explanation.analyze,
        (
            *(Topic.RELIABILITY, Topic.INERTIA, Topic.ASSOCIATION, Topic.ATTAINABILITY),
            *(Topic.EXPLANATION, Topic.PARTIAL_ASSOCIATION, Topic.MIXED_MODEL),
        ),
        needs=("learned_bias", "class_difficulty", "path_controls"),
    ),
    "interventions": Step(interventions.analyze, (Topic.INTERVENTION,), needs=("path_controls",)),
    "planted": Step(
        planted.analyze, needs=("class_difficulty", "method_comparison", "learned_bias", "path_controls", "explanation")
    ),
}
