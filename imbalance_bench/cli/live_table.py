"""A table of validation scores that grows while a study runs. For people: results come from `analyze`."""

import math
from collections.abc import Mapping, Sequence

from rich.console import RenderableType
from rich.table import Table

from imbalance_bench.engines.base import RunProgress
from imbalance_bench.terminal import fitting
from imbalance_bench.training.collapse import collapse
from imbalance_bench.validation_dice import dice_of_counts, mean_of_known

DIED = "died"  # beside the Dice of a class that a run of the method learned and lost


class LiveTable:
    """Dice per method and class on the validation images, mean over the runs that have counted them.

    Args:
        classes: Class names.
        methods: Run id -> method.
    """

    def __init__(self, classes: Sequence[str], methods: Mapping[str, str]) -> None:
        self._classes, self._methods = list(classes), methods
        self._dice: dict[str, list[float]] = {}  # run id -> K values
        self._history: dict[str, list[list[float]]] = {}  # run id -> K values of each validation since the start
        self._last: dict[str, tuple[object, object]] = {}  # run id -> when it counted last, and what
        self._died: dict[str, set[int]] = {}  # run id -> classes that it learned and lost

    def recall(self, run_id: str, validations: Sequence[Sequence[float]]) -> None:
        """Take over what a run counted before this command began.

        Args:
            run_id: The run.
            validations: K values of each of its validations, in order.
        """
        if not validations:
            return
        self._history[run_id] = [list(values) for values in validations]
        self._dice[run_id] = self._history[run_id][-1]
        self._alarms(run_id, "")

    def update(self, progress: RunProgress) -> list[str]:
        """Take over what a run counted last.

        Returns:
            One line for each class that has died since; what died before the run was resumed is left to the report.
        """
        if progress.validation is None:
            return []
        dice = [dice_of_counts(*counts) for counts in progress.validation]
        run_id = progress.run_id
        counted = progress.validated_at, progress.validation
        if counted != self._last.get(run_id):
            self._history.setdefault(run_id, []).append(dice)
        self._dice[run_id], self._last[run_id] = dice, counted
        return self._alarms(run_id, progress.label)

    def _alarms(self, run_id: str, label: str) -> list[str]:
        """Note which classes are dead now, and tell of those that were not."""
        before, lines = self._died.get(run_id, set()), []
        self._died[run_id] = set()
        for k, name in enumerate(self._classes):
            collapsed = collapse([values[k] for values in self._history[run_id]])
            if collapsed is None:
                continue
            self._died[run_id].add(k)
            if k not in before:
                lines.append(
                    f"{label}: class {name} died: its validation Dice is {collapsed.last_dice:.3f} and was "
                    f"{collapsed.best_dice:.3f}"
                )
        return lines

    def _marks(self, method: str) -> list[str]:
        """Return the mark of macro (none) and of each class: in how many runs of the method it died."""
        died = [classes for run_id, classes in self._died.items() if self._methods.get(run_id) == method]
        counts = [sum(k in classes for classes in died) for k in range(len(self._classes))]
        return ["", *(f" {DIED} in {n}" if n else "" for n in counts)]

    @property
    def is_empty(self) -> bool:
        """True until the first run has counted its validation images."""
        return not self._dice

    def means(self) -> dict[str, tuple[int, list[float]]]:
        """Return method -> number of runs, and macro followed by each class; NaN where a class does not occur."""
        means = {}
        for method in dict.fromkeys(self._methods.values()):
            runs = [values for run_id, values in self._dice.items() if self._methods.get(run_id) == method]
            if runs:
                by_class = [mean_of_known([run[k] for run in runs]) for k in range(len(self._classes))]
                means[method] = (len(runs), [mean_of_known(by_class), *by_class])
        return means

    def render(self, width: int) -> RenderableType:
        """Draw it for a terminal of `width` columns."""
        table = Table("validation Dice", "runs", "macro", *self._classes, box=None, pad_edge=False)
        for method, (runs, values) in self.means().items():
            cells = zip(values, self._marks(method), strict=True)
            table.add_row(
                method, str(runs), *("" if math.isnan(value) else f"{value:.3f}{mark}" for value, mark in cells)
            )
        return fitting(table, width)

    def line(self, run_id: str) -> str:
        """Write the row of a run's method in one line; empty where nothing was counted."""
        method = self._methods.get(run_id, "")
        if method not in (means := self.means()):
            return ""
        runs, values = means[method]
        parts = zip(("macro", *self._classes), values, self._marks(method), strict=True)
        shown = ", ".join(f"{name} {value:.3f}{mark}" for name, value, mark in parts if not math.isnan(value))
        return f"{method}, {runs} run{'s' if runs != 1 else ''}, validation Dice: {shown}"
