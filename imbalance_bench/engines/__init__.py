"""Where runs execute: one small interface."""

from collections.abc import Callable

from imbalance_bench.engines.base import Engine


def _serial(workers: int) -> Engine:  # noqa: ARG001 - one at a time, whatever is asked
    from imbalance_bench.engines.serial import SerialEngine

    return SerialEngine()


def _process(workers: int) -> Engine:
    from imbalance_bench.engines.process import ProcessEngine

    return ProcessEngine(workers)


ENGINES: dict[str, Callable[[int], Engine]] = {"serial": _serial, "process": _process}
