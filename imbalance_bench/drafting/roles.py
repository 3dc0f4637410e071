"""Which part of a path says that a file is an image or a mask, and what is left of the path once it is removed."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

IMAGE_WORDS = (
    "images", "image", "imgs", "img", "he", "h&e", "tissue", "raw", "rgb", "inputs", "input", "originals", "original",
    "orig", "photos", "photo", "pictures", "scans", "scan", "tiles", "tile", "patches", "patch",
)  # fmt: skip
MASK_WORDS = (
    "masks", "mask", "msks", "msk", "segmentations", "segmentation", "segs", "seg", "labels", "label", "labelled",
    "annotations", "annotation", "annotated", "annos", "anno", "groundtruth", "ground_truth", "ground-truth", "gt",
    "targets", "target", "truth",
)  # fmt: skip
_NNUNET_PARTS = "Tr|Ts|Va|Val"
_NNUNET_CHANNEL = re.compile(r"_(\d{4})$")


@dataclass(frozen=True)
class Side:
    """How one kind of file is named; what a layout must say of it.

    Attributes:
        folder: The word in a folder's name, as written; "" where no folder has one.
        place: Index of that folder in the path; -1 where there is none.
        prefix: What stands before the common part of the stem.
        suffix: What stands behind it.
        ending: Of the file, in small letters, without the dot.
    """

    folder: str
    place: int
    prefix: str
    suffix: str
    ending: str


@dataclass(frozen=True)
class Reading:
    """A path, read.

    Attributes:
        path: Relative to the source, with "/".
        role: image or mask.
        side: What is peculiar to its kind.
        folders: The other folders; a folder such as `imagesTr` or `train_images` leaves ("", Tr) or (train_, "") in
            `around`.
        around: What stands before and behind the word in its folder.
        core: Common part of the stem.
    """

    path: str
    role: Literal["image", "mask"]
    side: Side
    folders: tuple[str, ...]
    around: tuple[str, str]
    core: str

    @property
    def key(self) -> tuple[tuple[str, ...], tuple[str, str], str]:
        """What an image and its mask share."""
        return self.folders, self.around, self.core


def read_path(path: str, *, image_words: tuple[str, ...] = (), mask_words: tuple[str, ...] = ()) -> Reading:
    """Read a path relative to the source.

    Args:
        path: With "/".
        image_words: Names of folders that hold images, beside the usual ones.
        mask_words: Names of folders that hold masks, beside the usual ones.
    """
    parts = PurePosixPath(path)
    folders, stem, ending = parts.parent.parts, parts.stem, parts.suffix[1:].lower()
    place, before, word, behind, folder_role = _role_folder(folders, image_words, mask_words)
    prefix, core, suffix = _affixes(stem, MASK_WORDS)
    role: Literal["image", "mask"] = "mask" if prefix or suffix or folder_role == "mask" else "image"
    if role == "image" and behind in _NNUNET_PARTS.split("|") and (channel := _NNUNET_CHANNEL.search(stem)):
        prefix, core, suffix = "", stem[: channel.start()], channel[0]
    other_folders = tuple(name for index, name in enumerate(folders) if index != place)
    return Reading(path, role, Side(word, place, prefix, suffix, ending), other_folders, (before, behind), core)


def without_image_word(reading: Reading) -> Reading | None:
    """Return the reading of an image whose stem says that it is one, such as `a_image`; None of any other."""
    prefix, core, suffix = _affixes(reading.core, IMAGE_WORDS)
    if reading.role == "mask" or not (prefix or suffix):
        return None
    side = Side(reading.side.folder, reading.side.place, prefix, suffix, reading.side.ending)
    return Reading(reading.path, "image", side, reading.folders, reading.around, core)


def _role_folder(
    folders: tuple[str, ...], image_words: tuple[str, ...], mask_words: tuple[str, ...]
) -> tuple[int, str, str, str, str]:
    """Return index, what stands before, the word, what stands behind, and the role; the last such folder counts."""
    for index in reversed(range(len(folders))):
        for role, words in (("mask", (*mask_words, *MASK_WORDS)), ("image", (*image_words, *IMAGE_WORDS))):
            match = _folder_pattern(words).fullmatch(folders[index])
            if match:
                return index, match["before"], match["word"], match["behind"], role
    return -1, "", "", "", ""


def _folder_pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    options = "|".join(map(re.escape, words))
    return re.compile(
        rf"(?P<before>(?:.*[_\-. ])?)(?P<word>(?i:{options}))(?P<behind>(?:[_\-. ].*)?|{_NNUNET_PARTS})", re.DOTALL
    )


def _affixes(stem: str, words: tuple[str, ...]) -> tuple[str, str, str]:
    """Return prefix, common part and suffix of a stem such as `a_mask` or `mask-a`."""
    options = "|".join(map(re.escape, words))
    if match := re.fullmatch(rf"(.+?)([_\-. ]+(?i:{options}))", stem, re.DOTALL):
        return "", match[1], match[2]
    if match := re.fullmatch(rf"((?i:{options})[_\-. ]+)(.+)", stem, re.DOTALL):
        return match[1], match[2], ""
    return "", stem, ""
