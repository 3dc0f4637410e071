"""Rare or hard: the one answer on a quantity of a method, from the strongest evidence that there is."""

import math
from collections.abc import Mapping, Sequence

from analysis.explanation.evidence import DIFFICULTY, START_TEXT, Subject
from analysis.explanation.partial import HEADLINE
from analysis.study.class_frames import FREQUENCY
from analysis.study.runs import AnalysisPlan
from analysis.verdicts import Topic, Verdict, Word, p_text

RULE = (
    "inertia or decay: what the start explains of a quantity that had one start only (decay also where the change "
    "goes against the start, p < {alpha:g}); not_testable or unreliable: its reliability is unknown or too low; then "
    "partial evidence, where frequency given difficulty and the reverse can be tested: not_separable: a refusal of "
    "either; supported: what is supported beyond the other, after {correction}; undecided: error of measurement can "
    "explain it, or the mixed model finds what these tests do not; not_separable: a measure alone goes with it, but "
    "none beyond the others; not_supported: absence of evidence. Where partial evidence cannot be had, marginal "
    "evidence: supported for a hypothesis of the plan, not_separable for any other measure that goes with it"
)
_KIND = {FREQUENCY: "rare", DIFFICULTY: "hard"}


def headline_verdict(
    subject: Subject,
    partial: Sequence[Verdict],
    marginal: Sequence[Verdict],
    slopes: Sequence[Verdict],
    shares: Mapping[str, float],
    decay: tuple[float, float],
    plan: AnalysisPlan,
    correction: str,
) -> Verdict:
    """Combine the evidence on one quantity of one method into one answer, which contradicts none of it.

    Args:
        subject: Quantity and method.
        partial: Verdicts on frequency given difficulty and on difficulty given frequency; empty where too few
            constructs are measured.
        marginal: Verdicts on each primary measure alone.
        slopes: Verdicts on the slopes of the mixed model.
        shares: Component -> adjusted share of the variation.
        decay: Correlation of the change with the start where all runs had one, and its p value.
        plan: The plan.
        correction: How the tests of `partial` were corrected, in words.
    """
    follows: list[str] = []
    pair = [verdict for verdict in partial if verdict.measure in HEADLINE]
    evidence = "partial" if pair and all(verdict.word != Word.NOT_TESTABLE for verdict in pair) else "marginal"
    if _stays_or_decays(subject, decay, plan):
        word, sentence = _of_start(subject, decay, [*pair, *marginal])
        evidence = "start"
    elif subject.unreliable_word is not None:
        word = subject.unreliable_word
        sentence = f"Whether the {subject.title} follows frequency or difficulty {subject.unreliable_text}."
        evidence = "reliability"
    elif evidence == "partial":
        word, sentence, follows = _of_partial(subject, pair, marginal, slopes)
    else:
        word, sentence, follows = _of_marginal(subject, pair, marginal, plan)
    if word in (Word.SUPPORTED, Word.NOT_SUPPORTED) and shares and all(map(math.isfinite, shares.values())):
        share_text = ", ".join(f"{name.replace('_', ' ')} {value:.0%}" for name, value in shares.items())
        sentence += f" Adjusted shares of its variation over classes: {share_text}."
    return Verdict(
        topic=Topic.EXPLANATION,
        method=subject.method,
        estimand=subject.quantity,
        subject=subject.title,
        word=word,
        sentence=sentence,
        numbers={"follows": "+".join(follows), "evidence": evidence, **shares},
        rule=RULE.format(alpha=plan.alpha, correction=correction),
    )


def _stays_or_decays(subject: Subject, decay: tuple[float, float], plan: AnalysisPlan) -> bool:
    if subject.inertia == Word.INERTIA or (subject.inertia == Word.DECAY and subject.start_unchecked):
        return True
    return subject.start_unchecked and decay[0] < 0 and decay[1] < plan.alpha


def _of_start(subject: Subject, decay: tuple[float, float], tests: Sequence[Verdict]) -> tuple[Word, str]:
    if subject.inertia == Word.INERTIA:
        return Word.INERTIA, f"The {subject.title} is mostly its start, so what it follows says what the start follows."
    rho = f" (Spearman's rho of change and start {decay[0]:+.2f})" if math.isfinite(decay[0]) else ""
    sentence = f"The {subject.title} takes its start back{rho}: what goes with the start is decay, not learning."
    if any(test.word == Word.NOT_SEPARABLE and START_TEXT in test.sentence and "go" in test.sentence for test in tests):
        sentence += " What else it goes with, only other starts can tell."
    return Word.DECAY, sentence


