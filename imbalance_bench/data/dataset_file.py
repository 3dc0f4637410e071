"""`dataset.yaml`: what a prepared data set says of itself, validated key by key."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import ConfigDict, Field, Strict, field_validator, model_validator
from pydantic.dataclasses import dataclass

from imbalance_bench.config_errors import validated
from imbalance_bench.names import ClassName, Colour, PlainStem, look_alike
from imbalance_bench.yaml_files import read_yaml

MAX_CLASSES = 255  # ids 0..254: 255 stays free, because it means "unlabelled" once classes are merged

Integer = Annotated[int, Strict()]  # `yes` is no number
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Resolution = Annotated[Number, Field(gt=0)]  # um per px

_STRICT = ConfigDict(extra="forbid")
_OPTIONAL_TEXT = ("description", "licence", "citation")


@dataclass(frozen=True, config=_STRICT)
class ClassInfo:
    """One class.

    Args:
        id: Value in the masks, contiguous from 0.
        name: Unique; the only place where the class is named.
        colour: "#rrggbb", for every figure and overlay.
    """

    id: Annotated[Integer, Field(json_schema_extra={"fix": "Number the classes from 0."})]
    name: Annotated[ClassName, Field(json_schema_extra={"fix": "Write a name, once."})]
    colour: Colour


@dataclass(frozen=True, config=_STRICT)
class NearestColours:
    """How far masks were changed because their colours were not exactly those of the layout.

    Args:
        tolerance: Largest distance allowed between a pixel and the colour that it was given; Euclidean in RGB, 0..442.
        largest_distance: Largest distance there was.
        changed_pixels: Pixels that had none of the layout's colours.
        changed_share: Their share of all pixels.
    """

    tolerance: Number
    largest_distance: Number
    changed_pixels: Integer
    changed_share: Number


@dataclass(frozen=True, config=_STRICT)
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
        nearest_colours: What `nearest: true` of the folder layout did to the masks; None elsewhere.
    """

    name: Annotated[PlainStem, Field(json_schema_extra={"fix": "Write a short name such as bcss."})]
    description: str
    mpp_um: Annotated[
        Resolution | None, Field(json_schema_extra={"fix": "Write micrometres per pixel, or null where unknown."})
    ]
    unlabelled_id: Annotated[Integer, Field(ge=0, le=255, json_schema_extra={"fix": "Use 255."})]
    groups_known: Annotated[
        bool, Strict(), Field(json_schema_extra={"fix": "Write true where group_id is a patient or slide."})
    ]
    classes: Annotated[
        tuple[ClassInfo, ...],
        Field(
            min_length=1, max_length=MAX_CLASSES, json_schema_extra={"fix": "Write one {id, name, colour} per class."}
        ),
    ]
    licence: str
    citation: str
    nearest_colours: NearestColours | None = None

    @field_validator("classes")
    @classmethod
    def _by_id(cls, classes: tuple[ClassInfo, ...]) -> tuple[ClassInfo, ...]:
        return tuple(sorted(classes, key=lambda class_: class_.id))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        ids = [class_.id for class_ in self.classes]
        if ids != list(range(len(ids))):
            raise ValueError(f"class ids must be 0..{len(ids) - 1}, each once. Got {ids}. Renumber the classes.")
        require_distinct_classes([class_.name for class_ in self.classes])
        colours = [class_.colour for class_ in self.classes]
        twice = next((colour for colour in colours if colours.count(colour) > 1), None)
        if twice is not None:
            raise ValueError(f"two classes must not share a colour. Got '{twice}' twice. Change one of them.")
        if self.unlabelled_id < len(ids):
            raise ValueError(
                "`unlabelled_id` must differ from every class id. "
                f"Got {self.unlabelled_id}, the id of '{self.classes[self.unlabelled_id].name}'. Use 255."
            )
        return self


def require_distinct_classes(names: list[str]) -> None:
    """Refuse class names that a reader could not tell apart.

    Raises:
        ValueError: Two are equal, apart from case, width and dashes.
    """
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(look_alike(name), name)
        if other is not name:
            pair = f"'{name}' twice" if other == name else f"'{other}' and '{name}', which look alike"
            raise ValueError(f"two classes must not share a name. Got {pair}. Rename one of them.")


def read_dataset_info(path: Path) -> DatasetInfo:
    """Read and validate `dataset.yaml`.

    Raises:
        UserError: The file is missing or undecodable, a key is missing or unknown, or a value is not allowed.
    """
    content = read_yaml(path, "Give a prepared data set, or run `data prepare` first.")
    for key in _OPTIONAL_TEXT:
        if content.get(key) is None:
            content[key] = ""
    return validated(DatasetInfo, content, str(path))
