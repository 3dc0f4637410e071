"""Tables behind the answers: order, equivalence, explanation, inertia, interventions, path, neighbours."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.reading.analysed_study import AnalysedStudy
from analysis.reading.wording import CONSTRUCT, signed, words
from analysis.report.tables import Cell, Column, ReportTable, estimate_cell, number_cell, p_cell, verdict_cell
from analysis.schema.names import MACRO

Row = dict[Any, Any]
MakeCell = Callable[[Row], Cell]


@dataclass(frozen=True)
class Detail:
    """How one table of the analysis is shown.

    Args:
        name: Key of `analysis.schema.COLUMNS`, and name of the download.
        title: Heading.
        caption: How to read it.
        columns: Heading -> cell of a row.
        keep: Which rows are shown; all are downloaded.
    """

    name: str
    title: str
    caption: str
    columns: dict[str, MakeCell]
    keep: Callable[[pd.DataFrame], pd.DataFrame] = lambda rows: rows


def detail_tables(study: AnalysedStudy) -> list[ReportTable]:
    """Build every table of this file."""
    tables = []
    for detail in DETAILS:
        data = study.table(detail.name)
        shown = _of_aggregation(detail.keep(data), study.aggregation)
        rows = [[make(row) for make in detail.columns.values()] for row in shown.to_dict("records")]
        headings = [Column(name) for name in detail.columns]
        tables.append(ReportTable(detail.name, detail.title, headings, rows, data, detail.caption))
    return tables


def _of_aggregation(rows: pd.DataFrame, aggregation: str) -> pd.DataFrame:
    return rows[rows["aggregation"] == aggregation] if "aggregation" in rows else rows


def _text(column: str) -> MakeCell:
    return lambda row: Cell("all classes (macro)" if row[column] == MACRO else words(str(row[column])))


def _name(column: str) -> MakeCell:
    """A name of the user's, which is shown as it is."""
    return lambda row: Cell("all classes (macro)" if row[column] == MACRO else str(row[column]))


def _number(column: str, digits: int, *, with_sign: bool = False) -> MakeCell:
    return lambda row: number_cell(row[column], digits, with_sign=with_sign)


def _percent(column: str) -> MakeCell:
    def cell(row: Row) -> Cell:
        value = row[column]
        return number_cell(value, 1) if pd.isna(value) else Cell(f"{signed(100 * value, 1)} %", sort=repr(float(value)))

    return cell


def _range(value: str, low: str, high: str, digits: int = 3, *, with_sign: bool = False) -> MakeCell:
    return lambda row: estimate_cell(row[value], row[low], row[high], digits=digits, with_sign=with_sign)


def _p(column: str) -> MakeCell:
    return lambda row: p_cell(row[column])


def _verdict(row: Row) -> Cell:
    return verdict_cell(row["verdict"])


def _construct(row: Row) -> Cell:
    construct = str(row["construct"])
    return Cell(CONSTRUCT.get(construct, construct.capitalize()), note=words(str(row["measure"])))


def _rival(row: Row) -> Cell:
    return Cell("nearest rival" if row["nearest_rival"] else "")


def _agrees(row: Row) -> Cell:
    text, mark = {"yes": ("found", "found"), "no": ("contradicted", "worse")}.get(str(row["agrees"]), ("open", "open"))
    return Cell(text, tone=mark)


