"""Integrity of every pixel file: decodes, has the right size, holds declared class ids."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

import numpy as np

from imbalance_bench.data.pictures import IndexColours, Palette, misplaced, read_palette
from imbalance_bench.data.pixel_values import value_counts
from imbalance_bench.data.prepared import IMAGE_SUFFIXES, PreparedDataset, usable_cores
from imbalance_bench.errors import UserError
from imbalance_bench.names import is_left_by_a_system

OnProgress = Callable[[int, int], None]

_BAND_PX = 1024  # a multiple of the usual tile sizes


@dataclass(frozen=True)
class IntegrityReport:
    """What a look at every file found.

    Args:
        problems: One line per defect, naming the file. Empty when the data set is sound.
        remarks: One line per oddity that stops nothing: names that look alike, stray files, classes or images without
            labelled pixels.
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


def check_folder(folder: Path, *, on_progress: OnProgress | None = None) -> tuple[PreparedDataset, IntegrityReport]:
    """Check a data set that may be damaged anywhere: rows of the index, missing files, undecodable files.

    Raises:
        UserError: There is no data set at all; see `PreparedDataset.inspect`.
    """
    dataset, problems = PreparedDataset.inspect(folder)
    return dataset, check_dataset(dataset, on_progress=on_progress, earlier_problems=problems)


def check_dataset(
    dataset: PreparedDataset,
    *,
    workers: int | None = None,
    on_progress: OnProgress | None = None,
    earlier_problems: Sequence[str] = (),
) -> IntegrityReport:
    """Decode every image and mask, collecting all problems instead of stopping at the first.

    Args:
        dataset: The data set.
        earlier_problems: Problems found before; they come first.
        workers: Decoding threads; None takes every usable core.
        on_progress: Called with (images done, images in all).

    Returns:
        The report; problems are in the order of the index, pairs of files without a row come last.
    """
    problems: list[str] = list(earlier_problems)
    remarks: list[str] = list(dataset.remarks)
    values = np.zeros(256, dtype=np.int64)
    ids = [entry.image_id for entry in dataset.entries]
    unlabelled = dataset.info.unlabelled_id
    colours, coloured = IndexColours({class_.id: class_.id for class_ in dataset.info.classes}), list[str]()
    with ThreadPoolExecutor(workers or usable_cores()) as pool:
        results = pool.map(lambda image_id: _check_image(dataset, image_id), ids)
        for n_done, (image_id, (image_problems, counts, palette)) in enumerate(zip(ids, results, strict=True), start=1):
            problems += image_problems
            if palette is not None:
                difference = colours.difference(dataset.mask_path(image_id), palette)
                problems += [f"{difference} Save all masks in one palette, or in grey."] if difference else []
                coloured += [line] if (line := _odd_colour(dataset, image_id, palette)) else []
            if counts is not None:
                values += counts
                if counts.sum() == counts[unlabelled]:
                    remarks.append(f"{dataset.mask_path(image_id)} has no labelled pixel.")
            if on_progress is not None:
                on_progress(n_done, len(ids))
    remarks += coloured[:1]
    classes = dataset.info.classes
    remarks += [
        f"Class '{class_.name}' has no pixel in any readable mask." for class_ in classes if not values[class_.id]
    ]
    unlisted, stray = _stray_files(dataset)
    problems += [
        f"{dataset.root / 'index.csv'} must have a row for '{image_id}', which has an image and a mask. "
        "Add the row, or move both files away."
        for image_id in unlisted
    ]
    remarks += [f"{path} is not in index.csv." for path in stray]
    return IntegrityReport(
        problems=tuple(problems),
        remarks=tuple(remarks),
        names=tuple(class_.name for class_ in classes),
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
        others = f" (and {more} more; imbalance-bench data check {dataset.root} lists them)" if more else ""
        raise UserError(report.problems[0] + others)
    return report


def _check_image(dataset: PreparedDataset, image_id: str) -> tuple[list[str], np.ndarray | None, Palette | None]:
    """Return what is wrong with an image and its mask, the pixels per value of the mask, and its palette."""
    problems, counts, palette = [], None, None
    try:
        _decode_image(dataset, image_id)
    except UserError as error:
        problems.append(str(error))
    try:
        counts = value_counts(dataset.read_mask(image_id))
        palette = read_palette(dataset.mask_path(image_id))
    except UserError as error:
        problems.append(str(error))
    return problems, counts, palette


def _odd_colour(dataset: PreparedDataset, image_id: str, palette: Palette) -> str | None:
    """Return a remark on a mask whose palette has the colours of the classes at other indices than their ids."""
    classes = dataset.info.classes
    for index, id_ in misplaced(palette, {int(class_.colour[1:], 16): class_.id for class_ in classes}):
        return (
            f"{dataset.mask_path(image_id)} shows id {index} in the colour that dataset.yaml gives {id_} "
            f"('{classes[id_].name}'). The ids count; check that they are right."
        )
    return None


def _decode_image(dataset: PreparedDataset, image_id: str) -> None:
    """Decode a whole image; one that can be read in windows a band of rows at a time."""
    if not dataset.is_read_in_windows(image_id):
        dataset.read_image(image_id)
        return
    with dataset.open_windows(image_id) as image:
        for top in range(0, image.facts.height_px, _BAND_PX):
            image.read(top, 0, _BAND_PX, image.facts.width_px)


def _stray_files(dataset: PreparedDataset) -> tuple[list[str], list[Path]]:
    """Return the ids of images with a mask but no row in the index, and the files that belong to nothing."""
    ids = {entry.image_id for entry in dataset.entries}
    present = {name: _list_folder(dataset.root / name) for name in ("images", "masks")}
    stray = [path for files in present.values() for path in files if _id(path) not in ids or path.name[0] == "."]
    masks = {_id(path) for path in present["masks"] if path.suffix.lower() == ".png"}
    unlisted = {_id(path) for path in stray if path.parent.name == "images" and path.suffix.lower() in IMAGE_SUFFIXES}
    unlisted &= masks
    unlisted = {image_id for image_id in unlisted if image_id[0] != "."}
    return sorted(unlisted), [path for path in stray if _id(path) not in unlisted]


def _id(path: Path) -> str:
    return normalize("NFC", path.stem)


def _list_folder(folder: Path) -> list[Path]:
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in paths if not is_left_by_a_system(path.name)]
