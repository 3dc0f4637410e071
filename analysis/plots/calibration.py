"""Reliability diagrams: are predicted probabilities what they say?"""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from analysis.plots.described import part
from analysis.plots.style import freeze_layout, method_handles, new_figure, spare_grid, wrapped
from analysis.reading.analysed_study import AnalysedStudy, NotDrawableError
from analysis.reading.palette import GRID, MUTED, MethodMark

EVERY_PIXEL = "all"  # the "class" of reliability_diagram.csv that counts each pixel by its predicted class
LEAST_UNITS = 2  # a bin with fewer units is not drawn
MOST_COLUMNS = 5
MOST_BANDS = 3  # intervals are drawn for up to this many methods


def reliability_diagram(axes: Axes, bins: pd.DataFrame, *, marks: Mapping[str, MethodMark]) -> Axes:
    """Draw observed frequency against predicted probability, one line per method; the diagonal is perfect.

    Args:
        axes: Where to draw.
        bins: Rows of reliability_diagram.csv of one class.
        marks: Method -> colour and marker, in the order of drawing.

    Returns:
        The same axes, both from 0 to 1.
    """
    valid = bins[bins["value"].notna() & (bins["n_units"] >= LEAST_UNITS)]
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    for method, mark in marks.items():
        rows = valid[valid["method"] == method].sort_values("bin_low")
        if rows.empty:
            continue
        of_method: dict[str, Any] = {"color": mark.colour, "gid": part(method)}
        if len(marks) <= MOST_BANDS:
            axes.fill_between(rows["probability"], rows["low"], rows["high"], alpha=0.16, linewidth=0, **of_method)
        axes.plot(rows["probability"], rows["value"], marker=mark.marker, markersize=3, linewidth=1.1, **of_method)
    if valid.empty:
        axes.text(
            0.5,
            0.5,
            f"fewer than {LEAST_UNITS} units",
            transform=axes.transAxes,
            ha="center",
            fontsize=7.5,
            color=MUTED,
        )
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xticks([0, 0.5, 1])
    axes.set_yticks([0, 0.5, 1])
    axes.tick_params(labelsize=7)
    return axes


def count_strip(axes: Axes, bins: pd.DataFrame, *, marks: Mapping[str, MethodMark]) -> Axes:
    """Draw the number of pixels in each bin on a logarithmic scale, one line per method.

    Args:
        axes: Where to draw; as wide as the diagram above it.
        bins: Rows of reliability_diagram.csv of one class.
        marks: Method -> colour and marker.
    """
    for method, mark in marks.items():
        rows = bins[bins["method"] == method].sort_values("bin_low")
        middle = (rows["bin_low"] + rows["bin_high"]) / 2
        axes.plot(middle, rows["pixels"], color=mark.colour, linewidth=0.9, gid=part(method))
    axes.set_yscale("log")
    axes.set_xlim(-0.02, 1.02)
    axes.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
    axes.yaxis.set_major_locator(LogLocator(numticks=3))
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(labelsize=6.5)
    spare_grid(axes, "y")
    axes.spines["left"].set_color(GRID)
    return axes


def draw_calibration(study: AnalysedStudy) -> Figure:
    """Draw the reliability diagram of the predicted class and of every class."""
    bins = study.table("reliability_diagram")
    methods = {name: mark for name, mark in study.marks.items() if name in set(bins["method"])}
    if not methods or bins["value"].notna().sum() == 0:
        raise NotDrawableError("No finished run recorded predicted probabilities (probabilities.parquet).")
    names = [EVERY_PIXEL, *study.class_names]
    lines = -(-len(names) // MOST_COLUMNS)
    columns = max(2, -(-len(names) // lines))
    figure = new_figure(0.9 + 1.75 * columns, 0.8 + 2.25 * lines)
    grid = figure.subplots(2 * lines, columns, squeeze=False, height_ratios=[3, 1] * lines)
    for panel in range(lines * columns):
        diagram, strip = (grid[2 * (panel // columns) + row, panel % columns] for row in (0, 1))
        if panel >= len(names):
            diagram.set_visible(False)
            strip.set_visible(False)
            continue
        rows = bins[bins["class"] == names[panel]]
        reliability_diagram(diagram, rows, marks=methods)
        diagram.tick_params(labelbottom=False)
        count_strip(strip, rows, marks=methods)
        title = "predicted class" if names[panel] == EVERY_PIXEL else wrapped(names[panel], 22, 3)
        diagram.set_title(title, fontsize=8)
    handles = method_handles(methods)
    figure.legend(handles=handles, loc="outside right upper", handlelength=1.6)
    figure.supylabel("share of the class (below: pixels)", fontsize=8.5)
    figure.supxlabel("predicted probability", fontsize=8.5)
    freeze_layout(figure)
    return figure
