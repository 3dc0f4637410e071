"""How names that differ invisibly are treated: decided here, for every kind of name and every file.

| kind | surrounding, doubled or unusual space, invisible characters | Unicode form | case, width, dashes |
|---|---|---|---|
| group, site, other columns of `index.csv`, split files | removed when read, remarked | NFC | remarked; zeros, too |
| image id | refused | NFC | refused by `data prepare`: such files overwrite each other on some systems |
| class | refused | NFC | refused |

NFC: letters with marks are one character, whatever composed them (macOS decomposes file names). An invisible character
is one of Unicode's categories Cf and Cc: zero-width space and joiners, soft hyphen, byte-order mark, control codes.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator

_FORBIDDEN_IN_STEMS = re.compile(r"[/\\:]|\.\.")
_WHOLE_NUMBER = re.compile(r"0*(\d+)(?:\.0+)?")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_LEFT_BY_SYSTEMS = {".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx"}
_SHOWN = 3
MACRO = "macro"  # in the place of a class: the mean over all


def canonical(text: str) -> str:
    """Return a name as it is compared: NFC, single plain spaces, none around, nothing invisible."""
    return " ".join(_visible(unicodedata.normalize("NFC", text)).split())


def look_alike(name: str) -> str:
    """Return what is the same for names that differ only by case, width, dashes or other compatibility forms."""
    plain = canonical(unicodedata.normalize("NFKC", name)).casefold()
    return "".join("-" if unicodedata.category(character) == "Pd" else character for character in plain)


def similar_names(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return each set of different names that look alike, or are one number (`01`, `1`, `1.0`), sorted.

    Spreadsheets take zeros away, and add ".0" to a column with gaps.
    """
    alike: dict[str, set[str]] = {}
    for name in names:
        number = _WHOLE_NUMBER.fullmatch(name)
        alike.setdefault(number[1] if number else look_alike(name), set()).add(name)
    return sorted(tuple(sorted(variants)) for variants in alike.values() if len(variants) > 1)


def similar_names_remark(names: Iterable[str], noun: str) -> tuple[str, ...]:
    """Return a line about names that look alike, if there are any.

    Args:
        names: All of them.
        noun: What they name, in the plural: "groups".
    """
    similar = similar_names(names)
    if not similar:
        return ()
    examples = "; ".join(" and ".join(f"'{name}'" for name in variants) for variants in similar[:_SHOWN])
    more = f" and {len(similar) - _SHOWN} more" if len(similar) > _SHOWN else ""
    return (
        f"{noun} that differ only by case, width, dashes or zeros count as different: {examples}{more}. "
        "Unify them if they are one.",
    )


def is_plain_stem(name: str) -> bool:
    """Return whether a name is a plain file stem: no separator, no "..", not hidden, nothing invisible."""
    name = unicodedata.normalize("NFC", name)
    plain = bool(name) and name == name.strip() and name == _visible(name) and name.isprintable()
    return plain and name[0] != "." and not _FORBIDDEN_IN_STEMS.search(name)


def is_left_by_a_system(name: str) -> bool:
    """Return whether a file or folder is what macOS or Windows leaves behind: `._a.png`, `.DS_Store`, `Thumbs.db`."""
    return name.startswith("._") or name.lower() in _LEFT_BY_SYSTEMS


def _visible(text: str) -> str:
    """Remove invisible characters; the control characters that are space stay."""
    return "".join(
        character for character in text if character.isspace() or unicodedata.category(character) not in ("Cf", "Cc")
    )


def _stem(name: str) -> str:
    if not is_plain_stem(name):
        raise ValueError(f"must be a plain name without separators or '..'. Got {name!r}.")
    return unicodedata.normalize("NFC", name)


def _class_name(name: str) -> str:
    name = unicodedata.normalize("NFC", name)
    if look_alike(name) == MACRO:
        raise ValueError(
            f"must not be '{MACRO}', which is the mean over classes in every table. Got {name!r}. Rename it."
        )
    if not name or name != canonical(name):
        raise ValueError(
            f"must be a name without surrounding, doubled or unusual spaces and invisible characters. Got {name!r}. "
            f"Write {canonical(name) or 'a name'!r}."
        )
    return name


def _colour(text: str) -> str:
    if not _COLOUR.fullmatch(text):
        raise ValueError(f"must be '#rrggbb'. Got {text!r}. Write it in quotation marks, such as '#1f77b4'.")
    return text.lower()


PlainStem = Annotated[str, AfterValidator(_stem)]
ClassName = Annotated[str, AfterValidator(_class_name)]
Colour = Annotated[str, AfterValidator(_colour)]
