"""Any images and masks, described by a regular expression over paths, templates, and a table of labels."""

import csv
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from imbalance_bench.data.audit.images import name_parser
from imbalance_bench.data.converters.description import Description, read_description
from imbalance_bench.data.converters.pixel_files import LabelTable
from imbalance_bench.data.converters.source import (
    Converter,
    Pixels,
    Plan,
    PrepareOptions,
    SourceImage,
    with_groups,
    without_leaking_splits,
)
from imbalance_bench.data.pictures import read_colours, read_labels, read_rgb
from imbalance_bench.data.prepared import SPLITS
from imbalance_bench.errors import UserError, nearest

Fields = Mapping[str, str]


class TableDescription(BaseModel):
    """A CSV file with a row per image or per case.

    Attributes:
        file: Relative to SOURCE.
        column: Its column that is looked up.
        key: Template of the value looked up.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    column: str
    key: str


class FolderDescription(Description):
    """What the converter needs to know of a layout.

    Attributes:
        image: Regular expression; files whose path relative to SOURCE it matches whole are images. Its named groups,
            `path` (without ending) and the columns of `table` can be used in the templates below.
        mask: Template of the mask's path relative to SOURCE.
        image_id: Template; by default the path with "_" for "/".
        group: Template of the patient or slide.
        split: Template of the split.
        splits: Names that the source uses -> train, val or test; "" leaves images without one.
        table: Where more is known of each image.
        extra: Further columns of index.csv -> template.
    """

    image: str
    mask: str
    image_id: str | None = None
    group: str | None = None
    split: str | None = None
    splits: dict[str, str] = Field(default_factory=dict)
    table: TableDescription | None = None
    extra: dict[str, str] = Field(default_factory=dict)


def plan(source: Path, options: PrepareOptions) -> Plan:
    """List the images that the description matches."""
    described = read_description(FolderDescription, options, "folder")
    where = str(options.config)
    for theirs, ours in described.splits.items():
        if ours not in (*SPLITS, ""):
            raise UserError(f"{where}: `splits.{theirs}` must be train, val, test or ''. Got '{ours}'.")
    rows = _read_table(source, described.table) if described.table else {}
    images = [_source_image(described, source, fields, where) for fields in _matches(source, described, rows, where)]
    pattern = options.group_regex or described.group_regex
    if pattern:
        images = with_groups(images, name_parser(pattern, "`group_regex`"), pattern)
    images, remarks = without_leaking_splits(images)
    return Plan(
        info=described.info(groups_known=bool(pattern or described.group)),
        images=tuple(images),
        read=partial(read_pair, table=described.label_table(where)),
        remarks=remarks,
    )


def read_pair(source: SourceImage, *, table: LabelTable) -> Pixels:
    """Read one image and translate its mask."""
    codes = read_colours(source.mask) if table.colours else read_labels(source.mask)
    return Pixels(read_rgb(source.image), table.apply(codes, source.mask))


def _matches(
    source: Path, described: FolderDescription, rows: Mapping[str, Fields], where: str
) -> list[dict[str, str]]:
    """Return, for each image, everything that templates may use."""
    try:
        pattern = re.compile(described.image)
    except re.error as error:
        raise UserError(f"`image` of {where} must be a regular expression. Got: {error}. Mend it.") from None
    paths = sorted(path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file())
    found = []
    for path in paths:
        match = pattern.fullmatch(path)
        if match is None:
            continue
        stem = path.rsplit(".", 1)[0]
        fields = {"file": path, "path": stem, **{name: value or "" for name, value in match.groupdict().items()}}
        if described.table:
            key = _fill(described.table.key, fields, f"`table.key` of {where}")
            if key not in rows:
                hint = nearest(key, rows)
                raise UserError(f"{source / described.table.file} must have a row for '{key}' ({path}).{hint}")
            fields = {**rows[key], **fields}
        found.append(fields)
    if not found:
        example = f" such as '{paths[0]}'" if paths else ""
        raise UserError(
            f"`image` of {where} must match paths relative to {source}. Got '{described.image}', which matches none of "
            f"{len(paths)} files{example}. Mend it."
        )
    return found


def _source_image(described: FolderDescription, source: Path, fields: Fields, where: str) -> SourceImage:
    image_id = _fill(described.image_id or "{path}", fields, f"`image_id` of {where}").replace("/", "_")
    mask = source / _fill(described.mask, fields, f"`mask` of {where}")
    if not mask.is_file():
        raise UserError(f"{mask} must exist, as `mask` of {where} says. Got no such file for {fields['file']}.")
    split = _fill(described.split or "", fields, f"`split` of {where}")
    ours = described.splits.get(split, split)
    if ours not in (*SPLITS, ""):
        raise UserError(f"{where}: split '{split}' of {fields['file']} is unknown. Translate it in `splits`.")
    return SourceImage(
        image_id=image_id,
        group_id=_fill(described.group, fields, f"`group` of {where}") if described.group else image_id,
        image=source / fields["file"],
        mask=mask,
        split=ours,
        extra={name: _fill(template, fields, f"`extra` of {where}") for name, template in described.extra.items()},
    )


def _fill(template: str, fields: Fields, where: str) -> str:
    try:
        return template.format_map(fields)
    except KeyError as error:
        name = str(error.args[0])
        raise UserError(f"{where} uses {{{name}}}, which nothing defines.{nearest(name, fields)}") from None
    except (ValueError, IndexError, AttributeError) as error:
        raise UserError(f"{where} must be text with {{names}}. Got '{template}': {error}. Mend it.") from None


def _read_table(source: Path, described: TableDescription) -> dict[str, Fields]:
    path = source / described.file
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            content = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} must be a readable UTF-8 CSV file. Got: {error}. Check `table.file`.") from None
    header = list(content[0]) if content else []
    if described.column not in header:
        raise UserError(f"{path} must have the column '{described.column}'.{nearest(described.column, header)}")
    rows: dict[str, Fields] = {}
    for number, row in enumerate(content, start=2):
        if None in row or None in row.values():
            raise UserError(f"{path} row {number} must have {len(header)} fields. Mend the row.")
        key = row[described.column].strip()
        if key in rows:
            raise UserError(f"{path} row {number}: '{described.column}' must be unique. Got '{key}' again.")
        rows[key] = {name.strip(): value.strip() for name, value in row.items()}
    return rows


CONVERTER = Converter(
    "any images and masks: one YAML with a path pattern and a table of labels (--config)",
    plan,
    frozenset({"config", "group_regex"}),
)
