"""The rules of advice as one table: a method, the regime in which it is worth trying, and the source of the claim.

A source says what its authors claim or what they built the method for, not that it will help on other data. The
thresholds are this project's, because no source gives one for tissue.
"""

from collections.abc import Callable
from dataclasses import dataclass

from analysis.advice.regime import Regime

STRONG_IMBALANCE, EXTREME_IMBALANCE = 10.0, 100.0  # most frequent over rarest class, pixels
DOMINANT_SHARE = 0.8  # of the pixels, of one class
FEW_IMAGES = 0.5  # share of the images that hold a class
MANY_PIECES, UNEQUAL_PIECES = 10.0, 1.0  # components per image; interquartile range over median area
MOSTLY_BORDER = 0.5  # share of a class's pixels near its border


@dataclass(frozen=True)
class Rule:
    """One line of advice.

    Args:
        method: Key of the catalogue.
        when: The regime, in words.
        holds: Whether a data set is in the regime.
        because: The properties of the data set that place it in the regime, in words.
        source: The source and its claim.
    """

    method: str
    when: str
    holds: Callable[[Regime], bool]
    because: Callable[[Regime], str]
    source: str


def _imbalance(regime: Regime) -> str:
    return (
        f"{regime.rarest} is {regime.imbalance:.3g} times rarer than {regime.most_frequent} "
        f"({regime.rarest_share:.2g} of the pixels)"
    )


def _images(regime: Regime) -> str:
    return f"{_imbalance(regime)}, and {regime.rarest_image_share:.0%} of the images hold it"


def _pieces(regime: Regime) -> str:
    return (
        f"{regime.most_pieces} comes in {regime.pieces:.3g} pieces per image, whose areas vary by "
        f"{regime.piece_spread:.2g} times their median"
    )


def _hardest(regime: Regime) -> str:
    return (
        f"{regime.hardest} has the most ambiguous border (overlap {regime.hardest_overlap:.2f}) and is not the rarest "
        f"class, {regime.rarest}: weights by frequency would not help it"
    )


RULES: tuple[Rule, ...] = (
    Rule(
        "cross_entropy",
        "always: the control",
        lambda _: True,
        lambda regime: (
            f"every method is judged against it ({regime.classes} classes, imbalance {regime.imbalance:.3g})"
        ),
        "Isensee 2021 (nnU-Net): cross-entropy + Dice, without weights for classes, on 23 public data sets",
    ),
    Rule(
        "inverse_sqrt",
        f"imbalance >= {STRONG_IMBALANCE:g}",
        lambda regime: regime.imbalance >= STRONG_IMBALANCE,
        _imbalance,
        "Cui 2019, introduction: weights by the inverse frequency do poorly on large, long-tailed data, so that a "
        "smoothed form, the inverse square root, is used instead",
    ),
    Rule(
        "logit_adjustment",
        f"imbalance >= {STRONG_IMBALANCE:g}",
        lambda regime: regime.imbalance >= STRONG_IMBALANCE,
        _imbalance,
        "Menon 2021: consistent for the balanced error, also where a network separates its training data and weights "
        "change little; about error per class, not about Dice",
    ),
    Rule(
        "focal",
        f"one class holds >= {DOMINANT_SHARE:g} of the pixels",
        lambda regime: regime.largest_share >= DOMINANT_SHARE,
        lambda regime: (
            f"{regime.most_frequent} holds {regime.largest_share:.0%} of the pixels, most of them easy if it is "
            "background"
        ),
        "Lin 2017: made for detectors whose loss is swamped by easy background",
    ),
    Rule(
        "class_present",
        f"imbalance >= {STRONG_IMBALANCE:g}, and the rarest class in < {FEW_IMAGES:g} of the images",
        lambda regime: regime.imbalance >= STRONG_IMBALANCE and regime.rarest_image_share < FEW_IMAGES,
        _images,
        "Isensee 2021 (nnU-Net): a third of each batch holds a randomly chosen foreground class",
    ),
    Rule(
        "class_copy_paste",
        f"imbalance >= {EXTREME_IMBALANCE:g}, and the rarest class in < {FEW_IMAGES:g} of the images",
        lambda regime: regime.imbalance >= EXTREME_IMBALANCE and regime.rarest_image_share < FEW_IMAGES,
        _images,
        "Ghiasi 2021, abstract: 3.6 mask AP above the winner of LVIS 2020 on rare categories (photographs, instances)",
    ),
    Rule(
        "blob_loss",
        f"a class in >= {MANY_PIECES:g} pieces per image, areas varying by >= {UNEQUAL_PIECES:g} times their median",
        lambda regime: regime.pieces >= MANY_PIECES and regime.piece_spread >= UNEQUAL_PIECES,
        _pieces,
        "Kofler 2022: made for instances of unequal size within one class, such as lesions",
    ),
    Rule(
        "boundary_loss",
        f"imbalance >= {EXTREME_IMBALANCE:g}, or a class with >= {MOSTLY_BORDER:g} of its pixels near a border",
        lambda regime: regime.imbalance >= EXTREME_IMBALANCE or regime.exposure >= MOSTLY_BORDER,
        lambda regime: (
            f"{_imbalance(regime)}; {regime.exposure:.0%} of {regime.most_exposed or 'no class'} lies near its border"
        ),
        "Kervadec 2019: made for highly unbalanced segmentation, sums over borders instead of regions (two classes)",
    ),
    Rule(
        "cdb",
        "the class with the most ambiguous border is surely harder than the rarest one",
        lambda regime: regime.hardest_is_another,
        _hardest,
        "Sinha 2020: weights by the difficulty of a class instead of its frequency (classification of pictures)",
    ),
    Rule(
        "dfa",
        "the class with the most ambiguous border is surely harder than the rarest one",
        lambda regime: regime.hardest_is_another,
        _hardest,
        "Kumari and Cheung 2026: attention biased by the difficulty of a class, on tissue. Its bias has no leverage in "
        "the default decoder: set `model.decoder: tied` (docs/decoders.md)",
    ),
)
