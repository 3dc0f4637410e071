"""Which files of a run are damaged, and what brings them back. No torch.

A quick look sees what is missing, empty or cut off; a thorough one reads every file.
"""

import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from imbalance_bench.errors import UserError
from imbalance_bench.manifest import file_hash
from imbalance_bench.record_checks import TRAIN_AGAIN
from imbalance_bench.record_documents import read_document
from imbalance_bench.records import CHECKPOINT, PICTURE_FOLDERS, WEIGHTS, RunRecord
from imbalance_bench.table_files import read_table
from imbalance_bench.table_schemas import OPTIONAL_TABLES, TABLES

OF_TRAINING = ("epochs", "class_parameters", "dynamics")  # tables that a trained model alone cannot give again
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"


class Remedy(IntEnum):
    """What brings a damaged file back, from the cheapest to the dearest."""

    REBUILD = 0  # status.json says what the other files show
    EVALUATE = 1  # the trained model predicts its images again
    RESTART = 2  # training restarts, since its checkpoint is lost
    TRAIN = 3  # the finished run is trained again


@dataclass(frozen=True)
class Damage:
    """A damaged file of a run.

    Attributes:
        path: The file.
        reason: What is wrong with it.
        remedy: What brings it back.
    """

    path: Path
    reason: str
    remedy: Remedy

    @property
    def touches_scores(self) -> bool:
        """True unless the file is a picture, an attention map, or holds weights: the tables are then whole."""
        return self.path.suffix in (".json", ".parquet")

    def __str__(self) -> str:
        """For people."""
        return f"{self.path} {self.reason}"


def damages(record: RunRecord, *, thorough: bool = False) -> list[Damage]:
    """Return the damaged files of a run.

    Args:
        record: The run.
        thorough: Read every file, which takes as long as analysing it.
    """
    status, checkpoint = record.path / "status.json", record.path / CHECKPOINT
    of_status = None
    if status.exists() or ((record.path / "manifest.json").exists() and not checkpoint.exists()):
        of_status = _damage(status, Remedy.REBUILD, thorough)
    findings = [of_status]
    if of_status is not None or record.is_done():
        findings += _of_records(record, thorough)
    if checkpoint.exists():
        of_checkpoint = _damage(checkpoint, Remedy.RESTART, thorough)
        findings += [of_checkpoint] if checkpoint.exists() else []  # the run may have ended meanwhile
    return [damage for damage in findings if damage is not None]


def is_complete(record: RunRecord) -> bool:
    """Return whether every record of a finished run is there and whole, whatever its status says."""
    manifest = record.path / "manifest.json"  # written last
    return manifest.exists() and not any(damage for damage in _of_records(record, thorough=True))


def _of_records(record: RunRecord, thorough: bool) -> Iterator[Damage | None]:
    """Look at what a finished run left; nothing where it is not finished."""
    if not (record.path / "manifest.json").exists() and not record.is_done():
        return
    yield _damage(record.path / "manifest.json", Remedy.TRAIN, thorough)
    written = _digests(record) if thorough else {}
    for name in TABLES:
        path = record.path / f"{name}.parquet"
        if path.exists() or name not in OPTIONAL_TABLES or path.name in written:
            yield _of_file(path, Remedy.TRAIN if name in OF_TRAINING else Remedy.EVALUATE, thorough, written)
    if (record.path / WEIGHTS).exists():
        yield _of_file(record.path / WEIGHTS, Remedy.TRAIN, thorough, written)
    for folder in PICTURE_FOLDERS:
        paths = sorted((record.path / folder).iterdir()) if (record.path / folder).is_dir() else []
        for path in paths:
            if not path.name.startswith("."):
                yield _damage(path, Remedy.EVALUATE, thorough)


def _damage(path: Path, remedy: Remedy, thorough: bool) -> Damage | None:
    reason = what_is_wrong(path, thorough=thorough)
    return None if reason is None else Damage(path, reason, remedy)


