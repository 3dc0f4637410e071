"""The page `leaderboard.md`: committed scores, and the order of methods over data sets with rank intervals."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from scipy.stats import rankdata

from analysis.schema import rows_of
from analysis.statistics.critical_difference import FEWEST_DATASETS
from analysis.statistics.intervals import multinomial_weights
from analysis.statistics.rank_stability import rank_stability
from benchmarks.reference import STUDIES
from docs.generate.results import Results
from imbalance_bench.seeding import generator

BENCH = "causal_bench"
RESAMPLES = 10_000
AGGREGATION = {"group": "per_group", "image": "per_image"}
HEAD = """# Leaderboard

Written by `python -m docs.generate leaderboard.md` from the tables in `results/reference`. Scores are macro Dice on
test images. They compare within a column only: data sets, classes and recipes differ. Ranks are means over data sets;
their interval resamples data sets, so that it speaks of another data set of the same kind. For fewer than {fewest} data
sets no order is claimed. [submitting.md](submitting.md) says how to add a method.
"""


def page(results: Results | None = None) -> str:
    """Return the page as Markdown."""
    committed = results or Results()
    parts = [HEAD.format(fewest=FEWEST_DATASETS)]
    tissue = tissue_scores(committed)
    if len(tissue):
        parts += ["## Real tissue\n", scores_table(tissue), "", *order_lines(tissue)]
    for series, decoder in _arms(committed):
        rows = committed.rows(BENCH, "scores", series=series, decoder=decoder)
        title = f"## Phantom tissue, series `{series}`, decoder `{decoder}`\n"
        parts += [title, *order_lines(rows)]
    return "\n".join(parts).rstrip() + "\n"


def tissue_scores(results: Results) -> pd.DataFrame:
    """Return dataset, method, score, low, high, units and seeds of every committed study of real tissue."""
    frames = []
    for study in STUDIES:
        if not results.has(study):
            continue
        macro = results.rows(study, "method_scores", metric="dice", **{"class": "macro"})
        unit = str(results.table(study, "comparisons")["unit"].iloc[0])
        macro = macro[macro["aggregation"] == AGGREGATION[unit]]
        columns = {"mean": "score", "n_units": "units", "n_seeds": "seeds"}
        frames.append(macro.rename(columns=columns).assign(dataset=study, unit=unit))
    names = ["dataset", "method", "score", "low", "high", "units", "unit", "seeds"]
    return pd.concat(frames, ignore_index=True)[names] if frames else pd.DataFrame(columns=names)


def scores_table(scores: pd.DataFrame) -> str:
    """Return scores with their 95 % intervals, a column for each data set."""
    first = {str(row["dataset"]): row for row in reversed(rows_of(scores))}
    sets = list(dict.fromkeys(map(str, scores["dataset"])))
    heads = [f"{each} ({first[each]['units']} {first[each]['unit']}s, {first[each]['seeds']} seeds)" for each in sets]
    lines = ["| method | " + " | ".join(heads) + " |", "|" + "---|" * (len(sets) + 1)]
    cells = {(row["method"], row["dataset"]): _cell(row) for row in rows_of(scores)}
    for method in dict.fromkeys(scores["method"]):
        lines.append(f"| {method} | " + " | ".join(cells.get((method, each), "") for each in sets) + " |")
    return "\n".join(lines)


def _cell(row: Mapping[str, Any]) -> str:
    return f"{row['score']:.3f} ({row['low']:.3f} to {row['high']:.3f})"


def order_lines(scores: pd.DataFrame) -> Iterator[str]:
    """Yield the order of the methods that every data set has.

    Args:
        scores: Columns dataset, method and score.
    """
    grid = scores.pivot(index="dataset", columns="method", values="score").dropna(axis=1)
    n = len(grid)
    if n < FEWEST_DATASETS:
        yield f"{n} data set{'s' * (n != 1)}: too few for an order over data sets ({FEWEST_DATASETS} are needed).\n"
        return
    standing = rank_intervals(grid)
    yield f"Over {n} data sets, {RESAMPLES:,} resamples:\n"
    yield "| method | mean rank | place | 95 % interval of the place | first in |"
    yield "|---|---|---|---|---|"
    for row in rows_of(standing.sort_values("mean_rank", kind="stable")):
        place = f"{row['place']:g} | {row['low']:g} to {row['high']:g}"
        yield f"| {row['method']} | {row['mean_rank']:.2f} | {place} | {100 * row['p_best']:.0f} % |"
    yield ""


def rank_intervals(grid: pd.DataFrame) -> pd.DataFrame:
    """Rank methods by their mean rank over data sets, with intervals from resampled data sets.

    Args:
        grid: Scores, a row per data set and a column per method; higher is better.

    Returns:
        method, mean_rank, place, low, high, p_best.
    """
    ranks = rankdata(-grid.to_numpy(dtype=float), axis=1)
    weights = multinomial_weights(len(grid), RESAMPLES, generator(0, "leaderboard")) / len(grid)
    stable = rank_stability(-ranks.mean(axis=0), -(weights @ ranks))
    columns = {"mean_rank": ranks.mean(axis=0), "place": stable.rank, "low": stable.low, "high": stable.high}
    return pd.DataFrame({"method": grid.columns, **columns, "p_best": stable.p_best})


def _arms(results: Results) -> list[tuple[str, str]]:
    if not results.has(BENCH):
        return []
    rows = results.table(BENCH, "scores")[["series", "decoder"]].drop_duplicates()
    return list(rows.itertuples(index=False, name=None))
