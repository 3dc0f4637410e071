"""What the leakage audit knows of each image: its part, fold, group, site and place, read or parsed from names."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unicodedata import normalize

from imbalance_bench.csv_files import read_csv
from imbalance_bench.data.audit.tile_positions import Position, parse_positions
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.errors import UserError, nearest
from imbalance_bench.names import canonical

ID_COLUMNS = ("img_id", "image_id")
PART_COLUMNS = ("fold", "split")
PART_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
TEST_FOLD, VALIDATION_FOLD = -1, 0  # SAM-Path: -1 is tested, 0 validates, 1 and above are trained on

_TCGA = re.compile(r"^TCGA-(\w\w)-\w{4}")


@dataclass(frozen=True)
class AuditedImage:
    """One image, patch or tile.

    Args:
        image_id: Its name.
        part: "train", "val", "test", or "" where no split is given.
        fold: What must not share a group with another: the number in a cross-validation file, else the part.
        group: Patient or slide, or None where unknown.
        site: Where the slide comes from, or None.
        height_px: Rows, or None where unknown.
        width_px: Columns, or None where unknown.
        position: Place on the slide, or None.
    """

    image_id: str
    part: str
    fold: str
    group: str | None = None
    site: str | None = None
    height_px: int | None = None
    width_px: int | None = None
    position: Position | None = None


def is_tcga(name: str) -> bool:
    """Return whether a name begins with a TCGA patient barcode."""
    return bool(_TCGA.match(name))


def read_prepared_images(dataset: PreparedDataset) -> list[AuditedImage]:
    """Return the rows of a prepared data set; groups count as unknown where `groups_known` is false."""
    return [
        AuditedImage(
            image_id=entry.image_id,
            part=entry.split,
            fold=entry.split,
            group=entry.group_id if dataset.info.groups_known else None,
            site=entry.extra.get("site") or None,
            height_px=entry.height_px,
            width_px=entry.width_px,
        )
        for entry in dataset.entries
    ]


def read_split_file(path: Path, tile_px: int | None = None) -> list[AuditedImage]:
    """Read a CSV file with an image and its fold or split per row.

    Args:
        path: Columns img_id (or image_id) and fold (or split); group_id and site are used where present.
        tile_px: Edge of every image, px.

    Raises:
        UserError: Unreadable, a column is missing, an image is listed twice, or a fold is not understood.
    """
    table = read_csv(path).whole()
    id_column, part_column = (_column(path, table.header, names) for names in (ID_COLUMNS, PART_COLUMNS))
    images: dict[str, AuditedImage] = {}
    for row in table.rows:
        where, fields = f"{path} row {row.number}", {key: canonical(value) for key, value in row.fields.items()}
        name, fold = normalize("NFC", row.fields[id_column].strip()), fields[part_column]
        if not name or name in images:
            again = f"'{name}' again" if name else "''"
            raise UserError(f"{where}: {id_column} must be a unique name. Got {again}. Remove one row.")
        images[name] = AuditedImage(
            image_id=name,
            part=part_of(fold, f"{where}: {part_column}"),
            fold=fold,
            group=fields.get("group_id") or None,
            site=fields.get("site") or None,
            height_px=tile_px,
            width_px=tile_px,
        )
    if not images:
        raise UserError(f"{path} must list at least one image. Got a header alone. Add a row per image.")
    return list(images.values())


def part_of(fold: str, where: str) -> str:
    """Return train, val or test for a fold number or the name of a split.

    Raises:
        UserError: It is neither.
    """
    if re.fullmatch(r"-?\d+", fold) and int(fold) >= TEST_FOLD:
        return {TEST_FOLD: "test", VALIDATION_FOLD: "val"}.get(int(fold), "train")
    if fold.lower() in PART_NAMES:
        return PART_NAMES[fold.lower()]
    hint = nearest(fold, PART_NAMES)
    raise UserError(f"{where} must be -1 (test), 0 (validation), 1.. (train) or a split. Got '{fold}'.{hint}")


def with_names_parsed(
    images: Sequence[AuditedImage], *, group_regex: str | None = None, site_regex: str | None = None
) -> list[AuditedImage]:
    """Fill in what the names say: groups and sites by regular expression, positions by their usual spellings.

    Raises:
        UserError: A regular expression is malformed or matches no image.
    """
    names = [image.image_id for image in images]
    groups = _extract(group_regex, names, "--group-regex") if group_regex else [image.group for image in images]
    sites = [image.site for image in images]
    if site_regex:
        sites = _extract(site_regex, names, "--site-regex")
    elif not any(sites):
        sites = [match[1] if (match := _TCGA.match(name)) else None for name in names]
    sizes = [size for image in images for size in (image.height_px, image.width_px) if size]
    positions = parse_positions(names, groups, tile_px=min(sizes, default=None))
    return [
        replace(image, group=group, site=site, position=position)
        for image, group, site, position in zip(images, groups, sites, positions, strict=True)
    ]


def name_parser(pattern: str, option: str) -> Callable[[str], str | None]:
    """Return a function that takes the first parenthesis (or the whole match) of a pattern from a name.

    Raises:
        UserError: The regular expression is malformed.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UserError(f"{option} must be a regular expression. Got '{pattern}': {error}. Correct it.") from None

    def parse(name: str) -> str | None:
        match = compiled.search(name)
        return None if match is None else canonical(match[1 if compiled.groups else 0] or "") or None

    return parse


def _extract(pattern: str, names: Sequence[str], option: str) -> list[str | None]:
    parsed = list(map(name_parser(pattern, option), names))
    if not any(parsed):
        raise UserError(f"{option} must match some image ids. Got '{pattern}', which misses '{names[0]}'. Correct it.")
    return parsed


def _column(path: Path, header: Sequence[str], names: Sequence[str]) -> str:
    for name in names:
        if name in header:
            return name
    raise UserError(f"{path} must have a column '{names[0]}' or '{names[1]}'. Got {', '.join(header)}. Rename one.")
