"""The learned bias: against class difficulty, over training, and from start to end."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from analysis.plots.described import part
from analysis.plots.labels import label_line_ends, label_points, spread_vertically
from analysis.plots.style import freeze_layout, new_figure, spare_grid, thin_line_alpha, wrapped
from analysis.reading.analysed_study import AnalysedStudy, NotDrawableError
from analysis.reading.palette import INK, MUTED, PAPER
from analysis.reading.wording import CONSTRUCT, RHO, given_start, probability, signed, significant, words
from analysis.schema.names import estimand_label
from analysis.study.steps import along_stages
from analysis.verdicts import Word

PLOTTED_ESTIMANDS = ("change", "effective_offset")
RASTERISE_ABOVE_LINES = 400
KEY_CHARACTERS = 60  # characters of a class name in the key of a figure
LONGEST_UNIT = 8  # characters; longer units are definitions, which the table of measures shows

NO_BIAS = "No finished run of this study has a learned class bias (a `dfa` method), so there is nothing to draw."
NO_MEASURES = "The class measures are not available (analysis/measures.csv has no values), so there is nothing to draw."


def bias_vs_difficulty(
    axes: Axes,
    bias: pd.DataFrame,
    measure: pd.DataFrame,
    *,
    colours: Mapping[str, str],
    association: Mapping[str, Any] | None = None,
) -> Axes:
    """Draw one learned quantity against one class measure: a point per class, a bar over its seeds and folds.

    Args:
        axes: Where to draw.
        bias: Rows of learned_bias.csv for one method and estimand.
        measure: Rows of measures.csv for one measure.
        colours: Class -> colour.
        association: The row of associations.csv that tests this pair, for the title.

    Returns:
        The same axes. Names are added by `label_classes` once the layout is final.
    """
    points = class_points(bias, measure)
    runs = bias[bias["class"].isin(points.index)].dropna(subset=["value"])
    draw_points(axes, points, colours)
    axes.scatter(
        *(runs["class"].map(points["x"]), runs["value"]),
        s=5,
        c=[colours[str(name)] for name in runs["class"]],
        alpha=0.45,
        linewidths=0,
        zorder=3,
    )
    axes.axhline(0, color=MUTED, linewidth=0.6, zorder=1)
    axes.margins(x=0.2, y=0.18)
    if len(points) and measure["construct"].iloc[0] == "frequency" and (points["x"] > 0).all():
        share_axis(axes)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))
    name, unit = str(measure["measure"].iloc[0]), str(measure["unit"].iloc[0])
    axes.set_xlabel(wrapped(words(name) + (f" ({unit})" if len(unit) <= LONGEST_UNIT else ""), 30))
    axes.set_title(association_title(association), color=MUTED, fontsize=8)
    return axes


def class_points(bias: pd.DataFrame, measure: pd.DataFrame) -> pd.DataFrame:
    """Return x (measure), y (mean over seeds and folds), low and high (minimum and maximum) of each complete class."""
    runs = bias.groupby("class", sort=False)["value"]
    x = measure.drop_duplicates("class").set_index("class")["value"]
    return pd.DataFrame({"x": x, "y": runs.mean(), "low": runs.min(), "high": runs.max()}).dropna()


def draw_points(axes: Axes, points: pd.DataFrame, colours: Mapping[str, str]) -> None:
    """Draw one point per class with a bar from `low` to `high`."""
    shades = [colours[str(name)] for name in points.index]
    axes.vlines(points["x"], points["low"], points["high"], colors=shades, linewidth=1.1, zorder=2)
    axes.scatter(
        *(points["x"], points["y"]),
        s=34,
        c=shades,
        edgecolors=PAPER,
        linewidths=0.8,
        zorder=4,
        gid=part(values=point_texts(points)),
    )


def point_texts(points: pd.DataFrame) -> list[str]:
    """Return class, measure and height of every point, as shown under the pointer."""
    return [
        f"{name}: {significant(x)}, {significant(y)}"
        for name, x, y in zip(points.index, points["x"], points["y"], strict=True)
    ]


def association_title(association: Mapping[str, Any] | None) -> str:
    """Return the result of the test, as "rho given the start = -0.90, p = 0.083 (K = 5)", or why there is none."""
    if association is None:
        return "not tested"
    if "together_with" in association:
        return f"tested with {association['together_with']}, as another start"
    classes = f"K = {int(association['n_classes'])}" if np.isfinite(association["n_classes"]) else ""
    has_rho = np.isfinite(association["spearman"])
    if association["verdict"] == Word.NOT_SEPARABLE and not has_rho:
        return f"no {RHO} ({classes}): the start of\nthe bias says the same of the classes"
    of_what = f" over {association['starts']} starts" if association.get("starts", 1) > 1 else ""
    of_what += f" {given_start(association)}".rstrip()
    rho = f"{RHO}{of_what} = {signed(association['spearman'], 2)}" if has_rho else f"no {RHO}"
    if association["verdict"] == Word.NOT_TESTABLE:
        return f"{rho}\nnot testable ({classes}, smallest p {probability(association['min_p'])})"
    if association["verdict"] == Word.UNRELIABLE:
        return f"{rho} ({classes})\nnot interpreted: unreliable"
    return f"{rho}\np {probability(association['p_spearman'])} ({classes})"


def share_axis(axes: Axes) -> None:
    """Use a logarithmic x axis for shares, with plain tick labels (mathematics is not parsed in these figures)."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if _decades(axes) < 2.2 else (1.0,), numticks=8))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _decades(axes: Axes) -> float:
    low, high = axes.get_xlim()
    return float(np.log10(high / low)) if low > 0 else 9.0


