"""Tune before the study: trials are the runs of an ordinary study in the folder `tuning` of the study's own."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.table import Table

from imbalance_bench.cli.progress import ProgressDisplay
from imbalance_bench.config import StudyConfig
from imbalance_bench.data.splits import Splits
from imbalance_bench.errors import UserError
from imbalance_bench.planning import prepare_study
from imbalance_bench.records import StudyRecords
from imbalance_bench.terminal import Terminal
from imbalance_bench.tuning.choice import TrialScore, choose, scored, tuned_entry, write_choices
from imbalance_bench.tuning.draws import Trial, trials_of
from imbalance_bench.tuning.halving import promoted, shortened
from imbalance_bench.tuning.section import TUNING_FOLDER, Rung

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
        UserError: A fold has no validation image, or validates on what another tests (nothing has been trained), or a
            trial failed.
    """
    if config.tuning is None:
        return config
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
        require_no_leak(prepare_study(study, folder, display.on_phase, write=False).splits)
    if dry_run:
        execute(trial_study(config, _with_defaults(trials, _briefly(trials, first, config))), folder)
        return config
    trials, planned, halved = _halved(config, trials, folder, execute)
    execute(trial_study(config, planned), folder)
    records = StudyRecords.open(folder)
    chosen = choose(trials, records, config.tuning)
    write_choices(folder, chosen, records, config.tuning, halved)
    print_choices(chosen, console, halved)
    methods = tuple(tuned_entry(label, winner) for label, (winner, _) in chosen.items())
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
        scores.append({label: scored(each, records, config.tuning.select, "val") for label, each in brief.items()})
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


def require_no_leak(splits: Splits) -> None:
    """Refuse folds of which one validates on what another tests: one setting is chosen for all of them.

    Raises:
        UserError: There are such folds, or one without validation images.
    """
    for number, fold in enumerate(splits.folds):
        if not fold.val:
            raise UserError(
                f"`tuning` chooses on validation images, and fold {number} has none. Set `splits.validation_fraction` "
                "above 0."
            )
        for other, rival in enumerate(splits.folds):
            shared = sorted({*fold.val} & {*rival.test})
            if shared:
                raise UserError(
                    f"`tuning` chooses one setting for all folds, and fold {number} validates on '{shared[0]}', which "
                    f"fold {other} tests. Set `splits.folds: 1`, or make a study of each fold."
                )


def print_choices(
    chosen: dict[str, tuple[TrialScore, list[TrialScore]]],
    console: Console,
    halved: Sequence[RungScores] = (),
) -> None:
    """Print what won, beside the untuned method, and what tuning cost, rounds of halving included."""
    table = Table("method", "untuned", "tuned", "trial", "setting", "steps", "minutes", box=None, pad_edge=False)
    for label, (winner, scores) in chosen.items():
        every = [*scores, *(score for rung in halved for score in rung[label])]
        trained = {score.trial.entry.label: score for score in every}.values()
        steps, seconds = sum(score.steps for score in trained), sum(score.seconds for score in trained)
        setting = winner.trial.draw | winner.trial.recipe
        told = ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in setting.items())
        table.add_row(
            label,
            f"{scores[0].validation:.3f}",
            f"{winner.validation:.3f}",
            str(winner.trial.number),
            told or "as in the study file",
            str(steps),
            f"{seconds / 60:.1f}",
        )
    console.print("tuned on validation images; these scores are optimistic, as the best of several", highlight=False)
    console.print(table, highlight=False)
