"""How stable the order of the methods is: the rank that each would have had with other units and other seeds.

Ranks are described, not tested: whether two methods differ is a question for `method_comparison`. Units and seeds are
resampled crossed, and alike for all methods, because all methods were scored on the same ones.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.schema import rows_of, table
from analysis.schema.names import MACRO
from analysis.scoring.metrics import AGGREGATIONS
from analysis.scoring.units import Ratios, UnitCounts, crossed_scores, ratios, scores_by_seed, shared_seeds
from analysis.statistics.intervals import seed_weights, unit_weights
from analysis.statistics.rank_stability import rank_stability
from analysis.topics.context import Context, TopicResult
from analysis.verdicts import Topic, Verdict, Word


def resampled_scores(parts: Mapping[str, Ratios], unit: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """Score every method on the same resamples of units and seeds.

    Args:
        parts: Method -> ratios; all on the same S seeds and U units.
        unit: (B, U) float, how often each unit is taken.
        seed: (B, S) float, how often each seed is taken.

    Returns:
        (B, M, K + 1) float64: each class, then macro.
    """
    return np.stack([crossed_scores(part, unit, seed) for part in parts.values()], axis=1)


def rank_methods(
    parts: Mapping[str, Ratios], class_names: tuple[str, ...], unit: np.ndarray, seed: np.ndarray
) -> pd.DataFrame:
    """Rank methods on macro and on every class.

    Args:
        parts: Method -> ratios of one score; all on the same seeds and units.
        class_names: K names.
        unit: (B, U) bootstrap weights of units.
        seed: (B, S) bootstrap weights of seeds.

    Returns:
        One row per class (`macro` first) and method, best first: class, method, score, rank, rank_low, rank_high,
        p_best, kendall_tau, n_units, n_seeds.
    """
    methods = list(parts)
    seeds, units, classes = next(iter(parts.values())).numerator.shape
    observed = np.stack([scores_by_seed(part).mean(axis=0) for part in parts.values()])  # (M, K + 1)
    resampled = resampled_scores(parts, unit, seed)
    frames = []
    for column, name in [(classes, MACRO), *enumerate(class_names)]:
        stability = rank_stability(observed[:, column], resampled[:, :, column])
        frame = pd.DataFrame({"class": name, "method": methods, "score": stability.score, "rank": stability.rank})
        frame = frame.assign(
            rank_low=stability.low, rank_high=stability.high, p_best=stability.p_best, kendall_tau=stability.kendall
        )
        frames.append(frame.sort_values("rank", kind="stable"))
    return pd.concat(frames, ignore_index=True).assign(n_units=units, n_seeds=seeds)


def analyze(context: Context) -> TopicResult:
    """Rank all methods under every aggregation, overall and class by class."""
    units = shared_seeds(context.units)
    if len(units) < 2:
        refusals = (_nothing_shared(),) if len(context.units) > 1 else ()
        return TopicResult({"rankings": table("rankings", [])}, refusals)
    ranked = _rankings(units, context)
    quoted = ranked[(ranked["aggregation"] == f"per_{context.unit}") & (ranked["class"] == MACRO)]
    others = ranked[(ranked["aggregation"] != f"per_{context.unit}") & (ranked["class"] == MACRO)]
    with_score = others[others["score"].notna()]
    first_methods = {
        str(name): str(part.iloc[0]["method"]) for name, part in with_score.groupby("aggregation", sort=False)
    }
    ahead = [verdict.method for verdict in context.verdicts_on(Topic.LEADERS) if verdict.word == Word.BETTER]
    several = len({run.model for run in context.study.data}) > 1  # methods of different models are not compared
    verdict = ranking_verdict(rows_of(quoted), first_methods, context.unit, [] if several else ahead)
    return TopicResult({"rankings": table("rankings", ranked)}, (verdict,))


def _rankings(units: Mapping[str, UnitCounts], context: Context) -> pd.DataFrame:
    first, plan = next(iter(units.values())), context.plan
    by_unit = unit_weights(len(first.units), plan.resamples, plan.seed)
    by_seed = seed_weights(len(first.seeds), plan.resamples, plan.seed)
    frames = []
    for aggregation in AGGREGATIONS:
        parts = {method: ratios(counts, "dice", aggregation) for method, counts in units.items()}
        ranked = rank_methods(parts, context.study.class_names, by_unit, by_seed)
        frames.append(ranked.assign(aggregation=aggregation, metric="dice"))
    return pd.concat(frames, ignore_index=True)


def _nothing_shared() -> Verdict:
    sentence = "The methods cannot be ranked: there is no seed that all of them have finished on the same images."
    rule = "not_testable: methods share no finished seed"
    return _order(Word.NOT_TESTABLE, sentence, {}, rule)


def _order(word: Word, sentence: str, numbers: Mapping[str, Any], rule: str) -> Verdict:
    return Verdict(
        topic=Topic.RANKING,
        class_name=MACRO,
        subject="order of the methods",
        word=word,
        sentence=sentence,
        numbers=numbers,
        rule=rule,
    )


def ranking_verdict(
    rows: list[dict[str, Any]], first_methods: Mapping[str, str], unit: str, shown_ahead: Collection[str]
) -> Verdict:
    """Say how stable the first rank on macro Dice is.

    Args:
        rows: Macro rows of table `rankings` under the aggregation that comparisons use, best first.
        first_methods: First method under each of the other aggregations.
        unit: "group" or "image".
        shown_ahead: Methods that are shown to be ahead of every other (topic `leaders`).
    """
    best = rows[0]
    rule = (
        "sound: the first method is shown to be ahead of every other and is first under every aggregation; "
        f"not_testable: fewer than two {unit}s, or a method without a score; else limited. Resampled ranks only "
        "describe: with few seeds they are too sure of themselves"
    )
    if not math.isfinite(best["p_best"]):
        sentence = "The methods cannot be ranked: a method has no macro Dice, as no scored image holds a class."
        return _order(Word.NOT_TESTABLE, sentence, {}, rule)
    seeds, units = best["n_seeds"], best["n_units"]
    numbers = {key: best[key] for key in ("p_best", "rank_low", "rank_high", "kendall_tau", "n_units", "n_seeds")}
    numbers |= {"aggregation": f"per_{unit}", "first": best["method"]}
    numbers |= {f"first_{name}": method for name, method in first_methods.items()}
    if units < 2:
        sentence = f"How stable the order of the methods is cannot be tested with one {unit}."
        return _order(Word.NOT_TESTABLE, sentence, numbers, rule)
    elsewhere = sorted({method for method in first_methods.values() if method != best["method"]})
    stable = best["method"] in shown_ahead and not elsewhere
    sentence = (
        f"{best['method']} ranks first of {len(rows)} methods on macro Dice and stays first in {best['p_best']:.0%} of "
        f"resamples of {units} {unit}s and {seeds} seed{'s' if seeds > 1 else ''} "
        f"(rank {best['rank_low']:g} to {best['rank_high']:g})"
    )
    if elsewhere:
        sentence += f"; under another aggregation {' or '.join(elsewhere)} ranks first"
    sentence += "." if stable else ": the order of the methods is not settled."
    word = Word.SOUND if stable else Word.LIMITED
    return _order(word, sentence, numbers, rule)
