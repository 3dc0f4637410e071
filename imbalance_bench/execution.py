"""`imbalance-bench run`: check, plan, encode once, execute what is not done."""

import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from imbalance_bench.allocator import keep_freed_memory
from imbalance_bench.cli.live_table import LiveTable
from imbalance_bench.cli.progress import ProgressDisplay
from imbalance_bench.cli.study_view import print_plan, print_status
from imbalance_bench.config import StudyConfig
from imbalance_bench.cost_estimate import estimate_cost
from imbalance_bench.damage import Damage, Remedy, damages
from imbalance_bench.data.caches import note_use
from imbalance_bench.engine_choice import ChosenEngine, choose_engine
from imbalance_bench.engines.base import RunJob
from imbalance_bench.engines.rounds import Effort, execute_rounds
from imbalance_bench.engines.slurm_queue import sweep_submissions
from imbalance_bench.errors import UserError
from imbalance_bench.inputs import require_inputs
from imbalance_bench.models.licences import licence_warnings
from imbalance_bench.planning import earlier_plan, prepare_study
from imbalance_bench.study import PlannedRun, Study
from imbalance_bench.terminal import Terminal
from imbalance_bench.tracking.export import following, require_installed, tracking_folder
from imbalance_bench.training.cache_size import within_budget
from imbalance_bench.training.material import open_material
from imbalance_bench.training.numerics import keep_float32
from imbalance_bench.training.run import planned_steps
from imbalance_bench.tuning.execution import tuned
from imbalance_bench.validation_dice import validations

LEAST_FREE_BYTES = 200 * 2**20  # a study directory with a dozen small runs


@dataclass(frozen=True)
class Execution:
    """How a study is executed.

    Attributes:
        cache: Folder of tiles and features.
        engine: A key of ENGINES; None chooses by device.
        workers: Runs at a time; None chooses by cores and GPUs, and on a cluster leaves it to its scheduler.
        dry_run: Stop after the plan has been checked and printed.
        detach: Hand the runs over to a scheduler and leave.
        what_next: Print the commands that come next.
        track: Programs that follow the runs while they train, keys of `tracking.TARGETS`.
    """

    cache: Path
    engine: str | None = None
    workers: int | None = None
    dry_run: bool = False
    detach: bool = False
    what_next: bool = True
    track: tuple[str, ...] = ()


def execute_study(config: StudyConfig, root: Path, execution: Execution) -> None:
    """Execute a study in `root`, or go on with it; with a `tuning` section, its trials first.

    Args:
        config: The study.
        root: Its directory.
        execution: How.

    Raises:
        UserError: Something is wrong with study, data or disk (nothing has been trained), or a run failed.
    """
    if execution.detach and config.tuning is not None:
        raise UserError("--detach does not go with `tuning`, which waits for its trials. Leave it out.")
    if config.tuning is not None:
        earlier_plan(root)  # refuse a folder of something else before the trials are trained
        config = tuned(config, root, lambda trials, folder: _execute(trials, folder, execution), execution.dry_run)
    if _execute(config, root, execution) and execution.what_next:
        Terminal().print(f"next: imbalance-bench analyze {root} && imbalance-bench report {root}", soft_wrap=True)


def _execute(config: StudyConfig, root: Path, execution: Execution) -> bool:
    """Execute what is not done; return whether anything was, to its end."""
    console = Terminal()
    chosen = choose_engine(config, execution.engine, execution.workers, detach=execution.detach)
    require_installed(execution.track)
    _require_space(root)
    require_inputs(config, console)
    config, lowered = within_budget(config)
    if lowered:
        console.print(lowered, highlight=False, soft_wrap=True)
    with ProgressDisplay(console) as display:
        study = prepare_study(config, root, display.on_phase, write=not execution.dry_run)
    damaged = {
        run.run_id: lasting for run in study.runs if (lasting := _lasting(damages(study.records.run(run.run_id))))
    }
    waiting = [r for r in study.runs if r.run_id not in damaged and not study.records.run(r.run_id).is_done()]
    print_plan(study, [*waiting, *(run for run in study.runs if run.run_id in damaged)], chosen.where, console)
    warned = [line for m in config.each_model for line in licence_warnings(m, study.dataset.info.licence)]
    for line in dict.fromkeys(warned):
        console.print(f"Warning: {line}", style="yellow", highlight=False, soft_wrap=True)
    if execution.dry_run:
        from imbalance_bench.cli.power_view import print_short_form

        print_short_form(study, console)
        if waiting and chosen.device is not None:
            for line in estimate_cost(study, waiting, chosen.resources.workers, chosen.device).lines():
                console.print(line, highlight=False, soft_wrap=True)
        return False
    sweep_submissions(root)
    ended = bool(waiting) and _train(study, waiting, execution, chosen, console)
    if damaged:
        first = next(iter(damaged.values()))[0]
        raise UserError(
            f"{len(damaged)} of {len(study.runs)} runs are damaged and were left alone. First: {first}. "
            f"`imbalance-bench repair {root}` mends them; then run the same command again.",
            exit_code=1,
        )
    return ended


