"""Successive halving (Jamieson and Talwalkar 2016): which trials are trained longer, and how a shorter one is named.

A rung is trained from the start, not continued: a shorter training is an ordinary run of its own whose learning rate
falls to its end, so that every rung compares finished trainings, and any engine can execute and resume it.
"""

from collections.abc import Sequence
from dataclasses import replace

from imbalance_bench.tuning.choice import TrialScore, by_preference
from imbalance_bench.tuning.draws import Trial


def shortened(trial: Trial, steps: int, of: int) -> Trial:
    """Return a trial whose training takes `steps` where the study trains `of`, under a label that says so."""
    if steps == of:
        return trial
    entry, fraction = trial.entry, trial.entry.steps_fraction * steps / of
    update = {"label": f"{entry.label}.s{steps}", "steps_fraction": fraction}
    return replace(trial, entry=entry.model_copy(update=update))


def promoted(scores: Sequence[TrialScore], n: int) -> list[int]:
    """Return the numbers of the trials that go on, ascending: the default, and the n - 1 best of the others.

    The default keeps its place whatever its score, so that default and winner are compared after equal trainings.
    """
    others = [score.trial.number for score in by_preference(scores) if score.trial.number]
    return sorted([0, *others[: n - 1]])
