"""The contract of a converter: it lists the images of a published data set, and reads one pair of image and mask.

A converter is one file with a `plan` function and one line in the registry. Listing looks at names and tables only;
`read` is called in worker processes, so it must be a function of a module, or a `functools.partial` of one.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from unicodedata import normalize

import numpy as np

from imbalance_bench.data.converters.nearest_colour import Change
from imbalance_bench.data.dataset_file import ClassInfo, DatasetInfo
from imbalance_bench.data.prepared import IMAGE_SUFFIXES, SPLITS
from imbalance_bench.errors import UserError

_SHOWN = 5  # files named in a message


@dataclass(frozen=True)
class SourceImage:
    """One image of a published data set.

    Args:
        image_id: Its stem in the prepared data set.
        group_id: Patient or slide; the image id where unknown.
        image: File with the pixels.
        mask: File with the labels.
        split: Published split, or "".
        row: Place within files that hold many images.
        extra: Further columns of `index.csv`; the same keys for every image.
    """

    image_id: str
    group_id: str
    image: Path
    mask: Path
    split: str = ""
    row: int = 0
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pixels:
    """One image with its labels.

    Args:
        image: (H, W, 3) uint8, RGB.
        mask: (H, W) uint8, class ids or the unlabelled id.
        instances: (H, W) integers up to 65535, 0 outside instances; None where the source has none.
        change: What was changed to make labels of the mask's colours; None where they are labels.
    """

    image: np.ndarray
    mask: np.ndarray
    instances: np.ndarray | None = None
    change: Change | None = None


@dataclass(frozen=True)
class Problem:
    """Something wrong with a source.

    Args:
        kind: What problems of this kind are called, in the plural, such as "images without a mask".
        line: The file, what is wrong, and the fix.
    """

    kind: str
    line: str


class SourceError(UserError):
    """Everything that is wrong with a source, counted by kind.

    Args:
        source: The folder.
        problems: At least one.
        remarks: What else is odd about it.
    """

    undone = "nothing was converted"

    def __init__(self, source: Path, problems: Sequence[Problem], remarks: Sequence[str] = ()) -> None:
        self.problems, self.remarks = tuple(problems), tuple(remarks)
        line = problems[0].line
        if len(problems) > 1:
            counts = ", ".join(
                f"{number} {kind}" for kind, number in Counter(problem.kind for problem in problems).items()
            )
            line = f"{source} has {len(problems)} problems, and {self.undone}: {counts}. The first: {line}"
        super().__init__(line)


@dataclass(frozen=True)
class Plan:
    """What a converter found.

    Args:
        info: Content of the future `dataset.yaml`.
        images: In a reproducible order.
        read: Reads one of them.
        remarks: What the person should know, such as counts that differ from the published ones.
        problems: What is wrong with images that are not listed.
        tolerance: How far `read` may change a colour to make it a label; None where it changes none.
        index_classes: Value of a mask -> class id, where masks are read by value: an index of a palette then means one
            class in all of them. None where their palettes do not matter.
    """

    info: DatasetInfo
    images: tuple[SourceImage, ...]
    read: Callable[[SourceImage], Pixels]
    remarks: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    tolerance: float | None = None
    index_classes: Mapping[int, int] | None = None


@dataclass(frozen=True)
class PrepareOptions:
    """What the command line adds to the source.

    Args:
        config: YAML file with classes and names.
        group_regex: Searched in each image id; its first parenthesis is the group.
        splits: CSV file with the fold of each image.
    """

    config: Path | None = None
    group_regex: str | None = None
    splits: Path | None = None


@dataclass(frozen=True)
class Converter:
    """One public data set, or one layout.

    Args:
        summary: One line for the list of converters.
        plan: Lists a source.
        options: Fields of `PrepareOptions` that it understands.
    """

    summary: str
    plan: Callable[[Path, PrepareOptions], Plan]
    options: frozenset[str] = frozenset()


def classes_of(colours: Mapping[str, str]) -> tuple[ClassInfo, ...]:
    """Return classes with ids from 0, in the order of a mapping from name to "#rrggbb"."""
    return tuple(ClassInfo(number, name, colour) for number, (name, colour) in enumerate(colours.items()))


def list_folder(folder: Path, suffixes: Iterable[str] = IMAGE_SUFFIXES) -> dict[str, Path]:
    """Return stem -> file for the files of a folder with one of the endings, sorted by stem.

    Raises:
        UserError: The folder is missing or holds none, or two files share a stem.
    """
    endings = tuple(suffixes)
    if not folder.is_dir():
        raise UserError(f"{folder} must be a folder, as published. Got no such folder. Check SOURCE.")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in endings and not path.name.startswith("."):
            stem = normalize("NFC", path.stem)  # macOS decomposes the names of files, and tables do not
            if stem in files:
                raise UserError(f"{folder} must hold one file per name. Got {files[stem].name} and {path.name}.")
            files[stem] = path
    if not files:
        raise UserError(f"{folder} must hold files ending in {', '.join(endings)}. Got none. Check SOURCE.")
    return files


def pair_files(images: Mapping[str, Path], masks: Mapping[str, Path]) -> list[tuple[str, Path, Path]]:
    """Return (name, image, mask) for two listings with the same names.

    Raises:
        UserError: An image has no mask, or a mask no image.
    """
    alone = [(path, "a mask") for name, path in images.items() if name not in masks]
    alone += [(path, "an image") for name, path in masks.items() if name not in images]
    if alone:
        names = ", ".join(path.name for path, _ in alone[:_SHOWN]) + (", ..." if len(alone) > _SHOWN else "")
        counts = Counter(partner for _, partner in alone)
        raise UserError(
            f"{alone[0][0]} must have {alone[0][1]} of the same name. Got none for {len(alone)} files ("
            + ", ".join(f"{number} without {partner}" for partner, number in counts.items())
            + f"): {names}. Complete the download, or remove them."
        )
    return [(name, path, masks[name]) for name, path in images.items()]


def with_groups(images: Sequence[SourceImage], parse: Callable[[str], str | None], pattern: str) -> list[SourceImage]:
    """Return images whose group is taken from their ids.

    Raises:
        UserError: The pattern misses images.
    """
    groups = [parse(image.image_id) for image in images]
    missed = [image.image_id for image, group in zip(images, groups, strict=True) if group is None]
    if missed:
        shown = ", ".join(f"'{image_id}'" for image_id in missed[:_SHOWN]) + (", ..." if len(missed) > _SHOWN else "")
        raise UserError(
            f"`group_regex` must match every image id. Got '{pattern}', which misses {shown} ({len(missed)} of "
            f"{len(images)}). Correct it."
        )
    return [replace(image, group_id=str(group)) for image, group in zip(images, groups, strict=True)]


def without_leaking_splits(images: Sequence[SourceImage]) -> tuple[list[SourceImage], tuple[str, ...]]:
    """Give up as much of a published split as its leakage demands, because no prepared data set may leak.

    Where only training and validation share groups, all of both become training, and validation is drawn again by
    group. Where test shares groups with them, no split remains. The published one stays in the column
    `published_split`.

    Returns:
        The images, and a remark for each thing that changed.
    """
    parts = {split: {image.group_id for image in images if image.split == split} for split in SPLITS}
    tested, development = parts["test"] & (parts["train"] | parts["val"]), parts["train"] & parts["val"]
    if not tested and not development:
        return list(images), ()
    recorded = [replace(image, extra={**image.extra, "published_split": image.split}) for image in images]
    if tested:
        remark = (
            f"{len(tested)} groups lie in test and elsewhere (such as '{min(tested)}'): the published split leaks and "
            "is not used; draw grouped splits. It stays in the column published_split."
        )
        return [replace(image, split="") for image in recorded], (remark,)
    remark = (
        f"{len(development)} groups lie in train and validation (such as '{min(development)}'): both become train, and "
        "studies draw validation from it by group. The published split stays in the column published_split."
    )
    return [replace(image, split="train" if image.split == "val" else image.split) for image in recorded], (remark,)


def count_remarks(images: Sequence[SourceImage], expected: Mapping[str, int], noun: str = "images") -> tuple[str, ...]:
    """Compare the images per split with the published counts.

    Args:
        images: What was found.
        expected: Split -> published number of images.
        noun: What an image is called.
    """
    counts = Counter(image.split for image in images)
    if all(counts[split] == number for split, number in expected.items()):
        return ()
    numbers = ", ".join(f"{counts[split]} of {number} {split}" for split, number in expected.items())
    return (f"Not the whole published data set: {numbers} {noun}.",)
