"""The one data format that the runner reads: `dataset.yaml`, `index.csv`, `images/` and `masks/`."""

import csv
import os
import struct
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image

from imbalance_bench.data.dataset_file import ClassInfo, DatasetInfo, is_plain_name, read_dataset_info
from imbalance_bench.errors import UserError, nearest
from imbalance_bench.manifest import canonical_hash, file_hash

__all__ = ["ClassInfo", "DatasetInfo", "ImageEntry", "PreparedDataset", "usable_cores"]

SPLITS = ("train", "val", "test")
IMAGE_SUFFIXES = (".png", ".webp", ".jpg", ".jpeg", ".tif", ".tiff")
COLUMNS = ("image_id", "group_id", "split", "height_px", "width_px")

_DECODE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)


@dataclass(frozen=True)
class ImageEntry:
    """One row of `index.csv`.

    Args:
        image_id: Stem of the image and of its mask.
        group_id: Patient or slide; never divided between splits.
        split: "train", "val", "test", or "" where none is published.
        height_px: Rows of the image.
        width_px: Columns of the image.
        extra: Every other column (site, stain, ...), as text.
    """

    image_id: str
    group_id: str
    split: str
    height_px: int
    width_px: int
    extra: dict[str, str] = field(default_factory=dict)


class PreparedDataset:
    """A prepared data set whose every claim that needs no pixel has been checked.

    Args:
        root: The folder that holds `dataset.yaml`.
        info: Content of `dataset.yaml`.
        entries: Rows of `index.csv`, in its order; image indices elsewhere count along them.
        image_paths: Image id -> image file.
    """

    def __init__(
        self, root: Path, info: DatasetInfo, entries: tuple[ImageEntry, ...], image_paths: dict[str, Path]
    ) -> None:
        self.root = root
        self.info = info
        self.entries = entries
        self._image_paths = image_paths
        self._entries = {entry.image_id: entry for entry in entries}
        self._declared = np.zeros(256, dtype=bool)
        self._declared[[info.unlabelled_id, *(each.id for each in info.classes)]] = True

    @classmethod
    def open(cls, root: Path, *, allow_leakage: bool = False) -> Self:
        """Read `dataset.yaml` and `index.csv` and check everything that needs no pixel.

        Args:
            root: The data set's folder.
            allow_leakage: Accept groups in several splits; only the leakage audit, which reports them, wants this.

        Raises:
            UserError: Anything is missing, malformed or contradictory.
        """
        root = Path(root)
        if not root.is_dir():
            raise UserError(f"A data set must be a folder. Got '{root}'. Check the path, or run `data prepare` first.")
        info = read_dataset_info(root / "dataset.yaml")
        entries = _read_index(root / "index.csv")
        if not allow_leakage:
            _refuse_leakage(root / "index.csv", entries)
        return cls(root, info, entries, _find_files(root, entries))

    def entry(self, image_id: str) -> ImageEntry:
        """Return the index row of one image."""
        try:
            return self._entries[image_id]
        except KeyError:
            path = self.root / "index.csv"
            message = f"{path}: image '{image_id}' is not in the index.{nearest(image_id, self._entries)}"
            raise UserError(message) from None

    def image_path(self, image_id: str) -> Path:
        """Return the path of one image file."""
        return self._image_paths[self.entry(image_id).image_id]

    def mask_path(self, image_id: str) -> Path:
        """Return the path of one mask file."""
        return _mask_path(self.root, self.entry(image_id).image_id)

    def read_image(self, image_id: str) -> np.ndarray:
        """Decode one image.

        Returns:
            (H, W, 3) uint8, RGB.

        Raises:
            UserError: The file is truncated, not 8-bit RGB, or not of the size in the index.
        """
        return _decode(self.image_path(image_id), self.entry(image_id), ("RGB",), "Convert it to 8-bit RGB.")

    def read_mask(self, image_id: str) -> np.ndarray:
        """Decode one mask.

        Returns:
            (H, W) uint8 of class ids, or `unlabelled_id`.

        Raises:
            UserError: The file is truncated, has several channels, another size, or an undeclared class id.
        """
        path = self.mask_path(image_id)
        fix = "Save one 8-bit channel of class ids (greyscale or palette)."
        mask = _decode(path, self.entry(image_id), ("L", "P", "1"), fix)
        if not self._declared[mask].all():
            strange = [int(value) for value in np.unique(mask) if not self._declared[value]]
            raise UserError(
                f"{path} must hold declared class ids 0..{len(self.info.classes) - 1} or "
                f"unlabelled_id {self.info.unlabelled_id}. Got {', '.join(map(str, strange))}. "
                "Declare the class in dataset.yaml, or map the value when preparing."
            )
        return mask

    def content_hash(self) -> str:
        """Return the SHA-256 (hex) of all that can change a result; the place of the data set on disk cannot.

        Covered: class ids and names, `mpp_um`, `unlabelled_id`, `groups_known`, the index rows in order, and the bytes
        of every image and mask. Descriptions, colours and citations are not: editing them voids no run.
        """
        return self._content_hash

    @cached_property
    def _content_hash(self) -> str:
        ids = [entry.image_id for entry in self.entries]
        paths = [path(image_id) for image_id in ids for path in (self.image_path, self.mask_path)]
        with ThreadPoolExecutor(usable_cores()) as pool:
            files = list(pool.map(_file_hash, paths))
        info = self.info
        rows = [
            [each.image_id, each.group_id, each.split, each.height_px, each.width_px, each.extra]
            for each in self.entries
        ]
        content = {
            "classes": [[each.id, each.name] for each in info.classes],
            "info": [info.mpp_um, info.unlabelled_id, info.groups_known],
            "index": rows,
            "files": files,
        }
        return canonical_hash(content)


