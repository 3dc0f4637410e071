"""Patients or slides, as far as names tell: only where they are convincing, because a wrong group hides leakage."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from imbalance_bench.data.audit.images import is_tcga, name_parser
from imbalance_bench.data.audit.tile_positions import parse_positions

_TCGA = r"^(TCGA-\w\w-\w{4})"
_WORDS = "patient|participant|subject|donor|animal|mouse|specimen|case|slide|wsi|pat|subj|pt"
_NAMED = rf"(?i)(?:^|[_\-. ])((?:{_WORDS})[_\-. ]?[a-z]{{0,3}}\d+)(?![a-z0-9])"
_TILE = r"^(.+?)[_-]x?\d+[_-]y?\d+$"
_CORNER = r"^(.+?)_xmin\d+_ymin\d+"
_PREFIX = r"^([^_\-. ]+)[_\-. ]"


@dataclass(frozen=True)
class FoundGroups:
    """What names say of groups.

    Attributes:
        pattern: For `group_regex` of a layout; "" where groups stay unknown.
        why: What was found, or why it does not count, in a sentence.
    """

    pattern: str
    why: str


def groups_in(image_ids: Sequence[str]) -> FoundGroups:
    """Look for patients or slides in the ids of images.

    Convincing are TCGA barcodes, a word such as `patient` or `slide` with a number, and coordinates of tiles behind the
    name of a slide, where every id has them and there are two groups or more.
    """
    options = [(_NAMED, "a patient or slide by name")]
    if all(map(is_tcga, image_ids)):
        options.insert(0, (_TCGA, "TCGA patients"))
    places = parse_positions(image_ids, [None] * len(image_ids))
    if len(image_ids) > 1 and all(places):
        corner = all(re.match(_CORNER, id_) for id_ in image_ids)
        options.append((_CORNER if corner else _TILE, "coordinates of tiles behind the name of their slide"))
    for pattern, description in options:
        groups = list(map(name_parser(pattern, "groups"), image_ids))
        distinct = {group for group in groups if group}
        if not all(groups) or (description.startswith("coordinates") and len(distinct) == len(image_ids)):
            continue
        if len(distinct) == 1:
            return FoundGroups(
                "",
                f"By their names all images are of one slide or patient ('{min(distinct)}'), so they cannot be split "
                "by group. Groups are left unknown and images are split: neighbouring tiles can then lie in both "
                "training and test, and results hold for this slide or patient alone.",
            )
        return FoundGroups(
            pattern,
            f"Names contain {description}: {len(distinct)} groups, such as '{min(distinct)}'. "
            "Correct with --group-regex.",
        )
    return FoundGroups("", _unknown(image_ids))


def _unknown(image_ids: Sequence[str]) -> str:
    """Say that groups are unknown, with what might be one."""
    prefixes: dict[str, int] = defaultdict(int)
    for id_ in image_ids:
        if match := re.match(_PREFIX, id_):
            prefixes[match[1]] += 1
    hint = ""
    if 1 < len(prefixes) < len(image_ids) and sum(prefixes.values()) == len(image_ids):
        hint = (
            f" If '{min(prefixes)}' and {len(prefixes) - 1} other beginnings are patients: --group-regex '{_PREFIX}'."
        )
    return (
        "Names do not say which images share a patient or slide: every image counts as its own, which understates "
        f"uncertainty.{hint or ' Give --group-regex if names contain it.'}"
    )
