"""Names that occur in the cells of several tables."""

from imbalance_bench.names import MACRO as MACRO
from imbalance_bench.preregistration import PRIMARY_ESTIMANDS as PRIMARY_ESTIMANDS

ESTIMANDS = ("learned", "change", "effective_offset", "attention_mass")
CENTRED = ("learned", "change", "effective_offset")  # adding a constant to all classes changes nothing
OUTCOMES = ("effective_offset", "attention_mass")  # joint results of the bias and everything else
ESTIMAND_WORDS = {
    "learned": "learned bias",
    "change": "change of the bias",
    "effective_offset": "effective offset",
    "attention_mass": "attention mass",
}


def estimand_label(estimand: str) -> str:
    """Return the axis label of an estimand, such as "change of the bias, centred"."""
    return ESTIMAND_WORDS[estimand] + (", centred" if estimand in CENTRED else "")


def estimand_words(estimand: str) -> str:
    """Return an estimand in words; for tables from elsewhere, its name."""
    return ESTIMAND_WORDS.get(estimand, estimand.replace("_", " "))


# rules for units in which a class does not occur, in table `sensitivity`
LEFT_OUT, ZERO_IF_PREDICTED = "left_out", "zero_if_predicted"
