"""Names of classes: given by a person or by nnU-Net's dataset.json, else made up from labels."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import ImageColor

from imbalance_bench.drafting.labels import Labels, unlabelled_code
from imbalance_bench.errors import UserError, nearest
from imbalance_bench.names import canonical

UNLABELLED_NAME = "unlabelled"


@dataclass(frozen=True)
class SuggestedNames:
    """A name per label.

    Attributes:
        class_of: Label -> name; "" for pixels that are not labelled.
        source: Where the names come from; "" where they are made up.
    """

    class_of: Mapping[int, str]
    source: str


def suggested_names(labels: Labels, source: Path) -> SuggestedNames:
    """Return names for labels: those of nnU-Net's `dataset.json` where it has all of them, else made up.

    Colours are named after the nearest colour of CSS, codes `class_N`, but for the one that is unlabelled.
    """
    described = _nnunet_names(source / "dataset.json") if not labels.colours else {}
    if described and set(labels.values) <= set(described):
        names = {value: "" if described[value] == "ignore" else described[value] for value in labels.values}
        return SuggestedNames(names, "dataset.json")
    if labels.colours:
        return SuggestedNames(_colour_names(labels), "")
    spare = unlabelled_code(labels.values)
    names = {value: "" if value == spare else f"class_{value}" for value in labels.values}
    return SuggestedNames(names, "")


def parse_names(text: str, labels: Labels) -> dict[int, str]:
    """Read `--classes`: a name per label in their order, or `label=name` for each; `unlabelled` is no class.

    Raises:
        UserError: Too few or too many names, or an unknown label.
    """
    parts = [canonical(part) for part in text.split(",")]
    order = ", ".join(map(labels.text, labels.values))
    if all("=" in part for part in parts):
        labels_by_text = {labels.text(value): value for value in labels.values}
        given_names = {}
        for part in parts:
            label, _, name = (word.strip() for word in part.partition("="))
            if label.lower() not in labels_by_text:
                raise UserError(
                    f"--classes must name labels of the masks. Got '{label}'.{nearest(label, labels_by_text)}"
                )
            given_names[labels_by_text[label.lower()]] = name
    else:
        given_names = dict(zip(labels.values, parts, strict=False))
        if len(parts) != len(labels.values):
            raise UserError(
                f"--classes must hold a name for each of the {len(labels.values)} labels ({order}), in this order. "
                f"Got {len(parts)}. Write '{UNLABELLED_NAME}' for a label that is no class."
            )
    missing = [labels.text(value) for value in labels.values if not given_names.get(value)]
    if missing:
        raise UserError(
            f"--classes must name every label. Got no name for {', '.join(missing)}. Write it, or '{UNLABELLED_NAME}'."
        )
    names = {value: "" if name.lower() == UNLABELLED_NAME else name for value, name in given_names.items()}
    if len({name for name in names.values() if name}) < 2:
        raise UserError("--classes must leave at least two classes. Got fewer. Name another label.")
    return names


def _nnunet_names(path: Path) -> dict[int, str]:
    """Return code -> name of nnU-Net's `labels`, in either of its two directions; empty where there are none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))["labels"]
        items = [(name, value) if isinstance(value, int) else (value, int(name)) for name, value in content.items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {value: canonical(name) for name, value in items if isinstance(name, str)}


def _colour_names(labels: Labels) -> dict[int, str]:
    table = {name: ImageColor.getrgb(name)[:3] for name in ImageColor.colormap}
    names: dict[int, str] = {}
    for value in labels.values:
        red, green, blue = value >> 16, value >> 8 & 255, value & 255
        name = min(
            table, key=lambda colour: sum((a - b) ** 2 for a, b in zip(table[colour], (red, green, blue), strict=True))
        )
        names[value] = name if name not in names.values() else f"colour {value:06x}"
    return names
