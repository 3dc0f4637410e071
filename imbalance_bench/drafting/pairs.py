"""Images and their masks in a folder, and the pattern and templates of a layout that describe exactly these pairs."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from imbalance_bench.data.audit.images import PART_NAMES
from imbalance_bench.data.converters.source_files import SourceFiles, spellings
from imbalance_bench.data.prepared import IMAGE_SUFFIXES
from imbalance_bench.drafting.roles import Reading, Side, read_path, without_image_word
from imbalance_bench.errors import UserError

PICTURES = (*IMAGE_SUFFIXES, ".bmp")
BY_HAND = "Or write the layout by hand: docs/datasets/folder.md shows how"
SPLIT_NAMES = PART_NAMES | {
    "training": "train",
    "testing": "test",
    "held_out": "test",
    "tr": "train",
    "ts": "test",
    "va": "val",
}
_MOST_EXCLUDED = 50  # single files that a pattern leaves out by name
_MOST_LISTED = 50  # names of folders that a pattern lists
_FAR_SMALLER = 3  # how many times
_SHOWN = 3


@dataclass(frozen=True)
class Pair:
    """An image and its mask; paths relative to the source."""

    image: str
    mask: str
    fields: Mapping[str, str]  # what the pattern's groups hold


@dataclass(frozen=True)
class Pairing:
    """What was recognised.

    Attributes:
        pairs: In the order of their paths.
        image: Regular expression of a layout.
        mask: Template of a layout.
        image_id: Template of a layout.
        split_field: Group of the pattern that names the split; "" where none does.
        splits: What that group holds -> train, val or test.
        remarks: What was left out, a sentence each.
    """

    pairs: tuple[Pair, ...]
    image: str
    mask: str
    image_id: str
    split_field: str
    splits: Mapping[str, str]
    remarks: tuple[str, ...]

    def id_of(self, pair: Pair) -> str:
        """Return the image id that the layout gives a pair."""
        return self.image_id.format_map(pair.fields).replace("/", "_")


def find_pairs(source: Path) -> Pairing:
    """Recognise the pairs of image and mask in a folder.

    Recognised are a mask beside its image (`a.png`, `a_mask.png`), parallel folders (`images/a.png`, `masks/a.png`,
    at any depth), nnU-Net's `imagesTr` and `labelsTr`, and masks in a folder within that of the images.

    Raises:
        UserError: No pair, pairs of several layouts, or too many images without a mask.
    """
    tree = SourceFiles.below(source)
    files = [name for name in tree.files if name.lower().endswith(PICTURES)]
    if not files:
        raise UserError(f"{source} must hold images and masks ({', '.join(PICTURES)}). Got none. Check DATA.")
    readings = [read_path(name) for name in files]
    channel = next((reading for reading in readings if re.fullmatch(r"_0*[1-9]\d*", reading.side.suffix)), None)
    if channel is not None:
        raise UserError(
            f"{source / channel.path} must be a whole image. Got one channel of it, as nnU-Net has them. Save RGB "
            "images in one file each."
        )
    pairs = _matched(readings)
    if not pairs:
        pairs = _matched(_by_size(source, files))
    if not pairs:
        raise UserError(
            f"{source} must hold a mask for each image: beside it with _mask, _seg, _label or _anno in its name, or in "
            f"parallel folders such as images and masks. Got {len(files)} pictures and no pair, such as '{files[0]}'. "
            f"Rename the files. {BY_HAND}."
        )
    return _Layout(source, files, pairs).pairing()


def _matched(readings: Sequence[Reading]) -> list[tuple[Reading, Reading]]:
    """Return (image, mask) of all readings that share a key."""
    masks = {reading.key: reading for reading in readings if reading.role == "mask"}
    images = [reading for reading in readings if reading.role == "image"]
    taken: set[str] = set()
    pairs = []
    for strict in (True, False):
        for image in images:
            options = [image, without_image_word(image)] if strict else [_in_its_parent(image)]
            for option in options:
                mask = None if option is None or image.path in taken else masks.get(option.key)
                if option is not None and mask is not None and mask.path not in taken:
                    pairs.append((option, mask))
                    taken |= {image.path, mask.path}
    return sorted(pairs, key=lambda pair: pair[0].path)


def _in_its_parent(image: Reading) -> Reading | None:
    """Return an image as if its last folder, whose name says nothing, were the folder of the images."""
    if not image.folders or image.side.folder:
        return None
    *parents, folder = image.folders
    side = Side(folder, len(parents), image.side.prefix, image.side.suffix, image.side.ending)
    return Reading(image.path, "image", side, tuple(parents), ("", ""), image.core)


def _by_size(source: Path, files: Sequence[str]) -> list[Reading]:
    """Read files whose names do not say what they are: two of each stem, in two folders or with two endings.

    Masks are those that take far fewer bytes, because label maps compress far better than tissue.
    """
    for kind in (lambda path: path.parent.as_posix(), lambda path: path.suffix.lower()):
        sets: dict[str, list[PurePosixPath]] = defaultdict(list)
        for path in map(PurePosixPath, files):
            sets[kind(path)].append(path)
        stems = {frozenset(path.with_suffix("").name for path in paths) for paths in sets.values()}
        if len(sets) != 2 or len(stems) != 1 or len({len(path.parts) for path in map(PurePosixPath, files)}) != 1:
            continue
        bytes_of = {name: sum((source / path).stat().st_size for path in paths) for name, paths in sets.items()}
        masks, images = sorted(bytes_of, key=lambda name: bytes_of[name])
        if bytes_of[masks] * _FAR_SMALLER <= bytes_of[images]:
            words = {"mask_words": (PurePosixPath(masks).name,), "image_words": (PurePosixPath(images).name,)}
            if kind(PurePosixPath(files[0])).startswith("."):  # endings
                words = {}
            of_masks = set(sets[masks])
            return [
                replace(read_path(name, **words), role="mask" if PurePosixPath(name) in of_masks else "image")
                for name in files
            ]
    return []


class _Layout:
    """The one convention that pairs follow, turned into a pattern and templates."""

    def __init__(self, source: Path, files: Sequence[str], pairs: Sequence[tuple[Reading, Reading]]) -> None:
        self._source, self._files, self._pairs = source, files, pairs
        conventions = Counter(map(_convention, pairs))
        if len(conventions) > 1:
            first = {kind: image.path for image, mask in reversed(pairs) if (kind := _convention((image, mask)))}
            examples = "; ".join(f"{n} such as '{first[kind]}'" for kind, n in conventions.most_common(_SHOWN))
            raise UserError(
                f"{source} must name all its images and masks alike. Got {len(conventions)} ways: {examples}. Put them "
                f"into folders of their own and start with one of these. {BY_HAND}."
            )
        image, mask = pairs[0]
        self._image, self._mask = image.side, mask.side
        self._fields = self._name_fields()

    def pairing(self) -> Pairing:
        """Return pattern and templates, after making sure that they describe the pairs and nothing else."""
        listed: set[str] = set()
        wanted = {image.path for image, _ in self._pairs}
        pattern = self._pattern(listed, "")
        for name in (field for field in self._fields.values() if field):
            if not self._excess(pattern, wanted):
                break
            if len(self._values(name)) <= _MOST_LISTED:
                listed.add(name)
                pattern = self._pattern(listed, "")
        alone = self._excess(pattern, wanted)
        if alone:
            if len(alone) > _MOST_EXCLUDED:
                raise UserError(
                    f"{self._source} must hold a mask for each image. Got none for {len(alone)} of "
                    f"{len(alone) + len(wanted)} images, such as '{alone[0]}'. Complete or remove them. {BY_HAND}."
                )
            pattern = self._pattern(listed, f"(?!(?:{'|'.join(re.escape(path) for path in alone)})$)")
        compiled = re.compile(pattern)
        pairs = []
        for image, mask in self._pairs:
            match = next(fitting for spelling in spellings(image.path) if (fitting := compiled.fullmatch(spelling)))
            pairs.append(Pair(image.path, mask.path, match.groupdict()))
        split, splits = self._splits(pairs)
        return Pairing(
            tuple(pairs), pattern, self._template(), self._image_id(pairs), split, splits, tuple(self._remarks(alone))
        )

    def _name_fields(self) -> dict[object, str]:
        """Return place of a varying part of the path -> name of its group; "" for a part that is always the same."""
        names: dict[object, str] = {}
        folders = list(zip(*(image.folders for image, _ in self._pairs), strict=True))
        varying = [place for place, values in enumerate(folders) if len(set(values)) > 1]
        for place, values in enumerate(folders):
            split = all(value.lower() in SPLIT_NAMES for value in values)
            number = str(varying.index(place) + 1) if len(varying) > 1 and place in varying else ""
            names[place] = "set" if split else f"folder{number}" if place in varying else ""
        for side, values in zip(
            ("before", "behind"), zip(*(i.around for i, _ in self._pairs), strict=True), strict=True
        ):
            split = all(value.strip("_-. ").lower() in SPLIT_NAMES for value in values)
            names[side] = "part" if split or len(set(values)) > 1 else ""
        if names["before"] and names["behind"]:
            names["behind"] = "part2"
        return names

    def _values(self, field: str) -> list[str]:
        place = next(key for key, name in self._fields.items() if name == field)
        if isinstance(place, int):
            return sorted({image.folders[place] for image, _ in self._pairs})
        return sorted({image.around[place == "behind"] for image, _ in self._pairs})

    def _pattern(self, listed: set[str], not_these: str) -> str:
        """Return the regular expression of images; fields in `listed` match the values that were seen and no others."""
        first = self._pairs[0][0]

        def group(name: str, constant: str, anything: str) -> str:
            if not name:
                return re.escape(constant)
            inner = "|".join(map(re.escape, self._values(name))) if name in listed else anything
            return f"(?P<{name}>{inner})"

        parts = [group(self._fields[place], name, "[^/]+") for place, name in enumerate(first.folders)]
        if self._image.folder:
            around = [
                group(self._fields[side], first.around[i], "[^/]*") for i, side in enumerate(("before", "behind"))
            ]
            parts.insert(self._image.place, around[0] + re.escape(self._image.folder) + around[1])
        masks = self._mask.suffix if self._beside else ""
        name = "[^/]+" + (f"(?<!{re.escape(masks)})" if masks else "")
        if self._beside and self._mask.prefix:
            name = f"(?!{re.escape(self._mask.prefix)}){name}"
        endings = sorted({image.side.ending for image, _ in self._pairs})
        ending = endings[0] if len(endings) == 1 else f"(?P<ending>{'|'.join(endings)})"
        stem = f"{re.escape(self._image.prefix)}(?P<name>{name}){re.escape(self._image.suffix)}"
        return not_these + "/".join([*parts, stem]) + rf"\.{ending}"

    @property
    def _beside(self) -> bool:
        """Whether masks lie in the folder of their images."""
        return (self._image.folder, self._image.place) == (self._mask.folder, self._mask.place)

    def _template(self) -> str:
        first = self._pairs[0][1]

        def field(name: str, constant: str) -> str:
            return f"{{{name}}}" if name else constant.replace("{", "{{").replace("}", "}}")

        parts = [field(self._fields[place], name) for place, name in enumerate(first.folders)]
        if self._mask.folder:
            around = [field(self._fields[side], first.around[i]) for i, side in enumerate(("before", "behind"))]
            parts.insert(self._mask.place, around[0] + self._mask.folder + around[1])
        endings = {mask.side.ending for _, mask in self._pairs}
        alike = all(mask.side.ending == image.side.ending for image, mask in self._pairs)
        if len(endings) > 1 and not alike:
            raise UserError(
                f"{self._source} must hold masks of one format. Got {', '.join(sorted(endings))}. {BY_HAND}."
            )
        ending = self._mask.ending if len(endings) == 1 else "{ending}"
        return "/".join([*parts, f"{self._mask.prefix}{{name}}{self._mask.suffix}.{ending}"])

    def _excess(self, pattern: str, wanted: set[str]) -> list[str]:
        """Return the files that the pattern takes for images although they have no mask."""
        compiled = re.compile(pattern)
        matched = [name for name in self._files if any(compiled.fullmatch(spelling) for spelling in spellings(name))]
        return [name for name in matched if name not in wanted]

    def _image_id(self, pairs: Sequence[Pair]) -> str:
        names = [name for name in dict.fromkeys(self._fields.values()) if name]
        for used in ([], *([name] for name in names), names):
            template = "_".join(f"{{{name}}}" for name in (*used, "name"))
            if len({template.format_map(pair.fields).casefold() for pair in pairs}) == len(pairs):
                return template
        return "{path}"

    def _splits(self, pairs: Sequence[Pair]) -> tuple[str, dict[str, str]]:
        """Return the group that names splits, and what its values mean."""
        for field in ("set", "part"):
            values = {pair.fields[field] for pair in pairs if field in pair.fields}
            meanings = {value: SPLIT_NAMES.get(value.strip("_-. ").lower(), "") for value in sorted(values)}
            if values and all(meanings.values()):
                return field, meanings
        return "", {}

    def _remarks(self, alone: Sequence[str]) -> list[str]:
        used = {reading.path for pair in self._pairs for reading in pair}
        left = [name for name in self._files if name not in used]
        if not left:
            return []
        shown = ", ".join(left[:_SHOWN]) + (", ..." if len(left) > _SHOWN else "")
        reason = "an image without a mask" if len(alone) == len(left) else "in no pair"
        return [f"{len(left)} of {len(self._files)} pictures left out, each {reason}: {shown}"]


def _convention(pair: tuple[Reading, Reading]) -> object:
    """Return what must be the same for all pairs, so that one pattern and one template describe them."""
    image, mask = pair
    sides = [(side.folder, side.place, side.prefix, side.suffix) for side in (image.side, mask.side)]
    return (*sides, len(image.folders))
