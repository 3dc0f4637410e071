"""`index.csv`: one row per image, validated row by row."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from imbalance_bench.data.dataset_file import is_plain_name
from imbalance_bench.errors import UserError, nearest

SPLITS = ("train", "val", "test")
COLUMNS = ("image_id", "group_id", "split", "height_px", "width_px")


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


def read_index(path: Path) -> tuple[tuple[ImageEntry, ...], tuple[str, ...]]:
    """Read `index.csv`.

    Returns:
        The sound rows, and one line for each of the others.

    Raises:
        UserError: There is no such file, it is no CSV, a column is missing, or there are no rows.
    """
    header, rows = _read_rows(path)
    entries: list[ImageEntry] = []
    problems: list[str] = []
    seen: set[str] = set()
    for number, row in enumerate(rows, start=2):
        try:
            entry = _parse_row(f"{path} row {number}", header, row, seen)
        except UserError as error:
            problems.append(str(error))
        else:
            seen.add(entry.image_id)
            entries.append(entry)
    return tuple(entries), tuple(problems)


def divided_groups(path: Path, entries: Iterable[ImageEntry]) -> tuple[str, ...]:
    """Return one line for each group that lies in more than one split."""
    first: dict[str, ImageEntry] = {}
    divided: dict[str, str] = {}
    for entry in entries:
        if not entry.split:
            continue
        other = first.setdefault(entry.group_id, entry)
        if other.split != entry.split and entry.group_id not in divided:
            divided[entry.group_id] = (
                f"{path}: a group must lie in one split. Got group '{entry.group_id}' in {other.split} "
                f"(image '{other.image_id}') and {entry.split} (image '{entry.image_id}'). "
                "Move its images to one split, or leave `split` empty and use grouped splits."
            )
    return tuple(divided.values())


def _read_rows(path: Path) -> tuple[list[str], list[list[str]]]:
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
    return header, rows


def _parse_row(where: str, header: list[str], fields: list[str], seen: set[str]) -> ImageEntry:
    if len(fields) != len(header):
        raise UserError(f"{where} must have {len(header)} fields. Got {len(fields)}. Mend the row.")
    row = dict(zip(header, fields, strict=True))
    if not is_plain_name(row["image_id"]):
        raise UserError(
            f"{where}: image_id must be a plain file stem without separators or '..'. "
            f"Got {row['image_id']!r}. Rename the image and its mask."
        )
    if row["image_id"] in seen:
        raise UserError(f"{where}: image_id must be unique. Got '{row['image_id']}' again. Rename one.")
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