def _lasting(damaged: list[Damage]) -> list[Damage]:
    """Leave out checkpoints: a run sets a damaged one aside itself and restarts."""
    return [damage for damage in damaged if damage.remedy != Remedy.RESTART]


def _train(
    study: Study, waiting: list[PlannedRun], execution: Execution, chosen: ChosenEngine, console: Console
) -> bool:
    """Execute the runs that wait and print how they ended, or hand them over and leave; return whether they ended."""
    config = study.config
    if chosen.device is not None:
        workers = chosen.resources.workers if chosen.device.type == "cpu" else 1
        _prefill(study, execution.cache, chosen.device, workers, console)
    steps = {run.run_id: planned_steps(study, run) for run in waiting}
    root, cache = study.root.resolve(), execution.cache.resolve()  # also where the working directory is another
    jobs = [RunJob(root, run.run_id, run.label, cache, config.compute, steps[run.run_id]) for run in waiting]
    table = LiveTable(study.taxonomy.names, {run.run_id: run.name for run in study.runs})
    for run in study.runs:
        record = study.records.run(run.run_id)
        if run.run_id not in steps and record.is_done():
            table.recall(run.run_id, validations(record.epochs()).to_numpy().tolist())
    display = ProgressDisplay(console, runs=len(jobs), unit_steps=max(steps.values()), table=table)
    if execution.detach:
        chosen.leavable().submit(jobs, display)
        console.print(f"`imbalance-bench status {study.root}` shows how far they are", highlight=False, soft_wrap=True)
        return False
    with display, ExitStack() as tracked:
        for target in execution.track:
            folder = tracking_folder(study.root, target)
            tracked.enter_context(following(study.records, target, folder, display.on_remark))
        effort = Effort(chosen.resources.workers, config.compute.retries)
        outcomes = execute_rounds(chosen.engine, effort, jobs, display)
    print_status(study.records, console)
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if failed:
        first = f"{failed[0].label}: {failed[0].error}"
        raise UserError(f"{len(failed)} of {len(jobs)} runs failed. First: {first}", exit_code=1)
    return True


def _prefill(study: Study, cache: Path, device: torch.device, workers: int, console: Console) -> None:
    """Make what all runs share once, before any run starts, on the cores that the runs will have.

    Each chunk is encoded by `compute.threads`, so that what is cached does not depend on the number of cores.
    """
    threads = torch.get_num_threads()
    keep_freed_memory()
    keep_float32()
    torch.set_num_threads(study.config.compute.threads)
    with ProgressDisplay(console) as display:
        for model in study.config.each_model:
            material = open_material(study.of(model), cache, device, display.on_phase, workers=workers)
            for folder in material.folders:
                note_use(folder, study.root)
    torch.set_num_threads(threads)


def _require_space(root: Path) -> None:
    """Refuse to start on a full disk."""
    there = root
    while not there.exists() and there != there.parent:
        there = there.parent
    free = shutil.disk_usage(there).free
    if free < LEAST_FREE_BYTES:
        raise UserError(
            f"{root}: only {free / 2**20:.0f} MiB are free on the output disk, {LEAST_FREE_BYTES / 2**20:.0f} MiB are "
            "needed. Free some, or give another --out.",
            exit_code=1,
        )
