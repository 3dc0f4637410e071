"""The mixed model: the slope of each measure given the others, with runs as repeats of a class."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.explanation.evidence import RELIABILITY_RULE, START_TEXT, Subject
from analysis.explanation.partial import VIF_DF
from analysis.statistics.corrections import holm
from analysis.statistics.measurement_error import calibrated
from analysis.statistics.mixed_model import MixedFit, fit_mixed_model
from analysis.statistics.strata import labels, variance_inflation, within_scores
from analysis.study.class_points import ClassPoints
from analysis.study.runs import AnalysisPlan
from analysis.verdicts import Topic, Verdict, Word, p_text

_FIT_COLUMNS = (
    "name_sd",
    "class_sd",
    "residual_sd",
    "n_names",
    "n_classes",
    "n_rows",
    "converged",
    "singular",
    "refusal",
)


def slope_rows(points: ClassPoints) -> list[dict[str, Any]]:
    """Regress standardised values on standardised measures; the spread of class means is 1 within each data set.

    Returns:
        Rows of table `mixed_models` without `verdict`. Where reliabilities are known, the model is also fitted to
        calibrated measures: `p` is the larger of the two, and the slope and its interval are those of that fit.
    """
    learned = points.learned()
    means = np.nanmean(learned, axis=1)
    spread = np.array([np.std(means[points.strata == stratum]) for stratum in points.strata])
    outcome = learned / np.where(spread > 0, spread, np.nan)[:, None]
    measures = np.column_stack([within_scores(column, points.blocks) for column in points.measures.T])
    start = np.zeros((len(means), 0))
    if points.starts.kind == "one":
        start = within_scores(np.nanmean(points.starts.values, axis=1), points.blocks)[:, None]
    uncalibrated = _fit(outcome, measures, start, points)
    fits = [uncalibrated]
    if not uncalibrated.refusal and (points.reliability < 1).any():
        block = labels(points.blocks, len(means))
        adjusted_measures = calibrated(measures, start, points.reliability, np.ones(start.shape[1]), block)
        fits.append(
            _refused(uncalibrated) if adjusted_measures is None else _fit(outcome, adjusted_measures, start, points)
        )
    of_fits = np.array([np.where(np.isnan(fit.p) & bool(fit.refusal), 1.0, fit.p) for fit in fits])
    p = np.full(of_fits.shape[1], np.nan) if uncalibrated.refusal else np.max(of_fits, axis=0)
    p = p[: len(points.constructs)]
    deciding = [fits[index] if not fits[index].refusal else uncalibrated for index in np.argmax(of_fits, axis=0)]
    inflation = variance_inflation(np.column_stack([measures, start]), points.blocks)
    rows = []
    for j, (construct, measure) in enumerate(zip(points.constructs, points.measure_names, strict=True)):
        reported = deciding[j]
        low, high = (ends[j] for ends in reported.interval())
        row = {
            "construct": construct,
            "measure": measure,
            "estimate": reported.estimates[j],
            "error": reported.errors[j],
        }
        row |= {"low": low, "high": high, "t": reported.t[j], "df": reported.class_df, "p": p[j]}
        row |= {"vif": inflation[j], "reliability": points.reliability[j]}
        rows.append(row | {key: getattr(uncalibrated, key) for key in _FIT_COLUMNS})
    adjusted = holm(p)
    family = int(np.isfinite(p).sum())
    return [row | {"p_holm": value, "family": family} for row, value in zip(rows, adjusted, strict=True)]


def _fit(outcome: np.ndarray, measures: np.ndarray, start: np.ndarray, points: ClassPoints) -> MixedFit:
    return fit_mixed_model(outcome, np.column_stack([measures, start]), points.names, points.blocks)


def _refused(fit: MixedFit) -> MixedFit:
    """Return a refused fit, for measures that are mostly error."""
    nan = np.full(len(fit.estimates), np.nan)
    return MixedFit("errors of the measures leave nothing to hold apart", nan, nan, fit.class_df)


def slope_verdict(row: Mapping[str, Any], plan: AnalysisPlan, subject: Subject) -> Verdict:
    """Judge one slope of the mixed model."""
    rule = (
        "not_testable: the model is refused, did not converge, or there are fewer than two runs; unreliable: "
        f"{RELIABILITY_RULE.format(floor=plan.reliability_floor)}; not_separable: VIF above {plan.largest_vif:g} with "
        f"at least {VIF_DF} degrees of freedom, or the one start may explain it; supported: p of Student's t with "
        "the degrees of freedom of distinct class names, measures as measured and as calibrated, after Holm over the "
        f"slopes, < {plan.alpha:g}; else not_supported"
    )
    word, tail = _word(row, plan, subject)
    keys = (
        *("estimate", "error", "low", "high", "t", "df", "p", "p_holm", "name_sd", "class_sd", "residual_sd"),
        *("n_names", "n_classes", "n_rows", "converged", "singular", "vif", "reliability"),
    )
    return Verdict(
        topic=Topic.MIXED_MODEL,
        method=subject.method,
        estimand=subject.quantity,
        measure=row["construct"],
        subject=subject.title,
        word=word,
        sentence=f"Mixed model, {row['construct']} on the {subject.title}, the other measures given: {tail}.",
        numbers={key: row[key] for key in keys},
        rule=rule,
    )


def _word(row: Mapping[str, Any], plan: AnalysisPlan, subject: Subject) -> tuple[Word, str]:
    if row["refusal"]:
        return Word.NOT_TESTABLE, f"no mixed model is fitted: {row['refusal']}"
    if not row["converged"]:
        return Word.NOT_TESTABLE, "the mixed model did not converge"
    slope = (
        f"slope {row['estimate']:+.2f} (95 % interval {row['low']:+.2f} to {row['high']:+.2f}, {p_text(row['p_holm'])} "
        f"corrected, {row['df']} degrees of freedom over {row['n_names']} distinct classes)"
    )
    slope += "; classes do not vary beyond measures and runs (singular fit)" if row["singular"] else ""
    refusal = subject.unreliable_word
    if refusal is not None:
        return refusal, f"not interpreted, because runs are not shown to agree: {slope}"
    if row["reliability"] < plan.reliability_floor:
        return (
            Word.UNRELIABLE,
            f"not interpreted, because the measure is not reliable ({row['reliability']:.2f}): {slope}",
        )
    if row["p_holm"] >= plan.alpha or math.isnan(row["p_holm"]):
        return Word.NOT_SUPPORTED, f"no effect is shown: {slope}"
    if row["vif"] > plan.largest_vif and row["df"] >= VIF_DF:
        return Word.NOT_SEPARABLE, f"not told from the other measures (VIF {row['vif']:.1f}): {slope}"
    word = subject.cap(Word.SUPPORTED)
    if word != Word.SUPPORTED:
        return word, f"{slope}; {START_TEXT}"
    return word, f"an effect is shown: {slope}"


def refused_model(row: Mapping[str, Any], subject: Subject) -> Verdict:
    """Return the one verdict on a mixed model that was refused."""
    return Verdict(
        topic=Topic.MIXED_MODEL,
        method=subject.method,
        estimand=subject.quantity,
        subject=subject.title,
        word=Word.NOT_TESTABLE,
        sentence=f"No mixed model of the {subject.title}: {row['refusal']}.",
        numbers={key: row[key] for key in ("n_names", "n_classes", "n_rows", "df")},
        rule="not_testable: too few distinct classes or runs, or measures that determine one another",
    )
