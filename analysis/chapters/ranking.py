"""In which order the methods come, and how easily it would have come out otherwise."""

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from analysis.chapters.findings import Chapter, Findings
from analysis.columns import rows_of, table
from analysis.comparison import MACRO
from analysis.intervals import seed_weights, unit_weights
from analysis.metrics import AGGREGATIONS
from analysis.ranking import rank_methods
from analysis.units import UnitCounts, ratios, shared_seeds
from analysis.verdicts import Topic, Verdict, Word

ID, SUBJECT = "ranking/macro", "order of the methods"


def chapter(found: Findings) -> Chapter:
    """Rank all methods under every aggregation, overall and class by class."""
    units = shared_seeds(found.units)
    if len(units) < 2:
        lacking = (_nothing_shared(),) if len(found.units) > 1 else ()
        return Chapter({"rankings": table("rankings", [])}, lacking)
    ranked = _rankings(units, found)
    judged = ranked[(ranked["aggregation"] == f"per_{found.unit}") & (ranked["class"] == MACRO)]
    others = ranked[(ranked["aggregation"] != f"per_{found.unit}") & (ranked["class"] == MACRO)]
    firsts = {str(name): str(part.iloc[0]["method"]) for name, part in others.groupby("aggregation", sort=False)}
    ahead = [each.subject for each in found.verdicts if each.id.startswith("leaders/") and each.verdict == Word.BETTER]
    several = len({run.architecture for run in found.study.data}) > 1  # which are not tested against each other
    verdict = ranking_verdict(rows_of(judged), firsts, found.unit, [] if several else ahead)
    return Chapter({"rankings": table("rankings", ranked)}, (verdict,))


def _rankings(units: Mapping[str, UnitCounts], found: Findings) -> pd.DataFrame:
    first, plan = next(iter(units.values())), found.plan
    by_unit = unit_weights(len(first.units), plan.resamples, plan.seed)
    by_seed = seed_weights(len(first.seeds), plan.resamples, plan.seed)
    frames = []
    for aggregation in AGGREGATIONS:
        parts = {method: ratios(counts, "dice", aggregation) for method, counts in units.items()}
        ranked = rank_methods(parts, found.study.class_names, by_unit, by_seed)
        frames.append(ranked.assign(aggregation=aggregation, metric="dice"))
    return pd.concat(frames, ignore_index=True)


def _nothing_shared() -> Verdict:
    sentence = "The methods cannot be ranked: there is no seed that all of them have finished on the same images."
    rule = "not_testable: methods share no finished seed"
    return Verdict(ID, Topic.RANKING, SUBJECT, Word.NOT_TESTABLE, sentence, {}, rule)


def ranking_verdict(
    rows: list[dict[str, Any]], firsts: Mapping[str, str], unit: str, shown_ahead: Collection[str]
) -> Verdict:
    """Say how stable the first rank on macro Dice is.

    Args:
        rows: Macro rows of table `rankings` under the aggregation that comparisons use, best first.
        firsts: First method under each of the other aggregations.
        unit: "group" or "image".
        shown_ahead: Methods that are shown to be ahead of every other (chapter `leaders`).
    """
    best = rows[0]
    rule = (
        "sound: the first method is shown to be ahead of every other and is first under every aggregation; "
        f"not_testable: fewer than two {unit}s; else limited. Resampled ranks only describe: with few seeds they are "
        "too sure of themselves"
    )
    seeds, units = best["n_seeds"], best["n_units"]
    numbers = {key: best[key] for key in ("p_best", "rank_low", "rank_high", "kendall_tau", "n_units", "n_seeds")}
    numbers |= {"aggregation": f"per_{unit}", "first": best["method"]}
    numbers |= {f"first_{name}": method for name, method in firsts.items()}
    if units < 2:
        sentence = f"How stable the order of the methods is cannot be tested with one {unit}."
        return Verdict(ID, Topic.RANKING, SUBJECT, Word.NOT_TESTABLE, sentence, numbers, rule)
    elsewhere = sorted({method for method in firsts.values() if method != best["method"]})
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
    return Verdict(ID, Topic.RANKING, SUBJECT, word, sentence, numbers, rule)
