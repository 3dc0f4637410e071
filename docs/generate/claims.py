"""The page `claims.md`: what arXiv 2604.13479 and its code claim, and what this bench says of each.

A row whose results are not committed is left out, so that the page never promises one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from analysis.verdicts import points
from benchmarks.causal_bench.answers import ATTRIBUTED
from docs.generate.results import Results

CONFIRMED, REFUTED, OPEN, WITHHELD = "confirmed", "refuted", "undecided", "withheld"
NOT_HERE = "not testable here"
BENCH = "causal_bench"
CONSEP = "consep"
ANALYZE_CONSEP = "imbalance-bench analyze results/reference/consep"
RUN_BENCH = "python -m benchmarks.causal_bench answer results/reference/causal_bench"
LEARNED = 0.8  # of the score of another decoder: below, a model's attention says little about its topology
ARM = {"series": "wide", "decoder": "tied_detail"}


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        text: What is claimed, in our words.
        where: abstract, method, code or configuration.
        command: What prints the result.
        found: Returns the word and a sentence, or None where the results are not committed.
    """

    text: str
    where: str
    command: str
    found: Callable[[Results], tuple[str, str] | None]


def _tested(word: str, sentence: str) -> Callable[[Results], tuple[str, str] | None]:
    """Return what a test of this repository holds; it needs no results."""
    return lambda _results: (word, sentence)


def _of_bench(judge: Callable[[Results], tuple[str, str]]) -> Callable[[Results], tuple[str, str] | None]:
    """Judge only where the causal bench has committed answers, and withhold where a known cause was not found."""

    def found(results: Results) -> tuple[str, str] | None:
        if not results.has(BENCH):
            return None
        controls = results.table(BENCH, "controls")
        share = float(controls["holds"].mean()) if len(controls) else 0.0
        if share < ATTRIBUTED:
            return WITHHELD, f"only {share:.0%} of the known causes were attributed as planted"
        return judge(results)

    return found


def _difficulty_beyond_frequency(results: Results) -> tuple[str, str]:
    rows = results.rows(BENCH, "effects", method="cross_entropy", **ARM).set_index("factor")
    harms = [factor for factor in ("ambiguity", "morphology", "context") if rows.loc[factor, "verdict"] == "worse"]
    said = ", ".join(f"{factor} {_slope(rows.loc[factor])}" for factor in rows.index)
    return (
        CONFIRMED if harms else OPEN
    ), f"points of Dice of cross-entropy from the easiest to the hardest level: {said}"


def _slope(row: Any) -> str:
    return f"{row['slope']:+.1f} ({row['low']:+.1f} to {row['high']:+.1f})"


def _bias_follows_difficulty(results: Results) -> tuple[str, str]:
    row = results.rows(BENCH, "headlines", method="dfa", quantity="change", by="planted", **ARM)
    if row.empty:
        return OPEN, "the class attention of dfa is not read, or nothing was explained"
    word, follows = str(row.iloc[0]["verdict"]), str(row.iloc[0]["follows"])
    if word == "supported":
        return (CONFIRMED if "difficulty" in follows else REFUTED), f"the change of the bias follows {follows}"
    return OPEN, f"the change of the bias: {word.replace('_', ' ')}"


def _better_than_baselines(results: Results) -> tuple[str, str]:
    row = results.rows(BENCH, "overall", method="dfa", control="cross_entropy", **ARM).iloc[0]
    low, high = (100 * float(row[name]) for name in ("mean_low", "mean_high"))
    word = CONFIRMED if low > 0 else REFUTED if high < 100 * float(row["margin"]) else OPEN
    return word, (
        f"dfa minus cross-entropy over {int(row['n_data_sets'])} phantoms: {100 * float(row['mean']):+.1f} points of "
        f"macro Dice (95 % interval {low:+.1f} to {high:+.1f})"
    )


def _path_of_authors(results: Results) -> tuple[str, str]:
    row = results.rows(BENCH, "path", series="wide", decoder="sam", method="dfa", control="uniform").iloc[0]
    inert, live, n = (int(row[name]) for name in ("inert", "live", "n_data_sets"))
    said = (
        f"topology `sam`: inert in {inert} and live in {live} of {n} phantoms; uniform attention weights change macro "
        f"Dice by {row['difference']:+.1f} points ({row['low']:+.1f} to {row['high']:+.1f})"
    )
    own, best = (_mean_score(results, decoder) for decoder in ("sam", "tied_detail"))
    if own < LEARNED * best:
        return OPEN, f"{said}; but it hardly learned the task (macro Dice {own:.0f}, `tied_detail` {best:.0f})"
    return (REFUTED if inert == n else CONFIRMED if live == n else OPEN), said


def _mean_score(results: Results, decoder: str) -> float:
    rows = results.rows(BENCH, "ranks", series="wide", decoder=decoder, method="cross_entropy")
    return float(rows["mean_score"].iloc[0])


def _of_consep(judge: Callable[[Results], tuple[str, str]]) -> Callable[[Results], tuple[str, str] | None]:
    return lambda results: judge(results) if results.has(CONSEP) else None