def draw_bias_vs_difficulty(study: AnalysedStudy) -> Figure:
    """Draw learned change and effective offset (rows) against every primary measure (columns)."""
    learned, measures = study.table("learned_bias"), study.table("measures")
    methods = methods_with_bias(study)
    primary = [
        measures[(measures["construct"] == construct) & measures["primary"]].dropna(subset=["value"])
        for construct in CONSTRUCT
    ]
    primary = [rows for rows in primary if len(rows)]
    if not primary:
        raise NotDrawableError(NO_MEASURES)
    rows = [
        (method, estimand, bias)
        for method in methods
        for estimand in PLOTTED_ESTIMANDS
        if len(bias := _estimand(learned, method, estimand))
    ]
    figure = new_figure(max(3.6, 2.75 * len(primary)), 0.3 + 2.75 * len(rows))
    grid = figure.subplots(len(rows), len(primary), squeeze=False, sharey="row")
    panels = []
    for axes_row, (method, estimand, bias) in zip(grid, rows, strict=True):
        for axes, measure in zip(axes_row, primary, strict=True):
            association = _association(study, method, estimand, str(measure["measure"].iloc[0]))
            bias_vs_difficulty(axes, bias, measure, colours=study.class_colour, association=association)
            panels.append((axes, class_points(bias, measure)))
        axes_row[0].set_ylabel(f"{wrapped(method, 28)}\n" + wrapped(estimand_label(estimand), 28))
    freeze_layout(figure)
    label_classes(figure, panels, study.class_names)
    return figure


def label_classes(figure: Figure, panels: list[tuple[Axes, pd.DataFrame]], class_names: list[str]) -> None:
    """Write names beside the points of every panel; if they do not fit in one, use numbers in all and a key below."""
    drawn = []
    for axes, points in panels:
        names = [wrapped(str(name), 16) for name in points.index]
        placed = label_points(axes, points, names)
        drawn += placed
        if len(placed) < len(points):
            break
    else:
        return
    for note in drawn:
        note.remove()
    for axes, points in panels:
        for line in [line for line in axes.lines if line.get_gid() == "leader"]:
            line.remove()
        numbers = [str(class_names.index(str(name)) + 1) for name in points.index]
        label_points(axes, points, numbers)
    add_key(figure, class_names)


