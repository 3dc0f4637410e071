"""How figures and report write names, numbers and probabilities."""

import math

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


def number(value: float, digits: int = 3) -> str:
    """Return a number as text with a true minus sign; a dash for a missing one."""
    if value is None or not math.isfinite(value):
        return DASH
    if value != 0 and (abs(value) < 10**-digits or abs(value) >= 1e5):
        text = f"{value:.{max(digits - 1, 1)}g}"
    else:
        text = f"{value:.{digits}f}"
    return text.replace("-", MINUS)


def signed(value: float, digits: int = 3) -> str:
    """Return a number as text with its sign."""
    text = number(value, digits)
    return text if text[0] in (MINUS, DASH) or value == 0 else f"+{text}"


def probability(value: float) -> str:
    """Return a p value as text with its equals or less-than sign: "= 0.083", "< 0.001"."""
    if value is None or not math.isfinite(value):
        return "not available"
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def tone(word: str) -> Tone:
    """Return the tone of a verdict that was read from a table."""
    return Word(word).tone