def _of_file(path: Path, remedy: Remedy, thorough: bool, written: Mapping[str, str]) -> Damage | None:
    """Look at a file whose digest the manifest may know: the file that the run wrote need not be read otherwise."""
    recorded_hash = written.get(path.name)
    damage = _damage(path, remedy, thorough and recorded_hash is None)
    if damage is not None or recorded_hash is None or file_hash(path) == recorded_hash:
        return damage
    reason = what_is_wrong(path, thorough=True) or "is not the file that the run wrote"
    return Damage(path, reason, remedy)


def _digests(record: RunRecord) -> dict[str, str]:
    """Return the digests that the manifest holds; none where it is damaged, which is reported separately."""
    try:
        return record.manifest().get("files", {})
    except UserError:
        return {}


def what_is_wrong(path: Path, *, thorough: bool = False) -> str | None:
    """Say what is wrong with a file of a kind that a run leaves, or return None where nothing is."""
    try:
        if not path.is_file():
            return "is missing"
        if not path.stat().st_size:
            return "is empty"
        return _CHECKS[path.suffix](path, thorough)
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def is_whole(path: Path) -> bool:
    """Return whether a picture or attention map is there and not damaged."""
    return what_is_wrong(path, thorough=True) is None


def _json(path: Path, _thorough: bool) -> str | None:
    try:
        return None if read_document(path) else "holds nothing"
    except UserError:
        return "is not a JSON object"


def _parquet(path: Path, thorough: bool) -> str | None:
    if not _starts_and_ends(path, b"PAR1", b"PAR1"):
        return "is truncated or not a Parquet file"
    if thorough:
        try:
            read_table(path, path.stem)
        except UserError as error:
            return str(error).removeprefix(str(path)).removesuffix(TRAIN_AGAIN).strip(" :.")
    return None


def _png(path: Path, thorough: bool) -> str | None:
    if not _starts_and_ends(path, _PNG_START, _PNG_END):
        return "is truncated or not a PNG"
    return None if not thorough or _chunks_agree(path.read_bytes()) else "does not agree with its checksums"


def _chunks_agree(content: bytes) -> bool:
    """Return whether every chunk of a PNG has the checksum that it names."""
    position = len(_PNG_START)
    while position + 12 <= len(content):
        (size,) = struct.unpack_from(">I", content, position)
        end = position + 8 + size
        if (
            end + 4 > len(content)
            or zlib.crc32(content[position + 4 : end]) != struct.unpack_from(">I", content, end)[0]
        ):
            return False
        position = end + 4
    return position == len(content)


def _safetensors(path: Path, _thorough: bool) -> str | None:
    with path.open("rb") as file:
        start = file.read(8)
        size = int.from_bytes(start, "little")
        if len(start) < 8 or size > path.stat().st_size:
            return "is truncated or holds no tensors"
        try:
            header = json.loads(file.read(size))
            ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            return "holds no tensors"
    return None if 8 + size + max(ends, default=0) == path.stat().st_size else "is truncated"


def _checkpoint(path: Path, thorough: bool) -> str | None:
    if not zipfile.is_zipfile(path):
        return "is truncated or not a checkpoint"
    if thorough:
        try:
            with zipfile.ZipFile(path) as file:
                return None if file.testzip() is None else "does not agree with its checksums"
        except (zipfile.BadZipFile, ValueError, NotImplementedError):
            return "does not agree with its checksums"
    return None


def _starts_and_ends(path: Path, start: bytes, end: bytes) -> bool:
    with path.open("rb") as file:
        if file.read(len(start)) != start or path.stat().st_size < len(start) + len(end):
            return False
        file.seek(-len(end), 2)
        return file.read() == end


_CHECKS: dict[str, Callable[[Path, bool], str | None]] = {
    ".json": _json,
    ".parquet": _parquet,
    ".png": _png,
    ".safetensors": _safetensors,
    ".pt": _checkpoint,
}
