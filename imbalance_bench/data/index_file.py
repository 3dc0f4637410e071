"""`index.csv`: one row per image, validated row by row."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import normalize

from imbalance_bench.csv_files import read_csv
from imbalance_bench.errors import UserError, nearest
from imbalance_bench.names import canonical, is_plain_stem

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


@dataclass(frozen=True)
class Index:
    """Content of `index.csv`.

    Args:
        entries: The sound rows.
        problems: One line for each of the others.
        remarks: How names were understood that are not as they should be.
    """

    entries: tuple[ImageEntry, ...]
    problems: tuple[str, ...]
    remarks: tuple[str, ...]


def read_index(path: Path) -> Index:
    """Read `index.csv`; groups and other names are understood as `imbalance_bench.names` says.

    Raises:
        UserError: There is no such file, it is no CSV, a column is missing, or there are no rows.
    """
    table = read_csv(path, f"Write one row per image, with the columns {', '.join(COLUMNS)}.")
    table.require_columns(COLUMNS)
    if not table.rows and not table.problems:
        raise UserError(f"{path} must list at least one image. Got a header alone. Add a row per image.")
    entries: list[ImageEntry] = []
    problems = list(table.problems)
    seen: set[str] = set()
    for row in table.rows:
        try:
            entry = _parse_row(f"{path} row {row.number}", row.fields, seen)
        except UserError as error:
            problems.append(str(error))
        else:
            seen.add(entry.image_id)
            entries.append(entry)
    written = {row.fields["group_id"] for row in table.rows}
    return Index(tuple(entries), tuple(problems), _corrected(path, written))


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


def _corrected(path: Path, groups: Iterable[str]) -> tuple[str, ...]:
    """Return a remark about groups that are written with stray characters, if there are any."""
    stray = sorted(group for group in groups if canonical(group) != group)
    if not stray:
        return ()
    return (
        f"{path}: {len(stray)} group_id{'s are' if len(stray) > 1 else ' is'} read without stray spaces and invisible "
        f"characters, and with composed letters (such as {stray[0]!r} as {canonical(stray[0])!r}).",
    )


def _parse_row(where: str, fields: dict[str, str], seen: set[str]) -> ImageEntry:
    image_id = normalize("NFC", fields["image_id"])
    if not is_plain_stem(image_id):
        raise UserError(
            f"{where}: image_id must be a plain file stem without separators or '..'. "
            f"Got {image_id!r}. Rename the image and its mask."
        )
    if image_id in seen:
        raise UserError(f"{where}: image_id must be unique. Got '{image_id}' again. Rename one.")
    if not canonical(fields["group_id"]):
        raise UserError(
            f"{where}: group_id must name a patient or slide. Got {fields['group_id']!r}. "
            "Where it is unknown, repeat the image id and set groups_known: false in dataset.yaml."
        )
    if fields["split"] not in (*SPLITS, ""):
        hint = nearest(fields["split"], SPLITS)
        raise UserError(f"{where}: split must be train, val, test or empty. Got {fields['split']!r}.{hint}")
    for column in ("height_px", "width_px"):
        text = fields[column]
        if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
            raise UserError(
                f"{where}: {column} must be a positive integer. Got {text!r}. Write the image's size in pixels."
            )
    return ImageEntry(
        image_id=image_id,
        group_id=canonical(fields["group_id"]),
        split=fields["split"],
        height_px=int(fields["height_px"]),
        width_px=int(fields["width_px"]),
        extra={key: canonical(value) for key, value in fields.items() if key not in COLUMNS},
    )
