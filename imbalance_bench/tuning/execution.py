"""Tune before the study: trials are the runs of an ordinary study in the folder `tuning` of the study's own."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.table import Table

from imbalance_bench.cli.progress import ProgressDisplay
from imbalance_bench.config import StudyConfig
from imbalance_bench.data.splits import Splits
from imbalance_bench.data.taxonomy import UNLABELLED
from imbalance_bench.errors import UserError
from imbalance_bench.planning import prepare_study
from imbalance_bench.records import StudyRecords
from imbalance_bench.study import Study
from imbalance_bench.terminal import Terminal
from imbalance_bench.tuning.choice import Chosen, TrialScore, choose, scored, tuned_entry, write_choices
from imbalance_bench.tuning.draws import Trial, trials_of
from imbalance_bench.tuning.halving import promoted, shortened
from imbalance_bench.tuning.section import TUNING_FOLDER, Rung, TuningSection

UNUSED = {"path_controls": 0, "permuted_biases": 0, "dynamics_crops": 0}  # by a choice: half the time of a short trial

ExecuteStudy = Callable[[StudyConfig, Path], object]
Trials = dict[str, list[Trial]]  # by the label of the method
RungScores = Mapping[str, Sequence[TrialScore]]  # likewise


def trial_study(config: StudyConfig, trials: Trials) -> StudyConfig:
    """Return the study of all trials: each setting once, with the seeds of tuning; the default of a method first."""
    if config.tuning is None:
        raise ValueError("the study has no `tuning` section")
    entries = {trial.entry.label: trial.entry for of_method in trials.values() for trial in of_method}
    control = trials[config.control][0].entry.label
    return config.model_copy(
        update={
            "name": f"{config.name}.tuning",
            "methods": tuple(entries.values()),
            "seeds": config.tuning.seeds,
            "tuning": None,
            "evaluation": config.evaluation.model_copy(update=UNUSED),
            "analysis": config.analysis.model_copy(update={"control": control}),
        }
    )


def tuned(config: StudyConfig, root: Path, execute: ExecuteStudy, dry_run: bool) -> StudyConfig:
    """Run the trials, choose on validation, and return the study with the chosen settings.

    Args:
        config: A study with a `tuning` section.
        root: Its directory.
        execute: Executes a study in a directory, or goes on with it.
        dry_run: Check and print the trials, and return the study as it is.

    Raises:
        UserError: A fold has no validation image or none with a labelled pixel, or validates on what another tests
            although one setting was asked for (nothing has been trained), or a trial failed.
    """
    if config.tuning is None:
        return config
    _require_open(config)
    trials: Trials = {entry.label: trials_of(entry, config.tuning) for entry in config.methods}
    first, *others = config.tuning.rungs(config.training.steps)
    console, folder = Terminal(), root / TUNING_FOLDER
    n = sum(len({trial.entry.label for trial in of_method}) for of_method in trials.values())
    console.print(
        f"tuning: {config.tuning.trials} trials of each of {len(trials)} methods, {n} of them different, "
        f"seeds {', '.join(map(str, config.tuning.seeds))}, in {folder}",
        highlight=False,
        soft_wrap=True,
    )
    if others:
        console.print(halving_text([first, *others]), highlight=False, soft_wrap=True)
    with ProgressDisplay(console) as display:
        study = trial_study(config, trials)
        prepared = prepare_study(study, folder, display.on_phase, write=False)
    folds = folds_to_choose_in(prepared.splits, config.tuning)
    _require_labelled(prepared)
    if len(folds) > 1:
        console.print(
            f"a setting of each method is chosen for each of {len(folds)} folds, on its own validation images"
        )
    if dry_run:
        execute(trial_study(config, _with_defaults(trials, _briefly(trials, first, config))), folder)
        return config
    trials, planned, halved = _halved(config, trials, folder, execute)
    execute(trial_study(config, planned), folder)
    records = StudyRecords.open(folder)
    choices = [choose(trials, records, config.tuning, fold) for fold in folds]
    write_choices(folder, choices, records, config.tuning, halved)
    print_choices(choices, console, halved)
    methods = tuple(tuned_entry(label, choices) for label in trials)
    return config.model_copy(update={"methods": methods})


def _halved(
    config: StudyConfig, trials: Trials, folder: Path, execute: ExecuteStudy
) -> tuple[Trials, Trials, list[RungScores]]:
    """Execute all rungs but the last; without halving there is none.

    Returns:
        The trials that are trained in full, all trials of the study, shortened ones too, and the scores of each rung.
    """
    if config.tuning is None:
        raise ValueError("the study has no `tuning` section")
    planned, scores = _with_defaults(trials, {}), []
    for rung, following in pairwise(config.tuning.rungs(config.training.steps)):
        brief = _briefly(trials, rung, config)
        planned = {label: [*planned[label], *brief[label]] for label in trials}
        execute(trial_study(config, planned), folder)
        records = StudyRecords.open(folder)
        scores.append({label: scored(each, records, config.tuning, "val") for label, each in brief.items()})
        going = {label: promoted(of_method, following.trials) for label, of_method in scores[-1].items()}
        trials = {label: [trial for trial in each if trial.number in going[label]] for label, each in trials.items()}
    return trials, {label: [*planned[label], *trials[label]] for label in trials}, scores


def _briefly(trials: Trials, rung: Rung, config: StudyConfig) -> Trials:
    return {label: [shortened(t, rung.steps, config.training.steps) for t in each] for label, each in trials.items()}


def _with_defaults(trials: Trials, others: Trials) -> Trials:
    """Put the default in full before the others: it is what the tuning study's own analysis compares with."""
    return {label: [of_method[0], *others.get(label, [])] for label, of_method in trials.items()}


