"""Which classes a study distinguishes: source classes merged or ignored."""

from collections.abc import Mapping, Sequence

import numpy as np

from imbalance_bench.data.prepared import DatasetInfo
from imbalance_bench.errors import UserError, nearest

UNLABELLED = 255


class Taxonomy:
    """The classes of a study, in order, and the map from a data set's mask values to them.

    A merged class takes the colour and, unless an order is given, the place of its first source (the one with the
    smallest id).

    Args:
        info: The data set.
        groups: Merged class -> its sources. Classes that no group mentions stay as they are.
        ignore: Classes whose pixels become unlabelled.
        order: All classes after merging, in the wanted order; empty: that of the data set.

    Attributes:
        names: K class names.
        colours: K colours "#rrggbb".
        sources: K tuples of source class names.
        lookup: (256,) uint8, from mask value to class index, or UNLABELLED.

    Raises:
        UserError: An unknown class, a class used twice, a name taken by another class, fewer than two classes left, or
            an order that is not one of all of them.
    """

    names: tuple[str, ...]
    colours: tuple[str, ...]
    sources: tuple[tuple[str, ...], ...]
    lookup: np.ndarray

    def __init__(
        self,
        info: DatasetInfo,
        groups: Mapping[str, Sequence[str]] | None = None,
        ignore: Sequence[str] = (),
        order: Sequence[str] = (),
    ) -> None:
        source_names = [class_.name for class_ in info.classes]
        destination = _destinations(source_names, groups or {}, ignore)
        members: dict[str, list[int]] = {}
        for source in info.classes:
            name = destination.get(source.name, source.name)
            if name is not None:
                members.setdefault(name, []).append(source.id)
        if len(members) < 2:
            raise UserError(
                f"A study of '{info.name}' must distinguish at least 2 classes. Got {list(members)}. "
                "Merge or ignore fewer classes."
            )
        if order:
            _require_all_once(order, list(members))
            members = {name: members[name] for name in order}
        self.names = tuple(members)
        self.colours = tuple(info.classes[ids[0]].colour for ids in members.values())
        self.sources = tuple(tuple(source_names[id_] for id_ in ids) for ids in members.values())
        self.lookup = np.full(256, UNLABELLED, dtype=np.uint8)
        for index, ids in enumerate(members.values()):
            self.lookup[ids] = index
        self.lookup.setflags(write=False)

    def __len__(self) -> int:
        """Return K, the number of classes."""
        return len(self.names)

    def apply(self, mask: np.ndarray) -> np.ndarray:
        """Translate source class ids into class indices.

        Args:
            mask: uint8 of any shape, as read from the data set.

        Returns:
            uint8 of the same shape: 0..K-1, or UNLABELLED.
        """
        return self.lookup[mask]


def _require_all_once(order: Sequence[str], names: Sequence[str]) -> None:
    """Refuse an order that is not a permutation of the classes."""
    for name in order:
        if name not in names:
            raise UserError(f"`class_order` must name the classes of the study. Got '{name}'.{nearest(name, names)}")
    if sorted(order) != sorted(names):
        raise UserError(
            f"`class_order` must name each of the {len(names)} classes ({', '.join(names)}) once. "
            f"Got {len(order)}: {', '.join(order)}."
        )


def _destinations(
    source_names: Sequence[str], groups: Mapping[str, Sequence[str]], ignore: Sequence[str]
) -> dict[str, str | None]:
    """Return source class -> merged class, or None for an ignored one; untouched classes are left out."""
    destination: dict[str, str | None] = {}
    requests: list[tuple[str, str | None, Sequence[str]]] = [("`ignore`", None, ignore)]
    requests += [(f"`groups.{name}`", name, sources) for name, sources in groups.items()]
    for where, name, sources in requests:
        if isinstance(sources, str):
            raise UserError(f"{where} must be a list of class names. Got '{sources}'. Write [{sources}].")
        if name is not None and not sources:
            raise UserError(
                f"{where} must name at least one class. Got []. Remove it or add a class.{nearest('', source_names)}"
            )
        if name in source_names and name not in sources:
            raise UserError(
                f"{where} must not take the name of a class outside the group. Got '{name}'. Choose another name."
            )
        for source in sources:
            if source not in source_names:
                raise UserError(
                    f"{where} must name classes of the data set. Got '{source}'.{nearest(source, source_names)}"
                )
            if source in destination:
                raise UserError(f"{where} must not use a class twice. Got '{source}' again. Name it in one place only.")
            destination[source] = name
    return destination