def _better_on_consep(results: Results) -> tuple[str, str]:
    where = {"method": "dfa", "control": "cross_entropy", "class": "macro", "metric": "dice"}
    row = results.rows(CONSEP, "comparisons", **where).iloc[0]
    word = {"better": CONFIRMED, "equivalent": REFUTED, "worse": REFUTED}.get(str(row["verdict"]), OPEN)
    return word, (
        f"dfa minus cross-entropy with `tied_detail`: {_points(row)} of macro Dice over {row['n_units']} images and "
        f"{row['n_seeds']} seeds, *{row['verdict']}*"
    )


def _read_on_consep(results: Results) -> tuple[str, str]:
    where = {"method": "dfa", "class": "macro"}
    row = results.rows(CONSEP, "path_controls", control="uniform", **where).iloc[0]
    zeroed = results.rows(CONSEP, "interventions", intervention="zeroed", **where).iloc[0]
    word = {"live": CONFIRMED, "inert": REFUTED}.get(str(row["verdict"]), OPEN)
    return word, (
        f"with `tied_detail`, which is not the authors' decoder: uniform attention weights change macro Dice by "
        f"{_points(row)}, zeroing the bias by {_points(zeroed)}"
    )


def _points(row: Any) -> str:
    middle, low, high = (points(float(row[name])) for name in ("difference", "low", "high"))
    return f"{middle} points (95 % interval {low} to {high})"


PROPERTIES = "pytest tests/methods/test_dfa_properties.py -k "
CLAIMS = (
    Claim(
        "Difficulty also comes from boundary ambiguity, morphology and context, not from frequency alone",
        "abstract",
        RUN_BENCH,
        _of_bench(_difficulty_beyond_frequency),
    ),
    Claim("The learned bias captures difficulty", "abstract", RUN_BENCH, _of_bench(_bias_follows_difficulty)),
    Claim("DFA improves Dice", "abstract", RUN_BENCH, _of_bench(_better_than_baselines)),
    Claim(
        "The bias reweights the representation before prediction: the prediction reads the attention that it acts on",
        "abstract",
        RUN_BENCH,
        _of_bench(_path_of_authors),
    ),
    Claim("DFA improves Dice on CoNSeP", "ours, as the abstract has it", ANALYZE_CONSEP, _of_consep(_better_on_consep)),
    Claim(
        "On CoNSeP the prediction reads the attention that the bias acts on",
        "ours, as the abstract has it",
        ANALYZE_CONSEP,
        _of_consep(_read_on_consep),
    ),
    Claim(
        "DFA improves Dice and IoU on BDSA, BCSS and CRAG",
        "abstract",
        "imbalance-bench run examples/paper_bcss.yaml --dry-run",
        _tested(NOT_HERE, "BDSA is private; images and weights of the others were not at hand (docs/reproduction.md)"),
    ),
    Claim(
        "exp(b_c) multiplies the odds with which a place attends to class c",
        "method",
        PROPERTIES + "exp_of_the_bias",
        _tested(CONFIRMED, "a property of our decoder, tested"),
    ),
    Claim(
        "The start is a log-frequency prior, so that rare classes do not starve of gradient",
        "abstract",
        "pytest tests/methods/test_dfa.py -k nearly_flat",
        _tested(REFUTED, "the prior is gamma log(1 - f), which is nearly flat for rare classes; starvation not tested"),
    ),
    Claim(
        "The bias also acts in token-to-image attention",
        "code",
        PROPERTIES + "token_to_image_is_a_no_op",
        _tested(REFUTED, "a constant of a row before a softmax over pixels: no effect and no gradient"),
    ),
    Claim(
        "Each bias belongs to the class that it is reported for",
        "code",
        PROPERTIES + "official_layout_drives",
        _tested(REFUTED, "the layout shifts biases by one class, and the last class has none"),
    ),
    Claim(
        "A learned bias is a class's difficulty in itself",
        "code",
        PROPERTIES + "constant_added",
        _tested(REFUTED, "biases mean something relative to each other only, and keys can compensate them"),
    ),
)


def page(results: Results | None = None) -> str:
    """Return the page as Markdown."""
    committed = results or Results()
    lines = [
        "# What the paper claims, and what this bench says",
        "",
        "Kumari and Cheung 2026 (arXiv 2604.13479) and its code, `lakmali240/DFA-Imbalance`. Written by `python -m "
        "docs.generate claims.md` from the tests and from the tables in `results/reference`; a claim whose results are "
        "not committed is not listed. *Refuted* speaks of the claim as it is worded here, on the data and decoders of "
        "this bench; *not testable here* says what is missing.",
        "",
        "| claim | where | here | what was found | command |",
        "|---|---|---|---|---|",
    ]
    for claim in CLAIMS:
        found = claim.found(committed)
        if found is not None:
            lines.append(f"| {claim.text} | {claim.where} | {found[0]} | {found[1]} | `{claim.command}` |")
    return "\n".join([*lines, ""])
