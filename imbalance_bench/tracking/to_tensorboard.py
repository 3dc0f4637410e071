"""TensorBoard: a folder of events per run, with the settings of each in the table of hyperparameters."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imbalance_bench.tracking.history import Scalar
from imbalance_bench.tracking.sheet import RunSheet, StudySheet


class TensorBoard:
    """Writes event files below a folder; see `export.Tracker`.

    Args:
        study: The study.
        out: Folder of the runs' folders.
    """

    def __init__(self, study: StudySheet, out: Path) -> None:  # noqa: ARG002 - as every tracker
        self._out = out
        self._writers: dict[str, Any] = {}
        self._last_step: dict[str, int] = {}

    def write(self, run: RunSheet, scalars: Sequence[Scalar]) -> None:
        """Add numbers to a run's events."""
        writer = self._writer(run)
        for scalar in scalars:
            writer.add_scalar(scalar.name, scalar.value, scalar.step, walltime=scalar.time)
            self._last_step[run.run_id] = max(scalar.step, self._last_step.get(run.run_id, 0))
        writer.flush()

    def finish(self, run: RunSheet, summary: dict[str, float]) -> None:
        """Add scores and cost at the last step, and what the table of hyperparameters shows."""
        from torch.utils.tensorboard.summary import hparams

        writer, step = self._writer(run), self._last_step.get(run.run_id, 0)
        for name, value in summary.items():
            writer.add_scalar(name, value, step)
        scores = {name: value for name, value in summary.items() if name.startswith("test/") and math.isfinite(value)}
        settings = {name: _hyperparameter(value) for name, value in run.settings.items()}
        for part in hparams(settings, scores):
            writer.file_writer.add_summary(part)
        writer.close()
        del self._writers[run.run_id]

    def close(self) -> None:
        """Write everything."""
        for writer in self._writers.values():
            writer.close()

    def _writer(self, run: RunSheet) -> Any:
        from torch.utils.tensorboard.writer import SummaryWriter

        if run.run_id not in self._writers:
            folder = self._out / run.folder_name
            for old in folder.glob("events.out.tfevents.*"):
                old.unlink()  # exporting again replaces
            self._writers[run.run_id] = SummaryWriter(str(folder))
        return self._writers[run.run_id]


def _hyperparameter(value: object) -> bool | float | int | str:
    return value if isinstance(value, bool | float | int | str) else "null"
