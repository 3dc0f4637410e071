"""Phantom tissue only: what was planted, compared with what the analysis found without knowing it.

The following is true by construction: the factors of the tissue (the phantom's `truth.csv`), that a method trained for
fewer steps is worse, that weights computed from frequencies go with frequency and nothing beyond it, and that a decoder
whose readout is the class attention reads it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.explanation.evidence import DIFFICULTY
from analysis.schema import rows_of, table
from analysis.schema.names import MACRO
from analysis.study.class_frames import FREQUENCY
from analysis.study.dataset import open_study_data
from analysis.study.runs import RunData
from analysis.topics.context import Context, TopicResult
from analysis.verdicts import Topic, Verdict, Word
from imbalance_bench.config import TIED_STRIDE_PX
from imbalance_bench.errors import UserError
from imbalance_bench.preregistration import PRIMARY_MEASURES

TRUTH_FILE = "truth.csv"  # written beside a phantom by `imbalance_bench.data.phantom`
CONSTRUCT_OF = {"share": FREQUENCY, "ambiguity": "boundary", "morphology": "morphology", "context": "context"}
# the measure that must follow each factor (docs/phantom.md): the primary measure, except for context, whose primary
# measure compares features of an encoder and follows what is planted only as far as that encoder was trained
MEASURE_OF = {factor: PRIMARY_MEASURES[construct] for factor, construct in CONSTRUCT_OF.items()}
MEASURE_OF["context"] = "rival_stain_overlap"
# loss weights that are a strictly monotone function of the class's share of pixels, by definition
WEIGHTS_OF_FREQUENCY = ("inverse_frequency", "inverse_sqrt", "enet", "effective_number")
LIVE_DECODERS = tuple(TIED_STRIDE_PX)
FOLLOWS = 0.7  # rank correlation from which a measure orders the classes as planted; up to 0 it contradicts
YES, NO, OPEN = "yes", "no", "open"


@dataclass(frozen=True)
class Claim:
    """Something that is true by construction, and the verdict that should say so.

    Args:
        subject: Method, or quantity of a method, that it is about.
        planted: The truth in words.
        verdict: The verdict; None if nothing was judged.
        agrees: Returns whether a verdict agrees with the truth.
        open_words: Words that decide nothing.
    """

    subject: str
    planted: str
    verdict: Verdict | None
    agrees: Callable[[Verdict], bool]
    open_words: tuple[Word, ...] = (Word.UNDECIDED, Word.NOT_TESTABLE, Word.NOT_SEPARABLE, Word.UNRELIABLE)

    def row(self) -> dict[str, object]:
        """Return its row of table `planted_and_found`."""
        row: dict[str, object] = {"subject": self.subject, "planted": self.planted}
        if self.verdict is None:
            return row | {"found": "nothing was judged", "verdict": "", "agrees": OPEN}
        agrees = YES if self.agrees(self.verdict) else OPEN if self.verdict.word in self.open_words else NO
        return row | {"found": self.verdict.sentence, "verdict": str(self.verdict.word), "agrees": agrees}


def analyze(context: Context) -> TopicResult:
    """Compare what was planted with what was found; empty for a study of real tissue."""
    truth = planted_truth(context)
    if truth is None:
        return TopicResult({name: table(name, []) for name in ("planted_factors", "planted_and_found")})
    factors = planted_factors(truth, context.tables["measures"])
    rows = [*factor_rows(factors), *(claim.row() for claim in claims(context))]
    return TopicResult({"planted_factors": factors, "planted_and_found": table("planted_and_found", rows)})


def planted_truth(context: Context) -> pd.DataFrame | None:
    """Return the phantom's truth, one row per class; None if the data are not a phantom, or classes were merged."""
    try:
        open_study_data(context.records.root, context.study.dataset, context.study.class_names)
    except UserError:
        return None
    path = Path(context.records.root / context.study.dataset["path"]) / TRUTH_FILE
    if not path.is_file():
        return None
    truth = pd.read_csv(path, dtype={"class": str}, keep_default_na=False)
    has_columns = {"class", *CONSTRUCT_OF} <= set(truth.columns)
    return truth if has_columns and list(truth["class"]) == list(context.study.class_names) else None


