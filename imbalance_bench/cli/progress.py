"""What a person sees while something runs: bars in a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from imbalance_bench.cli.live_table import LiveTable
from imbalance_bench.engines.base import RunOutcome, RunProgress

PLAIN_INTERVAL_S = 15.0


class _BarsAndTable(Progress):
    """Progress bars with a table below them."""

    def __init__(self, table: LiveTable | None, *columns: ProgressColumn, console: Console, disable: bool) -> None:
        self._below, self._console = table, console  # before the parent draws for the first time
        super().__init__(*columns, console=console, disable=disable)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Draw the bars, then the table once it has rows."""
        yield self.make_tasks_table(self.tasks)
        if self._below is not None and not self._below.is_empty:
            yield self._below.render(self._console.width)


class ProgressDisplay:
    """Shows phases, then runs; a context manager.

    Args:
        console: Where to draw.
        runs: Runs to come; 0 while only phases are shown.
        unit_steps: Steps of each run, for the time left of the whole.
        table: Scores shown below the bars, in a terminal, and a line of it after each run elsewhere.
    """

    def __init__(self, console: Console, *, runs: int = 0, unit_steps: int = 0, table: LiveTable | None = None) -> None:
        self._console, self._plain = console, not console.is_terminal
        self._table = table
        self._bars = _BarsAndTable(
            table,
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=self._plain,
        )
        self._tasks: dict[str, TaskID] = {}
        self._runs, self._done, self._unit_steps = runs, 0, unit_steps
        self._steps: dict[str, int] = {}
        self._first_steps: dict[str, int] = {}
        self._started = time.monotonic()
        self._last_line: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        if self._runs and not self._plain:
            self._tasks["all"] = self._bars.add_task("all runs", total=self._runs * self._unit_steps, note="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def on_phase(self, phase: str, n_done: int, total: int) -> None:
        """A phase before the runs made progress."""
        if self._plain:
            if self._due(phase) or n_done == total:
                self._console.print(f"{phase}: {n_done}/{total}", highlight=False)
            return
        task = self._tasks.get(phase)
        if task is None:
            task = self._tasks[phase] = self._bars.add_task(phase, total=total, note="")
        self._bars.update(task, completed=n_done, total=total)

    def on_progress(self, progress: RunProgress) -> None:
        """A run made progress; see `Listener`."""
        for line in self._table.update(progress) if self._table is not None else ():
            self.on_remark(line)
        self._steps[progress.run_id] = progress.step
        self._first_steps.setdefault(progress.run_id, progress.step)
        loss = "" if progress.loss is None else f"loss {progress.loss:.3f}"
        if self._plain:
            if self._due("runs"):
                line = f"{self._done}/{self._runs} runs done; {progress.label}: step {progress.step}/{progress.steps}"
                self._console.print(f"{line} {loss}{self._time_left()}", highlight=False)
            return
        task = self._tasks.get(progress.run_id)
        if task is None:
            task = self._bars.add_task(progress.label, total=progress.steps, note="")
            self._tasks[progress.run_id] = task
        self._bars.update(task, completed=progress.step, total=progress.steps, note=loss)
        self._bars.update(self._tasks["all"], completed=sum(self._steps.values()))

    def on_outcome(self, outcome: RunOutcome) -> None:
        """A run ended; see `Listener`."""
        self._done += 1
        self._steps[outcome.run_id] = self._unit_steps
        self._first_steps.setdefault(outcome.run_id, self._unit_steps)
        task = self._tasks.pop(outcome.run_id, None)
        if task is not None:
            self._bars.remove_task(task)
        if "all" in self._tasks:
            self._bars.update(self._tasks["all"], completed=sum(self._steps.values()))
        how = "done" if outcome.error is None else f"FAILED: {outcome.error}"
        line = f"{self._done}/{self._runs} {outcome.label}: {how}"
        self._console.print(line, highlight=False, soft_wrap=True)
        if self._plain and self._table is not None and (row := self._table.line(outcome.run_id)):
            self._console.print(row, highlight=False, soft_wrap=True)

    def on_remark(self, line: str) -> None:
        """Something happened that a person should know of; see `Listener`."""
        self._console.print(line, style="yellow", highlight=False, markup=False, soft_wrap=True)

    def _due(self, phase: str) -> bool:
        """True at most once per interval, and never within the first one."""
        now = time.monotonic()
        last = self._last_line.setdefault(phase, self._started)
        if now - last < PLAIN_INTERVAL_S:
            return False
        self._last_line[phase] = now
        return True

    def _time_left(self) -> str:
        """Estimate from the steps taken since the start."""
        taken = sum(self._steps.values()) - sum(self._first_steps.values())
        left = self._runs * self._unit_steps - sum(self._steps.values())
        if taken <= 0:
            return ""
        minutes = (time.monotonic() - self._started) * left / taken / 60
        return f", about {minutes:.0f} min left" if minutes >= 1 else ", under a minute left"
