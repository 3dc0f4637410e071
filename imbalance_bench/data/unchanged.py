"""Whether a data set is still the one that a study was trained on.

The content hash decides. Reading every file for it takes long, so that a study keeps marks of the files as they were
when the hash was last right: name, size, and the times of the last change of content and of the file. While the marks
are the same, nothing is read; a data set that was copied or moved has other marks and is read once.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.errors import UserError
from imbalance_bench.manifest import canonical_hash, write_json
from imbalance_bench.record_documents import read_document

MARKS_FILE = "data_check.json"  # in the study directory; may be deleted at any time


def file_marks(dataset: PreparedDataset) -> str:
    """Return a hash (hex) of the marks of every file of a data set; take it before the content hash.

    Raises:
        UserError: A file is gone.
    """
    marks = []
    for path in _files(dataset):
        try:
            status = path.stat()
        except OSError as error:
            raise UserError(f"{path} must be readable. Got: {error.strerror}. Restore the file.") from None
        # a change of content that puts the time of the content back still changes the time of the file
        marks.append(
            [path.relative_to(dataset.root).as_posix(), status.st_size, status.st_mtime_ns, status.st_ctime_ns]
        )
    return canonical_hash(marks)


def remember_marks(root: Path, marks: str, data_hash: str) -> None:
    """Keep in a study directory that files with these marks have this content; a read-only one keeps nothing."""
    with suppress(OSError, UserError):
        write_json(root / MARKS_FILE, {"data_hash": data_hash, "marks": marks})


def known_hash(root: Path, marks: str) -> str | None:
    """Return the content of files with these marks, where a study directory remembers it."""
    remembered = _remembered(root)
    return remembered[0] if remembered is not None and remembered[1] == marks else None


def require_unchanged(root: Path, facts: Mapping[str, Any]) -> None:
    """Refuse a data set that is not what the study was trained on; one that is gone is another matter.

    Args:
        root: The study directory; a relative path of the data set starts there.
        facts: Content of the study's dataset.json.

    Raises:
        UserError: The data set has changed.
    """
    path, trained_hash = root / str(facts["path"]), str(facts["data_hash"])
    if not path.is_dir():
        return
    dataset = PreparedDataset.open(path)
    marks = file_marks(dataset)
    if _remembered(root) == (trained_hash, marks):
        return
    current_hash = dataset.content_hash()
    if current_hash != trained_hash:
        raise UserError(
            f"{path} has changed since {root} was trained (hash {trained_hash[:12]}, now {current_hash[:12]}). "
            "Put it back as it was, or train on it in another --out."
        )
    remember_marks(root, marks, trained_hash)


def _files(dataset: PreparedDataset) -> Iterator[Path]:
    yield from (dataset.root / "dataset.yaml", dataset.root / "index.csv")
    for entry in dataset.entries:
        yield from (dataset.image_path(entry.image_id), dataset.mask_path(entry.image_id))


def _remembered(root: Path) -> tuple[str, str] | None:
    try:
        content = read_document(root / MARKS_FILE)
        return str(content["data_hash"]), str(content["marks"])
    except (UserError, KeyError):
        return None
