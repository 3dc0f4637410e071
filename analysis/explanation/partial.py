"""Partial tests: does a quantity follow frequency given difficulty, and difficulty given frequency?

A verdict says so only where neither measurement errors nor starts explain the association.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from analysis.explanation.evidence import DIFFICULTY, RELIABILITY_RULE, START_TEXT, Subject
from analysis.statistics.measurement_error import calibrated
from analysis.statistics.partial_association import PartialAssociation, partial_association
from analysis.study.class_frames import FREQUENCY
from analysis.study.class_points import ClassPoints, NamedPoints
from analysis.study.runs import AnalysisPlan
from analysis.verdicts import Topic, Verdict, Word, p_text
from imbalance_bench.seeding import generator

HEADLINE = (FREQUENCY, DIFFICULTY)  # the two tests that answer "rare or hard"
VIF_DF = 10  # residual degrees of freedom below which measures that happen to line up look inseparable
_RELIABILITIES = np.arange(0.95, 0.0, -0.05)


def partial_rows(points: ClassPoints, plan: AnalysisPlan, name: str) -> list[dict[str, Any]]:
    """Test frequency given difficulty and difficulty given frequency, then each construct of difficulty alone.

    Args:
        points: Classes with frequency and at least one other construct.
        plan: The plan, for the number of permutations and the seed.
        name: Name of method and quantity, which seeds the random numbers.

    Returns:
        Rows of table `partial_associations` without corrected p.
    """
    tests = [(FREQUENCY, (FREQUENCY,), points.difficulty), (DIFFICULTY, points.difficulty, (FREQUENCY,))]
    tests += [(construct, (construct,), (FREQUENCY,)) for construct in points.difficulty if len(points.difficulty) > 1]
    variants = _for_shares_left(points)
    rows = []
    for construct, tested, given in tests:
        results = [_Test(variant, tested, given, plan, f"{name}/{construct}") for variant in variants]
        uncalibrated = results[0].plain
        p = max((test.p for test in results), key=lambda value: -1.0 if math.isnan(value) else value)
        measures = dict(zip(points.constructs, points.measure_names, strict=True))
        row = {"construct": construct, "measure": " + ".join(measures[member] for member in tested)}
        row |= {"given": " + ".join([*given, *(["start"] if variants[0].start.size else [])])}
        row |= {"n_classes": uncalibrated.n, "n_data_sets": points.n_data_sets, "residual_df": uncalibrated.residual_df}
        row |= {
            "partial_rho": uncalibrated.partial,
            "r2": uncalibrated.r2,
            "p_uncalibrated": uncalibrated.p,
            "p": p,
            "min_p": uncalibrated.min_p,
        }
        row |= {"draws": uncalibrated.draws, "vif": uncalibrated.vif, "vif_start": results[0].vif_of_start()}
        row |= {"reliability": results[0].reliability, "reliability_tested": results[0].reliability_tested}
        row |= {"explained_below": results[0].explained_below() if uncalibrated.p < plan.alpha else math.nan}
        rows.append(row)
    return rows


def _for_shares_left(points: ClassPoints) -> list[NamedPoints]:
    """Return the points by name; where several starts do not cancel, also for both ends of the share that is left."""
    share_left = points.starts.share_left
    variants = [points.by_name()]
    if points.starts.kind == "several" and share_left is not None and math.isfinite(share_left.low):
        mean = np.nanmean(points.starts.values, axis=1)
        if float(np.abs(mean).max(initial=0)) > 1e-9 * float(np.nanmax(np.abs(points.starts.values))):
            variants += [points.by_name(share) for share in (share_left.low, share_left.high)]
    return variants


class _Test:
    """One test on ranks, with the control variables as measured and as calibrated for their measurement errors."""

    def __init__(
        self, points: NamedPoints, tested: Sequence[str], given: Sequence[str], plan: AnalysisPlan, name: str
    ) -> None:
        self._points, self._plan, self._name = points, plan, name
        self._tested, self._given = points.of_constructs(tested), points.of_constructs(given)
        self._given_reliability = points.reliability[points.columns(given)]
        self._tested_reliability = points.reliability[points.columns(tested)]
        self.plain = self._against(self._given)

    @property
    def reliability(self) -> float:
        """The least reliability of the control variables; NaN if that of one is unknown."""
        return float(self._given_reliability.min()) if len(self._given_reliability) else math.nan

    @property
    def reliability_tested(self) -> float:
        """The greatest reliability of the tested measures; NaN if that of one is unknown."""
        return float(self._tested_reliability.max()) if np.isfinite(self._tested_reliability).all() else math.nan

    @property
    def p(self) -> float:
        """The larger p value of the two tests: control variables as measured, and as calibrated."""
        if not (self._given_reliability < 1).any() or math.isnan(self.plain.p):
            return self.plain.p
        return max(self.plain.p, self._calibrated_p(self._given_reliability))

    def explained_below(self) -> float:
        """Return the reliability of the control variables up to which their errors explain the result; 0: none."""
        if self._constant_given():
            return 0.0
        low, high = 0, len(_RELIABILITIES)  # below index `low`, p is small; from `high` on, it is not
        while low < high:
            middle = (low + high) // 2
            reliability = np.full_like(self._given_reliability, _RELIABILITIES[middle])
            if self._calibrated_p(reliability) < self._plan.alpha:
                low = middle + 1
            else:
                high = middle
        return float(_RELIABILITIES[low]) if low < len(_RELIABILITIES) else 0.0

    def vif_of_start(self) -> float:
        """Return the variance inflation of the tested measures by the start."""
        if not self._points.start.size:
            return 1.0
        return partial_association(
            self._points.response,
            self._tested,
            self._points.start,
            permutations=1,
            rng=self._rng(),
            strata=self._strata,
        ).vif

    def _constant_given(self) -> bool:
        return not self._given.size or not np.ptp(self._given, axis=0).any()

    @property
    def _strata(self) -> list[object]:
        return list(self._points.strata)

    def _rng(self) -> np.random.Generator:
        return generator(self._plan.seed, "partial", self._name)

    def _against(self, given: np.ndarray) -> PartialAssociation:
        nuisance = np.column_stack([given, self._points.start])
        return partial_association(
            *(self._points.response, self._tested, nuisance),
            permutations=self._plan.permutations,
            rng=self._rng(),
            strata=self._strata,
        )

    def _calibrated_p(self, reliability: np.ndarray) -> float:
        others = np.column_stack([self._tested, self._points.start])
        other_reliability = np.concatenate([self._tested_reliability, np.ones(self._points.start.shape[1])])
        other_reliability = np.where(np.isfinite(other_reliability), other_reliability, 1.0)
        given = calibrated(self._given, others, reliability, other_reliability, self._points.strata)
        if given is None:
            return 1.0
        p = self._against(given).p
        return 1.0 if math.isnan(p) else p


def partial_verdict(row: Mapping[str, Any], plan: AnalysisPlan, subject: Subject) -> Verdict:
    """Judge one row of `partial_rows`, with `p_adjusted`, `family` and `attainable`."""
    word, tail = _word(row, plan, subject)
    rule = (
        "not_testable: no residual degree of freedom, nothing varies, fewer than two runs, or no order of the classes "
        f"could give p < {plan.alpha:g} after correction; unreliable: "
        f"{RELIABILITY_RULE.format(floor=plan.reliability_floor)}; not_separable: VIF above "
        f"{plan.largest_vif:g} with at least {VIF_DF} residual degrees of freedom or infinite, or the "
        "one start may explain it; undecided: what the control variables are measured with in error can "
        f"explain it; supported: Freedman-Lane p < {plan.alpha:g}, corrected ({row['correction']}), against the "
        "control variables as measured and as calibrated; else not_supported"
    )
    keys = (
        *("partial_rho", "r2", "p", "p_uncalibrated", "min_p", "p_adjusted", "family", "vif", "residual_df"),
        *("n_classes", "n_data_sets", "reliability", "explained_below"),
    )
    return Verdict(
        topic=Topic.PARTIAL_ASSOCIATION,
        method=subject.method,
        estimand=subject.quantity,
        measure=row["construct"],
        subject=subject.title,
        word=word,
        sentence=f"That the {subject.title} follows {row['construct']} beyond {row['given']} {tail}.",
        numbers={key: row[key] for key in keys},
        rule=rule,
    )


def _word(row: Mapping[str, Any], plan: AnalysisPlan, subject: Subject) -> tuple[Word, str]:
    n = int(row["n_classes"])
    statistics = (
        "" if math.isnan(row["r2"]) else f" (partial R squared {row['r2']:.2f}, {p_text(row['p'])} uncorrected)"
    )
    refusal = subject.unreliable_word
    if row["residual_df"] < 1:
        return Word.NOT_TESTABLE, f"cannot be tested with {n} classes: no residual degree of freedom is left"
    if refusal is not None:
        return refusal, f"{subject.unreliable_text}{statistics}"
    if math.isinf(row["vif_start"]):
        return Word.NOT_SEPARABLE, "cannot be told from its start, which says the same of the classes: " + START_TEXT
    if row["reliability_tested"] < plan.reliability_floor:
        reason = f"the measure itself is not reliable ({row['reliability_tested']:.2f})"
        return Word.UNRELIABLE, f"is not interpreted: {reason}{statistics}"
    enough_df = row["residual_df"] >= VIF_DF
    if math.isinf(row["vif"]) or (row["vif"] > plan.largest_vif and enough_df):
        inflation = "infinite" if math.isinf(row["vif"]) else f"{row['vif']:.1f}"
        return (
            Word.NOT_SEPARABLE,
            f"cannot be told: they go together too closely (VIF {inflation}, {n} classes){statistics}",
        )
    if math.isnan(row["p"]):
        return Word.NOT_TESTABLE, "cannot be tested: one of them does not vary"
    if not row["attainable"] and row["min_p"] * row["family"] < plan.alpha:
        return (
            Word.NOT_TESTABLE,
            f"is not testable with {n} classes: what must be found before it cannot be{statistics}",
        )
    if not row["attainable"]:
        return Word.NOT_TESTABLE, (
            f"is not testable with {n} classes: the smallest possible p is {row['min_p']:.2g}, and {row['family']} "
            f"tests are corrected together{statistics}"
        )
    result = f"partial R squared {row['r2']:.2f} over {n} classes, {p_text(row['p_adjusted'])} corrected"
    if row["p_adjusted"] >= plan.alpha:
        uncalibrated_is_small = row["p_uncalibrated"] < plan.alpha / max(row["family"], 1)
        if uncalibrated_is_small and row["p"] > row["p_uncalibrated"]:
            return Word.UNDECIDED, (
                f"is undecided: errors of the measures that it is given can explain it (reliability "
                f"{row['reliability']:.2f}; {p_text(row['p_uncalibrated'])} without, {p_text(row['p'])} with them, "
                "uncorrected)"
            )
        return Word.NOT_SUPPORTED, f"is not shown: {result}"
    word = subject.cap(Word.SUPPORTED)
    if word != Word.SUPPORTED:
        return word, f"cannot be told: {result}, but {START_TEXT}"
    return word, f"is shown: {result}{_sensitivity(row)}"


def _sensitivity(row: Mapping[str, Any]) -> str:
    below = row["explained_below"]
    if not math.isfinite(below) or below <= 0:
        return ""
    reliability = "is not known" if math.isnan(row["reliability"]) else f"is {row['reliability']:.2f}"
    return (
        f"; measurement error would explain it away if the reliability of {row['given'].removesuffix(' + start')} were "
        f"{below:.2f} or less (it {reliability})"
    )
