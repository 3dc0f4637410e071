"""The trials of tuning as recorded: every trial with its settings and its scores. Nothing is chosen here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from analysis.scoring.metrics import mean_over_occurring, score
from analysis.study.pairing import require_pairs
from analysis.study.runs import RunData, StudyTables, read_study
from imbalance_bench.errors import UserError
from imbalance_bench.record_documents import read_document
from imbalance_bench.records import STUDY_FILE, StudyRecords
from imbalance_bench.tuning.section import (
    BY_FOLD_FORMAT,
    CHOICES,
    CHOICES_FORMAT,
    HALVED_FORMAT,
    TUNING_FOLDER,
    Selection,
)
from imbalance_bench.yaml_files import read_yaml

_ROUNDING = 1e-9  # difference of scores that were summed in another order
_AGAIN = "Run the study again: it chooses anew from the records."


@dataclass(frozen=True)
class ScoredTrial:
    """One trial of a method.

    Args:
        number: 0 is the method as the study file has it.
        label: Label of its longest runs; trials with equal settings share it.
        settings: Drawn option -> value, options of the method first, then of the shared recipe; empty for trial 0.
        validation: The selected score on validation images, mean over the folds and seeds of tuning.
        test: The selected score on test images; NaN if the study has none.
        steps: Optimiser steps of its runs, shorter ones of halving included.
        seconds: Wall time of its runs.
        rungs: (label, validation score) of its runs on each rung of halving that it reached; one without halving.
        in_full: Whether it was trained to the end; otherwise its scores are those of a shorter training.
    """

    number: int
    label: str
    settings: dict[str, Any]
    validation: float
    test: float
    steps: int
    seconds: float
    rungs: tuple[tuple[str, float], ...] = ()
    in_full: bool = True

    @property
    def first(self) -> float:
        """Validation score after the first rung, on which all trials were trained equally long."""
        return self.rungs[0][1] if self.rungs else self.validation


@dataclass(frozen=True)
class TunedMethod:
    """All trials of one method, in all folds or, as one of `by_fold`, in one.

    Args:
        label: Its label in the study.
        winner: Number of the trial that was chosen; None where folds chose different ones.
        settings: The chosen settings, as plan.json writes them.
        trials: By number; where each fold chose, means over folds.
        by_fold: The choice of each fold, in order; empty where one was made for all of them.
    """

    label: str
    winner: int | None
    settings: dict[str, Any]
    trials: tuple[ScoredTrial, ...]
    by_fold: tuple["TunedMethod", ...] = ()

    @property
    def default(self) -> ScoredTrial:
        """The method as the study file has it."""
        return self.trials[0]

    @property
    def chosen(self) -> ScoredTrial:
        """The trial that won; where folds chose different ones, what they reach together, under a label of its own."""
        if self.winner is not None:
            return self.trials[self.winner]
        return replace(_together([each.chosen for each in self.by_fold]), label=f"{self.label}.per_fold", settings={})

    @property
    def choices(self) -> tuple["TunedMethod", ...]:
        """The choice of each fold, or the one that was made for all of them."""
        return self.by_fold or (self,)

    @property
    def oracle(self) -> float:
        """Test score of the best trial in full, which no choice knows: mean over the choices."""
        scores = [[t.test for t in each.trials if t.in_full and np.isfinite(t.test)] for each in self.choices]
        return float(np.mean([max(of_choice, default=np.nan) for of_choice in scores]))

    @property
    def different(self) -> list[ScoredTrial]:
        """The trials with different settings, which are those that were trained."""
        first = {trial.rungs[0][0] if trial.rungs else trial.label: trial for trial in reversed(self.trials)}
        return list(first.values())[::-1]

    @property
    def preference(self) -> np.ndarray:
        """Position of each trial in the order of one choice, (N,) int64, 0 = the winner.

        The trial with the highest validation score comes first; with equal scores, the one with the fewest steps, then
        the one with the smallest number. Trials that halving dropped follow, those that were trained longer first.
        """
        order = sorted(self.trials, key=lambda t: (not t.in_full, -len(t.rungs), -t.validation, t.steps, t.number))
        return np.argsort([trial.number for trial in order])


@dataclass(frozen=True)
class TunedStudy:
    """The tuning of a study.

    Args:
        select: The score that settings were chosen by.
        methods: In the order of the study.
        runs: The runs of all trials; their methods are the labels of trials. Where folds chose different trials, these
            runs appear again under the label of `TunedMethod.chosen`.
    """

    select: Selection
    methods: tuple[TunedMethod, ...]
    runs: StudyTables

    @property
    def n_trials(self) -> int:
        """The number of trials of each method."""
        return len(self.methods[0].trials)

    @property
    def halved(self) -> bool:
        """Whether trials were dropped before their end."""
        return any(not trial.in_full for method in self.methods for trial in method.trials)

    @property
    def tested(self) -> bool:
        """Whether trials were scored on images that the choice has not seen."""
        return self.runs.split == "test"


def selected_score(counts: pd.DataFrame, select: Selection) -> float:
    """Return the score that settings are chosen by, of one run's counts pooled over images.

    Args:
        counts: Rows of one split: class_id, tp, fp, fn.
        select: Name of the score; macro means leave out classes that do not occur.
    """
    pooled = counts.groupby("class_id")[["tp", "fp", "fn"]].sum()
    values = score("iou" if select == "macro_iou" else "dice", *pooled.to_numpy().T)
    finite = values[np.isfinite(values)]
    return float(finite.min() if select == "worst_dice" and len(finite) else mean_over_occurring(values))


def mean_score(runs: Iterable[RunData], select: Selection, split: str) -> float:
    """Return the mean over runs of the selected score on one split; NaN without a run or images."""
    scores = [selected_score(rows, select) for run in runs if len(rows := run.counts[run.counts["split"] == split]) > 0]
    return float(np.mean(scores)) if scores else float("nan")


def read_tuning(records: StudyRecords) -> TunedStudy | None:
    """Read the trials of a study; None if nothing was tuned.

    Raises:
        UserError: A file is missing or cannot be read, a trial is not finished, or scores in choices.json differ from
            the records.
    """
    folder = records.root / TUNING_FOLDER
    path, asked = folder / CHOICES, records.root / STUDY_FILE
    if not path.is_file():
        if asked.is_file() and read_yaml(asked).get("tuning") is not None:
            raise UserError(
                f"{path} must exist, because {STUDY_FILE} has a `tuning` section. Got no such file. Record bundles of "
                "earlier versions lack it: export the study again."
            )
        return None
    content = read_document(path)
    known = (CHOICES_FORMAT, HALVED_FORMAT, BY_FOLD_FORMAT)
    if content.get("format") not in known:
        raise UserError(
            f"{path}: `format` must be one of {', '.join(map(str, known))}. Got {content.get('format')}. {_AGAIN}"
        )
    try:
        seeds, select = content["tuning"]["seeds"], content["tuning"]["select"]
        runs = _of_seeds(read_study(StudyRecords.open(folder)), seeds)
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: not readable ({error!r}). {_AGAIN}") from error
    unfinished = runs.runs[runs.runs["state"] != "done"]
    if len(unfinished):
        raise UserError(f"{folder}: {len(unfinished)} of {len(runs.runs)} trial runs are not finished. {_AGAIN}")
    require_pairs(runs.data, runs.split)
    try:
        methods = tuple(
            _method(label, content_of_method, runs, select) for label, content_of_method in content["methods"].items()
        )
    except (KeyError, TypeError, IndexError) as error:
        raise UserError(f"{path}: not readable ({error!r}). {_AGAIN}") from error
    for method in methods:
        for fold, choice in enumerate(method.choices):
            _require_recorded(choice, runs, select, fold if method.by_fold else None, str(path))
    again = [run for method in methods if method.winner is None for run in _runs_together(method, runs)]
    return TunedStudy(select, methods, replace(runs, data=(*runs.data, *again)) if again else runs)


def _of_seeds(runs: StudyTables, seeds: Sequence[int]) -> StudyTables:
    """Leave out runs of other seeds, which an earlier tuning in the same folder had: no choice reads them."""
    data = tuple(run for run in runs.data if run.seed in seeds)
    return replace(runs, runs=runs.runs[runs.runs["seed"].isin(seeds)], data=data)


def _runs_of(label: str, runs: StudyTables, fold: int | None) -> list[RunData]:
    """Return the runs of a trial in one fold; None: in all folds."""
    return [run for run in runs.runs_of(label) if fold in (None, run.fold)]


def _runs_together(method: TunedMethod, runs: StudyTables) -> list[RunData]:
    """Return of each fold the runs of the trial that it chose, under the label of the choices together."""
    label = method.chosen.label
    return [
        replace(run, label=label, method=label)
        for fold, choice in enumerate(method.by_fold)
        for run in _runs_of(choice.chosen.label, runs, fold)
    ]


def _together(trials: Sequence[ScoredTrial]) -> ScoredTrial:
    """Return one trial for those of several folds: means of scores, sums of costs."""
    validation, test = (float(np.mean([getattr(t, name) for t in trials])) for name in ("validation", "test"))
    steps, seconds = sum(trial.steps for trial in trials), sum(trial.seconds for trial in trials)
    rungs = ((trials[0].label, validation),)
    return replace(trials[0], validation=validation, test=test, steps=steps, seconds=seconds, rungs=rungs)


def _method(label: str, content: Mapping[str, Any], runs: StudyTables, select: Selection) -> TunedMethod:
    if "by_fold" not in content:
        return _choice(label, content, runs, select, None)
    shared = {"settings": content["settings"]}
    by_fold = tuple(_choice(label, each | shared, runs, select, fold) for fold, each in enumerate(content["by_fold"]))
    winners = {choice.winner for choice in by_fold}
    trials = tuple(_together(of_trial) for of_trial in zip(*(choice.trials for choice in by_fold), strict=True))
    return TunedMethod(label, winners.pop() if len(winners) == 1 else None, content["settings"], trials, by_fold)


def _choice(
    label: str, content: Mapping[str, Any], runs: StudyTables, select: Selection, fold: int | None
) -> TunedMethod:
    trials = []
    for row in content["trials"]:
        test = mean_score(_runs_of(row["label"], runs, fold), select, "test")
        rungs = tuple((rung["label"], float(rung["validation"])) for rung in row.get("rungs", [row]))
        scores = {
            "validation": float(row["validation"]),
            "test": test,
            "steps": row["steps"],
            "seconds": row["seconds"],
            "rungs": rungs,
            "in_full": row.get("in_full", True),
        }
        trials.append(ScoredTrial(row["trial"], row["label"], {**row["draw"], **row["shared"]}, **scores))
    tuned = TunedMethod(label, content["winner"], content["settings"], tuple(trials))
    if tuned.chosen.number != tuned.winner:
        raise KeyError("trial")
    return tuned


def _require_recorded(method: TunedMethod, runs: StudyTables, select: Selection, fold: int | None, path: str) -> None:
    """Check that the records of the trials, in one fold or all, give the same scores and the same winner.

    Raises:
        UserError: They do not.
    """
    place = "" if fold is None else f" in fold {fold}"
    for trial in method.trials:
        for label, validation in (*trial.rungs, (trial.label, trial.validation)):
            recorded = mean_score(_runs_of(label, runs, fold), select, "val")
            if not abs(recorded - validation) < _ROUNDING:
                raise UserError(
                    f"{path}: `validation` of trial {trial.number} of {method.label}{place} is {validation:.6f}, "
                    f"and its records give {recorded:.6f}. {_AGAIN}"
                )
    if method.preference[method.chosen.number] != 0:
        raise UserError(
            f"{path}: trial {method.winner} of {method.label}{place} is not the best on validation. {_AGAIN}"
        )
