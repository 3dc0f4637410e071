"""What an engine does: execute runs of a study directory somewhere, and say how they went. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from imbalance_bench.config import ComputeSection


@dataclass(frozen=True)
class RunJob:
    """A run to execute; everything else about it lies in the study directory.

    Attributes:
        root: The study directory.
        run_id: A run of its plan.
        label: For people.
        cache_dir: Where tiles and features are cached.
        compute: How it executes; None: as the plan says, which another runner may have written since.
        steps: Optimiser steps in all; for the status of a run whose process died.
    """

    root: Path
    run_id: str
    label: str
    cache_dir: Path
    compute: ComputeSection | None = None
    steps: int = 0


@dataclass(frozen=True)
class Resources:
    """What an engine may use.

    Attributes:
        workers: Runs at a time.
        compute: How runs execute, with what they ask a cluster for.
        devices: CUDA devices of this machine, as CUDA_VISIBLE_DEVICES names them.
    """

    workers: int
    compute: ComputeSection
    devices: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunProgress:
    """How far a run is.

    Attributes:
        run_id: The run.
        label: For people.
        step: Optimiser steps done, over all stages.
        steps: In all.
        loss: Of the last step; None before the first.
        validation: True positives, false positives and false negatives of each class when the run last counted its
            validation images; None before that.
        validated_at: Step of the stage at which it counted them.
    """

    run_id: str
    label: str
    step: int
    steps: int
    loss: float | None = None
    validation: tuple[tuple[int, int, int], ...] | None = None
    validated_at: int | None = None


class Obstacle(StrEnum):
    """Why a run did not end although nothing is wrong with it: what another try may overcome."""

    LOST = "lost"  # its process died
    OUT_OF_MEMORY = "out of memory"
    STOPPED = "stopped"  # a scheduler ended it: cancelled, preempted, at its time limit, its node gone
    IN_USE = "in use"  # another runner of the same study trains it


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended.

    Attributes:
        run_id: The run.
        label: For people.
        error: None for a finished one, else one line.
        obstacle: What another try may overcome; None for a finished run and for one that would fail again.
    """

    run_id: str
    label: str
    error: str | None = None
    obstacle: Obstacle | None = None


Execute = Callable[[RunJob, Callable[[RunProgress], None]], RunOutcome]  # in this process, telling of progress


class Listener(Protocol):
    """Receives what happens during the runs, and draws the progress bars."""

    def on_progress(self, progress: RunProgress) -> None:
        """A run made progress."""

    def on_outcome(self, outcome: RunOutcome) -> None:
        """A run ended."""

    def on_remark(self, line: str) -> None:
        """Something happened that a person should know of."""


class Engine(Protocol):
    """Executes runs; an engine for a cluster needs this method alone."""

    def execute(self, jobs: Sequence[RunJob], listener: Listener) -> list[RunOutcome]:
        """Execute each job once and return their outcomes, in the order in which they ended.

        A failed run, or one whose process died, does not stop the others. Interrupting leaves every run resumable.
        """
        ...


@runtime_checkable
class LeavableEngine(Engine, Protocol):
    """An engine whose runs continue when nobody waits for them."""

    def submit(self, jobs: Sequence[RunJob], listener: Listener) -> None:
        """Hand the jobs over and return; those that were handed over earlier and are not lost stay as they are."""
        ...
