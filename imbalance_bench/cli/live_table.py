"""A table of validation scores that grows while a study runs. For people: results come from `analyze`."""

import math
from collections.abc import Mapping, Sequence

from rich.table import Table

from imbalance_bench.engines.base import RunProgress


class LiveTable:
    """Dice per method and class on the validation images, mean over the runs that have counted them.

    Args:
        classes: Class names.
        methods: Run id -> method.
    """

    def __init__(self, classes: Sequence[str], methods: Mapping[str, str]) -> None:
        self._classes, self._methods = list(classes), methods
        self._dice: dict[str, list[float]] = {}  # run id -> K values

    def update(self, progress: RunProgress) -> None:
        """Take over what a run counted last."""
        if progress.validation is not None:
            self._dice[progress.run_id] = [_dice(*counts) for counts in progress.validation]

    @property
    def is_empty(self) -> bool:
        """True until the first run has counted its validation images."""
        return not self._dice

    def means(self) -> dict[str, tuple[int, list[float]]]:
        """Return method -> number of runs, and macro followed by each class; NaN where a class does not occur."""
        found = {}
        for method in dict.fromkeys(self._methods.values()):
            runs = [values for run_id, values in self._dice.items() if self._methods.get(run_id) == method]
            if runs:
                by_class = [_mean([run[k] for run in runs]) for k in range(len(self._classes))]
                found[method] = (len(runs), [_mean(by_class), *by_class])
        return found

    def render(self) -> Table:
        """Draw it for a terminal."""
        names = self._classes
        table = Table("validation Dice", "runs", "macro", *names, box=None, pad_edge=False)
        for method, (runs, values) in self.means().items():
            table.add_row(method, str(runs), *("" if math.isnan(value) else f"{value:.3f}" for value in values))
        return table

    def line(self, run_id: str) -> str:
        """Write the row of a run's method in one line; empty where nothing was counted."""
        method = self._methods.get(run_id, "")
        if method not in (found := self.means()):
            return ""
        runs, values = found[method]
        pairs = zip(("macro", *self._classes), values, strict=True)
        shown = ", ".join(f"{name} {value:.3f}" for name, value in pairs if not math.isnan(value))
        return f"{method}, {runs} run{'s' if runs != 1 else ''}, validation Dice: {shown}"


def _dice(tp: int, fp: int, fn: int) -> float:
    return 2 * tp / (2 * tp + fp + fn) if tp + fn else math.nan


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
