"""Integrity of every pixel file: decodes, has the right size, holds declared class ids."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imbalance_bench.data.prepared import PreparedDataset, usable_cores
from imbalance_bench.errors import UserError

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class IntegrityReport:
    """What a look at every file found.

    Args:
        problems: One line per defect, naming the file. Empty when the data set is sound.
        remarks: One line per oddity that stops nothing: stray files, classes or images without labelled pixels.
        names: K class names of the data set, unmerged.
        pixels: (K,) int64, pixels per class over all readable masks.
        unlabelled_pixels: Pixels with `unlabelled_id`.
        n_images: Rows of the index.
    """

    problems: tuple[str, ...]
    remarks: tuple[str, ...]
    names: tuple[str, ...]
    pixels: np.ndarray
    unlabelled_pixels: int
    n_images: int

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def check_dataset(
    dataset: PreparedDataset, *, workers: int | None = None, on_progress: OnProgress | None = None
) -> IntegrityReport:
    """Decode every image and mask once, collecting all problems instead of stopping at the first.

    Args:
        dataset: The data set.
        workers: Decoding threads; None takes every usable core.
        on_progress: Called with (images done, images in all).

    Returns:
        The report; problems are in the order of the index.
    """
    problems: list[str] = []
    remarks: list[str] = []
    values = np.zeros(256, dtype=np.int64)
    ids = [entry.image_id for entry in dataset.entries]
    unlabelled = dataset.info.unlabelled_id
    with ThreadPoolExecutor(workers or usable_cores()) as pool:
        results = pool.map(lambda image_id: _check_image(dataset, image_id), ids)
        for done, (image_id, (found, counts)) in enumerate(zip(ids, results, strict=True), start=1):
            problems += found
            if counts is not None:
                values += counts
                if counts.sum() == counts[unlabelled]:
                    remarks.append(f"{dataset.mask_path(image_id)} has no labelled pixel.")
            if on_progress is not None:
                on_progress(done, len(ids))
    classes = dataset.info.classes
    remarks += [f"Class '{each.name}' has no pixel in any readable mask." for each in classes if not values[each.id]]
    remarks += [f"{path} is not in index.csv." for path in _stray_files(dataset)]
    return IntegrityReport(
        problems=tuple(problems),
        remarks=tuple(remarks),
        names=tuple(each.name for each in classes),
        pixels=values[: len(classes)].copy(),
        unlabelled_pixels=int(values[unlabelled]),
        n_images=len(ids),
    )


def require_sound(
    dataset: PreparedDataset, *, workers: int | None = None, on_progress: OnProgress | None = None
) -> IntegrityReport:
    """Check every file and refuse a data set with a defect.

    Raises:
        UserError: The first problem, with the number of the others.
    """
    report = check_dataset(dataset, workers=workers, on_progress=on_progress)
    if report.problems:
        more = len(report.problems) - 1
        rest = f" (and {more} more; imbalance-bench data check {dataset.root} lists them)" if more else ""
        raise UserError(report.problems[0] + rest)
    return report


def _check_image(dataset: PreparedDataset, image_id: str) -> tuple[list[str], np.ndarray | None]:
    problems = []
    counts = None
    try:
        dataset.read_image(image_id)
    except UserError as error:
        problems.append(str(error))
    try:
        counts = np.bincount(dataset.read_mask(image_id).ravel(), minlength=256)
    except UserError as error:
        problems.append(str(error))
    return problems, counts


def _stray_files(dataset: PreparedDataset) -> list[Path]:
    ids = [entry.image_id for entry in dataset.entries]
    expected = {dataset.image_path(each) for each in ids} | {dataset.mask_path(each) for each in ids}
    present = [path for folder in ("images", "masks") for path in sorted((dataset.root / folder).iterdir())]
    return [path for path in present if path not in expected]
