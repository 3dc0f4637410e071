"""The content of the difficulty card of one class, for the pages of `data describe` and for the report of a study."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from analysis.cards.figures import CardFigure, estimate, profile_figure, shapes_svg, strips_figure, tile_address
from analysis.cards.specimens import Specimens
from analysis.reading.wording import number
from analysis.schema import rows_of


@dataclass(frozen=True)
class CardSource:
    """The data that cards are made from.

    Args:
        class_names: K names.
        colours: "#rrggbb" of each class.
        mpp_um: um per pixel of the shapes, or None.
        encoder: Name of the encoder behind the overlap with rivals; empty where it is unknown or there is none.
        measures: Table `measures`.
        profiles: Table `border_profiles`.
        adjacency: Table `adjacency`.
        specimens: Pictures of each class; empty if the data set no longer exists.
        link: Function from the index of a class to the address of its card.
    """

    class_names: Sequence[str]
    colours: Sequence[str]
    mpp_um: float | None
    encoder: str
    measures: pd.DataFrame = field(repr=False)
    profiles: pd.DataFrame = field(repr=False)
    adjacency: pd.DataFrame = field(repr=False)
    specimens: Sequence[Specimens] = field(repr=False)
    link: Callable[[int], str]


@dataclass(frozen=True)
class Rival:
    """The class that is most similar to another one.

    Args:
        name: Name of the class.
        link: Address of its card.
        kind: Kind of overlap, in words.
        overlap: Overlap with its interval, as text.
        share: Share of the border, as text.
        tiles: Tiles as data: addresses.
    """

    name: str
    link: str
    kind: str
    overlap: str
    share: str
    tiles: Sequence[str]


@dataclass(frozen=True)
class Card:
    """The difficulty card of one class.

    Args:
        number: Class index.
        name: Name of the class.
        colour: "#rrggbb".
        tiles: Tiles as data: addresses.
        strips: Position of the class among all classes on each primary measure.
        profile: Stain across its border; None for a class without a border.
        shapes: SVG of whole instances; empty without instances.
        n_shapes: Number of instances shown.
        rival: The nearest rival, if any.
        neighbours: The other classes, most similar first.
    """

    number: int
    name: str
    colour: str
    tiles: Sequence[str]
    strips: CardFigure
    profile: CardFigure | None
    shapes: str
    n_shapes: int
    rival: Rival | None
    neighbours: Sequence[dict[str, str]]


def make_cards(source: CardSource) -> list[Card]:
    """Make the card of every class."""
    tiles = [[tile_address(tile) for tile in specimen.tiles] for specimen in source.specimens]
    tiles = tiles or [[] for _ in source.class_names]
    return [_card(source, c, tiles) for c in range(len(source.class_names))]


def rival_row(adjacency: pd.DataFrame, class_name: str) -> dict[str, Any] | None:
    """Return the row of table `adjacency` for the nearest rival, if the class has one."""
    rows = adjacency[(adjacency["class"] == class_name) & adjacency["nearest_rival"].astype(bool)]
    return rows_of(rows)[0] if len(rows) else None


def _card(source: CardSource, c: int, tiles: Sequence[Sequence[str]]) -> Card:
    name, colour = source.class_names[c], source.colours[c]
    profile = source.profiles[source.profiles["class"] == name]
    shapes = source.specimens[c].shapes if source.specimens else ()
    return Card(
        number=c,
        name=name,
        colour=colour,
        tiles=tiles[c],
        strips=strips_figure(source.measures, name, colour, f"strips-{c}"),
        profile=profile_figure(profile, name, f"profile-{c}") if profile["value"].notna().any() else None,
        shapes=shapes_svg(shapes, source.mpp_um),
        n_shapes=len(shapes),
        rival=_rival(source, name, tiles),
        neighbours=_neighbours(source.adjacency, name),
    )


def _rival(source: CardSource, class_name: str, tiles: Sequence[Sequence[str]]) -> Rival | None:
    row = rival_row(source.adjacency, class_name)
    if row is None:
        return None
    by_features, other = np.isfinite(row["feature_overlap"]), int(row["other_id"])
    kind = "feature" if by_features else "stain"
    value = {end: row[f"{kind}_overlap{suffix}"] for end, suffix in (("value", ""), ("low", "_low"), ("high", "_high"))}
    wording = f"to {source.encoder}" if source.encoder else "of frozen features"
    return Rival(
        name=str(row["other"]),
        link=source.link(other),
        kind=f"{wording}, Bhattacharyya" if by_features else "in stain, 1 - Jensen-Shannon distance",
        overlap=estimate(value),
        share=number(row["border_share"], 3),
        tiles=tiles[other][:3],
    )


def _neighbours(adjacency: pd.DataFrame, class_name: str) -> list[dict[str, str]]:
    rows = adjacency[adjacency["class"] == class_name]
    rows = rows.sort_values(["feature_overlap", "stain_overlap"], ascending=False, kind="stable")
    return [
        {
            "name": row["other"],
            "feature": number(row["feature_overlap"], 3),
            "stain": number(row["stain_overlap"], 3),
            "share": number(row["border_share"], 3),
        }
        for row in rows_of(rows)
    ]
