"""The answers of the causal bench: what follows what, is it read, which planted factor changes Dice, what repairs it.

The levels of a series were dealt to its classes at random, data set by data set, so that a class in a data set is the
unit, whatever its tissue is called. Where every tissue meets every level, the rank tests of `analysis.explain`, which
permute within data sets, leave the differences between tissues in: they err on the side of finding nothing. The
regressions of Dice take them out.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.explain import explain
from analysis.practical_comparison import practical_comparisons, practical_table
from analysis.schema.names import ESTIMANDS, MACRO
from analysis.statistics.corrections import holm
from analysis.statistics.critical_difference import critical_difference
from analysis.statistics.mixed_model import MixedFit, fit_mixed_model
from analysis.statistics.starting_point import MeanOverRuns
from analysis.study.class_frames import each_its_own
from analysis.study.runs import AnalysisPlan
from analysis.topics.explanation import join
from analysis.topics.ledger_quantities import GIVEN_BIAS, OBSERVED
from analysis.topics.planted import CONSTRUCT_OF
from analysis.verdicts import Topic, Word
from benchmarks.causal_bench.design import CONTROL, EXPECTED
from benchmarks.causal_bench.evidence import Evidence
from imbalance_bench.data.phantom import FACTORS
from imbalance_bench.table_schemas import PathControl

PLAN = AnalysisPlan.default(permutations=10_000, resamples=1000)
DICE = "dice"
PLANTED, MEASURED = "planted", "measured"
POINTS = 100.0
ATTRIBUTED = 0.8  # share of the known causes, as in `benchmarks.control_rows`
FREQUENCY_WEIGHTS = ("inverse_sqrt", "loss_weight")  # follow frequency by definition
WEIGHTS = (PathControl.UNIFORM, PathControl.REMOVED, PathControl.ORACLE, PathControl.ROLLED)
FACTOR_OF = {construct: factor for factor, construct in CONSTRUCT_OF.items()}


@dataclass(frozen=True)
class Answers:
    """Tables of all arms, each with the columns series and decoder.

    Args:
        attribution: method, quantity, cause, by (planted levels or measures of the images), n_classes, spearman, p,
            verdict: every per-class quantity against every planted cause.
        headlines: method, quantity, by, verdict, follows, sentence.
        controls: method, quantity, by, expected, found, holds: the known causes.
        path: method, control, n_data_sets, difference, low, high (points of macro Dice), magnitude and the number of
            data sets with each word.
        doses: control, dose, share, dice: the mean change by a dose of the dosed class's predicted share and of macro
            Dice, points, over classes, methods and data sets.
        effects: method, factor, n_classes, slope, low, high, p, p_holm, verdict, refusal: points of Dice from the
            easiest to the hardest level of a factor.
        repair: method, factor and the same: what the difference to the control does from the easiest to the hardest.
        overall: The rows of practical_differences.csv of `compare`: difference of macro Dice over data sets.
        scores: dataset, method, score (macro Dice, points, mean over seeds).
        ranks: method, average_rank, mean_score, n_data_sets.
    """

    attribution: pd.DataFrame
    headlines: pd.DataFrame
    controls: pd.DataFrame
    path: pd.DataFrame
    doses: pd.DataFrame
    effects: pd.DataFrame
    repair: pd.DataFrame
    overall: pd.DataFrame
    scores: pd.DataFrame
    ranks: pd.DataFrame

    @property
    def controls_hold(self) -> bool:
        """Whether known causes are attributed as they must be; only then what was learned is interpreted."""
        return bool(len(self.controls)) and float(self.controls["holds"].mean()) >= ATTRIBUTED


def answers(evidence: Evidence) -> Answers:
    """Compute every table; the same evidence gives the same bits."""
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in Answers.__dataclass_fields__}
    for series, decoder in evidence.arms:
        for name, frame in _of_arm(evidence, series, decoder).items():
            frame.insert(0, "series", series)
            frame.insert(1, "decoder", decoder)
            tables[name].append(frame)
    return Answers(**{name: pd.concat(frames, ignore_index=True) for name, frames in tables.items()})


def _of_arm(evidence: Evidence, series: str, decoder: str) -> dict[str, pd.DataFrame]:
    quantities, dice = (evidence.of(name, series, decoder) for name in ("quantities", "dice"))
    planted, measures = (evidence.of(name, series, decoder) for name in ("planted", "measures"))
    path, practical = (evidence.of(name, series, decoder) for name in ("path", "practical"))
    scores = with_dice(dice)
    every = pd.concat([quantities, _as_quantities(scores)], ignore_index=True)
    causes = {PLANTED: planted_measures(planted), MEASURED: measures}
    attributed = [attribution(every, frame, by) for by, frame in causes.items()]
    attribution_rows, headline_rows = (pd.concat(frames, ignore_index=True) for frames in zip(*attributed, strict=True))
    macro = macro_scores(scores)
    ranked = critical_difference(macro, PLAN.alpha)
    return {
        "attribution": attribution_rows,
        "headlines": headline_rows,
        "controls": control_rows(attribution_rows),
        "path": path_rows(path),
        "doses": dose_rows(path),
        "effects": effect_rows(scores, planted),
        "repair": repair_rows(scores, planted),
        "overall": practical_table(
            practical_comparisons(practical.assign(study=practical["data_set"]), PLAN.rope_dice)
        ),
        "scores": macro,
        "ranks": ranked.ranks.assign(n_data_sets=dice["data_set"].nunique()),
    }


def with_dice(dice: pd.DataFrame) -> pd.DataFrame:
    """Add Dice of the pooled counts in points; a class that is neither there nor predicted has none."""
    mass = 2 * dice["tp"] + dice["fp"] + dice["fn"]
    return dice.assign(value=(POINTS * 2 * dice["tp"] / mass.where(mass > 0)))


def _as_quantities(scores: pd.DataFrame) -> pd.DataFrame:
    rows = scores.dropna(subset="value")[["data_set", "method", "seed", "class", "value"]]
    return rows.assign(quantity=DICE, fold=0, start_name="")


def planted_measures(planted: pd.DataFrame) -> pd.DataFrame:
    """Return what was planted as measures without error, one of each construct."""
    long = planted.melt(["data_set", "class"], list(FACTORS), "measure", "value")
    return long.assign(construct=long["measure"].map(CONSTRUCT_OF), primary=True)


def attribution(quantities: pd.DataFrame, causes: pd.DataFrame, by: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Explain every quantity: what a bias learned, what a method sets, and what is observed are corrected apart.

    Returns:
        Rows of `Answers.attribution` and of `Answers.headlines`.
    """
    own, measures = each_its_own(quantities), each_its_own(causes)
    learned, observed = own["quantity"].isin(ESTIMANDS), own["quantity"].isin((*OBSERVED, DICE))
    parts = [own[rows] for rows in (learned, ~learned & ~observed, observed) if rows.any()]
    explained = join(*(explain(part, measures, PLAN, explored=OBSERVED) for part in parts))
    rows = explained.tables["associations"]
    primary = rows["measure"].isin(causes.loc[causes["primary"].astype(bool), "measure"])
    rows = rows[primary].rename(columns={"estimand": "quantity"})
    rows = rows.assign(cause=rows["construct"].map(FACTOR_OF), by=by, p=rows["p_holm"].fillna(rows["p_bh"]))
    headlines = [
        {"method": each.method, "quantity": each.estimand, "by": by, "verdict": str(each.word)}
        | {"follows": str(each.numbers.get("follows", "")), "sentence": each.sentence}
        for each in explained.verdicts
        if each.topic == Topic.EXPLANATION
    ]
    columns = ["method", "quantity", "cause", "by", "n_classes", "spearman", "p", "verdict"]
    named = ["method", "quantity", "by", "verdict", "follows", "sentence"]
    return rows[columns].reset_index(drop=True), pd.DataFrame(headlines, columns=named)


