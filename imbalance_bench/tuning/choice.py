"""Which trial wins: on validation counts alone. The records of tuning hold every trial, its draw and its score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from imbalance_bench.errors import UserError
from imbalance_bench.manifest import write_json
from imbalance_bench.method_entry import MethodEntry
from imbalance_bench.records import StudyRecords
from imbalance_bench.tuning.draws import Trial
from imbalance_bench.tuning.section import CHOICES, CHOICES_FORMAT, HALVED_FORMAT, Selection, TuningSection
from methods.class_counts import ClassFeedback


@dataclass(frozen=True)
class TrialScore:
    """What a trial reached.

    Attributes:
        trial: The trial.
        validation: Mean of the selected score over its runs, each on the pooled validation images.
        of_runs: (fold, seed) -> score of each run.
        steps: Optimiser steps of its runs together.
        seconds: Time that they took.
    """

    trial: Trial
    validation: float
    of_runs: dict[tuple[int, int], float]
    steps: int
    seconds: float


def score_of_counts(counts: pd.DataFrame, select: Selection) -> float:
    """Return a score of pooled counts.

    Args:
        counts: Rows of one run and one split, columns class_id, tp, fp, fn.
        select: Macro means leave out classes that do not occur.
    """
    pooled = counts.groupby("class_id")[["tp", "fp", "fn"]].sum()
    tp, fp, fn = (torch.from_numpy(pooled[name].to_numpy().copy()) for name in ("tp", "fp", "fn"))
    dice = ClassFeedback(step=0, epoch=0, tp=tp, fp=fp, fn=fn).dice
    dice = dice[dice.isfinite()]
    if select == "worst_dice":
        return dice.min().item()
    return (dice / (2 - dice) if select == "macro_iou" else dice).mean().item()


def scored(trials: list[Trial], records: StudyRecords, select: Selection, split: str) -> list[TrialScore]:
    """Score trials on one split, in their order.

    Raises:
        UserError: A run is not finished, or has no image in the split.
    """
    runs: dict[str, list[dict[str, Any]]] = {}
    for run in records.plan()["runs"]:
        runs.setdefault(run["method"], []).append(run)
    found: dict[str, tuple[dict[tuple[int, int], float], int, float]] = {}
    for label in dict.fromkeys(trial.entry.label for trial in trials):
        of_runs, steps, seconds = {}, 0, 0.0
        for run in runs[label]:
            record = records.run(run["run_id"])
            if not record.is_done():
                raise UserError(f"{record.path}: the trial is not finished. Run the study again.", exit_code=1)
            counts = record.counts()
            counts = counts[counts["split"] == split]
            if counts.empty:
                raise UserError(f"{record.path}: no counts of the split '{split}'. Tuning needs validation images.")
            of_runs[run["fold"], run["seed"]] = score_of_counts(counts, select)
            cost = record.manifest()["cost"]
            steps, seconds = steps + int(cost["steps"]), seconds + float(cost["seconds"])
        found[label] = of_runs, steps, seconds
    return [
        TrialScore(trial, float(np.mean(list(found[trial.entry.label][0].values()))), *found[trial.entry.label])
        for trial in trials
    ]


def by_preference(scores: Sequence[TrialScore]) -> list[TrialScore]:
    """Return trials by their validation score, the highest first; of equal ones the cheapest in steps, then the first.

    Steps, not seconds: a resumed study must choose as an uninterrupted one does.
    """
    return sorted(scores, key=lambda score: (-score.validation, score.steps, score.trial.number))


def best(scores: Sequence[TrialScore]) -> TrialScore:
    """Return the trial that is preferred to all others."""
    return by_preference(scores)[0]


def choose(
    trials: dict[str, list[Trial]], records: StudyRecords, section: TuningSection
) -> dict[str, tuple[TrialScore, list[TrialScore]]]:
    """Return label -> the winner and all scores. Reads validation counts alone."""
    chosen = {}
    for label, of_method in trials.items():
        scores = scored(of_method, records, section.select, "val")
        chosen[label] = best(scores), scores
    return chosen


def tuned_entry(label: str, winner: TrialScore) -> MethodEntry:
    """Return the winner under the method's own label."""
    return winner.trial.entry.model_copy(update={"label": label})


def write_choices(
    path: Path,
    chosen: dict[str, tuple[TrialScore, list[TrialScore]]],
    records: StudyRecords,
    section: TuningSection,
    rungs: Sequence[Mapping[str, Sequence[TrialScore]]] = (),
) -> None:
    """Write what was tried, what won and, apart, what would have won on test images (the ceiling).

    Args:
        path: Folder of the trials.
        chosen: Label -> the winner and the scores of all trials that were trained in full.
        records: Of the trials.
        section: How they were chosen.
        rungs: Of each round of halving before, label -> the scores of its trials.
    """
    methods = {}
    for label, (winner, scores) in chosen.items():
        on_test = scored([score.trial for score in scores], records, section.select, "test")
        ceiling = best(on_test)
        methods[label] = {
            "winner": winner.trial.number,
            "settings": tuned_entry(label, winner).resolved(),
            "trials": _rows([*(rung[label] for rung in rungs), scores]),
            "test_of_tuning_seeds": {
                "winner": next(s.validation for s in on_test if s.trial.number == winner.trial.number),
                "oracle_trial": ceiling.trial.number,
                "oracle": ceiling.validation,
            },
        }
    form = HALVED_FORMAT if rungs else CHOICES_FORMAT
    content = {"format": form, "tuning": section.model_dump(mode="json"), "methods": methods}
    write_json(path / CHOICES, content)


def _rows(rungs: Sequence[Sequence[TrialScore]]) -> list[dict[str, Any]]:
    """Return a row for each trial: its last rung, and with halving what it scored on each, and the cost of them all."""
    of_trials: dict[int, list[TrialScore]] = {}
    for scores in rungs:
        for score in scores:
            of_trials.setdefault(score.trial.number, []).append(score)
    if len(rungs) == 1:
        return [_row(score) for (score,) in of_trials.values()]
    return [
        _row(of_trial[-1])
        | {"steps": sum(score.steps for score in of_trial), "seconds": sum(score.seconds for score in of_trial)}
        | {"rungs": [_rung_row(score) for score in of_trial], "in_full": len(of_trial) == len(rungs)}
        for of_trial in of_trials.values()
    ]


def _rung_row(score: TrialScore) -> dict[str, Any]:
    return {"label": score.trial.entry.label, "validation": score.validation, "steps": score.steps}


def _row(score: TrialScore) -> dict[str, Any]:
    return {
        "trial": score.trial.number,
        "label": score.trial.entry.label,
        "draw": score.trial.draw,
        "shared": score.trial.recipe,
        "validation": score.validation,
        "of_runs": [{"fold": f, "seed": s, "validation": value} for (f, s), value in score.of_runs.items()],
        "steps": score.steps,
        "seconds": score.seconds,
    }
