"""progress.jsonl of a run: what it wrote down while it trained, line by line, and when. No torch.

The tables of a finished run say the same without the times, and are what everything else reads; this file is for people
who watch a run, and for the real times of its numbers. A line that cannot be read is passed over.
"""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from imbalance_bench.manifest import write_atomically
from imbalance_bench.table_schemas import CLASS_PARAMETERS, EPOCHS

EpochRow = tuple[int, int, str, str, int, float]  # as EPOCHS
LedgerRow = tuple[int, int, int, str, float]  # as CLASS_PARAMETERS
Moment = tuple[int, int]  # stage and step


@dataclass(frozen=True)
class Progress:
    """What a log holds.

    Attributes:
        epochs: Rows of EPOCHS.
        ledger: Rows of CLASS_PARAMETERS.
        times: Stage and step -> seconds since 1970 when it was first written of.
    """

    epochs: pd.DataFrame
    ledger: pd.DataFrame
    times: dict[Moment, float]


class ProgressLog:
    """Writes the log of one run.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, reached: Moment | None) -> None:
        """Remove what was logged after the moment from which a run resumes; None: it restarts."""
        if not self._path.exists():
            return
        earlier_lines = [line for line in self._path.read_bytes().splitlines(keepends=True) if _is_kept(line, reached)]
        write_atomically(self._path, lambda file: file.writelines(earlier_lines))

    def add(self, epochs: Sequence[EpochRow], ledger: Sequence[LedgerRow]) -> None:
        """Append rows, with the time."""
        if not epochs and not ledger:
            return
        rows = {"epochs": [_written(row) for row in epochs], "ledger": [_written(row) for row in ledger]}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"time": round(time.time(), 3), **rows}, separators=(",", ":")) + "\n")


def read_progress(path: Path) -> Progress:
    """Read the log of a run; nothing where there is none."""
    epochs, ledger, times = [], [], dict[Moment, float]()
    content = path.read_bytes() if path.exists() else b""
    for line in content.splitlines():
        read = _read_line(line)
        if read is None:
            continue
        at, own_epochs, own_ledger = read
        epochs += own_epochs
        ledger += own_ledger
        for row in (*own_epochs, *own_ledger):
            times.setdefault((row[0], row[1]), at)
    return Progress(_frame(epochs, EPOCHS.names), _frame(ledger, CLASS_PARAMETERS.names), times)


def _frame(rows: Sequence[tuple], names: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(names)).astype({"value": "float64"})


def _is_kept(line: bytes, reached: Moment | None) -> bool:
    read = _read_line(line)
    if read is None or reached is None:
        return False
    return all((row[0], row[1]) <= reached for rows in read[1:] for row in rows)


def _read_line(line: bytes) -> tuple[float, list[EpochRow], list[LedgerRow]] | None:
    try:
        content = json.loads(line)
        epochs = [
            (int(stage), int(step), str(split), str(quantity), int(class_id), _number(value))
            for stage, step, split, quantity, class_id, value in content["epochs"]
        ]
        ledger = [
            (int(stage), int(step), int(class_id), str(parameter), _number(value))
            for stage, step, class_id, parameter, value in content["ledger"]
        ]
        return float(content["time"]), epochs, ledger
    except (ValueError, TypeError, KeyError, IndexError):  # cut off, or of something else
        return None


def _written(row: Sequence[object]) -> list[object]:
    """Return a row as JSON values; what is not known is null."""
    return [None if isinstance(value, float) and not math.isfinite(value) else value for value in row]


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