def usable_cores() -> int:
    """Return how many cores this process may use (at least one)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _read_index(path: Path) -> tuple[ImageEntry, ...]:
    if not path.is_file():
        raise UserError(f"{path} must exist, with one row per image. Write its columns: {', '.join(COLUMNS)}.")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = [row for row in csv.reader(file, strict=True) if row] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} must be a readable UTF-8 CSV file. Got: {error}. Save it again.") from None
    for column in COLUMNS:
        if column not in header:
            raise UserError(f"{path} must have a column '{column}'. Got {header}.{nearest(column, header)}")
    if len(set(header)) < len(header):
        raise UserError(f"{path} must name each column once. Got {header}. Rename or remove the second one.")
    if not rows:
        raise UserError(f"{path} must list at least one image. Got a header alone. Add a row per image.")
    entries = []
    seen: set[str] = set()
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise UserError(f"{path} row {number} must have {len(header)} fields. Got {len(row)}. Mend the row.")
        entry = _index_entry(path, number, dict(zip(header, row, strict=True)))
        if entry.image_id in seen:
            raise UserError(f"{path} row {number}: image_id must be unique. Got '{entry.image_id}' again. Rename one.")
        seen.add(entry.image_id)
        entries.append(entry)
    return tuple(entries)


def _index_entry(path: Path, number: int, row: dict[str, str]) -> ImageEntry:
    where = f"{path} row {number}"
    if not is_plain_name(row["image_id"]):
        raise UserError(
            f"{where}: image_id must be a plain file stem without separators or '..'. "
            f"Got {row['image_id']!r}. Rename the image and its mask."
        )
    if not row["group_id"].strip():
        raise UserError(
            f"{where}: group_id must name a patient or slide. Got ''. "
            "Where it is unknown, repeat the image id and set groups_known: false in dataset.yaml."
        )
    if row["split"] not in (*SPLITS, ""):
        hint = nearest(row["split"], SPLITS)
        raise UserError(f"{where}: split must be train, val, test or empty. Got {row['split']!r}.{hint}")
    for column in ("height_px", "width_px"):
        if not (row[column].isascii() and row[column].isdigit() and int(row[column]) > 0):
            raise UserError(
                f"{where}: {column} must be a positive integer. Got {row[column]!r}. Write the image's size in pixels."
            )
    return ImageEntry(
        image_id=row["image_id"],
        group_id=row["group_id"],
        split=row["split"],
        height_px=int(row["height_px"]),
        width_px=int(row["width_px"]),
        extra={key: value for key, value in row.items() if key not in COLUMNS},
    )


def _refuse_leakage(path: Path, entries: Iterable[ImageEntry]) -> None:
    first: dict[str, ImageEntry] = {}
    for entry in entries:
        if not entry.split:
            continue
        other = first.setdefault(entry.group_id, entry)
        if other.split != entry.split:
            raise UserError(
                f"{path}: a group must lie in one split. Got group '{entry.group_id}' in {other.split} "
                f"(image '{other.image_id}') and {entry.split} (image '{entry.image_id}'). "
                "Move its images to one split, or leave `split` empty and use grouped splits."
            )


def _find_files(root: Path, entries: Iterable[ImageEntry]) -> dict[str, Path]:
    """Return image id -> image file, after checking that each id has one image and one mask."""
    found: dict[str, list[Path]] = {}
    folder = root / "images"
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.suffix.lower() in IMAGE_SUFFIXES:
            found.setdefault(path.stem, []).append(path)
    paths = {}
    for entry in entries:
        files = found.get(entry.image_id, [])
        if not files:
            options = ", ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
            raise UserError(
                f"{folder / entry.image_id}.* must exist ({options}). Got no file for this row of index.csv. "
                "Add the image, or remove the row."
            )
        if len(files) > 1:
            names = ", ".join(path.name for path in files)
            raise UserError(f"{folder}: an image id must have one file. Got {names}. Remove all but one.")
        mask = _mask_path(root, entry.image_id)
        if not mask.is_file():
            raise UserError(f"{mask} must exist. Got no mask for image '{entry.image_id}'. Add it, or remove the row.")
        paths[entry.image_id] = files[0]
    return paths


def _mask_path(root: Path, image_id: str) -> Path:
    return root / "masks" / f"{image_id}.png"


def _decode(path: Path, entry: ImageEntry, modes: tuple[str, ...], mode_fix: str) -> np.ndarray:
    """Decode one file to uint8 after comparing its header with the index."""
    try:
        with Image.open(path) as file:
            if file.mode not in modes:
                raise UserError(f"{path} must have mode {' or '.join(modes)}. Got {file.mode}. {mode_fix}")
            width, height = file.size
            if (height, width) != (entry.height_px, entry.width_px):
                raise UserError(
                    f"{path} must be {entry.height_px} x {entry.width_px} px (height x width), as index.csv says. "
                    f"Got {height} x {width}. Correct the index, or replace the file."
                )
            return np.array(file, dtype=np.uint8)
    except _DECODE_ERRORS as error:
        raise UserError(f"{path} must be a complete image file. Got: {error}. Copy or convert it again.") from None


def _file_hash(path: Path) -> str:
    try:
        return file_hash(path)
    except OSError as error:
        raise UserError(f"{path} must be readable. Got: {error.strerror}. Restore the file.") from None
