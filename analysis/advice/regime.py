"""What of a difficulty card decides which methods are worth a try."""

from dataclasses import dataclass

import pandas as pd

from analysis.cards.description import Description
from imbalance_bench.preregistration import PRIMARY_MEASURES


@dataclass(frozen=True)
class Regime:
    """A data set in the numbers that the rules of advice read. Classes are named; shares are 0 to 1.

    Args:
        classes: K.
        groups: Patients or slides; images where they are unknown.
        groups_known: Which of both.
        rarest: Class with the fewest pixels.
        rarest_share: Its share of the labelled pixels.
        imbalance: Pixels of the most frequent class over those of the rarest.
        most_frequent: Class with the most pixels.
        largest_share: Its share.
        rarest_image_share: Share of the images that hold the rarest class.
        most_pieces: Class with the most connected components per image.
        pieces: Its number.
        piece_spread: Interquartile range over median of the areas of its instances; NaN where they are not measured.
        most_exposed: Class with the largest share of its pixels near a border.
        exposure: That share.
        hardest: Class whose border is the most ambiguous in stain.
        hardest_overlap: Its overlap, 1 - Jensen-Shannon distance.
        hardest_is_another: Whether that class is surely harder than the rarest one: their 95 % intervals do not meet.
    """

    classes: int
    groups: int
    groups_known: bool
    rarest: str
    rarest_share: float
    imbalance: float
    most_frequent: str
    largest_share: float
    rarest_image_share: float
    most_pieces: str
    pieces: float
    piece_spread: float
    most_exposed: str
    exposure: float
    hardest: str
    hardest_overlap: float
    hardest_is_another: bool


def regime_of(described: Description) -> Regime:
    """Read the regime off a described data set; classes that do not occur are left out."""
    values = described.measures.pivot(index="class", columns="measure", values="value")
    share = values["pixel_share"].dropna()
    share = share[share > 0]
    rarest, most_frequent = str(share.idxmin()), str(share.idxmax())
    pieces = values["components_per_image"].loc[share.index]
    exposure = values["border_exposure"].dropna()
    most_pieces = str(pieces.idxmax())
    overlap = values[PRIMARY_MEASURES["boundary"]].dropna()
    image_share, median, spread = (values[name] for name in ("image_share", "median_area", "area_iqr"))
    hardest = str(overlap.idxmax()) if len(overlap) else ""
    return Regime(
        classes=len(share),
        groups=described.n_groups,
        groups_known=described.dataset.info.groups_known,
        rarest=rarest,
        rarest_share=float(share[rarest]),
        imbalance=float(share.max() / share.min()),
        most_frequent=most_frequent,
        largest_share=float(share.max()),
        rarest_image_share=float(image_share[rarest]),
        most_pieces=most_pieces,
        pieces=float(pieces.max()),
        piece_spread=float(spread[most_pieces] / median[most_pieces]),
        most_exposed=str(exposure.idxmax()) if len(exposure) else "",
        exposure=float(exposure.max()) if len(exposure) else float("nan"),
        hardest=hardest,
        hardest_overlap=float(overlap.max()) if len(overlap) else float("nan"),
        hardest_is_another=_is_surely_harder(described.measures, hardest, rarest),
    )


def _is_surely_harder(measures: pd.DataFrame, one: str, other: str) -> bool:
    """Return whether the intervals of two classes' ambiguity of borders do not meet, the first one's above."""
    rows = measures[measures["measure"] == PRIMARY_MEASURES["boundary"]].set_index("class")
    return bool(one and one != other and rows["low"][one] > rows["high"][other])
