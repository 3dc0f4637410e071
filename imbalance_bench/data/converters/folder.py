"""Any images and masks, described by a regular expression over paths, templates, and a table of labels."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from string import Formatter
from unicodedata import normalize

from pydantic import BaseModel, ConfigDict, Field

from imbalance_bench.csv_files import read_csv
from imbalance_bench.data.audit.images import name_parser
from imbalance_bench.data.converters.description import Description, read_description
from imbalance_bench.data.converters.nearest_colour import NearestLabels
from imbalance_bench.data.converters.pixel_files import LabelTable
from imbalance_bench.data.converters.source import (
    Converter,
    Pixels,
    Plan,
    PrepareOptions,
    Problem,
    SourceImage,
    with_groups,
    without_leaking_splits,
)
from imbalance_bench.data.converters.source_files import SourceFiles, spellings
from imbalance_bench.data.pictures import read_colours, read_labels, read_rgb
from imbalance_bench.data.prepared import IMAGE_SUFFIXES, SPLITS
from imbalance_bench.errors import UserError, nearest
from imbalance_bench.names import canonical

_SHOWN = 5  # files named in a remark
_MOST_COMPARED = 2000  # rows among which a near name is looked for

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
    """List the images that the description matches, and everything that is wrong with the folder."""
    described = read_description(FolderDescription, options, "folder")
    where = str(options.config)
    for theirs, ours in described.splits.items():
        if ours not in (*SPLITS, ""):
            raise UserError(f"{where}: `splits.{theirs}` must be train, val, test or ''. Got '{ours}'.")
    tree = SourceFiles.below(source)
    layout = _Layout(described, tree, where, _read_table(source, described.table) if described.table else {})
    images, problems = layout.images()
    pattern = options.group_regex or described.group_regex
    if pattern and images:
        images = with_groups(images, name_parser(pattern, "`group_regex`"), pattern)
    remarks = layout.remarks(images)
    images, leaks = without_leaking_splits(images)
    labels = described.labels(where)
    return Plan(
        info=described.info(groups_known=bool(pattern or described.group)),
        images=tuple(images),
        read=partial(read_pair, labels=labels),
        remarks=(*remarks, *leaks),
        problems=tuple(problems),
        tolerance=labels.limit if isinstance(labels, NearestLabels) else None,
        index_classes=None if described.has_colours else described.label_table(where).classes,
    )


def read_pair(source: SourceImage, *, labels: LabelTable | NearestLabels) -> Pixels:
    """Read one image and translate its mask."""
    if isinstance(labels, NearestLabels):
        mask, change = labels.apply(read_colours(source.mask), source.mask)
        return Pixels(read_rgb(source.image), mask, change=change)
    codes = read_colours(source.mask) if labels.colours else read_labels(source.mask)
    return Pixels(read_rgb(source.image), labels.apply(codes, source.mask))


class _Layout:
    """A description applied to the files of a folder."""

    def __init__(self, described: FolderDescription, tree: SourceFiles, where: str, rows: Mapping[str, Fields]) -> None:
        self._described, self._tree, self._where, self._rows = described, tree, where, rows
        try:
            self._pattern = re.compile(normalize("NFC", described.image))
        except re.error as error:
            raise UserError(f"`image` of {where} must be a regular expression. Got: {error}. Correct it.") from None

    def images(self) -> tuple[list[SourceImage], list[Problem]]:
        """Return the images that are as they should be, and a problem for each other one."""
        matches = [(path, match) for path in self._tree.files if (match := self._match(path))]
        if not matches:
            files = list(self._tree.files)
            example = f" such as '{files[0]}'" if files else ""
            raise UserError(
                f"`image` of {self._where} must match paths relative to {self._tree.root}. "
                f"Got '{self._described.image}', which matches none of {len(files)} files{example}. Correct it."
            )
        problems = [
            Problem("links to nothing", f"{self._tree.root / path} must lead to a file. Got a broken link. Correct it.")
            for path in self._tree.broken_links
            if self._match(path)
        ]
        images, first = [], dict[tuple[int, int], Path]()
        for path, match in matches:
            image = self._source_image(path, match)
            if isinstance(image, Problem):
                problems.append(image)
                continue
            status = image.image.stat()
            other = first.setdefault((status.st_dev, status.st_ino), image.image)
            if other is not image.image:
                line = f"{image.image} must be another file than {other}. Got links to one. Remove one of them."
                problems.append(Problem("images listed twice", line))
            images.append(image)
        return images, problems

    def remarks(self, images: Sequence[SourceImage]) -> tuple[str, ...]:
        """Return what was left out: masks without images, other pictures, links that lead in circles."""
        used = {path for image in images for path in (image.image, image.mask)}
        free = [name for name, path in self._tree.files.items() if path not in used and not self._match(name)]
        mask = _pattern_of(self._described.mask)
        masks = [name for name in free if mask and any(map(mask.fullmatch, spellings(name)))]
        suffixes = (*IMAGE_SUFFIXES, ".bmp")
        pictures = [name for name in free if name not in set(masks) and name.lower().endswith(suffixes)]
        return (
            *_left_out(masks, "masks have no image and are", "mask has no image and is"),
            *_left_out(pictures, "other pictures are", "other picture is"),
            *_left_out(self._tree.loops, "links to a folder around them are", "link to a folder around it is"),
        )

    def _match(self, path: str) -> re.Match[str] | None:
        return next((match for spelling in spellings(path) if (match := self._pattern.fullmatch(spelling))), None)

    def _source_image(self, path: str, match: re.Match[str]) -> SourceImage | Problem:
        described, where = self._described, self._where
        named = {name: value or "" for name, value in match.groupdict().items()}
        fields = {"file": path, "path": path.rsplit(".", 1)[0], **named}
        if described.table:
            key = canonical(_fill(described.table.key, fields, f"`table.key` of {where}"))
            if key not in self._rows:
                hint = nearest(key, self._rows) if len(self._rows) <= _MOST_COMPARED else ""
                table = self._tree.root / described.table.file
                return Problem("images without a row", f"{table} must have a row for '{key}' ({path}).{hint}")
            fields = {**self._rows[key], **fields}
        wanted = _fill(described.mask, fields, f"`mask` of {where}")
        mask = self._tree.find(wanted)
        if mask is None:
            line = f"{self._tree.root / wanted} must exist, as `mask` of {where} says. Got no such file for {path}."
            return Problem("images without a mask", line)
        split = _fill(described.split or "", fields, f"`split` of {where}")
        ours = described.splits.get(split, split)
        if ours not in (*SPLITS, ""):
            line = f"{where}: split '{split}' of {path} is unknown. Translate it in `splits`."
            return Problem("images of an unknown split", line)
        image_id = _fill(described.image_id or "{path}", fields, f"`image_id` of {where}").replace("/", "_")
        group = _fill(described.group, fields, f"`group` of {where}") if described.group else image_id
        if not canonical(group):
            return Problem("images without a group", f"{where}: `group` of {path} must name one. Got {group!r}.")
        return SourceImage(
            image_id=normalize("NFC", image_id),
            group_id=canonical(group),
            image=self._tree.files[path],
            mask=mask,
            split=ours,
            extra={
                name: canonical(_fill(template, fields, f"`extra` of {where}"))
                for name, template in described.extra.items()
            },
        )


def _fill(template: str, fields: Fields, where: str) -> str:
    try:
        return template.format_map(fields)
    except KeyError as error:
        name = str(error.args[0])
        raise UserError(f"{where} uses {{{name}}}, which nothing defines.{nearest(name, fields)}") from None
    except (ValueError, IndexError, AttributeError) as error:
        raise UserError(f"{where} must be text with {{names}}. Got '{template}': {error}. Correct it.") from None


def _pattern_of(template: str) -> re.Pattern[str] | None:
    """Return what matches anything that a template can become; None where it says too little to tell."""
    parts = list(Formatter().parse(normalize("NFC", template)))
    if sum(character.isalnum() for text, _, _, _ in parts for character in text.rsplit(".", 1)[0]) == 0:
        return None
    return re.compile("".join(re.escape(text) + ("" if name is None else ".+") for text, name, _, _ in parts))


def _left_out(names: Sequence[str], plural: str, single: str) -> tuple[str, ...]:
    if not names:
        return ()
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return (f"{len(names)} {plural if len(names) > 1 else single} left out: {shown}",)


def _read_table(source: Path, described: TableDescription) -> dict[str, Fields]:
    table = read_csv(source / described.file, "Check `table.file`.").whole()
    table.require_columns([described.column])
    rows: dict[str, Fields] = {}
    for row in table.rows:
        fields = {name: normalize("NFC", value.strip()) for name, value in row.fields.items()}
        key = canonical(fields[described.column])
        if key in rows:
            raise UserError(f"{table.path} row {row.number}: '{described.column}' must be unique. Got '{key}' again.")
        rows[key] = fields
    return rows


CONVERTER = Converter(
    "any images and masks: one YAML with a path pattern and a table of labels (--config)",
    plan,
    frozenset({"config", "group_regex"}),
)
