"""Specification of a phantom data set: classes with planted factors, slides, scale and seed."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Texture = Literal["stroma", "tumour", "inflammatory", "necrosis", "gland", "fat", "muscle", "blood"]
Factor = Annotated[float, Field(ge=0.0, le=1.0)]

MIN_SHARE = 0.002
SHARE_TOLERANCE = 1e-6


class PhantomClass(BaseModel):
    """One tissue class and the four factors planted in it, each in [0, 1].

    Attributes:
        name: Class name, unique in the data set.
        colour: Display colour, `#rrggbb`.
        texture: Which tissue the class looks like; each texture serves one class.
        share: Frequency: the class's share of all labelled pixels. The shares of a spec sum to 1.
        ambiguity: How far the texture blends and wanders across the borders of the class's regions.
        morphology: Dispersion of area, elongation and lobulation over the class's regions, at constant mean area.
        context: How far the interior of the class is mixed with the texture of `rival`.
        rival: Name of the class that `context` mixes in; required where `context` > 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1)]
    colour: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]
    texture: Texture
    share: Annotated[float, Field(ge=MIN_SHARE, lt=1.0)]
    ambiguity: Factor = 0.2
    morphology: Factor = 0.4
    context: Factor = 0.0
    rival: str | None = None


class GroupCounts(BaseModel):
    """Number of slides (groups) in each split; a slide never lies in two splits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: Annotated[int, Field(ge=1)] = 4
    val: Annotated[int, Field(ge=1)] = 2
    test: Annotated[int, Field(ge=1)] = 2

    @property
    def splits(self) -> tuple[str, ...]:
        """Split of every group in order, for example ("train", "train", "val", "test")."""
        return ("train",) * self.train + ("val",) * self.val + ("test",) * self.test


class PhantomSpec(BaseModel):
    """A whole phantom data set; together with the code version it determines every byte.

    Attributes:
        name: Data set name.
        classes: The classes in the order of their ids.
        images_per_group: Images cut from each slide.
        groups: Slides per split.
        size_px: Side of the square images, in pixels.
        mpp_um: Micrometres per pixel. Nuclei and regions keep their size in um.
        seed: The one seed from which everything is derived.
        unlabelled_share: Expected share of pixels without a label.
        label_noise_px: Standard deviation by which annotated borders wander, for all classes alike, in pixels.
        region_um: Diameter of a disk of the mean region area, the same for all classes, in um.
        cut_share: Share of regions that the image border cuts.
        stain_variation: How far slides differ in stain vectors, strength, focus and white balance; 1 is usual.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1)] = "phantom"
    classes: Annotated[tuple[PhantomClass, ...], Field(min_length=2)]
    images_per_group: Annotated[int, Field(ge=1)] = 4
    groups: GroupCounts = GroupCounts()
    size_px: Annotated[int, Field(ge=64, le=8192)] = 256
    mpp_um: Annotated[float, Field(gt=0.1, le=4.0)] = 0.5
    seed: Annotated[int, Field(ge=0)] = 0
    unlabelled_share: Annotated[float, Field(ge=0.0, le=0.5)] = 0.05
    label_noise_px: Annotated[float, Field(ge=0.0, le=16.0)] = 0.0
    region_um: Annotated[float, Field(gt=2.0)] = 44.0
    cut_share: Factor = 0.2
    stain_variation: Annotated[float, Field(ge=0.0, le=3.0)] = 1.0

    @model_validator(mode="after")
    def _check_classes(self) -> Self:
        names = [c.name for c in self.classes]
        for key, values in (("name", names), ("texture", [c.texture for c in self.classes])):
            repeated = sorted({v for v in values if values.count(v) > 1})
            if repeated:
                raise ValueError(f"each {key} must serve one class. Got {repeated[0]!r} more than once.")
        total = sum(c.share for c in self.classes)
        if abs(total - 1.0) > SHARE_TOLERANCE:
            raise ValueError(f"the shares of the classes must sum to 1. Got {total:.6g}.")
        for c in self.classes:
            if c.context > 0 and c.rival is None:
                raise ValueError(f"class {c.name!r} has context {c.context:g} and needs a `rival`.")
            if c.rival is not None and (c.rival == c.name or c.rival not in names):
                raise ValueError(f"the rival of {c.name!r} must be another class. Got {c.rival!r}.")
        return self

    @model_validator(mode="after")
    def _check_scale(self) -> Self:
        field_um = self.size_px * self.mpp_um
        if self.region_um > field_um / 2:
            raise ValueError(
                f"`region_um` must be at most half the image side of {field_um:g} um. Got {self.region_um:g}."
            )
        return self

    @property
    def n_groups(self) -> int:
        """Number of slides."""
        return len(self.groups.splits)

    @property
    def n_images(self) -> int:
        """Number of images."""
        return self.n_groups * self.images_per_group

    def class_id(self, name: str) -> int:
        """Return the id of the class called `name`."""
        return [c.name for c in self.classes].index(name)