def add_key(figure: Figure, class_names: list[str]) -> None:
    """Write "1 tumour   2 stroma ..." below the figure, whose height grows accordingly."""
    longest = min(KEY_CHARACTERS, max(len(name) for name in class_names))
    columns = max(1, int(figure.get_figwidth() / max(2.3, 0.5 + 0.062 * longest)))
    rows = -(-len(class_names) // columns)
    extra = 0.16 * rows + 0.1
    width, height = figure.get_size_inches()
    for axes in figure.axes:
        box = axes.get_position()
        axes.set_position(
            (box.x0, (box.y0 * height + extra) / (height + extra), box.width, box.height * height / (height + extra))
        )
    figure.set_size_inches(width, height + extra)
    for index, name in enumerate(class_names):
        column, row = divmod(index, rows)
        figure.text(
            0.02 + column * 0.97 / columns,
            (extra - 0.05 - 0.16 * row) / (height + extra),
            f"{index + 1}  {wrapped(name, KEY_CHARACTERS, 1)}",
            fontsize=7,
            va="top",
        )


def methods_with_bias(study: AnalysedStudy) -> list[str]:
    """Return the methods whose class bias was learned.

    Raises:
        NotDrawableError: There is none.
    """
    learned = study.table("learned_bias")
    learners = set(learned.loc[learned["estimand"].isin(["change", "learned"]) & learned["value"].notna(), "method"])
    methods = [method for method in study.methods if method in learners]
    if not methods:
        raise NotDrawableError(NO_BIAS)
    return methods


def _estimand(learned: pd.DataFrame, method: str, estimand: str) -> pd.DataFrame:
    return learned[(learned["method"] == method) & (learned["estimand"] == estimand)].dropna(subset=["value"])


def _association(study: AnalysedStudy, method: str, estimand: str, measure: str) -> dict[str, Any] | None:
    rows = study.table("associations")
    rows = rows[(rows["method"] == method) & (rows["estimand"] == estimand) & (rows["measure"] == measure)]
    learned = study.table("learned_bias")
    if len(rows):
        return dict(rows.iloc[0]) | {"starts": learned.loc[learned["start_of"] == method, "method"].nunique()}
    first = learned.loc[learned["method"] == method, "start_of"].iloc[0]
    return None if first == method else {"together_with": first}


def bias_trajectory(axes: Axes, trajectories: pd.DataFrame, *, colours: Mapping[str, str]) -> Axes:
    """Draw one parameter over training: thin lines are runs, thick ones their mean.

    Args:
        axes: Where to draw.
        trajectories: Rows of bias_trajectories.csv for one method and parameter.
        colours: Class -> colour.

    Returns:
        The same axes.
    """
    rows = along_stages(trajectories.dropna(subset=["value"]), ["fold", "seed"])
    runs = rows.groupby(["class", "fold", "seed"], sort=False)
    for (name, _, _), run in runs:
        axes.plot(
            run["elapsed"],
            run["value"],
            color=colours[str(name)],
            linewidth=0.6,
            alpha=thin_line_alpha(runs.ngroups // max(1, rows["class"].nunique())),
            rasterized=runs.ngroups > RASTERISE_ABOVE_LINES,
        )
    means = rows.groupby(["class", "elapsed"], sort=False)["value"].mean().reset_index("elapsed")
    for name, mean in means.groupby("class", sort=False):
        colour = colours[str(name)]
        axes.plot(mean["elapsed"], mean["value"], color=colour, linewidth=1.8)
        axes.plot(
            *(mean["elapsed"].iloc[0], mean["value"].iloc[0]),
            "o",
            markersize=4.5,
            markerfacecolor=PAPER,
            markeredgecolor=colour,
            zorder=4,
        )
        axes.plot(mean["elapsed"].iloc[-1], mean["value"].iloc[-1], "o", markersize=4.5, color=colour, zorder=4)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_xlabel("optimiser steps")
    spare_grid(axes, "y")
    return axes


def draw_bias_trajectory(study: AnalysedStudy) -> Figure:
    """Draw the class bias of every method that learns one, from its start to its end."""
    rows = study.table("bias_trajectories")
    rows = rows[(rows["parameter"] == "attention_bias") & rows["value"].notna()]
    methods = [method for method in study.methods if method in set(rows["method"])]
    if not methods:
        raise NotDrawableError(NO_BIAS)
    columns = min(3, len(methods))
    lines = -(-len(methods) // columns)
    figure = new_figure(max(4.6, 3.4 * columns), max(2.9, 0.6 + 0.13 * len(study.class_names)) * lines)
    grid = figure.subplots(lines, columns, squeeze=False)
    labelled = []
    for axes, method in zip(grid.flat, methods, strict=False):
        of_method = rows[rows["method"] == method]
        bias_trajectory(axes, of_method, colours=study.class_colour)
        axes.set_title(wrapped(method, 40))
        ends = final_values(of_method)
        names = [str(name) for name in ends.index]
        texts = label_line_ends(axes, ends.tolist(), names, [INK] * len(names))
        labelled.append((axes, texts))
    for axes in list(grid.flat)[len(methods) :]:
        axes.set_visible(False)
    grid[0, 0].set_ylabel("attention bias")
    freeze_layout(figure)
    for axes, texts in labelled:
        spread_vertically(axes, texts)
    return figure


def final_values(trajectories: pd.DataFrame) -> pd.Series:
    """Return the mean over runs of each class's last recorded value."""
    last = trajectories.sort_values(["stage", "step"]).groupby(["class", "fold", "seed"], sort=False)["value"].last()
    return last.groupby("class", sort=False).mean()
