"""What the folder of an array store must hold: its arrays, its files, and the checks that they are the ones meant."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from imbalance_bench.data.store_journal import Chunk
from imbalance_bench.decoding import DECODER_ERRORS
from imbalance_bench.errors import UserError
from imbalance_bench.manifest import write_json


@dataclass(frozen=True)
class StoreLayout:
    """The arrays and files of a store.

    Args:
        folder: The store's.
        arrays: Name -> (shape of one row, dtype).
        rows: N, of every array.
        key: Hash of everything the content depends on.
    """

    folder: Path
    arrays: dict[str, tuple[tuple[int, ...], np.dtype]]
    rows: int
    key: str

    @classmethod
    def of_finished(cls, folder: Path) -> Self:
        """Read the layout of a finished store from its own files.

        Raises:
            UserError: The store is not finished, or the file is damaged.
        """
        try:
            layout = json.loads((folder / "complete.json").read_text(encoding="utf-8"))["layout"]
            arrays = {
                name: (tuple(array["row_shape"]), np.dtype(array["dtype"])) for name, array in layout["arrays"].items()
            }
            return cls(folder, arrays, int(layout["rows"]), "")
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise UserError(f"{folder} must be a finished store. Run the study again.") from None

    @property
    def journal(self) -> Path:
        """Chunks that are on disk; see `store_journal`."""
        return self.folder / "journal"

    @property
    def lock_file(self) -> Path:
        """Locked by the one process that writes."""
        return self.folder / "lock"

    @property
    def layout_file(self) -> Path:
        """Exists once all arrays are allocated."""
        return self.folder / "layout.json"

    @property
    def complete_file(self) -> Path:
        """Exists once every row is on disk; holds the checksums of the chunks."""
        return self.folder / "complete.json"

    def array_file(self, name: str) -> Path:
        """One array, in NumPy's format."""
        return self.folder / f"{name}.npy"

    def row_bytes(self, name: str) -> int:
        """Bytes of one row of an array."""
        shape, dtype = self.arrays[name]
        return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize

    def total_bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(self.rows * self.row_bytes(name) for name in self.arrays)

    def as_json(self) -> dict[str, Any]:
        """Return rows, shapes and types as the files of the store name them."""
        arrays = {name: {"row_shape": list(shape), "dtype": dtype.str} for name, (shape, dtype) in self.arrays.items()}
        return {"rows": self.rows, "arrays": arrays}

    def make_folder(self) -> None:
        """Create the folder; one that cannot be written is a `UserError`."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"{self.folder} must be a folder that can be written. Got: {error.strerror}. "
                "Choose another cache folder.",
                exit_code=1,
            ) from None

    def is_complete(self) -> bool:
        """Return whether the store is finished, and refuse one that holds something else.

        A store of an earlier version has no checksums: it counts as unfinished, and is filled once more.
        """
        if not self.complete_file.exists():
            return False
        self.require_layout(self.complete_file)
        return self.finished_chunks() is not None

    def finished_chunks(self) -> list[Chunk] | None:
        """Return the chunks of a finished store with their checksums; None where the file names none."""
        try:
            content = json.loads(self.complete_file.read_text(encoding="utf-8"))["chunks"]
            chunks = [Chunk(*map(int, chunk)) for chunk in content]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return chunks if sum(chunk.n_rows for chunk in chunks) == self.rows else None

    def require_layout(self, path: Path) -> None:
        """Refuse a folder whose layout.json or complete.json describes other arrays, or is of another key."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            stored, key = content["layout"], content.get("key", self.key)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            stored, key = "something unreadable", self.key
        if stored != self.as_json():
            raise UserError(f"{path} must describe {self.as_json()}. Got {stored}. Delete the folder {self.folder}.")
        if key != self.key:
            raise UserError(
                f"{path} is of another store ({key[:12]} for {self.key[:12]}). Delete the folder {self.folder}."
            )

    def write_layout(self, description: Mapping[str, Any]) -> None:
        """Write layout.json."""
        write_json(self.layout_file, {"layout": self.as_json(), "description": dict(description), "key": self.key})

    def write_complete(self, description: Mapping[str, Any], chunks: list[Chunk]) -> None:
        """Write complete.json, with the chunks in the order of their rows."""
        rows = sorted([chunk.start, chunk.stop, chunk.checksum] for chunk in chunks)
        content = {"layout": self.as_json(), "bytes": self.total_bytes(), "description": dict(description)}
        write_json(self.complete_file, content | {"key": self.key, "chunks": rows})

    def map(self, name: str) -> np.memmap:
        """Map one array read-only.

        Raises:
            UserError: It is missing, damaged, or of another shape or type.
        """
        path = self.array_file(name)
        shape, dtype = self.arrays[name]
        try:
            array = np.load(path, mmap_mode="r")
        except DECODER_ERRORS as error:
            raise UserError(
                f"{path} must be a complete array. Got: {error}. Delete the folder {self.folder}."
            ) from None
        if not isinstance(array, np.memmap) or array.shape != (self.rows, *shape) or array.dtype != dtype:
            raise UserError(
                f"{path} must hold {(self.rows, *shape)} of {dtype}. Got {array.shape} of {array.dtype}. "
                f"Delete the folder {self.folder}."
            )
        return array
