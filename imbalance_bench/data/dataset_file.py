"""`dataset.yaml`: what a prepared data set says of itself, validated key by key."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from imbalance_bench.errors import UserError, nearest

MAX_CLASSES = 255  # ids 0..254: 255 stays free, because it means "unlabelled" once classes are merged

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_FORBIDDEN_IN_NAMES = re.compile(r"[/\\:\x00-\x1f\x7f]|\.\.")


@dataclass(frozen=True)
class ClassInfo:
    """One class.

    Args:
        id: Value in the masks, contiguous from 0.
        name: Unique; the only place where the class is named.
        colour: "#rrggbb", for every figure and overlay.
    """

    id: int
    name: str
    colour: str


@dataclass(frozen=True)
class DatasetInfo:
    """Content of `dataset.yaml`.

    Args:
        name: Short name, usable as a file name.
        description: One sentence.
        mpp_um: Micrometres per pixel, or None where unknown.
        unlabelled_id: Mask value of pixels that enter no loss, metric or statistic.
        groups_known: Whether `group_id` really is a patient or slide.
        classes: In order of id.
        licence: Licence of the data.
        citation: What to cite.
    """

    name: str
    description: str
    mpp_um: float | None
    unlabelled_id: int
    groups_known: bool
    classes: tuple[ClassInfo, ...]
    licence: str
    citation: str


def is_plain_name(name: str) -> bool:
    """Return whether a name is a plain file stem: no separator, no "..", not hidden, no surrounding space."""
    return bool(name) and name == name.strip() and name[0] != "." and not _FORBIDDEN_IN_NAMES.search(name)


def read_dataset_info(path: Path) -> DatasetInfo:
    """Read and validate `dataset.yaml`.

    Raises:
        UserError: The file is missing or undecodable, a key is missing or unknown, or a value is not allowed.
    """
    if not path.is_file():
        raise UserError(f"{path} must exist. Got no such file. Give a prepared data set, or run `data prepare` first.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} must be a UTF-8 YAML file. Got: {error}. Mend the syntax at that place.") from None
    _check_keys(content, _FIELDS, _OPTIONAL, str(path))
    for key, value in content.items():
        _check_value(value, _FIELDS[key], f"`{key}` of {path}")
    classes = _read_classes(content["classes"], path)
    unlabelled = content["unlabelled_id"]
    if unlabelled < len(classes):
        raise UserError(
            f"`unlabelled_id` of {path} must differ from every class id. "
            f"Got {unlabelled}, the id of '{classes[unlabelled].name}'. Use 255."
        )
    mpp = content["mpp_um"]
    return DatasetInfo(
        name=content["name"],
        description=content.get("description") or "",
        mpp_um=None if mpp is None else float(mpp),
        unlabelled_id=unlabelled,
        groups_known=content["groups_known"],
        classes=classes,
        licence=content.get("licence") or "",
        citation=content.get("citation") or "",
    )


@dataclass(frozen=True)
class _Field:
    """What a value must be, how to see it, and what to write instead."""

    holds: Callable[[Any], bool]
    must: str
    fix: str


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def _is_text(value: object) -> bool:
    return value is None or isinstance(value, str)


_FREE_TEXT = _Field(_is_text, "be text", "Put it in quotation marks.")
_FIELDS = {
    "name": _Field(
        lambda value: isinstance(value, str) and is_plain_name(value),
        "be a name without separators or '..'",
        "Write a short name such as bcss.",
    ),
    "description": _FREE_TEXT,
    "mpp_um": _Field(
        lambda value: value is None or _is_positive(value),
        "be a positive number of micrometres per pixel, or null",
        "Write null where it is unknown.",
    ),
    "unlabelled_id": _Field(
        lambda value: _is_integer(value) and 0 <= value <= 255, "be an integer from 0 to 255", "Use 255."
    ),
    "groups_known": _Field(
        lambda value: isinstance(value, bool), "be true or false", "Write true where group_id is a patient or slide."
    ),
    "classes": _Field(
        lambda value: isinstance(value, list) and 1 <= len(value) <= MAX_CLASSES,
        f"be a list of 1 to {MAX_CLASSES} classes",
        "Write one {id, name, colour} per class.",
    ),
    "licence": _FREE_TEXT,
    "citation": _FREE_TEXT,
}
_OPTIONAL = frozenset({"description", "licence", "citation"})
_CLASS_FIELDS = {
    "id": _Field(_is_integer, "be an integer", "Number the classes from 0."),
    "name": _Field(
        lambda value: isinstance(value, str) and bool(value) and value == value.strip(),
        "be text without surrounding spaces",
        "Write a name, in quotation marks where YAML reads it as something else.",
    ),
    "colour": _Field(
        lambda value: isinstance(value, str) and bool(_COLOUR.fullmatch(value)),
        "be '#rrggbb'",
        "Write it in quotation marks, such as '#1f77b4'.",
    ),
}


def _read_classes(rows: list[Any], path: Path) -> tuple[ClassInfo, ...]:
    classes = []
    for number, row in enumerate(rows):
        _check_keys(row, _CLASS_FIELDS, frozenset(), f"{path} classes[{number}]")
        for key, value in row.items():
            _check_value(value, _CLASS_FIELDS[key], f"`{key}` of {path} classes[{number}]")
        classes.append(ClassInfo(row["id"], row["name"], row["colour"].lower()))
    classes.sort(key=lambda each: each.id)
    ids = [each.id for each in classes]
    if ids != list(range(len(ids))):
        raise UserError(f"{path}: class ids must be 0..{len(ids) - 1}, each once. Got {ids}. Renumber the classes.")
    for key in ("name", "colour"):
        values = [getattr(each, key) for each in classes]
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise UserError(f"{path}: two classes must not share a {key}. Got '{twice[0]}' twice. Change one of them.")
    return tuple(classes)


def _check_keys(content: object, fields: dict[str, _Field], optional: frozenset[str], where: str) -> None:
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise UserError(f"{where} must be a mapping with the keys {', '.join(fields)}. Got {kind}. Write `key: value`.")
    for key in content:
        if key not in fields:
            raise UserError(f"{where} must hold known keys only. Got '{key}'.{nearest(str(key), fields)}")
    missing = [key for key in fields if key not in content and key not in optional]
    if missing:
        raise UserError(f"{where} must have the key '{missing[0]}'. Got {sorted(content)}. {fields[missing[0]].fix}")


def _check_value(value: object, field: _Field, where: str) -> None:
    if not field.holds(value):
        raise UserError(f"{where} must {field.must}. Got {value!r}. {field.fix}")