def planted_factors(truth: pd.DataFrame, measures: pd.DataFrame) -> pd.DataFrame:
    """Return table `planted_factors`.

    Args:
        truth: From `planted_truth`.
        measures: Table `measures`.
    """
    measured = {(row["class"], row["measure"]): row["value"] for row in rows_of(measures)}
    rows = []
    for factor, measure in MEASURE_OF.items():
        for class_row in rows_of(truth):
            value = measured.get((class_row["class"], measure), float("nan"))
            row = {"factor": factor, "class": class_row["class"], "planted": float(class_row[factor])}
            rows.append(row | {"measure": measure, "measured": value})
    return table("planted_factors", rows)


def factor_rows(factors: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield a row for each factor that says whether its measure orders the classes as planted."""
    for factor, rows in factors.groupby("factor", sort=False):
        measure, measured = str(rows["measure"].iloc[0]), rows.dropna(subset=["measured"])
        row: dict[str, object] = {"subject": str(factor), "verdict": ""}
        row["planted"] = (
            f"{rows['planted'].nunique()} levels from {rows['planted'].min():g} to {rows['planted'].max():g}"
        )
        if len(measured) < 3 or measured["planted"].nunique() < 2:
            yield row | {"found": f"{measure.replace('_', ' ')} was not measured", "agrees": OPEN}
            continue
        rho = float(measured["planted"].corr(measured["measured"], method="spearman"))
        statement = f"{measure.replace('_', ' ')} orders the classes with Spearman's rho {rho:+.2f} to what was planted"
        yield row | {"found": statement, "agrees": YES if rho >= FOLLOWS else OPEN if rho > 0 else NO}


def claims(context: Context) -> Iterator[Claim]:
    """Yield what is true of the methods by construction."""
    macro = {
        verdict.method: verdict for verdict in context.verdicts_on(Topic.COMPARISON) if verdict.class_name == MACRO
    }
    alone, partial = (
        {(verdict.method, verdict.estimand, verdict.measure): verdict for verdict in context.verdicts_on(topic)}
        for topic in (Topic.ASSOCIATION, Topic.PARTIAL_ASSOCIATION)
    )
    paths = {verdict.method: verdict for verdict in context.verdicts_on(Topic.PATH)}
    for method in context.study.methods:
        run = context.study.runs_of(method)[0]
        fraction = float(run.manifest.get("method", {}).get("steps_fraction", 1.0))
        if fraction < 1 and method in macro:
            planted = f"worse than its control: trained for {fraction:.0%} of the steps"
            yield Claim(method, planted, macro[method], lambda verdict: verdict.word == Word.WORSE)
        if _parts(run) and all(name in WEIGHTS_OF_FREQUENCY for name in _parts(run)):
            subject, key = f"loss weight of {method}", (method, "loss_weight")
            planted = "goes with frequency, from which it is computed"
            yield Claim(subject, planted, alone.get((*key, context.plan.primary[FREQUENCY])), _supported)
            planted = "goes with no kind of difficulty beyond frequency"
            beyond = partial.get((*key, DIFFICULTY))
            yield Claim(subject, planted, beyond, lambda verdict: verdict.word == Word.NOT_SUPPORTED)
        if "dfa" in _parts(run) and _decoder(run) in LIVE_DECODERS:
            planted = f"live: with the decoder {_decoder(run)} the attention weights are the readout"
            yield Claim(
                f"class attention of {method}", planted, paths.get(method), lambda verdict: verdict.word == Word.LIVE
            )


def _supported(verdict: Verdict) -> bool:
    return verdict.word == Word.SUPPORTED


def _parts(run: RunData) -> tuple[str, ...]:
    return tuple(str(part["name"]) for part in run.manifest.get("method", {}).get("parts", ()))


def _decoder(run: RunData) -> str:
    configured: Mapping[str, Any] = run.manifest.get("model", {})
    return str(configured.get("decoder", ""))
