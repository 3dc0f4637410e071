"""Where runs execute: one small interface."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from imbalance_bench.engines.base import Engine, Resources
from imbalance_bench.errors import UserError


def _serial(resources: Resources) -> Engine:  # noqa: ARG001 - one at a time, whatever is asked
    from imbalance_bench.engines.serial import SerialEngine

    return SerialEngine()


def _process(resources: Resources) -> Engine:
    from imbalance_bench.engines.process import ProcessEngine

    return ProcessEngine(resources.workers, devices=resources.devices)


def _slurm(resources: Resources) -> Engine:
    from imbalance_bench.engines.slurm import SlurmEngine

    return SlurmEngine(resources.workers, resources.compute)


def _ray(resources: Resources) -> Engine:
    from imbalance_bench.engines.ray import RayEngine

    return RayEngine(resources.workers, resources.compute)


@dataclass(frozen=True)
class EngineEntry:
    """An engine of the registry.

    Attributes:
        make: Makes it; what it needs is imported then.
        package: What must be installed for it, by the optional extra of the engine's name; None: nothing.
        elsewhere: Runs may execute on other machines: what this one has says nothing about them.
    """

    make: Callable[[Resources], Engine]
    package: str | None = None
    elsewhere: bool = False


ENGINES = {
    "serial": EngineEntry(_serial),
    "process": EngineEntry(_process),
    "slurm": EngineEntry(_slurm, package="submitit", elsewhere=True),
    "ray": EngineEntry(_ray, package="ray", elsewhere=True),
}


def require_installed(name: str) -> None:
    """Refuse an engine whose package is missing, before anything is computed.

    Raises:
        UserError: It is.
    """
    package = ENGINES[name].package
    if package is not None and find_spec(package) is None:
        raise UserError(
            f"--engine {name} needs the package {package}. Got none. Run: pip install 'imbalance-bench[{name}]'."
        )
