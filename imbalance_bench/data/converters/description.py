"""The small YAML file that describes a data set to the converters `folder` and `sampath`."""

import colorsys
import re
from itertools import chain, count
from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imbalance_bench.config_errors import validated
from imbalance_bench.data.converters.nearest_colour import NearestLabels
from imbalance_bench.data.converters.pixel_files import UNLABELLED_ID, LabelTable
from imbalance_bench.data.converters.source import PrepareOptions
from imbalance_bench.data.dataset_file import (
    MAX_CLASSES,
    ClassInfo,
    DatasetInfo,
    Integer,
    Number,
    Resolution,
    require_distinct_classes,
)
from imbalance_bench.errors import UserError
from imbalance_bench.names import ClassName, Colour, PlainStem
from imbalance_bench.yaml_files import read_yaml

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")

Label = Integer | str


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClassDescription(_Strict):
    """One class.

    Attributes:
        name: Of the class.
        labels: Its values in the masks, or its colours "#rrggbb".
        colour: For figures; by default its first label where that is a colour, else drawn from a wheel.
    """

    name: ClassName
    labels: list[Label] = Field(min_length=1)
    colour: Colour | None = None


class Description(_Strict):
    """What cannot be read off files.

    Attributes:
        name: Of the data set.
        classes: In order of their future ids.
        unlabelled: Labels of pixels that enter nothing.
        nearest: Whether a pixel whose colour is no label takes the nearest label: for anti-aliased or noisy masks.
        tolerance: With `nearest`: largest distance to a label, Euclidean in RGB (0..442). By default what every mixture
            of labels keeps: about .6 of the largest distance between two of them.
        mpp_um: Micrometres per pixel, null where unknown.
        group_regex: Searched in each image id; its first parenthesis is the patient or slide.
        description: One sentence.
        licence: Of the data.
        citation: What to cite.
    """

    name: PlainStem
    classes: list[ClassDescription] = Field(min_length=1, max_length=MAX_CLASSES)
    unlabelled: list[Label] = Field(default_factory=list)
    nearest: bool = False
    tolerance: Annotated[Number, Field(ge=0)] | None = None
    mpp_um: Resolution | None = None
    group_regex: str | None = None
    description: str = ""
    licence: str = ""
    citation: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        require_distinct_classes([class_.name for class_ in self.classes])
        colours = [class_.colour for class_ in self.classes if class_.colour]
        for colour in colours:
            if colours.count(colour) > 1:
                raise ValueError(f"two classes must not share a `colour`. Got '{colour}' twice. Change one of them.")
        if self.nearest and not self.has_colours:
            raise ValueError("`nearest` is for labels that are colours. Codes are exact: leave it out.")
        if self.tolerance is not None and not self.nearest:
            raise ValueError("`tolerance` has no effect without `nearest: true`. Add that, or leave it out.")
        return self

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
                ClassInfo(number, class_.name, colour)
                for number, (class_, colour) in enumerate(zip(self.classes, self._colours(), strict=True))
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
        members = [(number, label) for number, class_ in enumerate(self.classes) for label in class_.labels]
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

    def labels(self, where: str) -> LabelTable | NearestLabels:
        """Return the map from what masks hold to class ids.

        Raises:
            UserError: See `label_table`.
        """
        table = self.label_table(where)
        return NearestLabels(table, self.tolerance) if self.nearest else table

    def _colours(self) -> list[str]:
        """Return a colour per class: as described, else its first label, else of a wheel; no two alike."""
        taken = {class_.colour for class_ in self.classes if class_.colour}
        colours = []
        for number, class_ in enumerate(self.classes):
            label = class_.labels[0]
            wishes = [label.lower()] if isinstance(label, str) else []
            wheel = (_wheel((number + step / 8) / len(self.classes)) for step in count())
            colours.append(class_.colour or next(wish for wish in chain(wishes, wheel) if wish not in taken))
            taken.add(colours[-1])
        return colours


def _wheel(hue: float) -> str:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, 0.7, 0.9)
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
    described = validated(kind, read_yaml(path, "Give the layout with --config."), str(path))
    described.label_table(str(path))
    return described
