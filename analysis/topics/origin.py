"""Where predictions come from: nothing is known about the training behind those that were made elsewhere."""

from analysis.topics.context import Context, TopicResult
from analysis.verdicts import data_limit

UNPAIRED = "Their training was not paired."  # ends sentences that compare such methods


def analyze(context: Context) -> TopicResult:
    """Say which methods were not trained here, and what follows from that; no verdict if all were."""
    foreign = list(dict.fromkeys(run.method for run in context.study.data if run.is_foreign))
    if not foreign:
        return TopicResult({})
    sentence = (
        f"The predictions of {', '.join(foreign)} were made elsewhere. They are paired by data, splits and images "
        "only; training was not paired: initial weights, batches, augmentation, architecture and budget may differ, so "
        "that a difference is one of whole systems and not of one ingredient."
    )
    rule = "limited: the records of a run say `origin: foreign`"
    return TopicResult({}, (data_limit("origin", "training", sentence, rule, {"methods": len(foreign)}),))