def control_rows(attributed: pd.DataFrame) -> pd.DataFrame:
    """Return whether each known cause was attributed to itself and to nothing else.

    By planted levels that tests the statistics; by measures of the images it tests what a study of real tissue can see.
    """
    rows = []
    known = {(name, GIVEN_BIAS): construct for name, construct in EXPECTED.items()}
    known[FREQUENCY_WEIGHTS] = CONSTRUCT_OF["share"]
    for (method, quantity), construct in known.items():
        own = attributed[(attributed["method"] == method) & (attributed["quantity"] == quantity)]
        for by, part in own.groupby("by", sort=False):
            found = list(part.loc[part["verdict"] == str(Word.SUPPORTED), "cause"])
            expected = [FACTOR_OF[construct]] if construct else []
            texts = ["+".join(names) or "nothing" for names in (expected, found)]
            row = {"method": method, "quantity": quantity, "by": by, "expected": texts[0], "found": texts[1]}
            rows.append(row | {"holds": found == expected})
    return pd.DataFrame(rows, columns=["method", "quantity", "by", "expected", "found", "holds"])


def path_rows(path: pd.DataFrame) -> pd.DataFrame:
    """Return the effect of each control on macro Dice over data sets, with Student's interval."""
    macro = path[(path["class"] == MACRO) & (path["target"] == "")]
    rows = []
    for (method, control), part in macro.groupby(["method", "control"], sort=False):
        found = MeanOverRuns.of(POINTS * part["difference"].to_numpy(dtype=float))
        row: dict[str, Any] = {"method": method, "control": control, "n_data_sets": len(part), "difference": found.mean}
        row |= {"low": found.low, "high": found.high, "magnitude": POINTS * float(part["magnitude"].mean())}
        words = (Word.INERT, Word.LIVE, Word.UNDECIDED, Word.NOT_TESTABLE)
        rows.append(row | {str(word): int((part["verdict"] == str(word)).sum()) for word in words})
    return pd.DataFrame(rows)