def _of_partial(
    subject: Subject,
    pair: Sequence[Verdict],
    marginal: Sequence[Verdict],
    slopes: Sequence[Verdict],
) -> tuple[Word, str, list[str]]:
    follows = [verdict.measure for verdict in pair if verdict.word == Word.SUPPORTED]
    refusal = next((verdict for verdict in pair if verdict.word in (Word.NOT_SEPARABLE, Word.UNRELIABLE)), None)
    if refusal is not None:
        return refusal.word, refusal.sentence, []
    if follows:
        tests = ", ".join(f"{verdict.measure} {p_text(verdict.numbers['p_adjusted'])}" for verdict in pair)
        kind = _KIND[follows[0]] if len(follows) == 1 else "rare and how hard"
        other = {FREQUENCY: DIFFICULTY, DIFFICULTY: FREQUENCY}[follows[0]]
        beyond = f" beyond {other}" if len(follows) == 1 else ""
        n = int(pair[0].numbers["n_classes"])
        sentence = (
            f"The {subject.title} follows how {kind} a class is{beyond} (partial tests over {n} classes: {tests})."
        )
        sentence += "".join(_explained_below(verdict) for verdict in pair if verdict.word == Word.SUPPORTED)
        if not any(subject.points.families):
            sentence += " Classes count as independent of one another: no families are given."
        return Word.SUPPORTED, sentence, follows
    unsure = next((verdict for verdict in pair if verdict.word == Word.UNDECIDED), None)
    if unsure is not None:
        return Word.UNDECIDED, unsure.sentence, []
    if any(verdict.word in (Word.SUPPORTED, Word.NOT_SEPARABLE) for verdict in marginal):
        return Word.NOT_SEPARABLE, _ALONE.format(what=subject.title), []
    if any(slope.word == Word.SUPPORTED for slope in slopes):
        sentence = (
            f"What the {subject.title} follows is undecided: the mixed model finds a slope that the partial tests do "
            "not."
        )
        return Word.UNDECIDED, sentence, []
    return Word.NOT_SUPPORTED, _absence(subject, pair), []


_ALONE = (
    "The {what} goes with a measure taken alone, but neither with frequency beyond difficulty nor with difficulty "
    "beyond frequency for certain: rare and hard cannot be told apart here."
)


def _explained_below(verdict: Verdict) -> str:
    below, reliability = verdict.numbers["explained_below"], verdict.numbers["reliability"]
    if not math.isfinite(below) or below <= 0:
        return ""
    given = {FREQUENCY: DIFFICULTY, DIFFICULTY: FREQUENCY}[verdict.measure]
    reliability_text = "unknown" if math.isnan(reliability) else f"{reliability:.2f}"
    return (
        f" Measurement error can explain that it follows {verdict.measure} if the reliability of {given} is "
        f"{below:.2f} or less (it is {reliability_text})."
    )


def _absence(subject: Subject, pair: Sequence[Verdict]) -> str:
    tests = ", ".join(f"{verdict.measure} beyond the other {p_text(verdict.numbers['p_adjusted'])}" for verdict in pair)
    return (
        f"There is no evidence that the {subject.title} follows frequency or difficulty ({tests}), which is absence of "
        "evidence: that it follows neither is not shown."
    )


def _of_marginal(
    subject: Subject, pair: Sequence[Verdict], marginal: Sequence[Verdict], plan: AnalysisPlan
) -> tuple[Word, str, list[str]]:
    untestable = [verdict.sentence for verdict in pair if verdict.word == Word.NOT_TESTABLE]
    reason = [*untestable, "Frequency and another measure would be needed to tell rare from hard."][0]
    supported = [verdict for verdict in marginal if verdict.word == Word.SUPPORTED]
    if supported and plan.hypotheses:
        names = " and ".join(verdict.measure.replace("_", " ") for verdict in supported)
        p_values = ", ".join(p_text(verdict.numbers["p_adjusted"]) for verdict in supported)
        sentence = (
            f"The {subject.title} goes with {names}, as the plan supposed (marginal tests in its order, {p_values}); "
            "whether that is not something else that goes with it cannot be tested here."
        )
        return Word.SUPPORTED, sentence, [verdict.measure for verdict in supported]
    if supported or any(verdict.word == Word.NOT_SEPARABLE for verdict in marginal):
        capped = "" if supported else f" ({START_TEXT})"
        sentence = (
            f"The {subject.title} goes with a measure taken alone{capped} (marginal tests), but whether rare or hard "
            f"cannot be told. {reason}"
        )
        return Word.NOT_SEPARABLE, sentence, []
    if marginal and any(verdict.word == Word.NOT_SUPPORTED for verdict in marginal):
        sentence = (
            f"There is no evidence that the {subject.title} goes with frequency or difficulty (marginal tests), which "
            f"is absence of evidence. {reason}"
        )
        return Word.NOT_SUPPORTED, sentence, []
    return Word.NOT_TESTABLE, f"What the {subject.title} follows cannot be tested. {reason}", []