def halving_text(rungs: Sequence[Rung]) -> str:
    """Say how many trials of each method are trained how long, and what that costs."""
    spent = sum(rung.steps * rung.trials for rung in rungs)
    told = ", ".join(f"{rung.trials} of {rung.steps} steps" for rung in rungs)
    return (
        f"halving, for each method and seed: {told}; {spent} steps together instead of {rungs[0].trials} x "
        f"{rungs[-1].steps} = {rungs[0].trials * rungs[-1].steps}; the default is trained in full"
    )


def _require_open(config: StudyConfig) -> None:
    """Refuse methods whose settings were chosen before: nothing of them is left to tune."""
    for entry in config.methods:
        if entry.by_fold:
            raise UserError(
                f"`tuning` chooses settings by fold, and method '{entry.label}' has them already (`by_fold`). Give the "
                "study file that the tuning started from, or leave `tuning` out."
            )


def folds_to_choose_in(splits: Splits, section: TuningSection) -> list[int | None]:
    """Return the folds for each of which a setting is chosen; [None] where one is chosen for all of them.

    A choice for all folds would see, in the validation images of one fold, what another fold tests. A choice for each
    fold sees nothing of its test images: its trials were trained and validated on the other images of the fold.

    Raises:
        UserError: A fold has no validation images; or one validates on what another tests, and the study file asks for
            one choice, or for halving, which drops trials in all folds at once.
    """
    for number, fold in enumerate(splits.folds):
        if not fold.val:
            raise UserError(
                f"`tuning` chooses on validation images, and fold {number} has none. Set `splits.validation_fraction` "
                "above 0."
            )
    leak = _leak(splits)
    if leak and section.choice == "shared":
        raise UserError(
            f"`tuning.choice: shared` chooses one setting for all folds, and {leak}. Set `tuning.choice: per_fold`, or "
            "`splits.folds: 1`."
        )
    if leak and section.halving is not None:
        raise UserError(
            f"`tuning.halving` drops trials in all folds at once, and {leak}. Leave `halving` out to choose a setting "
            "for each fold, or set `splits.folds: 1`."
        )
    apart = section.choice == "per_fold" or bool(leak)
    return [*range(len(splits.folds))] if apart and len(splits.folds) > 1 else [None]


def _require_labelled(study: Study) -> None:
    """Refuse a fold on whose validation images no score is defined; mostly one mask of each fold is read."""
    for number, fold in enumerate(study.splits.folds):
        masks = (study.taxonomy.apply(study.dataset.read_mask(image_id)) for image_id in fold.val)
        if not any((mask != UNLABELLED).any() for mask in masks):
            raise UserError(
                f"`tuning` chooses on validation images, and those of fold {number} ({len(fold.val)}, such as "
                f"'{fold.val[0]}') hold no labelled pixel. Choose other `splits`, or leave `tuning` out."
            )


def _leak(splits: Splits) -> str:
    """Name an image that one fold validates on and another tests; an empty string where there is none."""
    for number, fold in enumerate(splits.folds):
        for other, rival in enumerate(splits.folds):
            shared = sorted({*fold.val} & {*rival.test})
            if shared:
                return f"fold {number} validates on '{shared[0]}', which fold {other} tests"
    return ""


def print_choices(choices: Sequence[Chosen], console: Console, halved: Sequence[RungScores] = ()) -> None:
    """Print what won, beside the untuned method, and what tuning cost, rounds of halving included."""
    by_fold = len(choices) > 1
    names = ("method", *(["fold"] if by_fold else []), "untuned", "tuned", "trial", "setting", "steps", "minutes")
    table = Table(*names, box=None, pad_edge=False)
    for label in choices[0]:
        for fold, chosen in enumerate(choices):
            winner, scores = chosen[label]
            every = [*scores, *(score for rung in halved for score in rung[label])]
            trained = {score.trial.entry.label: score for score in every}.values()
            steps, seconds = sum(score.steps for score in trained), sum(score.seconds for score in trained)
            setting = winner.trial.draw | winner.trial.recipe
            told = ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in setting.items())
            table.add_row(
                label,
                *([str(fold)] if by_fold else []),
                f"{scores[0].validation:.3f}",
                f"{winner.validation:.3f}",
                str(winner.trial.number),
                told or "as in the study file",
                str(steps),
                f"{seconds / 60:.1f}",
            )
    console.print("tuned on validation images; these scores are optimistic, as the best of several", highlight=False)
    console.print(table, highlight=False)
