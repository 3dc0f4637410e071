"""Tells a tracker of the runs of a study: once of what there is, or again and again while they train. No torch."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from imbalance_bench.errors import UserError, first_line, nearest
from imbalance_bench.records import StudyRecords
from imbalance_bench.tracking.history import History, Scalar
from imbalance_bench.tracking.sheet import RunSheet, StudySheet

INTERVAL_S = 5.0


class Tracker(Protocol):
    """One of the programs that people follow runs with. What was exported of the study before is replaced."""

    def write(self, run: RunSheet, scalars: Sequence[Scalar]) -> None:
        """Add numbers to a run, which the first call opens."""

    def finish(self, run: RunSheet, summary: dict[str, float]) -> None:
        """Add scores, cost and files of a run that is done, and end it."""

    def close(self) -> None:
        """Write everything; runs that are not done stay open, as far as there is such a thing."""


def _tensorboard(study: StudySheet, out: Path) -> Tracker:
    from imbalance_bench.tracking.to_tensorboard import TensorBoard

    return TensorBoard(study, out)


def _mlflow(study: StudySheet, out: Path) -> Tracker:
    from imbalance_bench.tracking.to_mlflow import Mlflow

    return Mlflow(study, out)


def _wandb(study: StudySheet, out: Path) -> Tracker:
    from imbalance_bench.tracking.to_wandb import WeightsAndBiases

    return WeightsAndBiases(study, out)


TARGETS: dict[str, Callable[[StudySheet, Path], Tracker]] = {
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
    "wandb": _wandb,
}


# what each is imported as, called, and installed with
PACKAGES = {
    "tensorboard": ("tensorboard", "TensorBoard", "tracking"),
    "mlflow": ("mlflow", "MLflow", "tracking"),
    "wandb": ("wandb", "Weights & Biases", "wandb"),
}


def require_installed(targets: Sequence[str]) -> None:
    """Refuse programs that are unknown or not installed.

    Raises:
        UserError: One of them is.
    """
    for target in targets:
        if target not in PACKAGES:
            raise UserError(f"Runs are tracked with {', '.join(PACKAGES)}. Got '{target}'.{nearest(target, PACKAGES)}")
        package, title, extra = PACKAGES[target]
        if find_spec(package) is None:
            raise UserError(f"{title} is not installed. Run: pip install 'imbalance-bench[{extra}]'.")


def tracking_folder(root: Path, target: str, out: Path | None = None) -> Path:
    """Return the folder of an export: the one that is given, or one within the study directory."""
    return out or root / "tracking" / target


class Export:
    """An export of one study.

    Args:
        study: The study.
        target: A key of TARGETS.
        out: Folder.

    Attributes:
        remarks: What could not be read, a sentence each.

    Raises:
        UserError: The program is not installed, or the plan is damaged.
    """

    def __init__(self, study: StudyRecords, target: str, out: Path) -> None:
        require_installed([target])
        self._study, self._target, self._out = study, target, out
        self._names = [str(class_["name"]) for class_ in study.dataset()["classes"]]
        self._tracker: Tracker | None = None
        self._last: dict[str, dict[str, int]] = {}  # run id -> name -> last step exported
        self._finished: set[str] = set()
        self.remarks: dict[str, str] = {}

    @property
    def runs(self) -> int:
        """Runs that were exported."""
        return len(self._last)

    @property
    def is_complete(self) -> bool:
        """True once every planned run is done and exported."""
        return self._finished >= {run["run_id"] for run in self._study.plan()["runs"]}

    def update(self) -> None:
        """Export everything that is new."""
        plan = self._study.plan()
        for planned in plan["runs"]:
            record = self._study.run(planned["run_id"])
            if record.run_id in self._finished:
                continue
            is_done = record.is_done()
            try:
                history = History.of(record)
                news = self._news(record.run_id, history)
                if news or (is_done and record.run_id not in self._last):
                    self._open().write(sheet := RunSheet.of(planned, plan, record), news)
                    self._note(sheet.run_id, news)
                if is_done:
                    sheet = RunSheet.of(planned, plan, record)
                    self._open().finish(sheet, sheet.summary(self._names))
                    self._finished.add(record.run_id)
            except UserError as error:  # one that is damaged does not hide the others
                self.remarks[record.run_id] = str(error)

    def close(self) -> None:
        """Write everything."""
        if self._tracker is not None:
            self._tracker.close()

    def _open(self) -> Tracker:
        if self._tracker is None:  # not before there is something to write
            self._tracker = TARGETS[self._target](StudySheet.of(self._study), self._out)
        return self._tracker

    def _news(self, run_id: str, history: History) -> list[Scalar]:
        """Return what was not exported yet; steps that a resumed run repeats were."""
        last = self._last.get(run_id, {})
        return [scalar for scalar in history.scalars(self._names) if scalar.step > last.get(scalar.name, -1)]

    def _note(self, run_id: str, scalars: Sequence[Scalar]) -> None:
        last = self._last.setdefault(run_id, {})
        for scalar in scalars:
            last[scalar.name] = max(scalar.step, last.get(scalar.name, -1))


@contextmanager
def following(
    study: StudyRecords, target: str, out: Path, on_remark: Callable[[str], None], *, interval_s: float | None = None
) -> Iterator[None]:
    """Export a study in the background while its runs train; its failures are reported, and stop no run.

    Args:
        study: The study.
        target: A key of TARGETS.
        out: Folder.
        on_remark: Called with what could not be exported.
        interval_s: Seconds between two looks; None: INTERVAL_S.
    """
    export, ended = Export(study, target, out), threading.Event()

    def follow() -> None:
        try:
            while not ended.wait(INTERVAL_S if interval_s is None else interval_s):
                export.update()
            export.update()
            export.close()
        except Exception as error:  # noqa: BLE001 - whatever a tracker dies of, training goes on
            on_remark(f"tracking with {target} ended: {first_line(error)}")

    thread = threading.Thread(target=follow, name=f"tracking {target}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        for remark in export.remarks.values():
            on_remark(remark)
