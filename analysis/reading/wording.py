"""How figures and report write names, numbers and probabilities."""

import math
from collections.abc import Mapping
from typing import Any

from analysis.verdicts import Tone, Word

MINUS, DASH, RHO = "\N{MINUS SIGN}", "\N{EN DASH}", "\N{GREEK SMALL LETTER RHO}"

CONSTRUCT = {
    "frequency": "Frequency",
    "boundary": "Boundary ambiguity",
    "morphology": "Morphology",
    "context": "Context",
}
SELECTED = {
    "macro_dice": "macro Dice",
    "macro_iou": "macro IoU",
    "worst_dice": "Dice of the worst class",
}
AGGREGATION = {
    "per_group": "mean over slides or patients",
    "per_image": "mean over images",
    "pooled": "pooled over all pixels",
}


def words(name: str) -> str:
    """Return an identifier as words: "attention_mass" -> "attention mass"."""
    return name.replace("_", " ")


def number(value: float, decimals: int = 3) -> str:
    """Return a number of a known scale as text, always with as many decimals, so that a column can be read downwards.

    The minus is a true one; a number that rounds to zero keeps it, as it tells whether an interval contains zero. A
    missing number is a dash.
    """
    if value is None or not math.isfinite(value):
        return DASH
    return f"{value:.{decimals}f}".replace("-", MINUS)


def significant(value: float, digits: int = 3) -> str:
    """Return a number whose scale is not known beforehand, such as a class measure, with as many significant digits."""
    if value is None or not math.isfinite(value):
        return DASH
    if value == 0 or 1e-5 <= abs(value) < 1e7:
        magnitude = math.floor(math.log10(abs(value))) if value else 0
        return number(value, max(0, digits - 1 - magnitude))
    return f"{value:.{digits - 1}e}".replace("-", MINUS)


def signed(value: float, decimals: int = 3) -> str:
    """Return a number as text with its sign."""
    text = number(value, decimals)
    return text if text[0] in (MINUS, DASH) or value == 0 else f"+{text}"


def probability(value: float) -> str:
    """Return a p value as text with its equals or less-than sign: "= 0.083", "< 0.001"."""
    if value is None or not math.isfinite(value):
        return "not available"
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def tone(word: str) -> Tone:
    """Return the tone of a verdict that was read from a table."""
    return Word(word).tone


def given_start(association: Mapping[Any, Any]) -> str:
    """Return "given the start" of a partial correlation that holds the start fixed, else nothing."""
    return "given the start" if association.get("given") == "start" else ""
