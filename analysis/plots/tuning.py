"""The benefit of more trials: expected best validation score, and the test score of the chosen trial."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.plots.described import part
from analysis.plots.style import freeze_layout, method_handles, new_figure, spare_grid, wrapped
from analysis.reading.analysed_study import AnalysedStudy, NotDrawableError
from analysis.reading.palette import PAPER, MethodMark
from analysis.reading.wording import SELECTED


def expected_best(axes: Axes, budgets: pd.DataFrame, *, score: str, marks: Mapping[str, MethodMark]) -> Axes:
    """Draw a score over the number of trials; the untuned method is hollow, the chosen one filled.

    Args:
        axes: Where to draw.
        budgets: Rows of tuning_budgets.csv.
        score: Its column, `validation` or `test`.
        marks: Method -> colour and marker.

    Returns:
        The same axes.
    """
    for method, mark in marks.items():
        rows = budgets[budgets["method"] == method].sort_values("trials")
        axes.plot(rows["trials"], rows[score], color=mark.colour, linewidth=1.4, zorder=2, gid=part(method))
        for index, face in ((0, PAPER), (-1, mark.colour)):
            axes.plot(
                *rows[["trials", score]].iloc[index],
                mark.marker,
                color=mark.colour,
                markerfacecolor=face,
                markersize=5.5,
                zorder=3,
                gid=part(method),
            )
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=2))
    axes.set_xlabel("trials of each method")
    spare_grid(axes, "y")
    return axes


def draw_tuning(study: AnalysedStudy) -> Figure:
    """Draw the expected best of n trials on validation images, and what that choice reaches on test images."""
    budgets, summary = study.table("tuning_budgets"), study.table("tuning")
    if summary.empty:
        raise NotDrawableError("This study tuned nothing: its study file has no `tuning` section.")
    if budgets.empty:
        raise NotDrawableError("Halving dropped trials before their end: what fewer trials would give is not known.")
    titles = {"validation": "validation images: expected best", "test": "test images: what that choice reaches"}
    panels = {score: title for score, title in titles.items() if budgets[score].notna().any()}
    marks = {name: mark for name, mark in study.marks.items() if name in set(budgets["method"])}
    figure = new_figure(1.6 + 2.9 * len(panels), 3.0)
    for axes, (score, title) in zip(figure.subplots(1, len(panels), squeeze=False).flat, panels.items(), strict=True):
        expected_best(axes, budgets, score=score, marks=marks)
        axes.set_title(wrapped(title, 26))
    name = SELECTED[str(summary["select"].iloc[0])]
    figure.axes[0].set_ylabel(f"{name}, pooled")
    figure.legend(handles=method_handles(marks, width=24), loc="outside right upper", handlelength=1.6)
    freeze_layout(figure)
    return figure
