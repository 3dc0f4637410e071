"""From the values of masks to the classes of a study."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from imbalance_bench.data.converters.pixel_files import LabelTable
from imbalance_bench.data.prepared import DatasetInfo
from imbalance_bench.data.taxonomy import UNLABELLED, Taxonomy
from imbalance_bench.errors import UserError, nearest
from imbalance_bench.foreign.section import Label, LabelSection
from imbalance_bench.names import look_alike

NO_CLASS = UNLABELLED  # what `LabelMap.table` makes of values that stand for no class
_OF_NNUNET = ("background", "ignore")  # names that nnU-Net reserves: no class where the data set has none so called


@dataclass(frozen=True)
class LabelMap:
    """What the values of a method's masks mean.

    Attributes:
        table: Value or colour -> class index 0..K-1, or NO_CLASS.
        without: Names of classes that no value stands for.
        given: Whether a person said so; else values are the ids of the data set.
    """

    table: LabelTable
    without: tuple[str, ...]
    given: bool = True

    def channels(self, n: int) -> list[int]:
        """Return the class index (or NO_CLASS) of each of n probability channels; channel i is value i.

        Raises:
            UserError: The values are colours, or there is no value for a channel.
        """
        if self.table.colours:
            raise UserError("probabilities need labels that are values 0, 1, ..., since channel i is value i.")
        lacking = [value for value in range(n) if value not in self.table.ids]
        beyond = [value for value, k in self.table.ids.items() if value >= n and k != NO_CLASS]
        if lacking or beyond:
            raise UserError(
                f"channel i must be the probability of value i, and the labels hold {sorted(self.table.ids)}. "
                f"Got {n} channels."
            )
        return [self.table.ids[value] for value in range(n)]


def label_map(section: LabelSection, info: DatasetInfo, taxonomy: Taxonomy, where: str) -> LabelMap:
    """Read what values mean.

    Args:
        section: Of the file, or of a method.
        info: The data set.
        taxonomy: The study's classes; names of the data set's own classes are understood, too.
        where: The file, for messages.

    Raises:
        UserError: A class or file is unknown, a value is used twice, or values and colours are mixed.
    """
    if section.labels is None:
        ids = {class_.id: int(taxonomy.lookup[class_.id]) for class_ in info.classes} | {info.unlabelled_id: NO_CLASS}
        return replace(_map(ids, taxonomy, colours=False), given=False)
    indices = _class_indices(info, taxonomy)
    if isinstance(section.labels, Path):
        where, mapping = str(section.labels), _nnunet_labels(section.labels)
        indices = {look_alike(name): NO_CLASS for name in _OF_NNUNET} | indices
    else:
        mapping = section.labels
    members: list[tuple[int, Label]] = [(NO_CLASS, label) for label in section.no_class]
    for name, labels in mapping.items():
        k = indices.get(look_alike(name))
        if k is None:
            classes = [class_.name for class_ in info.classes]
            raise UserError(
                f"{where}: `labels` must name classes of {info.name}. Got '{name}'."
                f"{nearest(name, dict.fromkeys((*taxonomy.names, *classes)))} Values that stand for none of them "
                "belong in `no_class`, beside `labels` as a mapping in the file that `score` reads."
            )
        members += [(k, label) for label in (labels if isinstance(labels, list) else [labels])]
    return _from_members(members, taxonomy, where)


def _class_indices(info: DatasetInfo, taxonomy: Taxonomy) -> dict[str, int]:
    """Index of each class by name: of the study, and of the data set before merging."""
    own = {look_alike(class_.name): int(taxonomy.lookup[class_.id]) for class_ in info.classes}
    return own | {look_alike(name): k for k, name in enumerate(taxonomy.names)}


def _from_members(members: list[tuple[int, Label]], taxonomy: Taxonomy, where: str) -> LabelMap:
    ids: dict[int, int] = {}
    colours = isinstance(members[0][1], str) if members else False
    for k, label in members:
        if isinstance(label, str) != colours:
            raise UserError(f"{where}: labels must all be values or all be colours. Got {label!r}. Choose one.")
        if isinstance(label, str) and not _is_colour(label):
            raise UserError(f"{where}: a label must be a value or a colour '#rrggbb'. Got '{label}'. Write it so.")
        code = int(label[1:], 16) if isinstance(label, str) else label
        if code in ids:
            raise UserError(f"{where}: a label must belong to one class. Got {label!r} twice. Remove one.")
        ids[code] = k
    if not ids:
        raise UserError(f"{where}: `labels` must name at least one class. Got none. Write `class name: value`.")
    return _map(ids, taxonomy, colours=colours)


def _map(ids: dict[int, int], taxonomy: Taxonomy, *, colours: bool) -> LabelMap:
    there = set(ids.values())
    without = tuple(name for k, name in enumerate(taxonomy.names) if k not in there)
    return LabelMap(LabelTable(ids, colours=colours), without)


def _is_colour(text: str) -> bool:
    return len(text) == 7 and text[0] == "#" and all(digit in "0123456789abcdefABCDEF" for digit in text[1:])


def _nnunet_labels(path: Path) -> dict[str, Label | list[Label]]:
    """Read `labels` of an nnU-Net dataset.json: name -> value of version 2, value -> name of version 1."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} must exist. Got no such file. Give an nnU-Net dataset.json, or a mapping.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} must be the dataset.json of nnU-Net. Got: {error}.") from None
    labels = content.get("labels") if isinstance(content, Mapping) else None
    if not isinstance(labels, Mapping) or not labels:
        raise UserError(f"{path} must hold `labels`, as nnU-Net's dataset.json does. Write `labels` as a mapping.")
    if all(str(key).isdigit() and isinstance(value, str) for key, value in labels.items()):
        labels = {value: int(key) for key, value in labels.items()}
    if any(isinstance(value, list) for value in labels.values()):
        raise UserError(
            f"{path} must give each class one value. Got regions (lists of values), which overlap. "
            "Write `labels` as a mapping from classes to the values in the masks instead."
        )
    for name, value in labels.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise UserError(f"{path}: `labels.{name}` must be a whole number. Got {value!r}.")
    return {str(name): value for name, value in labels.items()}
