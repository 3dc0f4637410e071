"""The file that `score` reads: which predictions there are, on which data, and what their values mean."""

from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from imbalance_bench.analysis_section import AnalysisSection
from imbalance_bench.config import BoundarySection, require_told_apart
from imbalance_bench.config_errors import validated
from imbalance_bench.config_section import PLAIN_NAME, Natural, PlainPath, Section
from imbalance_bench.data.dataset_file import Integer
from imbalance_bench.data_config import DataSection, SplitsSection
from imbalance_bench.names import ClassName
from imbalance_bench.yaml_files import read_yaml

PATH_KEYS = ("labels", "predictions", "probabilities")  # of the file or a method; paths where they are text
PLACEHOLDERS = ("image_id", "fold", "seed")
Label = Integer | str  # a value of the masks, or a colour "#rrggbb"
LabelMapping = dict[ClassName, Label | list[Label]]
NiftiAxes = Literal["xy", "yx"]  # what the first axis of a NIfTI file counts: columns (its standard) or rows


def _pattern(text: str) -> str:
    try:
        names = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise ValueError(f"must be a path with placeholders. Got '{text}': {error}.") from None
    unknown = [name for name in names if name not in PLACEHOLDERS]
    if unknown:
        raise ValueError(f"must use {{image_id}}, {{fold}} and {{seed}} alone. Got '{{{unknown[0]}}}' in '{text}'.")
    if "\0" in text:
        raise ValueError(f"must be a path. Got {text!r}, which holds a NUL character.")
    if "image_id" not in names:
        raise ValueError(f"must hold {{image_id}}, such as predictions/{{image_id}}.png. Got '{text}'.")
    return text


Pattern = Annotated[str, AfterValidator(_pattern)]


class LabelSection(Section):
    """What the values of masks mean; of the whole file, or of one method alone."""

    # class -> its values or colours, or an nnU-Net dataset.json; None: the ids of the prepared data set
    labels: PlainPath | LabelMapping | None = None
    no_class: list[Label] = Field(default=[])  # values that stand for none of the classes

    @model_validator(mode="after")
    def _named(self) -> "LabelSection":
        if self.no_class and not isinstance(self.labels, dict):
            raise ValueError("`no_class` goes with a mapping `labels`. Write the classes and their values there.")
        return self


class ForeignMethod(LabelSection):
    """Predictions of one method."""

    label: Annotated[str, Field(pattern=PLAIN_NAME)]
    predictions: Pattern  # path of a mask, with {image_id}, and {fold} and {seed} where there are several
    probabilities: Pattern | None = None  # path of an .npz or .npy, likewise
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**63)], ...], Field(min_length=1)] | None = (
        None  # None: as found
    )
    nifti_axes: NiftiAxes | None = None  # None: "xy", checked against the truth

    @model_validator(mode="after")
    def _one_seed(self) -> "ForeignMethod":
        if self.seeds is not None and len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"`seeds` of '{self.label}' must differ from each other. Got {list(self.seeds)}.")
        if self.seeds is not None and len(self.seeds) > 1 and "{seed}" not in self.predictions:
            raise ValueError(f"`predictions` of '{self.label}' must hold {{seed}}, since it has several `seeds`.")
        return self


class ForeignConfig(LabelSection):
    """Everything that `score` needs. Relative paths start at the working directory, as in a study file."""

    name: Annotated[str, Field(pattern=PLAIN_NAME, max_length=200)]
    dataset: DataSection
    splits: SplitsSection = SplitsSection()
    methods: Annotated[tuple[ForeignMethod, ...], Field(min_length=1)]
    evaluation: BoundarySection = BoundarySection()
    analysis: AnalysisSection = AnalysisSection()
    saved_predictions: Natural = 24  # test images per run whose mask is copied for figures

    @model_validator(mode="after")
    def _unambiguous(self) -> "ForeignConfig":
        require_told_apart([method.label for method in self.methods], self.analysis.control)
        return self

    @property
    def control(self) -> str:
        """Label of the method that the others are compared with."""
        return self.analysis.control or self.methods[0].label

    def labels_of(self, method: ForeignMethod) -> LabelSection:
        """Return what the values of a method's masks mean: its own labels, else those of the file."""
        return method if method.labels is not None else self

    def dump(self) -> dict[str, Any]:
        """The resolved file as plain JSON values that mean the same from every working directory."""
        content = self.model_dump(mode="json", exclude_defaults=True)
        content["dataset"]["path"] = str(self.dataset.path.resolve())
        for section in (content, *content["methods"]):
            for key in PATH_KEYS:
                if isinstance(section.get(key), str):
                    section[key] = str(Path.cwd() / section[key])
        if self.splits.path is not None:
            content["splits"]["path"] = str(self.splits.path.resolve())
        return content


def load_foreign(path: Path) -> ForeignConfig:
    """Read the file.

    Raises:
        UserError: It cannot be read, or something in it is unknown or out of range.
    """
    return validated(ForeignConfig, read_yaml(path, "docs/score.md shows a complete one."), str(path))
