"""Beyond means: performance profiles, pairs of methods, and gains in recall against losses in precision."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots.described import part
from analysis.plots.style import freeze_layout, heat_map, method_handles, new_figure, wrapped
from analysis.reading.analysed_study import AnalysedStudy, NotDrawableError
from analysis.reading.palette import INK, MUTED, PAPER, MethodMark
from analysis.reading.wording import MINUS, signed
from analysis.schema.names import MACRO

ALPHA = 0.05
MOST_CLASSES = 11  # in a figure with a panel for each class
DIVERGING = "vlag_r"  # blue where the row is ahead


def profile(axes: Axes, shares: pd.DataFrame, marks: Mapping[str, MethodMark]) -> Axes:
    """Draw the share of units that reach each Dice, one line with its 95 % band per method.

    Args:
        axes: Where to draw.
        shares: Rows of profiles.csv of one class.
        marks: Method -> colour and marker.

    Returns:
        The same axes.
    """
    for method, mark in marks.items():
        rows = shares[shares["method"] == method].sort_values("threshold")
        of_method: dict[str, Any] = {"color": mark.colour, "gid": part(method)}
        axes.fill_between(rows["threshold"], rows["low"], rows["high"], alpha=0.12, linewidth=0, **of_method)
        axes.plot(rows["threshold"], rows["share"], linewidth=1.3, **of_method)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    return axes


def draw_profiles(study: AnalysedStudy) -> Figure:
    """Draw performance profiles, macro first, then every class (Agarwal et al. 2021)."""
    shares = study.table("profiles")
    classes = [name for name in (MACRO, *study.class_names) if (shares["class"] == name).any()][: MOST_CLASSES + 1]
    marks = {name: mark for name, mark in study.marks.items() if name in set(shares["method"])}
    if not classes:
        raise NotDrawableError(
            "No method has a finished run, so there are no scores whose distribution could be drawn."
        )
    columns = min(4, len(classes))
    lines = -(-len(classes) // columns)
    figure = new_figure(1.2 + 1.9 * columns, 0.9 + 1.6 * lines)
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for axes, name in zip(grid.flat, classes, strict=False):
        profile(axes, shares[shares["class"] == name], marks)
        axes.tick_params(labelbottom=True)
        axes.set_title("all classes (macro)" if name == MACRO else wrapped(name, 24), fontsize=8, color=INK)
    for axes in list(grid.flat)[len(classes) :]:
        axes.set_visible(False)
    figure.supxlabel("Dice", fontsize=8.5)
    figure.supylabel("share of units that reach it", fontsize=8.5)
    figure.legend(handles=method_handles(marks, markersize=0), loc="outside upper left", ncols=min(4, len(marks)))
    freeze_layout(figure)
    return figure


def pair_matrix(axes: Axes, pairs: pd.DataFrame, methods: list[str], limit: float) -> Axes:
    """Draw the difference of every pair of methods of one model, with a dot if it survives Holm's correction.

    Args:
        axes: Where to draw.
        pairs: Rows of pairwise.csv of one model.
        methods: Its methods, best first.
        limit: Difference in points of Dice at which colours end.

    Returns:
        The same axes.
    """
    by_pair = {(row["method_a"], row["method_b"]): row for row in pairs.to_dict("records")}
    values = np.full((len(methods), len(methods)), np.nan)
    labels = np.full(values.shape, "", dtype=object)
    for (first, second), row in by_pair.items():
        i, j = methods.index(first), methods.index(second)
        values[i, j], values[j, i] = 100 * row["difference"], -100 * row["difference"]
        shown = " •" if row["p_holm"] < ALPHA else ""
        for cell in ((i, j), (j, i)):
            labels[cell] = f"{values[cell]:+.1f}{shown}".replace("-", MINUS)
    names = [wrapped(name, 20) for name in methods]
    heat_map(
        axes, values, labels,
        cmap=DIVERGING, vmin=-limit, vmax=limit, alpha=0.75, square=True, annot_kws={"fontsize": 7},
        xticklabels=names, yticklabels=names,
    )  # fmt: skip
    axes.tick_params(axis="x", rotation=90)
    return axes


def draw_significance_map(study: AnalysedStudy) -> Figure:
    """Draw which methods are ahead of which on macro Dice, one matrix per model (Wiesenfarth et al. 2021)."""
    pairs = study.table("pairwise")
    models = list(dict.fromkeys(pairs["model"]))
    if not models:
        raise NotDrawableError("Fewer than two methods share a finished run, so no pair can be drawn.")
    leaders = study.table("leaders")
    overall = leaders[leaders["class"] == MACRO]
    largest = max(len(overall[overall["model"] == model]) for model in models)
    side = 1.4 + 0.42 * largest
    figure = new_figure(0.4 + side * len(models), 0.5 + side)
    limit = max(1.0, float(100 * pairs["difference"].abs().max()))
    for axes, model in zip(figure.subplots(1, len(models), squeeze=False)[0], models, strict=True):
        methods = [str(name) for name in overall.loc[overall["model"] == model, "method"]]
        pair_matrix(axes, pairs[pairs["model"] == model], methods, limit)
        axes.set_title(str(model) if len(models) > 1 else "", fontsize=8, color=INK)
    figure.supxlabel(f"macro Dice of the row {MINUS} that of the column, in points", fontsize=8.5)
    freeze_layout(figure)
    return figure


def tradeoff(axes: Axes, rows: pd.DataFrame, marks: Mapping[str, MethodMark]) -> Axes:
    """Draw recall gained against precision gained of each method, with 95 % intervals; filled where it hurt.

    Args:
        axes: Where to draw.
        rows: Rows of tradeoffs.csv of one class.
        marks: Method -> colour and marker.

    Returns:
        The same axes.
    """
    axes.axhline(0, color=MUTED, linewidth=0.7, zorder=1)
    axes.axvline(0, color=MUTED, linewidth=0.7, zorder=1)
    for row in rows.to_dict("records"):
        mark = marks[row["method"]]
        line = {"colors": mark.colour, "linewidth": 0.9, "gid": part(row["method"])}
        axes.hlines(row["precision"], row["recall_low"], row["recall_high"], **line)
        axes.vlines(row["recall"], row["precision_low"], row["precision_high"], **line)
        text = f"{row['method']}: recall {signed(row['recall'])}, precision {signed(row['precision'])}"
        axes.scatter(
            *(row["recall"], row["precision"]),
            marker=mark.marker,  # pyright: ignore[reportArgumentType]
            s=26,
            facecolors=mark.colour if row["hurt"] else PAPER,
            edgecolors=mark.colour,
            zorder=3,
            gid=part(row["method"], [text]),
        )
    axes.locator_params(nbins=4)
    return axes


def draw_tradeoffs(study: AnalysedStudy) -> Figure:
    """Draw what every method gained in recall and lost in precision, one panel per class."""
    rows = study.table("tradeoffs")
    rows = rows[rows["recall"].notna() & rows["precision"].notna()]
    classes = [name for name in (MACRO, *study.class_names) if (rows["class"] == name).any()][: MOST_CLASSES + 1]
    if not classes:
        raise NotDrawableError("No method could be compared with a control, so no gain and loss can be drawn.")
    marks = {name: mark for name, mark in study.marks.items() if name in set(rows["method"])}
    columns = min(3, len(classes))
    lines = -(-len(classes) // columns)
    figure = new_figure(1.0 + 2.3 * columns, 1.1 + 1.9 * lines)
    grid = figure.subplots(lines, columns, squeeze=False)
    for axes, name in zip(grid.flat, classes, strict=False):
        tradeoff(axes, rows[rows["class"] == name], marks)
        axes.set_title("all classes (macro)" if name == MACRO else wrapped(name, 24), fontsize=8, color=INK)
    for axes in list(grid.flat)[len(classes) :]:
        axes.set_visible(False)
    figure.supxlabel("recall gained over the control", fontsize=8.5)
    figure.supylabel("precision gained over the control", fontsize=8.5)
    figure.legend(handles=method_handles(marks, linewidth=0), loc="outside upper left", ncols=min(4, len(marks)))
    freeze_layout(figure)
    return figure