DETAILS = (
    Detail(
        "planted_and_found",
        "What is true, and what was found",
        "True by construction of the phantom and of the methods, beside what the analysis found without knowing it.",
        {
            "subject": _name("subject"),
            "planted": _name("planted"),
            "": _agrees,
            "found": _name("found"),
        },
    ),
    Detail(
        "planted_factors",
        "What was planted in each class",
        "The level of each factor and the primary measure that must follow it.",
        {
            "factor": _text("factor"),
            "class": _name("class"),
            "planted": _number("planted", 2),
            "measure": _text("measure"),
            "measured": _number("measured", 3),
        },
    ),
    Detail(
        "rankings",
        "Stability of the order",
        "Ranks over resampled units and seeds, under the aggregation of the tests; they describe, and test nothing.",
        {
            "method": _name("method"),
            "class": _name("class"),
            "rank": _range("rank", "rank_low", "rank_high", 1),
            "share of resamples that it leads": _number("p_best", 3),
            "Kendall's tau": _number("kendall_tau", 2),
        },
    ),
    Detail(
        "leaders",
        "Who leads, and who cannot be told from the leader",
        "Each method against the one with the greatest mean of its tier; p is corrected for all pairs of methods, "
        "because the leader is known only after looking.",
        {
            "method": _name("method"),
            "class": _name("class"),
            "Dice": _number("mean", 3),
            "difference to the leader": _range("difference", "low", "high", with_sign=True),
            "p (all pairs)": _p("p_corrected"),
            "place": _text("mark"),
        },
    ),
    *(
        Detail(
            name,
            title,
            "Paired by unit and seed; the p values are corrected over all methods and pairs of models.",
            {
                "method": _name("method"),
                "model": _name("model"),
                "other model": _name("other_model"),
                "class": _name("class"),
                "with the model": _range("of_model", "of_model_low", "of_model_high", with_sign=effect),
                "with the other": _range("of_other", "of_other_low", "of_other_high", with_sign=effect),
                "difference": _range("difference", "low", "high", with_sign=True),
                "p (Holm)": _p("p_holm"),
                "verdict": _verdict,
            },
        )
        for name, title, effect in (
            ("model_differences", "Dice of every method with one model and with another", False),
            ("model_interactions", "Does the effect of a method depend on the model?", True),
        )
    ),
    Detail(
        "collapsed_classes",
        "Classes that were learned and lost again",
        "By validation Dice, pooled over images, while the run trained.",
        {
            "method": _name("method"),
            "fold": _number("fold", 0),
            "seed": _number("seed", 0),
            "class": _name("class"),
            "best Dice": _number("best", 3),
            "at step": _number("best_step", 0),
            "Dice at the end": _number("last", 3),
        },
    ),
    Detail(
        "tuning",
        "What tuning chose, and what it cost",
        "Scores by which settings are chosen, pooled over images. Validation scores of winners are optimistic; test "
        "scores have the seeds of tuning, but for the last, which is of the study's own runs.",
        {
            "method": _name("method"),
            "trial": _number("winner", 0),
            "setting": _name("setting"),
            "validation, default": _number("validation_default", 3),
            "validation, winner": _number("validation_winner", 3),
            "validation, other seeds": _number("validation_again", 3),
            "test, default": _number("test_default", 3),
            "test, winner": _number("test_winner", 3),
            "test, best trial": _number("test_oracle", 3),
            "test, other seeds": _number("test_again", 3),
            "seconds of tuning": _number("tuning_seconds", 0),
            "seconds of the study": _number("study_seconds", 0),
        },
    ),
    Detail(
        "tuning_effects",
        "Default and tuned setting on test images",
        "Paired by unit and seed of tuning; the p values are corrected over all methods that tuning changed.",
        {
            "method": _name("method"),
            "class": _name("class"),
            "default": _range("of_default", "of_default_low", "of_default_high"),
            "tuned": _range("of_tuned", "of_tuned_low", "of_tuned_high"),
            "difference": _range("difference", "low", "high", with_sign=True),
            "p (Holm)": _p("p_holm"),
            "verdict": _verdict,
        },
    ),
    Detail(
        "tuning_budgets",
        "What fewer trials would have chosen",
        "Over all choices of n of the trials that were made; ranks by the test score of what each would have chosen.",
        {
            "method": _name("method"),
            "trials": _number("trials", 0),
            "expected best on validation": _number("validation", 3),
            "its test score": _number("test", 3),
            "rank with all trials": _range("rank", "rank_low", "rank_high", 1),
            "share in which it is first": _number("p_best", 2),
            "Kendall's tau": _number("kendall_tau", 2),
        },
    ),
    Detail(
        "tuning_options",
        "Which options matter",
        "Rank correlation of the drawn value with the validation score; few trials show little; nothing is corrected.",
        {
            "method": _name("method"),
            "option": _name("option"),
            "n": _number("n", 0),
            "from": _number("low", 4),
            "to": _number("high", 4),
            "Spearman's rho": _number("spearman", 2, with_sign=True),
            "p": _p("p"),
            "smallest possible p": _p("min_p"),
            "spread over words": _number("spread", 3),
        },
    ),
    Detail(
        "equivalence",
        "Equivalence",
        "Two one-sided tests against the margin of the plan, and the Bayesian signed-rank test over units alone.",
        {
            "method": _name("method"),
            "class": _name("class"),
            "difference in Dice": _range("difference", "low_tost", "high_tost", with_sign=True),
            "margin": _number("margin", 3),
            "p (TOST, Holm)": _p("p_tost_holm"),
            "probability worse": _number("p_worse", 3),
            "probability equivalent": _number("p_equivalent", 3),
            "probability better": _number("p_better", 3),
            "verdict": _verdict,
        },
    ),
    Detail(
        "partial_associations",
        "Rare given hard, hard given rare",
        "What a construct explains of the ranked bias beyond the given ones (Freedman-Lane permutation).",
        {
            "method": _name("method"),
            "learned quantity": _text("estimand"),
            "class measure": _construct,
            "given": _text("given"),
            "partial R squared": _number("r2", 2),
            "p": _p("p"),
            "p (corrected)": _p("p_adjusted"),
            "smallest p possible": _p("min_p"),
            "variance inflation": _number("vif", 1),
            "verdict": _verdict,
        },
    ),
    Detail(
        "partition",
        "Partition of the explained variation",
        "Shares of the variation of the ranked bias; an adjusted share may be negative, which means: nothing.",
        {
            "method": _name("method"),
            "learned quantity": _text("estimand"),
            "component": _text("component"),
            "kind": _text("kind"),
            "share": _number("value", 2, with_sign=True),
            "adjusted": _range("adjusted", "low", "high", 2, with_sign=True),
            "interval resamples": _text("resampled"),
            "variance inflation": _number("vif", 1),
        },
    ),
    Detail(
        "inertia",
        "Inertia: does the final bias still show its start?",
        "`kept` is the slope of the final on the initial bias: 1 means that training moved nothing, 0 that the start "
        "left no trace.",
        {
            "starts": _name("starts"),
            "learned quantity": _text("estimand"),
            "view": _text("view"),
            "kept": _range("kept", "low", "high", 2),
            "correlation with the start": _number("correlation", 2),
            "change against spread of the start": _range("moved", "moved_low", "moved_high", 2),
            "verdict": _verdict,
        },
    ),
    Detail(
        "interventions",
        "What the bias does",
        "Dice with the bias of the trained model changed, minus Dice as trained, on the same images.",
        {
            "method": _name("method"),
            "intervention": _text("intervention"),
            "class": _name("class"),
            "difference in Dice": _range("difference", "low_holm", "high_holm", with_sign=True),
            "mean |difference| over models": _number("magnitude", 3),
            "share of the ceiling": _percent("share_of_ceiling"),
            "p (Holm)": _p("p_holm"),
            "units": _number("n_units", 0),
            "verdict": _verdict,
        },
    ),
    Detail(
        "path_controls",
        "What each change of the class attention does",
        "Dice under the control minus Dice as trained, on the same images; doses are in the figure and in the "
        "download. Uniform weights are the ceiling: they take away what the attention learned of a place. The mean "
        "|difference| keeps signs that differ between models from cancelling; it is above 0 by chance alone.",
        {
            "method": _name("method"),
            "control": _text("control"),
            "class": _name("class"),
            "difference in Dice": _range("difference", "low", "high", with_sign=True),
            "mean |difference| over models": _number("magnitude", 3),
            "share of the ceiling": _percent("share_of_ceiling"),
            "p (equivalence, Holm)": _p("p_tost_holm"),
            "units": _number("n_units", 0),
            "verdict": _verdict,
        },
        keep=lambda rows: rows[rows["target"] == ""],
    ),
    Detail(
        "boundary_scores",
        "Scores at borders",
        "Boundary IoU, surface Dice and Hausdorff distance, each with its distance.",
        {
            "method": _name("method"),
            "class": _name("class"),
            "measure": _text("measure"),
            "distance (um)": _number("distance_um", 2),
            "aggregation": _text("aggregation"),
            "value": _range("value", "low", "high"),
            "units": _number("n_units", 0),
            "images missed": _number("missed", 0),
        },
        keep=lambda rows: rows[rows["class"] == MACRO],
    ),
    Detail(
        "calibration",
        "Calibration errors and Brier scores",
        "Errors are 0 for perfect probabilities; those of a class over all pixels are small for rare classes whatever "
        "they are, those over the pixels predicted as the class are not.",
        {
            "method": _name("method"),
            "class": _name("class"),
            "measure": _text("measure"),
            "value": _range("value", "low", "high"),
            "units": _number("n_units", 0),
        },
    ),
    Detail(
        "adjacency",
        "Neighbours and rivals",
        "With which classes each class shares its border, and how alike they look.",
        {
            "class": _name("class"),
            "other class": _name("other"),
            "share of the border": _range("border_share", "border_share_low", "border_share_high", 2),
            "overlap of stains": _range("stain_overlap", "stain_overlap_low", "stain_overlap_high", 2),
            "overlap of features": _range("feature_overlap", "feature_overlap_low", "feature_overlap_high", 2),
            "": _rival,
        },
    ),
)
