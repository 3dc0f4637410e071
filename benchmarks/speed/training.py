"""Training steps: what DFA costs, what surrounds the arithmetic, and whether memory stays flat."""

import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmarks.method_cost import Load, step_times, study_of, trainer_of
from benchmarks.speed.row import Row
from imbalance_bench.models.segmenter import Segmenter
from imbalance_bench.planning import prepare_study
from imbalance_bench.training.material import open_material
from imbalance_bench.training.run import execute_run

STEPS, RUNS = 2_000, 200


def step_rows(folder: Path) -> list[Row]:
    """Time steps of the base and of DFA in turn."""
    torch.set_num_threads(1)
    study = study_of(folder / "steps", ["cross_entropy", "dfa"], Load(crop_px=256, batch_size=4, rounds=12))
    data = open_material(study, folder / "steps" / "cache", torch.device("cpu"))
    trainers = {run.method.label: trainer_of(study, run, data) for run in study.runs}
    base, dfa = (statistics.median(each) for each in step_times(trainers, 12).values())
    return [
        Row(
            "a step of DFA, 4 crops of 256 px",
            "the same decoder without bias",
            1e3 * dfa,
            1e3 * base,
            "ms",
            1.02,
            "ratio at most",
        )
    ]


def overhead_rows(folder: Path) -> list[Row]:
    """Time whole runs, and the forward and backward passes and optimiser steps in them."""
    torch.set_num_threads(1)
    study = study_of(folder / "whole", ["cross_entropy", "dfa"], Load(crop_px=256, batch_size=4, rounds=40))
    study = prepare_study(study.config, folder / "whole" / "study", lambda *_: None)
    open_material(study, folder / "whole" / "cache", torch.device("cpu"))
    spent = [0.0]
    started = time.perf_counter()
    with (
        _timed(Segmenter, "forward", spent),
        _timed(Segmenter, "decode", spent),
        _timed(torch.Tensor, "backward", spent),
        _timed(torch.optim.AdamW, "step", spent),
    ):
        for run in study.runs:
            execute_run(study, run, folder / "whole" / "cache", lambda *_: None)
    wall = time.perf_counter() - started
    costs = [study.records.run(run.run_id).manifest()["cost"] for run in study.runs]
    evaluated = sum(sum(cost.get("evaluation_seconds", {}).values()) for cost in costs)
    note = (
        f"records, validation and checkpoints included; {evaluated:.1f} s are the evaluation of whole images at the end"
    )
    return [
        Row(
            "two runs of 42 steps",
            "their forward and backward passes and optimiser steps",
            wall,
            spent[0],
            "s",
            1.10,
            "ratio at most",
            note,
        )
    ]


@contextmanager
def _timed(owner: Any, name: str, spent: list[float]) -> Iterator[None]:
    """Add the time of the outermost calls of a function to `spent`."""
    plain: Callable[..., Any] = getattr(owner, name)
    depth = _DEPTH

    def timed(*arguments: Any, **options: Any) -> Any:
        depth[0] += 1
        started = time.perf_counter()
        try:
            return plain(*arguments, **options)
        finally:
            depth[0] -= 1
            if not depth[0]:
                spent[0] += time.perf_counter() - started

    setattr(owner, name, timed)
    try:
        yield
    finally:
        setattr(owner, name, plain)


_DEPTH = [0]


def memory_rows(folder: Path) -> list[Row]:
    """Watch resident memory over many small steps, and over many runs of one process."""
    torch.set_num_threads(1)
    study = study_of(folder / "flat", ["cross_entropy"], Load(crop_px=32, batch_size=1, rounds=STEPS))
    data = open_material(study, folder / "flat" / "cache", torch.device("cpu"))
    trainer = trainer_of(study, study.runs[0], data)
    before = 0.0
    for number in range(STEPS):
        trainer._take_step(with_gradient_norms=False)  # pyright: ignore[reportPrivateUsage]
        if number == STEPS // 10:
            before = _resident_mib()
    grown = [
        Row(
            f"growth of memory from step {STEPS // 10} to {STEPS}",
            "",
            _resident_mib() - before,
            None,
            "MiB",
            16,
            "at most",
        )
    ]
    return grown + _over_runs(folder)


def _over_runs(folder: Path) -> list[Row]:
    load = Load(crop_px=32, batch_size=1, rounds=1)
    config = study_of(folder / "runs", ["cross_entropy"], load).config.model_copy(update={"seeds": tuple(range(RUNS))})
    study, before = prepare_study(config, folder / "runs" / "study", lambda *_: None), 0.0
    for number, run in enumerate(study.runs):
        execute_run(study, run, folder / "runs" / "cache", lambda *_: None)
        if number == RUNS // 10:
            before = _resident_mib()
    what = f"growth of memory from run {RUNS // 10} to {RUNS}"
    return [Row(what, "", _resident_mib() - before, None, "MiB", 16, "at most")]


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20
