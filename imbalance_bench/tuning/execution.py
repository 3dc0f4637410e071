"""Tune before the study: trials are the runs of an ordinary study in the folder `tuning` of the study's own."""

from collections.abc import Callable
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
from imbalance_bench.tuning.choice import TrialScore, choose, tuned_entry, write_choices
from imbalance_bench.tuning.draws import Trial, trials_of
from imbalance_bench.tuning.section import TUNING_FOLDER

ExecuteStudy = Callable[[StudyConfig, Path], object]


def trial_study(config: StudyConfig, trials: dict[str, list[Trial]]) -> StudyConfig:
    """Return the study of all trials: each setting once, with the seeds of tuning."""
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
    trials = {entry.label: trials_of(entry, config.tuning) for entry in config.methods}
    console, folder = Terminal(), root / TUNING_FOLDER
    n = sum(len({trial.entry.label for trial in of_method}) for of_method in trials.values())
    console.print(
        f"tuning: {config.tuning.trials} trials of each of {len(trials)} methods, {n} of them different, "
        f"seeds {', '.join(map(str, config.tuning.seeds))}, in {folder}",
        highlight=False,
        soft_wrap=True,
    )
    study = trial_study(config, trials)
    with ProgressDisplay(console) as display:
        require_no_leak(prepare_study(study, folder, display.on_phase, write=False).splits)
    execute(study, folder)
    if dry_run:
        return config
    records = StudyRecords.open(folder)
    chosen = choose(trials, records, config.tuning)
    write_choices(folder, chosen, records, config.tuning)
    print_choices(chosen, console)
    methods = tuple(tuned_entry(label, winner) for label, (winner, _) in chosen.items())
    return config.model_copy(update={"methods": methods})


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


def print_choices(chosen: dict[str, tuple[TrialScore, list[TrialScore]]], console: Console) -> None:
    """Print what won, beside the untuned method, and what tuning cost."""
    table = Table("method", "untuned", "tuned", "trial", "setting", "minutes", box=None, pad_edge=False)
    for label, (winner, scores) in chosen.items():
        seconds = sum({score.trial.entry.label: score.seconds for score in scores}.values())
        setting = winner.trial.draw | winner.trial.recipe
        told = ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in setting.items())
        table.add_row(
            label,
            f"{scores[0].validation:.3f}",
            f"{winner.validation:.3f}",
            str(winner.trial.number),
            told or "as in the study file",
            f"{seconds / 60:.1f}",
        )
    console.print("tuned on validation images; these scores are optimistic, as the best of several", highlight=False)
    console.print(table, highlight=False)