def dose_rows(path: pd.DataFrame) -> pd.DataFrame:
    """Return what doses do, averaged over classes, methods and data sets; dose 0 is the model as trained."""
    rows: list[dict[str, Any]] = []
    dosed = path[path["target"] != ""]
    for control in dict.fromkeys(dosed["control"]):
        rows.append({"control": control, "dose": 0.0, "share": 0.0, "dice": 0.0})
        for dose, part in dosed[dosed["control"] == control].groupby("dose"):
            own, macro = part[part["class"] == part["target"]], part[part["class"] == MACRO]
            share = POINTS * float((own["predicted"] - own["predicted_trained"]).mean())
            row = {"control": control, "dose": float(np.asarray(dose)), "share": share}
            rows.append(row | {"dice": POINTS * float(macro["difference"].mean())})
    return pd.DataFrame(rows, columns=["control", "dose", "share", "dice"]).sort_values(["control", "dose"])


def effect_rows(scores: pd.DataFrame, planted: pd.DataFrame) -> pd.DataFrame:
    """Regress Dice of each method on the planted levels; p by Holm over the factors of a method."""
    rows: list[dict[str, Any]] = []
    for method, part in scores.groupby("method", sort=False):
        rows += [{"method": method} | row for row in _slopes(_grid(part), planted)]
    return _judged(rows, [row["method"] for row in rows], margin=None)


def repair_rows(scores: pd.DataFrame, planted: pd.DataFrame) -> pd.DataFrame:
    """Regress each method's difference to the control of the same seed; p by Holm over all methods and factors."""
    rows: list[dict[str, Any]] = []
    control = _grid(scores[scores["method"] == CONTROL])
    for method, part in scores.groupby("method", sort=False):
        if method != CONTROL and len(control):
            difference = (_grid(part) - control).dropna(how="all").dropna(axis=1, how="all")
            rows += [{"method": method} | row for row in _slopes(difference, planted)]
    return _judged(rows, ["all"] * len(rows), margin=POINTS * PLAN.rope_dice)


def _grid(scores: pd.DataFrame) -> pd.DataFrame:
    """Return Dice with a row per data set and class and a column per seed."""
    return scores.pivot(index=["data_set", "class"], columns="seed", values="value")


def harder(planted: pd.DataFrame) -> pd.DataFrame:
    """Return the levels from 0, the easiest of the series, to 1, the hardest; the rarest by the logarithm of shares."""
    levels = planted.set_index(["data_set", "class"])[list(FACTORS)].assign(share=lambda rows: -np.log(rows["share"]))
    return (levels - levels.min()) / (levels.max() - levels.min())


def _slopes(grid: pd.DataFrame, planted: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the slope of each factor, with data sets and tissues taken out."""
    levels = harder(planted).reindex(grid.index)
    data_sets, tissues = (grid.index.get_level_values(name) for name in ("data_set", "class"))
    of_tissue = pd.get_dummies(tissues, drop_first=True).to_numpy(dtype=float)
    predictors = np.column_stack([levels.to_numpy(dtype=float), of_tissue])
    names = [f"{tissue} of {data_set}" for data_set, tissue in grid.index]
    fit: MixedFit = fit_mixed_model(grid.to_numpy(dtype=float), predictors, names, list(data_sets))
    low, high = fit.interval()
    for column, factor in enumerate(FACTORS):
        row: dict[str, Any] = {"factor": factor, "n_classes": len(grid), "refusal": fit.refusal}
        row |= {"slope": float(fit.estimates[column]), "low": float(low[column]), "high": float(high[column])}
        yield row | {"p": float(fit.p[column])}


def _judged(rows: list[dict[str, Any]], families: list[str], margin: float | None) -> pd.DataFrame:
    """Add p_holm within families and the word; equivalent needs a margin."""
    columns = ["method", "factor", "n_classes", "slope", "low", "high", "p", "p_holm", "verdict", "refusal"]
    frame = pd.DataFrame(rows, columns=[name for name in columns if name not in ("p_holm", "verdict")])
    family = pd.Series(families, index=frame.index, dtype=object)
    frame["p_holm"] = frame.groupby(family)["p"].transform(lambda p: holm(p.to_numpy(dtype=float)))
    frame["verdict"] = [_word(row, margin) for row in frame.to_dict("records")]
    return frame[columns]


def _word(row: dict[Any, Any], margin: float | None) -> str:
    """Return better or worse where the slope is shown, equivalent where its interval lies within the margin."""
    if row["refusal"] or math.isnan(row["p_holm"]):
        return str(Word.NOT_TESTABLE)
    if row["p_holm"] < PLAN.alpha:
        return str(Word.BETTER if row["slope"] > 0 else Word.WORSE)
    inside = margin is not None and -margin < row["low"] and row["high"] < margin
    return str(Word.EQUIVALENT if inside else Word.UNDECIDED)


def macro_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Return macro Dice of each method on each data set, over classes, then over seeds."""
    by_run = scores.groupby(["data_set", "method", "seed"], sort=False)["value"].mean()
    means = by_run.groupby(["data_set", "method"], sort=False).mean().rename("score").reset_index()
    return means.rename(columns={"data_set": "dataset"})
