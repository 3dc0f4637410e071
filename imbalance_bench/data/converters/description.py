"""The small YAML file that describes a data set to the converters `folder` and `sampath`."""

import colorsys
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imbalance_bench.data.converters.pixel_files import UNLABELLED_ID, LabelTable
from imbalance_bench.data.converters.source import PrepareOptions
from imbalance_bench.data.dataset_file import MAX_CLASSES, ClassInfo, DatasetInfo, is_plain_name
from imbalance_bench.errors import UserError, nearest

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")

Label = Annotated[int, Field(strict=True)] | str


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClassDescription(_Strict):
    """One class.

    Attributes:
        name: Of the class.
        labels: Its values in the masks, or its colours "#rrggbb".
        colour: For figures; by default its first label where that is a colour, else drawn from a wheel.
    """

    name: str
    labels: list[Label] = Field(min_length=1)
    colour: str | None = None


class Description(_Strict):
    """What cannot be read off files.

    Attributes:
        name: Of the data set.
        classes: In order of their future ids.
        unlabelled: Labels of pixels that enter nothing.
        mpp_um: Micrometres per pixel, null where unknown.
        group_regex: Searched in each image id; its first parenthesis is the patient or slide.
        description: One sentence.
        licence: Of the data.
        citation: What to cite.
    """

    name: str
    classes: list[ClassDescription] = Field(min_length=1, max_length=MAX_CLASSES)
    unlabelled: list[Label] = Field(default_factory=list)
    mpp_um: float | None = Field(default=None, gt=0)
    group_regex: str | None = None
    description: str = ""
    licence: str = ""
    citation: str = ""

    @property
    def has_colours(self) -> bool:
        """Whether masks hold colours rather than codes."""
        return isinstance(self.classes[0].labels[0], str)

    def info(self, *, groups_known: bool) -> DatasetInfo:
        """Return the future `dataset.yaml`."""
        return DatasetInfo(
            name=self.name,
            description=self.description,
            mpp_um=self.mpp_um,
            unlabelled_id=UNLABELLED_ID,
            groups_known=groups_known,
            classes=tuple(
                ClassInfo(number, each.name, self._colour(number)) for number, each in enumerate(self.classes)
            ),
            licence=self.licence,
            citation=self.citation,
        )

    def label_table(self, where: str) -> LabelTable:
        """Return the map from labels to class ids.

        Raises:
            UserError: Codes and colours are mixed, a colour is malformed, or a label is used twice.
        """
        ids: dict[int, int] = {}
        members = [(number, label) for number, each in enumerate(self.classes) for label in each.labels]
        for number, label in [*members, *((UNLABELLED_ID, label) for label in self.unlabelled)]:
            if isinstance(label, str) != self.has_colours:
                raise UserError(f"{where}: labels must all be integers or all be colours. Got {label!r}. Choose one.")
            if isinstance(label, str) and not _COLOUR.fullmatch(label):
                raise UserError(f"{where}: a label must be an integer or '#rrggbb'. Got '{label}'. Write it so.")
            code = int(label[1:], 16) if isinstance(label, str) else label
            if code in ids:
                raise UserError(f"{where}: a label must belong to one class. Got {label!r} twice. Remove one.")
            ids[code] = number
        return LabelTable(ids, colours=self.has_colours)

    def _colour(self, number: int) -> str:
        described = self.classes[number]
        if described.colour:
            return described.colour.lower()
        if isinstance(described.labels[0], str):
            return described.labels[0].lower()
        red, green, blue = colorsys.hsv_to_rgb(number / len(self.classes), 0.7, 0.9)
        return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


Described = TypeVar("Described", bound=Description)


def read_description(kind: type[Described], options: PrepareOptions, converter: str) -> Described:
    """Read and validate the file given with --config.

    Raises:
        UserError: No file was given, or it is not as it must be.
    """
    path = options.config
    if path is None:
        raise UserError(
            f"'{converter}' needs --config FILE with the classes and their labels. Got none. "
            f"docs/datasets/{converter}.md shows one."
        )
    described = _validated(kind, _load(path), path)
    names = [each.name for each in described.classes]
    if len(set(names)) < len(names) or not is_plain_name(described.name):
        raise UserError(f"{path}: the data set needs a plain name, and class names must differ. Got {names}. Mend it.")
    for each in described.classes:
        if each.colour is not None and not _COLOUR.fullmatch(each.colour):
            raise UserError(f"`colour` of class '{each.name}' in {path} must be '#rrggbb'. Got '{each.colour}'.")
    described.label_table(str(path))
    return described


def _load(path: Path) -> Mapping[str, object]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} must be a UTF-8 YAML file. Got: {error}. Mend the syntax at that place.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold `key: value` lines. Got {type(content).__name__}. Begin with `name: ...`.")
    return content


def _validated(kind: type[Described], content: Mapping[str, object], path: Path) -> Described:
    try:
        return kind.model_validate(content)
    except ValidationError as failure:
        first = failure.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = (kind if len(first["loc"]) == 1 else ClassDescription).model_fields
        raise UserError(f"{path}: unknown key `{key}`.{nearest(str(first['loc'][-1]), known)}")
    if first["type"] == "missing":
        raise UserError(f"{path}: `{key}` is required. Add it.")
    raise UserError(f"`{key}` of {path}: {first['msg']}. Got {first['input']!r}. Mend it.")
