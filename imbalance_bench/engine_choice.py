"""Which engine executes a study, with what of this machine."""

import os
from dataclasses import dataclass, replace

import torch

from imbalance_bench.config import ComputeSection, StudyConfig
from imbalance_bench.data.prepared import usable_cores
from imbalance_bench.engines import ENGINES, require_installed
from imbalance_bench.engines.base import Engine, LeavableEngine, Resources
from imbalance_bench.errors import UserError
from imbalance_bench.training.material import choose_device

LEFT_TO_THE_SCHEDULER = 10_000  # runs at a time on a cluster


@dataclass(frozen=True)
class ChosenEngine:
    """An engine for a study.

    Attributes:
        name: A key of ENGINES.
        resources: What it may use.
        device: Of this machine; None where runs execute elsewhere.
    """

    name: str
    resources: Resources
    device: torch.device | None

    @property
    def where(self) -> str:
        """Where runs execute, for people."""
        if self.device is not None:
            return str(self.device)
        return f"that of each run: {self.name} is asked for {_gpus_asked_for(self.name, self.resources.compute):g} GPUs"

    def engine(self, workers: int) -> Engine:
        """Make the engine for a number of workers."""
        return ENGINES[self.name].make(replace(self.resources, workers=workers))

    def leavable(self) -> LeavableEngine:
        """Make the engine, which executes runs when nobody waits.

        Raises:
            UserError: It does not.
        """
        engine = self.engine(self.resources.workers)
        if not isinstance(engine, LeavableEngine):
            raise UserError(f"--detach needs an engine with a queue of its own, such as slurm. Got {self.name}.")
        return engine


def choose_engine(
    config: StudyConfig, engine: str | None = None, workers: int | None = None, *, detach: bool = False
) -> ChosenEngine:
    """Choose the engine that is given; else processes on CPUs or several GPUs, and one run at a time on one GPU.

    Args:
        config: The study.
        engine: A key of ENGINES, if it is given.
        workers: Runs at a time, if they are given.
        detach: The engine must execute runs when nobody waits.

    Raises:
        UserError: The engine cannot work here, or not so.
    """
    compute = config.compute
    if engine is not None:
        require_installed(engine)
    if engine is not None and ENGINES[engine].elsewhere:
        _require_gpus(engine, compute)
        chosen = ChosenEngine(engine, Resources(workers or LEFT_TO_THE_SCHEDULER, compute), None)
    else:
        device = choose_device(compute)
        devices = visible_devices() if device.type == "cuda" and device.index is None else ()
        on_device = max(1, len(devices)) if device.type != "cpu" else 0
        workers = workers or on_device or max(1, usable_cores() // compute.threads)
        name = engine or ("process" if workers > 1 else "serial")
        chosen = ChosenEngine(name, Resources(workers, compute, devices if len(devices) > 1 else ()), device)
    chosen.engine(chosen.resources.workers)  # says now what would stop it later
    if detach:
        chosen.leavable()
    return chosen


def visible_devices() -> tuple[str, ...]:
    """CUDA devices of this machine, as CUDA_VISIBLE_DEVICES names them."""
    number, named = torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(map(str, range(number))) if named is None else tuple(named.split(",")[:number])


def _gpus_asked_for(engine: str, compute: ComputeSection) -> float:
    """What each run asks a cluster for."""
    section = {"slurm": compute.slurm, "ray": compute.ray}[engine]
    return 0 if section is None else section.gpus


def _require_gpus(engine: str, compute: ComputeSection) -> None:
    """Refuse a device that runs would not find."""
    if compute.device.startswith("cuda") and not _gpus_asked_for(engine, compute):
        raise UserError(
            f"`compute.device` {compute.device} needs a GPU, and `compute.{engine}.gpus` asks for none. "
            f"Set `compute.{engine}.gpus`, or `compute.device: auto`."
        )
