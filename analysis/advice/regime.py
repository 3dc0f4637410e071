"""The properties of a data set that decide which methods are worth trying."""

from dataclasses import dataclass

import pandas as pd

from analysis.cards.description import Description
from imbalance_bench.preregistration import PRIMARY_MEASURES


@dataclass(frozen=True)
class Regime:
    """The numbers of a data set that the rules of advice read. Classes are given by name; shares are 0 to 1.

    Args:
        classes: K.
        groups: Number of patients or slides; of images where these are unknown.
        groups_known: Whether patients or slides are known.
        rarest: Class with the fewest pixels.
        rarest_share: Its share of the labelled pixels.
        imbalance: Pixels of the most frequent class over those of the rarest.
        most_frequent: Class with the most pixels.
        largest_share: Its share.
        rarest_image_share: Share of the images that contain the rarest class.
        most_pieces: Class with the most connected components per image.
        pieces: Its number of connected components per image.
        piece_spread: Interquartile range over median of the areas of its instances; NaN where they are not measured.
        most_exposed: Class with the largest share of its pixels near a border.
        exposure: That share.
        hardest: Class whose border is the most ambiguous in stain.
        hardest_overlap: Its overlap, 1 - Jensen-Shannon distance.
        hardest_is_another: Whether that class is clearly harder than the rarest one: its 95 % interval lies above.
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


def regime_of(description: Description) -> Regime:
    """Return the regime of a described data set; classes that do not occur are left out."""
    values = description.measures.pivot(index="class", columns="measure", values="value")
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
        groups=description.n_groups,
        groups_known=description.dataset.info.groups_known,
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
        hardest_is_another=_is_surely_harder(description.measures, hardest, rarest),
    )


def _is_surely_harder(measures: pd.DataFrame, first: str, second: str) -> bool:
    """Return whether the interval of border ambiguity of the first class lies above that of the second."""
    rows = measures[measures["measure"] == PRIMARY_MEASURES["boundary"]].set_index("class")
    return bool(first and first != second and rows["low"][first] > rows["high"][second])
