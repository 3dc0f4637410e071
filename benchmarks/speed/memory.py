"""Whether memory stays flat over many steps, and over many runs of one process."""

import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.method_cost import trainer_of
from benchmarks.speed.phantom_job import TINY_DECODER, PhantomJob
from benchmarks.speed.row import Row
from benchmarks.speed.setting import Setting
from imbalance_bench.allocator import keep_freed_memory
from imbalance_bench.planning import prepare_study
from imbalance_bench.training.material import open_material
from imbalance_bench.training.run import execute_run

READINGS = 40
WARM_UP = 0.1  # share of the way that is not read
MOST_MIB = 16  # from there to the end
JOB = PhantomJob(
    steps=2_000, encoder="tu-test_resnet", batch_size=2, crop_px=32, tile_px=64, views=2, model=TINY_DECODER,
    evaluation={},
)  # fmt: skip
SHORT_RUNS = replace(JOB, steps=3, methods=("cross_entropy", "dfa"), seeds=100)


def rows(setting: Setting) -> list[Row]:
    """Take steps of a tiny model, then execute tiny runs, and read the memory at intervals."""
    torch.set_num_threads(1)
    keep_freed_memory()
    return [*_over_steps(setting), *_over_runs(setting)]


def _over_steps(setting: Setting) -> list[Row]:
    job = replace(JOB, steps=20) if setting.tiny else JOB
    study = prepare_study(job.config(setting, "tissue"), setting.folder / "steps", lambda *_: None, write=False)
    data = open_material(study, setting.folder / "cache", torch.device(setting.device))
    trainer = trainer_of(study, study.runs[0], data)

    def take_step(_number: int) -> None:
        trainer._take_step(with_gradient_norms=False)  # pyright: ignore[reportPrivateUsage]

    return _growth(take_step, job.steps, "steps", setting)


def _over_runs(setting: Setting) -> list[Row]:
    job = replace(SHORT_RUNS, seeds=2) if setting.tiny else SHORT_RUNS
    study, cache = prepare_study(job.config(setting, "tissue"), setting.folder / "runs", lambda *_: None), "cache"

    def execute(number: int) -> None:
        execute_run(study, study.runs[number], setting.folder / cache, lambda *_: None)

    return _growth(execute, len(study.runs), "runs", setting)


def _growth(do: Callable[[int], None], times: int, what: str, setting: Setting) -> list[Row]:
    """Do something many times; a row for each kind of memory, with the slope of a line through its readings."""
    meters = {"resident": resident_mib} | ({"of the GPU": _allocated_mib} if setting.on_gpu else {})
    done, found = [], {name: list[float]() for name in meters}
    for number in range(times):
        do(number)
        if number >= WARM_UP * times and number % max(1, times // READINGS) == 0:
            done.append(number)
            for name, meter in meters.items():
                found[name].append(meter())
    made = []
    for name, readings in found.items():
        slope = float(np.polyfit(done, readings, 1)[0])
        told = f"{readings[0]:.0f} MiB after {done[0]}, {readings[-1]:.0f} after {done[-1]}, {len(readings)} readings"
        title = f"growth of memory ({name}) over {times} {what} of a tiny model, by a line through its readings"
        made.append(Row(title, "", slope * (done[-1] - done[0]), None, "MiB", MOST_MIB, "at most", told))
    return made


def resident_mib() -> float:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def _allocated_mib() -> float:
    return torch.cuda.memory_allocated() / 2**20
