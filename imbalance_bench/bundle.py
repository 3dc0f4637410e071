"""A study in one file to share: its records without paths, weights and images, and the check of one that was received.

The bundle is a ZIP archive of

    bundle.json                     format, name of the study, version of the software, size and SHA-256 of every file
    plan.json splits.json           as in the study directory
    study.yaml dataset.json         the same, with names instead of paths; of `score`, foreign.yaml
    runs/<run_id>/*.json *.parquet  the records of finished runs
    tuning/                         where the study was tuned: choices.json, and the study of the trials, likewise

The same records give the same bytes. Nothing in a bundle is believed: names are those above or the bundle is refused,
sizes are bounded before anything is read, and every byte is hashed before the folder appears.
"""

import hashlib
import json
import os
import re
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import IO, Annotated, Any

import yaml
from pydantic import Field

from imbalance_bench.cluster_sections import CLUSTER_KEYS
from imbalance_bench.config_errors import validated
from imbalance_bench.config_section import Section
from imbalance_bench.encoder_config import without_folders
from imbalance_bench.errors import UserError
from imbalance_bench.foreign.section import PATH_KEYS
from imbalance_bench.manifest import write_atomically
from imbalance_bench.record_documents import NOT_SHARED
from imbalance_bench.records import FOREIGN_FILE, STUDY_FILE, RunRecord, StudyRecords
from imbalance_bench.table_schemas import TABLES
from imbalance_bench.tuning.section import CHOICES, TUNING_FOLDER
from imbalance_bench.yaml_files import read_yaml

FORMAT = 2
UNTUNED_FORMAT = 1  # of bundles without tuning, which is all that format 1 knows
SUFFIX = ".records.zip"
LARGEST_FILE = 2**30  # bytes
LARGEST_BUNDLE = 2**33  # bytes, unpacked
MOST_FILES = 200_000
INDEX = "bundle.json"
_AS_THEY_ARE = ("plan.json", "splits.json")
_STUDY_FILES = (*_AS_THEY_ARE, "dataset.json")  # and one of _ASKED
_ASKED = (STUDY_FILE, FOREIGN_FILE)
_RUN_FILES = ("manifest.json", "status.json", *(f"{name}.parquet" for name in TABLES))
_TUNING = f"{TUNING_FOLDER}/"
_NAMES = re.compile(
    f"(?:{_TUNING})?(?:"
    + "|".join(map(re.escape, (*_STUDY_FILES, *_ASKED)))
    + "|runs/[0-9a-f]{12}/(?:"
    + "|".join(map(re.escape, _RUN_FILES))
    + f"))|{_TUNING}{re.escape(CHOICES)}"
)
_DAMAGED = "Copy it again, or ask for a new one."
# what zipfile raises of an archive that is none; an OSError is one of it where it names no file
_BROKEN = (
    zipfile.BadZipFile,
    NotImplementedError,
    EOFError,
    ValueError,
    RuntimeError,
    OverflowError,
    struct.error,
    OSError,
)
_EPOCH = (1980, 1, 1, 0, 0, 0)


