"""The ranking of methods: its stability on one data set, and critical differences over several."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.plots.described import part
from analysis.plots.style import figure_style, freeze_layout, new_figure, save, spare_grid, wrapped
from analysis.reading.analysed_study import AnalysedStudy, NotDrawableError
from analysis.reading.palette import INK, MUTED, MethodMark
from analysis.reading.wording import AGGREGATION, number
from analysis.schema.names import MACRO
from analysis.statistics.critical_difference import CriticalDifference

ONE_DATA_SET = (
    "A critical difference compares methods over data sets, and this is one study of one data set. "
    "`imbalance-bench compare DIR DIR ...` draws it for several."
)


def ranks(axes: Axes, rankings: pd.DataFrame, *, marks: Mapping[str, MethodMark]) -> Axes:
    """Draw the rank of every method with its interval over resampled units and seeds.

    Args:
        axes: Where to draw.
        rankings: Rows of rankings.csv of one aggregation and class.
        marks: Method -> colour and marker.

    Returns:
        The same axes, the best method on top.
    """
    rows = rankings.dropna(subset=["rank"]).sort_values("rank", kind="stable")
    for position, row in enumerate(rows.to_dict("records")):
        mark = marks[str(row["method"])]
        axes.hlines(position, row["rank_low"], row["rank_high"], colors=mark.colour, linewidth=1.6)
        rank, low, high = (number(row[name], 1) for name in ("rank", "rank_low", "rank_high"))
        axes.plot(
            row["rank"], position, mark.marker, color=mark.colour, markersize=5.5, markeredgewidth=0,
            gid=part(values=[f"{row['method']}: rank {rank} ({low} to {high})"]),
        )  # fmt: skip
        share = f"best in {100 * row['p_best']:.0f} %"
        axes.text(1.02, position, share, transform=axes.get_yaxis_transform(), va="center", fontsize=7.5, color=MUTED)
    axes.set_yticks(range(len(rows)), [wrapped(str(name), 28) for name in rows["method"]])
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.set_xlim(0.7, len(rows) + 0.3)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=2))
    axes.set_xlabel("rank, 1 is the best")
    spare_grid(axes, "x")
    axes.spines["left"].set_visible(False)
    return axes


def draw_ranks(study: AnalysedStudy) -> Figure:
    """Draw the ranks of macro Dice, under the aggregation of the tests."""
    rows = study.table("rankings")
    rows = rows[(rows["class"] == MACRO) & (rows["aggregation"] == study.aggregation) & rows["rank"].notna()]
    if rows.empty:
        raise NotDrawableError("The methods could not be ranked (analysis/rankings.csv has no ranks).")
    figure = new_figure(6.4, 0.8 + 0.3 * len(rows))
    axes = ranks(figure.subplots(), rows, marks=study.marks)
    how = AGGREGATION.get(study.aggregation, study.aggregation)
    axes.set_title(wrapped(f"Macro Dice, {how}", 60))
    freeze_layout(figure)
    return figure


def critical_difference(
    axes: Axes, average_ranks: pd.DataFrame, *, cliques: Sequence[Sequence[str]] = (), distance: float = float("nan")
) -> Axes:
    """Draw average ranks over data sets; bars join methods that the critical difference does not separate.

    Args:
        axes: Where to draw.
        average_ranks: Columns method and average_rank, 1 = best, best first.
        cliques: Sets of methods that are not separated; empty if nothing was tested.
        distance: Critical difference in ranks; NaN if nothing was tested.

    Returns:
        The same axes, methods from top (best) to bottom.

    Source:
        Demsar 2006, figure 1, rotated so that long names remain legible.
    """
    names = [str(name) for name in average_ranks["method"]]
    values = average_ranks["average_rank"].to_numpy(float)
    positions = {name: position for position, name in enumerate(names)}
    axes.scatter(values, np.arange(len(names)), s=34, color=INK, zorder=4)
    lanes = len(names) + 0.25 * np.arange(len(cliques))
    for clique, lane in zip(cliques, lanes, strict=True):
        ends = [values[positions[name]] for name in clique]
        axes.hlines(lane - 0.35, min(ends), max(ends), colors=INK, linewidth=2.6, gid="clique")
        for name in clique:
            axes.vlines(values[positions[name]], positions[name], lane - 0.35, colors=MUTED, linewidth=0.5, zorder=1)
    bottom = (float(lanes[-1]) if len(cliques) else len(names) - 0.55) + 0.1
    if np.isfinite(distance):
        axes.hlines(-0.75, values.min(), values.min() + distance, colors=MUTED, linewidth=1.6, gid="distance")
        axes.annotate(
            f"critical difference {distance:.2f}", (values.min(), -0.75), xytext=(0, 4),
            textcoords="offset points", fontsize=7.5, color=MUTED,
        )  # fmt: skip
    axes.set_yticks(range(len(names)), [wrapped(name, 28) for name in names])
    axes.set_ylim(bottom, -1.35 if np.isfinite(distance) else -0.55)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.9), max(high, len(names) + 0.1))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=2))
    axes.set_xlabel("average rank, 1 is the best")
    spare_grid(axes, "x")
    axes.spines["left"].set_visible(False)
    return axes


def save_critical_difference(result: CriticalDifference, path: Path) -> Path:
    """Draw the ranks of `compare` into a file, without bars and distance if nothing was tested.

    Args:
        result: Result of `analysis.statistics.critical_difference`.
        path: An .svg, .pdf or .png file.

    Returns:
        The file.
    """
    with figure_style():
        figure = new_figure(6.0, 1.1 + 0.28 * len(result.ranks) + 0.08 * len(result.cliques))
        axes = figure.subplots()
        critical_difference(axes, result.ranks, cliques=result.cliques, distance=result.distance)
        tested = "" if result.tested else ": described, not tested"
        axes.set_title(f"{result.friedman.n_blocks} data sets{tested}")
        freeze_layout(figure)
    return save(figure, path)


def draw_critical_difference(study: AnalysedStudy) -> Figure:
    """Refuse: one study is one data set.

    Raises:
        NotDrawableError: Always.
    """
    raise NotDrawableError(f"{ONE_DATA_SET} This one is {study.dataset['name']}.")
