"""Columns that several tables share."""

from analysis.schema.column import Column, integer, number, text

RUN = {"method": text("label of the method"), "fold": integer("fold, from 0"), "seed": integer("seed of the run")}
CLASS = {"class_id": integer("class index after merging, from 0"), "class": text("class name")}


def decided_difference(difference: str, p_holm: str, verdict: str) -> dict[str, Column]:
    """Return the columns of a paired difference that is corrected and judged.

    Args:
        difference: Meaning of `difference`.
        p_holm: Meaning of `p_holm`: which tests are corrected together.
        verdict: Meaning of `verdict`: its words.
    """
    return {
        "difference": number(difference, "Dice"),
        "low": number("lower end of the 95 % interval over units, seeds and folds (jackknife and Student's t)"),
        "high": number("upper end of that interval"),
        "p": number("two-sided: 1 minus the level at which that interval touches 0"),
        "p_holm": number(p_holm),
        "level": number("level that Holm gives the interval of this row; 1 - alpha without a correction"),
        "low_holm": number("lower end of the interval of that level", "Dice"),
        "high_holm": number("upper end of it", "Dice"),
        "low_tost": number("lower end of the interval that the corrected two one-sided tests invert", "Dice"),
        "high_tost": number("upper end of it; both inside the margin exactly where `equivalent`", "Dice"),
        "p_tost_holm": number("two one-sided tests by the same interval, after Holm"),
        "margin": number("half width of the region of practical equivalence, fixed in the plan", "Dice"),
        "family": integer("tests corrected together"),
        "influential": text("units without which the verdict would be another, those that move it most first"),
        "verdict": text(verdict),
    }


INTERVAL = {"low": number("lower end of the 95 % interval"), "high": number("upper end of the 95 % interval")}
