"""The one data format that the runner reads: `dataset.yaml`, `index.csv`, `images/` and `masks/`."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Self
from unicodedata import normalize

import numpy as np

from imbalance_bench.data.dataset_file import ClassInfo, DatasetInfo, read_dataset_info
from imbalance_bench.data.index_file import COLUMNS, SPLITS, ImageEntry, divided_groups, read_index
from imbalance_bench.data.pictures import (
    PictureFacts,
    TiffPicture,
    is_tiled_tiff,
    open_picture,
    require_prepared_image,
    require_prepared_mask,
)
from imbalance_bench.data.pixel_values import bands
from imbalance_bench.errors import UserError, nearest
from imbalance_bench.manifest import canonical_hash, file_hash
from imbalance_bench.names import similar_names_remark

__all__ = ["COLUMNS", "SPLITS", "ClassInfo", "DatasetInfo", "ImageEntry", "PreparedDataset", "usable_cores"]

TIFF_SUFFIXES = (".tif", ".tiff")
IMAGE_SUFFIXES = (".png", ".webp", ".jpg", ".jpeg", *TIFF_SUFFIXES)


class PreparedDataset:
    """A prepared data set. `open` checks every claim that needs no pixel; reading a file checks the file.

    Args:
        root: The folder that holds `dataset.yaml`.
        info: Content of `dataset.yaml`.
        entries: Rows of `index.csv`, in its order; image indices elsewhere count along them.
        image_files: Image id -> the files in `images/` of that name, which should be one.
        mask_files: The same of `masks/`.
        remarks: What is odd about the index, and does not matter.
    """

    def __init__(
        self,
        root: Path,
        info: DatasetInfo,
        entries: tuple[ImageEntry, ...],
        image_files: Mapping[str, Sequence[Path]],
        mask_files: Mapping[str, Sequence[Path]],
        remarks: tuple[str, ...] = (),
    ) -> None:
        self.root = root
        self.info = info
        self.entries = entries
        self.remarks = remarks
        self._image_files, self._mask_files = image_files, mask_files
        self._entries = {entry.image_id: entry for entry in entries}
        self._declared = np.zeros(256, dtype=bool)
        self._declared[[info.unlabelled_id, *(class_.id for class_ in info.classes)]] = True

    @classmethod
    def open(cls, root: Path, *, allow_leakage: bool = False) -> Self:
        """Read `dataset.yaml` and `index.csv` and check everything that needs no pixel.

        Args:
            root: The data set's folder.
            allow_leakage: Accept groups in several splits; only the leakage audit, which reports them, wants this.

        Raises:
            UserError: Anything is missing, malformed or contradictory.
        """
        dataset, problems = cls.inspect(root, allow_leakage=allow_leakage)
        if problems:
            raise UserError(problems[0])
        for entry in dataset.entries:
            dataset.image_path(entry.image_id)
            dataset.mask_path(entry.image_id)
        return dataset

    @classmethod
    def inspect(cls, root: Path, *, allow_leakage: bool = False) -> tuple[Self, tuple[str, ...]]:
        """Read `dataset.yaml` and `index.csv` without stopping at a row that is wrong; no file is looked for.

        Returns:
            The data set of the sound rows, and one line for each wrong row and each group in several splits.

        Raises:
            UserError: There is no data set at all: no folder, or a `dataset.yaml` or `index.csv` that cannot be read.
        """
        root = Path(root)
        if not root.is_dir():
            raise UserError(f"A data set must be a folder. Got '{root}'. Check the path, or run `data prepare` first.")
        info = read_dataset_info(root / "dataset.yaml")
        index = read_index(root / "index.csv")
        problems, remarks = index.problems, index.remarks
        if not allow_leakage:
            problems += divided_groups(root / "index.csv", index.entries)
        if info.groups_known:
            remarks += similar_names_remark(
                (entry.group_id for entry in index.entries), f"{root / 'index.csv'}: groups"
            )
        images, masks = _list_files(root / "images", IMAGE_SUFFIXES), _list_files(root / "masks", (".png",))
        return cls(root, info, index.entries, images, masks, remarks), problems

    def entry(self, image_id: str) -> ImageEntry:
        """Return the index row of one image."""
        try:
            return self._entries[image_id]
        except KeyError:
            path = self.root / "index.csv"
            message = f"{path}: image '{image_id}' is not in the index.{nearest(image_id, self._entries)}"
            raise UserError(message) from None

    def image_path(self, image_id: str) -> Path:
        """Return the path of one image file.

        Raises:
            UserError: It is missing, or there are several.
        """
        files = self._image_files.get(self.entry(image_id).image_id, ())
        if not files:
            options = ", ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
            raise UserError(
                f"{self.root / 'images' / image_id}.* must exist ({options}). Got no file for this row of index.csv. "
                "Add the image, or remove the row."
            )
        if len(files) > 1:
            names = ", ".join(path.name for path in files)
            folder = self.root / "images"
            raise UserError(f"{folder}: an image id must have one file. Got {names}. Remove all but one.")
        return files[0]

    def mask_path(self, image_id: str) -> Path:
        """Return the path of one mask file.

        Raises:
            UserError: It is missing.
        """
        files = self._mask_files.get(self.entry(image_id).image_id, ())
        if len(files) != 1:
            path, names = self.root / "masks" / f"{image_id}.png", ", ".join(path.name for path in files)
            raise UserError(
                f"{path} must exist, once. Got {names or 'no mask'} for image '{image_id}'. Add it, or remove the row."
            )
        return files[0]

    def read_image(self, image_id: str) -> np.ndarray:
        """Decode one image.

        Returns:
            (H, W, 3) uint8, RGB.

        Raises:
            UserError: The file is truncated, not upright 8-bit RGB, or not of the size in the index.
        """
        path = self.image_path(image_id)
        with open_picture(path) as picture:
            require_prepared_image(path, picture.facts)
            _require_size(path, self.entry(image_id), picture.facts)
            return picture.samples()

    def is_read_in_windows(self, image_id: str) -> bool:
        """Return whether parts of an image can be decoded without the rest: true of tiled TIFF alone."""
        return is_tiled_tiff(self.image_path(image_id))

    def open_windows(self, image_id: str) -> TiffPicture:
        """Open an image for which `is_read_in_windows` holds; a context manager.

        Raises:
            UserError: The file is damaged, not upright 8-bit RGB, or not of the size in the index.
        """
        path = self.image_path(image_id)
        image = TiffPicture(path)
        try:
            require_prepared_image(path, image.facts)
            _require_size(path, self.entry(image_id), image.facts)
        except UserError:
            image.close()
            raise
        return image

    def read_mask(self, image_id: str) -> np.ndarray:
        """Decode one mask.

        Returns:
            (H, W) uint8 of class ids, or `unlabelled_id`.

        Raises:
            UserError: The file is truncated, has several channels, another size, or an undeclared class id.
        """
        path = self.mask_path(image_id)
        with open_picture(path) as picture:
            require_prepared_mask(path, picture.facts)
            _require_size(path, self.entry(image_id), picture.facts)
            mask = picture.samples()
        if not all(self._declared[mask[rows]].all() for rows in bands(*mask.shape)):
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
            [entry.image_id, entry.group_id, entry.split, entry.height_px, entry.width_px, entry.extra]
            for entry in self.entries
        ]
        content = {
            "classes": [[class_.id, class_.name] for class_ in info.classes],
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


def _list_files(folder: Path, suffixes: Sequence[str]) -> dict[str, list[Path]]:
    """Return stem (in NFC, as in the index) -> files of that name."""
    files_of_stem: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.suffix.lower() in suffixes and path.name[0] != ".":
            files_of_stem.setdefault(normalize("NFC", path.stem), []).append(path)
    return files_of_stem


def _require_size(path: Path, entry: ImageEntry, facts: PictureFacts) -> None:
    if (facts.height_px, facts.width_px) != (entry.height_px, entry.width_px):
        raise UserError(
            f"{path} must be {entry.height_px} x {entry.width_px} px (height x width), as index.csv says. "
            f"Got {facts.height_px} x {facts.width_px}. Correct the index, or replace the file."
        )


def _file_hash(path: Path) -> str:
    try:
        return file_hash(path)
    except OSError as error:
        raise UserError(f"{path} must be readable. Got: {error.strerror}. Restore the file.") from None