class BundledFile(Section):
    """A file of a bundle."""

    bytes: Annotated[int, Field(ge=0, le=LARGEST_FILE)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class BundleIndex(Section):
    """Content of bundle.json."""

    format: Annotated[int, Field(ge=1, le=FORMAT, json_schema_extra={"fix": "Update imbalance-bench."})]
    study: str
    version: str
    files: Annotated[dict[str, BundledFile], Field(max_length=MOST_FILES)]


@dataclass(frozen=True)
class Bundled:
    """What a bundle holds.

    Attributes:
        runs: Finished runs of the study.
        trials: Finished runs of its tuning.
    """

    runs: int
    trials: int

    def __str__(self) -> str:
        """Say it in words."""
        return f"{self.runs} runs" + (f", {self.trials} runs of tuning" if self.trials else "")


def export_bundle(root: Path, out: Path) -> Bundled:
    """Write the records of a study's finished runs as one file.

    Args:
        root: The study directory.
        out: The bundle; replaced where it exists.

    Returns:
        How many runs it holds.

    Raises:
        UserError: Not a study, no finished run, or a file that cannot be read.
    """
    records = StudyRecords.open(root)
    runs = _finished(records)
    if not runs:
        raise UserError(f"{root} has no finished run to export. `imbalance-bench status` shows them.", exit_code=1)
    content, trials = _content(records, runs), list[RunRecord]()
    choices = root / TUNING_FOLDER / CHOICES
    if choices.is_file():
        tuning = StudyRecords.open(choices.parent)
        trials = _finished(tuning)
        content |= {_TUNING + name: source for name, source in _content(tuning, trials).items()}
        content[_TUNING + CHOICES] = choices
    index = {
        "format": FORMAT if choices.is_file() else UNTUNED_FORMAT,
        "study": str(records.plan().get("name", root.name)),
        "version": metadata.version("imbalance-bench"),
        "files": {name: _fingerprint(source) for name, source in sorted(content.items())},
    }
    write_atomically(out, lambda file: _write_archive(file, index, content))
    return Bundled(len(runs), len(trials))


def import_bundle(bundle: Path, root: Path) -> Bundled:
    """Check a bundle to the last byte and make a study directory of it.

    Args:
        bundle: Written by `export_bundle`, by whomever.
        root: A folder that does not exist, or is empty.

    Returns:
        How many runs it holds.

    Raises:
        UserError: The bundle is damaged, or holds what a bundle does not hold; nothing is left behind.
    """
    if root.exists() and any(root.iterdir()):
        raise UserError(f"{root} must be empty or not exist. Got a folder with files. Give another one.")
    root.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{root.name[:40]}.", dir=root.parent))
    try:
        try:
            with zipfile.ZipFile(bundle) as archive:
                _unpack(archive, _index(archive, bundle), bundle, building)
        except _BROKEN as error:
            if isinstance(error, OSError) and error.filename is not None:
                raise
            raise UserError(f"{bundle} must be a record bundle. Got: {error}. {_DAMAGED}") from None
        bundled = Bundled(
            _received(bundle, building),
            _received(bundle, building / TUNING_FOLDER) if (building / TUNING_FOLDER).exists() else 0,
        )
        building.chmod(0o755)
        if root.exists():
            root.rmdir()
        building.rename(root)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return bundled


def _received(bundle: Path, root: Path) -> int:
    """Return how many runs a study of a bundle holds.

    Raises:
        UserError: It holds what an exported study does not hold.
    """
    records = StudyRecords.open(root)
    if records.dataset()["path"] != NOT_SHARED:
        raise UserError(
            f"{bundle} names a data set on this machine. Got {records.dataset()['path']!r}. Do not trust it."
        )
    planned = {str(run.get("run_id")) for run in records.plan().get("runs", [])}
    runs = [run.run_id for run in records.finished()]
    unknown = sorted(set(runs) - planned)
    if unknown:
        raise UserError(f"{bundle} holds the run {unknown[0]}, which its plan does not name. {_DAMAGED}")
    return len(runs)


def _content(records: StudyRecords, runs: Sequence[RunRecord]) -> dict[str, Path | bytes]:
    """Return the files of a study in a bundle, by name."""
    content: dict[str, Path | bytes] = {name: records.root / name for name in _AS_THEY_ARE}
    content |= {records.made_by[1]: _study_without_paths(records), "dataset.json": _facts_without_paths(records)}
    for run in runs:
        run_files = {f"runs/{run.run_id}/{name}": run.path / name for name in _RUN_FILES}
        content |= {name: path for name, path in run_files.items() if path.exists()}
    return content


def _finished(records: StudyRecords) -> list[RunRecord]:
    """Runs that the plan names and that are done, in the order of their ids."""
    runs = [records.run(str(run["run_id"])) for run in records.plan()["runs"]]
    return sorted((run for run in runs if run.is_done()), key=lambda run: run.run_id)


def _study_without_paths(records: StudyRecords) -> bytes:
    """The study file with the name of the data set, of weights, splits and predictions in place of their paths."""
    content: dict[str, Any] = json.loads(json.dumps(read_yaml(records.root / records.made_by[1])))
    content["dataset"]["path"] = str(records.dataset()["name"])
    for key in CLUSTER_KEYS:
        content.get("compute", {}).pop(key, None)
    if content.get("splits", {}).get("path"):
        content["splits"]["path"] = "splits.json"
    for model in (content.get("model"), *content.get("models", [])):
        if model and "encoder_weights" in model:
            model["encoder_weights"] = without_folders(model["encoder_weights"])
    if records.made_by[1] == FOREIGN_FILE:
        for section in (content, *content["methods"]):
            named = {key: section[key] for key in PATH_KEYS if isinstance(section.get(key), str)}
            section.update({key: Path(path).name for key, path in named.items()})
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode()


def _facts_without_paths(records: StudyRecords) -> bytes:
    facts = records.dataset() | {"path": NOT_SHARED}
    return (json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _fingerprint(content: Path | bytes) -> dict[str, Any]:
    raw = content if isinstance(content, bytes) else content.read_bytes()
    return {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}


def _write_archive(file: IO[bytes], index: dict[str, Any], content: dict[str, Path | bytes]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        text = json.dumps(index, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        archive.writestr(zipfile.ZipInfo(INDEX, _EPOCH), text, zipfile.ZIP_DEFLATED)
        for name, source in sorted(content.items()):
            raw = source if isinstance(source, bytes) else source.read_bytes()
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), raw, zipfile.ZIP_DEFLATED)


def _index(archive: zipfile.ZipFile, bundle: Path) -> BundleIndex:
    """Read bundle.json, and refuse a bundle whose files are not exactly those that it names."""
    names = archive.namelist()
    if INDEX not in names:
        raise UserError(f"{bundle} must be a record bundle of `imbalance-bench export`. Got no {INDEX} in it.")
    if archive.getinfo(INDEX).file_size > LARGEST_FILE // 8:
        raise UserError(f"{bundle}: its {INDEX} is too large to be one. {_DAMAGED}")
    try:
        content = json.loads(_read(archive, INDEX, archive.getinfo(INDEX).file_size))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{bundle}: its {INDEX} must be JSON. Got: {error}. {_DAMAGED}") from None
    index = validated(BundleIndex, content, f"{bundle}: {INDEX}")
    expected = {INDEX, *index.files}
    odd = next((name for name in index.files if not _NAMES.fullmatch(name)), None)
    if odd is not None:
        raise UserError(f"{bundle} must hold records alone. Got a file named {odd!r}. Do not trust it.")
    if len(names) != len(set(names)) or set(names) != expected:
        differs = next(iter(sorted(set(names) ^ expected)), "a file twice")
        raise UserError(
            f"{bundle} must hold the files that its {INDEX} names. Got a difference: {differs!r}. {_DAMAGED}"
        )
    if sum(file.bytes for file in index.files.values()) > LARGEST_BUNDLE:
        raise UserError(f"{bundle} must unpack to at most {LARGEST_BUNDLE / 2**30:.0f} GiB. Got more. Do not trust it.")
    is_tuned = any(name.startswith(_TUNING) for name in index.files)
    of_tuning = [_TUNING + name for name in (*_STUDY_FILES, STUDY_FILE, CHOICES)] if is_tuned else []
    for name in (*_STUDY_FILES, *of_tuning):
        if name not in index.files:
            raise UserError(f"{bundle} must hold {name}. Got none. {_DAMAGED}")
    if sum(name in index.files for name in _ASKED) != 1:
        raise UserError(f"{bundle} must hold one of {' and '.join(_ASKED)}. {_DAMAGED}")
    return index


def _unpack(archive: zipfile.ZipFile, index: BundleIndex, bundle: Path, folder: Path) -> None:
    for name, raw in _checked(archive, index, bundle):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o644), "wb") as file:
            file.write(raw)


def _checked(archive: zipfile.ZipFile, index: BundleIndex, bundle: Path) -> Iterator[tuple[str, bytes]]:
    """Yield every file once its size and hash are those of the index."""
    for name, expected in index.files.items():
        raw = _read(archive, name, expected.bytes)
        if len(raw) != expected.bytes or hashlib.sha256(raw).hexdigest() != expected.sha256:
            raise UserError(f"{bundle}: {name} must have the content that was exported. Got another. {_DAMAGED}")
        yield name, raw


def _read(archive: zipfile.ZipFile, name: str, size: int) -> bytes:
    """Read one byte more than a file should have, so that one which is larger is noticed and never unpacked whole."""
    try:
        with archive.open(name) as file:
            return file.read(size + 1)
    except Exception as error:  # noqa: BLE001 - zlib, the cipher and the archive share no class of errors
        raise ValueError(f"{name} cannot be unpacked ({type(error).__name__}: {error})") from None
