"""Names that stand in the cells of several tables."""

from imbalance_bench.names import MACRO as MACRO
from imbalance_bench.preregistration import PRIMARY_ESTIMANDS as PRIMARY_ESTIMANDS

ESTIMANDS = ("learned", "change", "effective_offset", "attention_mass")


CENTRED = ("learned", "change", "effective_offset")  # a constant added to every class means nothing


OUTCOMES = ("effective_offset", "attention_mass")  # what the bias and everything else bring about


ESTIMAND_WORDS = {
    "learned": "learned bias",
    "change": "change of the bias",
    "effective_offset": "effective offset",
    "attention_mass": "attention mass",
}


def estimand_label(estimand: str) -> str:
    """Return what an axis says of an estimand, such as "change of the bias, centred"."""
    return ESTIMAND_WORDS[estimand] + (", centred" if estimand in CENTRED else "")


def estimand_words(estimand: str) -> str:
    """Return an estimand in words; of tables that were made elsewhere, its name."""
    return ESTIMAND_WORDS.get(estimand, estimand.replace("_", " "))


# rules for units in which a class does not occur, in table `sensitivity`
LEFT_OUT, ZERO_IF_PREDICTED = "left_out", "zero_if_predicted"
