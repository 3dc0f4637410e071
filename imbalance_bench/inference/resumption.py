"""What a killed prediction of an image leaves behind, and how the next one resumes from it."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from imbalance_bench.errors import UserError
from imbalance_bench.inference.ids_file import IdsFile
from imbalance_bench.inference.windowed_prediction import Window
from imbalance_bench.locking import LockHeldError, locked
from imbalance_bench.manifest import LOCK, write_json

SAVE_INTERVAL_S = 2.0


@dataclass
class Progress:
    """How far the prediction of an image is.

    Attributes:
        key: Names model, image and options; what was left by others is not used.
        pixels: Finished pixels of each class.
        rows: Finished rows of tiles of each panel.
        complete: Whether all files of the image are written.
    """

    key: str
    pixels: list[int]
    rows: dict[int, int] = field(default_factory=dict)
    complete: bool = False

    @property
    def predicted_pixels(self) -> int:
        """Finished pixels of all classes."""
        return sum(self.pixels)


class Workplace:
    """A folder beside the output of an image, where finished windows wait until its files can be written.

    Args:
        folder: The folder; it exists.
        key: Names model, image and options.
        n_classes: K.
    """

    def __init__(self, folder: Path, key: str, n_classes: int) -> None:
        self.folder = folder
        self._saved_at = time.monotonic()
        left = _left_by(folder / "progress.json", key)
        if left is None:
            (folder / "ids").unlink(missing_ok=True)
        self.resumed = left is not None
        self.progress = left or Progress(key, [0] * n_classes)

    def ids(self, height_px: int, width_px: int) -> IdsFile:
        """Open the class ids of the image."""
        return IdsFile(self.folder / "ids", height_px, width_px)

    def keep(self, ids: IdsFile, window: Window) -> None:
        """Keep a finished window, for good at the latest with `save`."""
        ids.write(window.top, window.left, window.ids)
        counts = np.bincount(window.ids.ravel(), minlength=len(self.progress.pixels))[: len(self.progress.pixels)]
        self.progress.pixels = (counts + self.progress.pixels).tolist()
        self.progress.rows[window.panel] = window.row + 1
        if time.monotonic() - self._saved_at >= SAVE_INTERVAL_S:
            self.save(ids)

    def save(self, ids: IdsFile) -> None:
        """Note what is finished, once it is on the disk."""
        ids.flush()
        write_json(self.folder / "progress.json", asdict(self.progress))
        self._saved_at = time.monotonic()

    def finish(self) -> None:
        """Note that the files of the image are written; the ids are not needed any more."""
        self.progress.complete = True
        write_json(self.folder / "progress.json", asdict(self.progress))
        (self.folder / "ids").unlink(missing_ok=True)


@contextmanager
def workplace(folder: Path, key: str, n_classes: int) -> Iterator[Workplace]:
    """Open or make a workplace, for one process at a time; a context manager. `clear` removes it.

    Raises:
        UserError: Another process predicts the same image into the same folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder / LOCK, patience_s=0):
            yield Workplace(folder, key, n_classes)
    except LockHeldError:
        raise UserError(
            f"{folder.parent} must be written by one command at a time. Another one predicts this image there. "
            "Wait for it, or give another --out."
        ) from None


def clear(folder: Path) -> None:
    """Remove a workplace."""
    shutil.rmtree(folder, ignore_errors=True)


def _left_by(path: Path, key: str) -> Progress | None:
    """Read the progress of an earlier prediction, if it is of the same."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        progress = Progress(
            key=content["key"],
            pixels=[int(value) for value in content["pixels"]],
            rows={int(panel): int(rows) for panel, rows in content["rows"].items()},
            complete=bool(content["complete"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    whole = progress.complete or (path.with_name("ids")).exists()
    return progress if progress.key == key and whole else None
