"""`imbalance-bench run`: check, plan, encode once, execute what is not done."""

import shutil
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
from imbalance_bench.data.prepared import usable_cores
from imbalance_bench.engines import ENGINES
from imbalance_bench.engines.base import RunJob
from imbalance_bench.engines.rounds import Effort, execute_rounds
from imbalance_bench.errors import UserError
from imbalance_bench.inputs import require_inputs
from imbalance_bench.models.licences import licence_warnings
from imbalance_bench.planning import earlier_plan, prepare_study
from imbalance_bench.study import PlannedRun, Study
from imbalance_bench.terminal import Terminal
from imbalance_bench.training.material import choose_device, open_material
from imbalance_bench.training.run import planned_steps
from imbalance_bench.tuning.execution import tuned

LEAST_FREE_BYTES = 200 * 2**20  # a study directory with a dozen small runs


@dataclass(frozen=True)
class Execution:
    """How a study is executed.

    Attributes:
        cache: Folder of tiles and features.
        engine: A key of ENGINES; None chooses by device.
        workers: Runs at a time; None chooses by cores.
        dry_run: Stop after the plan has been checked and printed.
    """

    cache: Path
    engine: str | None = None
    workers: int | None = None
    dry_run: bool = False


def execute_study(config: StudyConfig, root: Path, execution: Execution) -> None:
    """Execute a study in `root`, or go on with it; with a `tuning` section, its trials first.

    Raises:
        UserError: Something is wrong with study, data or disk (nothing has been trained), or a run failed.
    """
    if config.tuning is not None:
        earlier_plan(root)  # refuse a folder of something else before the trials are trained
        config = tuned(config, root, lambda trials, folder: _execute(trials, folder, execution), execution.dry_run)
    if _execute(config, root, execution):
        Terminal().print(f"next: imbalance-bench analyze {root} && imbalance-bench report {root}", soft_wrap=True)


def _execute(config: StudyConfig, root: Path, execution: Execution) -> bool:
    """Execute what is not done; return whether anything was."""
    console = Terminal()
    device = choose_device(config.compute)
    _require_space(root)
    require_inputs(config, console)
    with ProgressDisplay(console) as display:
        study = prepare_study(config, root, display.on_phase, write=not execution.dry_run)
    damaged = {run.run_id: found for run in study.runs if (found := _lasting(damages(study.records.run(run.run_id))))}
    waiting = [r for r in study.runs if r.run_id not in damaged and not study.records.run(r.run_id).is_done()]
    print_plan(study, [*waiting, *(run for run in study.runs if run.run_id in damaged)], device, console)
    warned = [line for m in config.each_model for line in licence_warnings(m, study.dataset.info.licence)]
    for line in dict.fromkeys(warned):
        console.print(f"Warning: {line}", style="yellow", highlight=False, soft_wrap=True)
    if execution.dry_run:
        from imbalance_bench.cli.power_view import print_short_form

        print_short_form(study, console)
        if waiting:
            workers = _choose_engine(execution, config, device)[1]
            for line in estimate_cost(study, waiting, workers, device).lines():
                console.print(line, highlight=False, soft_wrap=True)
        return False
    if waiting:
        _train(study, waiting, execution, device, console)
    if damaged:
        first = next(iter(damaged.values()))[0]
        raise UserError(
            f"{len(damaged)} of {len(study.runs)} runs are damaged and were left alone. First: {first}. "
            f"`imbalance-bench repair {root}` mends them, then the same command goes on.",
            exit_code=1,
        )
    return bool(waiting)


def _lasting(found: list[Damage]) -> list[Damage]:
    """Leave out checkpoints: a run sets a damaged one aside itself and starts afresh."""
    return [damage for damage in found if damage.remedy != Remedy.RESTART]


def _train(
    study: Study, waiting: list[PlannedRun], execution: Execution, device: torch.device, console: Console
) -> None:
    """Execute the runs that wait, and print how they ended."""
    config = study.config
    _prefill(study, execution.cache, device, console)
    name, workers = _choose_engine(execution, config, device)
    steps = {run.run_id: planned_steps(study, run) for run in waiting}
    jobs = [
        RunJob(study.root, run.run_id, run.label, execution.cache, config.compute, steps[run.run_id]) for run in waiting
    ]
    table = LiveTable(study.taxonomy.names, {run.run_id: run.name for run in study.runs})
    display = ProgressDisplay(console, runs=len(jobs), unit_steps=max(steps.values()), table=table)
    with display:
        outcomes = execute_rounds(ENGINES[name], Effort(workers, config.compute.retries), jobs, display)
    print_status(study.records, console)
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if failed:
        first = f"{failed[0].label}: {failed[0].error}"
        raise UserError(f"{len(failed)} of {len(jobs)} runs failed. First: {first}", exit_code=1)


def _prefill(study: Study, cache: Path, device: torch.device, console: Console) -> None:
    """Make what all runs share once, with every core, before any run starts."""
    threads = torch.get_num_threads()
    keep_freed_memory()
    torch.set_num_threads(usable_cores())
    with ProgressDisplay(console) as display:
        for model in study.config.each_model:
            open_material(study.of(model), cache, device, display.on_phase)
    torch.set_num_threads(threads)


def _choose_engine(execution: Execution, config: StudyConfig, device: torch.device) -> tuple[str, int]:
    """Several processes on CPUs, one after the other on a GPU, unless the command line says otherwise."""
    workers = execution.workers or (1 if device.type != "cpu" else max(1, usable_cores() // config.compute.threads))
    return execution.engine or ("process" if workers > 1 else "serial"), workers


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
