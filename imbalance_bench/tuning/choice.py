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
from imbalance_bench.tuning.section import (
    BY_FOLD_FORMAT,
    CHOICES,
    CHOICES_FORMAT,
    HALVED_FORMAT,
    Selection,
    TuningSection,
)
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


Chosen = dict[str, tuple[TrialScore, list[TrialScore]]]  # label -> the winner and the scores of all trials


def score_of_counts(counts: pd.DataFrame, select: Selection) -> float:
    """Return a score of pooled counts; NaN where no class occurs.

    Args:
        counts: Rows of one run and one split, columns class_id, tp, fp, fn.
        select: Macro means leave out classes that do not occur.
    """
    pooled = counts.groupby("class_id")[["tp", "fp", "fn"]].sum()
    tp, fp, fn = (torch.from_numpy(pooled[name].to_numpy().copy()) for name in ("tp", "fp", "fn"))
    dice = ClassFeedback(step=0, epoch=0, tp=tp, fp=fp, fn=fn).dice
    dice = dice[dice.isfinite()]
    if select == "worst_dice":
        return dice.min().item() if len(dice) else float("nan")
    return (dice / (2 - dice) if select == "macro_iou" else dice).mean().item()


def scored(
    trials: list[Trial], records: StudyRecords, section: TuningSection, split: str, fold: int | None = None
) -> list[TrialScore]:
    """Score trials on one split, in their order.

    The folder of trials may hold runs of other seeds, since a plan only grows; only those of the section count, so that
    every trial has as many runs, and none has a seed of the study.

    Args:
        trials: The trials.
        records: Of their runs.
        section: The score, and the seeds that count.
        split: `val` or `test`.
        fold: Count the runs of this fold alone; None: of all folds.

    Raises:
        UserError: A run is not finished, or has no image in the split; or its validation images hold no labelled pixel.
    """
    runs: dict[str, list[dict[str, Any]]] = {}
    for run in records.plan()["runs"]:
        if fold in (None, run["fold"]) and run["seed"] in section.seeds:
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
            score = score_of_counts(counts, section.select)
            if split == "val" and np.isnan(score):
                raise UserError(
                    f"{record.path}: `tuning` chooses on validation images, and those of fold {run['fold']} hold no "
                    "labelled pixel. Choose other `splits`."
                )
            of_runs[run["fold"], run["seed"]] = score
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
    trials: dict[str, list[Trial]], records: StudyRecords, section: TuningSection, fold: int | None = None
) -> Chosen:
    """Return label -> the winner and all scores, of one fold or of all. Reads validation counts alone."""
    chosen = {}
    for label, of_method in trials.items():
        scores = scored(of_method, records, section, "val", fold)
        chosen[label] = best(scores), scores
    return chosen


def tuned_entry(label: str, choices: Sequence[Chosen]) -> MethodEntry:
    """Return the winner under the method's own label; with settings by fold where the winners of the folds differ.

    Args:
        label: Of the method.
        choices: One for all folds, or one for each.
    """
    entries = [chosen[label][0].trial.entry.model_copy(update={"label": label}) for chosen in choices]
    if all(entry == entries[0] for entry in entries):
        return entries[0]
    return MethodEntry(label=label, parts={}, by_fold=tuple(entries))


def write_choices(
    path: Path,
    choices: Sequence[Chosen],
    records: StudyRecords,
    section: TuningSection,
    rungs: Sequence[Mapping[str, Sequence[TrialScore]]] = (),
) -> None:
    """Write what was tried, what won and, apart, what would have won on test images (the ceiling).

    Args:
        path: Folder of the trials.
        choices: Of the trials that were trained in full: one choice for all folds, or one for each fold.
        records: Of the trials.
        section: How they were chosen.
        rungs: Of each round of halving before, label -> the scores of its trials.
    """
    form = HALVED_FORMAT if rungs else CHOICES_FORMAT
    folds: list[int | None] = [None] if len(choices) == 1 else [*range(len(choices))]
    methods = {}
    for label in choices[0]:
        made = []
        for fold, chosen in zip(folds, choices, strict=True):
            winner, scores = chosen[label]
            on_test = scored([score.trial for score in scores], records, section, "test", fold)
            made.append(_choice(winner, _rows([*(rung[label] for rung in rungs), scores]), on_test))
        settings = {"settings": tuned_entry(label, choices).resolved()}
        if len(choices) == 1:
            methods[label] = made[0] | settings
        else:
            form = BY_FOLD_FORMAT
            methods[label] = settings | {"by_fold": made}
    content = {"format": form, "tuning": section.model_dump(mode="json"), "methods": methods}
    write_json(path / CHOICES, content)


def _choice(winner: TrialScore, rows: list[dict[str, Any]], on_test: list[TrialScore]) -> dict[str, Any]:
    ceiling = best(on_test)
    known = np.isfinite(ceiling.validation)  # unless no test image has a labelled pixel
    return {
        "winner": winner.trial.number,
        "trials": rows,
        "test_of_tuning_seeds": {
            "winner": next(s.validation for s in on_test if s.trial.number == winner.trial.number) if known else None,
            "oracle_trial": ceiling.trial.number if known else None,
            "oracle": ceiling.validation if known else None,
        },
    }


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
