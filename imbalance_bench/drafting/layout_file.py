"""The text of layout.yaml, for `data prepare folder`."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from imbalance_bench.drafting.labels import Labels
from imbalance_bench.drafting.pairs import Pairing

_WIDTH = 110  # of comments


@dataclass(frozen=True)
class LayoutFacts:
    """What a layout says.

    Attributes:
        name: Of the data set.
        pairing: Images and masks.
        labels: What masks hold.
        class_of: Label -> name of its class; "" for pixels that are not labelled.
        named: Whether a person gave the names.
        mpp_um: Micrometres per pixel, or None.
        why_mpp: Where that comes from, in a sentence.
        group_regex: "" where groups are unknown.
        why_groups: Where that comes from, in a sentence.
    """

    name: str
    pairing: Pairing
    labels: Labels
    class_of: Mapping[int, str]
    named: bool
    mpp_um: float | None
    why_mpp: str
    group_regex: str
    why_groups: str


def layout_text(facts: LayoutFacts) -> str:
    """Return the file, with a comment on each thing that may need a change."""
    pairing, labels = facts.pairing, facts.labels
    lines = [
        f"# Written by `imbalance-bench init` from {len(pairing.pairs)} pairs of image and mask.",
        "# docs/datasets/folder.md explains every key.",
        f"name: {scalar(facts.name)}",
        f"image: {scalar(pairing.image)} # paths relative to the source that are images",
        f"mask: {scalar(pairing.mask)} # where the mask of each lies",
        f"image_id: {scalar(pairing.image_id)}",
    ]
    if pairing.splits:
        lines.append(f"split: {scalar('{' + pairing.split_field + '}')} # the folders divide the images")
        lines.append(f"splits: {flow(dict(pairing.splits))}")
    lines += comment(facts.why_groups)
    lines.append(f"group_regex: {scalar(facts.group_regex)}" if facts.group_regex else "# group_regex: '^([^_]+)_'")
    lines += comment(facts.why_mpp)
    lines.append(f"mpp_um: {'null' if facts.mpp_um is None else f'{facts.mpp_um:g}'} # micrometres per pixel")
    if labels.nearest:
        lines += comment(
            f"{labels.mixed_values} other colours, in {100 * labels.mixed_share:.2g} % of the pixels, fill no area: "
            "borders are anti-aliased or compressed, and such a pixel takes the nearest label."
        )
        lines.append("nearest: true")
    if labels.reordered:
        lines += comment("The palettes of the masks differ in their order: labels are colours, not indices.")
    if not facts.named:
        lines += comment("Names are made up: write what the classes are. Classes that share a name become one.")
    lines.append("classes:")
    for name, values in _classes(facts).items():
        values_text = ", ".join(scalar(labels.text(value)) if labels.colours else str(value) for value in values)
        share = 100 * sum(labels.shares[labels.values.index(value)] for value in values)
        lines.append(f"  - {{name: {scalar(name)}, labels: [{values_text}]}} # {share:.3g} % of the pixels")
    free = [value for value in labels.values if not facts.class_of[value]]
    if free:
        values_text = ", ".join(scalar(labels.text(value)) if labels.colours else str(value) for value in free)
        lines.append(f"unlabelled: [{values_text}] # enters no loss and no metric")
    return "\n".join(lines) + "\n"


def scalar(value: object) -> str:
    """Return one value in YAML, in quotation marks where they are needed."""
    return yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6).removesuffix("...\n").strip()


def flow(value: object) -> str:
    """Return a mapping or list in YAML, on one line."""
    return yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6, sort_keys=False).strip()


def comment(text: str) -> list[str]:
    """Return a text as lines of comment."""
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _classes(facts: LayoutFacts) -> dict[str, list[int]]:
    values_of_class: dict[str, list[int]] = {}
    for value in facts.labels.values:
        if facts.class_of[value]:
            values_of_class.setdefault(facts.class_of[value], []).append(value)
    return values_of_class
