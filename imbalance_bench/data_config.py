"""The parts of the study file that say which data set, and how it is divided."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from imbalance_bench.config_section import Fraction, PlainPath, Positive, Section, Seed, untold
from imbalance_bench.names import ClassName

TEST_FRACTION = 0.25  # of a grouped split into one fold
Text = Annotated[str, Field(min_length=1, max_length=2000)]


class DataSection(Section):
    """Which prepared data set, and which classes are distinguished. Relative paths start at the working directory."""

    path: PlainPath
    source: Text | None = Field(
        default=None, exclude_if=untold
    )  # how to get and prepare it, said where `path` is missing
    groups: dict[ClassName, list[ClassName]] = Field(default={})  # merged class -> source classes
    ignore: list[ClassName] = Field(default=[])  # classes to treat as unlabelled
    # all classes after merging, in the order of their numbers; [] keeps that of the data set
    class_order: list[ClassName] = Field(default=[], exclude_if=lambda names: not names)
    # class -> its kind; classes of a kind are compared with one another only
    families: dict[ClassName, ClassName] = Field(default={})


class DatasetSection(DataSection):
    """A data set that models are trained on, tile by tile."""

    tile_px: Annotated[int, Field(ge=32, multiple_of=32, le=2**20)] = 512
    stride_px: Positive = 512  # the tile's size, unless given

    @model_validator(mode="before")
    @classmethod
    def _stride_of_tile(cls, content: Any) -> Any:
        tiled = isinstance(content, dict) and "tile_px" in content
        return {"stride_px": content["tile_px"], **content} if tiled else content

    @model_validator(mode="after")
    def _tiles_cover(self) -> "DatasetSection":
        if self.stride_px > self.tile_px:
            raise ValueError(
                f"`dataset.stride_px` must be <= `dataset.tile_px` ({self.tile_px}). Got {self.stride_px}."
            )
        return self


class SplitsSection(Section):
    """How images are divided. `published`: the split column of the data set; `grouped`: drawn; `file`: read."""

    kind: Literal["published", "grouped", "file"] = "published"
    folds: Positive = 1  # grouped: each group is tested once; with 1, `test_fraction` is tested
    # grouped: divisions drawn one after the other, of `folds` folds each
    repeats: Annotated[int, Field(ge=1, le=1000)] = 1
    test_fraction: Fraction | None = None  # grouped, with one fold: share of the images; a quarter unless given
    # file: JSON of `data splits --out` or nnU-Net, or a cv.csv; from the working directory
    path: PlainPath | None = None
    rotate: bool = False  # file, cv.csv: every fold but the test set validates once
    validation_fraction: Fraction = 0.15  # carved out of training, by group, unless published or read from a file
    seed: Seed = 0

    @model_validator(mode="before")
    @classmethod
    def _one_division(cls, content: Any) -> Any:
        if isinstance(content, dict) and content.get("kind") == "grouped" and content.get("folds", 1) == 1:
            return {"test_fraction": TEST_FRACTION, **content}
        return content

    @model_validator(mode="after")
    def _keys_of_kind(self) -> "SplitsSection":
        if self.kind == "file" and self.path is None:
            raise ValueError("`splits.path` is required by `splits.kind: file`. Give a JSON of splits or a cv.csv.")
        keys = {"grouped": ("folds", "repeats", "test_fraction"), "file": ("path", "rotate")}
        defaults = SplitsSection.model_fields
        for kind, names in keys.items():
            for name in names if kind != self.kind else ():
                if getattr(self, name) != defaults[name].default:
                    raise ValueError(
                        f"`splits.{name}` does not apply to `splits.kind: {self.kind}`. Got {getattr(self, name)}. "
                        f"Leave it out, or set `splits.kind: {kind}`."
                    )
        return self
