"""The class-parameter ledger: the start and end of every bias, and the final parameters of every method."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from analysis.plots.bias import methods_with_bias
from analysis.plots.style import freeze_layout, heat_map, new_figure, spare_grid, wrapped
from analysis.reading.analysed_study import AnalysedStudy, NotDrawableError
from analysis.reading.palette import INK, MUTED, PAPER
from analysis.reading.wording import significant, words

MOST_LEVEL_NAMES = 8  # names of more classes stand upright
# Diverging (blue to orange), legible in grey and for every type of colour vision, light enough for dark numbers.
SCALE = LinearSegmentedColormap.from_list("below_above", ["#6aa7d6", "#f4f5f6", "#f0a35e"])


def prior_to_final(axes: Axes, learned: pd.DataFrame, *, colours: Mapping[str, str]) -> Axes:
    """Draw the start (ring) and end (dot) of the bias of each class, the change between, and runs as small dots.

    Args:
        axes: Where to draw.
        learned: Rows of learned_bias.csv of one method, with the estimands `learned` and `change`.
        colours: Class -> colour.

    Returns:
        The same axes.
    """
    wide = learned.pivot_table(index=["class", "fold", "seed"], columns="estimand", values="value", sort=False)
    wide = wide.dropna(subset=["learned", "change"]).assign(initial=lambda rows: rows["learned"] - rows["change"])
    mean = wide.groupby("class", sort=False).mean().sort_values("learned", ascending=False)
    shades = [colours[str(name)] for name in mean.index]
    positions = pd.Series(np.arange(len(mean)), index=mean.index)
    runs = wide.reset_index()
    axes.hlines(positions, mean["initial"], mean["learned"], colors=shades, linewidth=2.2, zorder=2)
    axes.scatter(
        *(runs["learned"], runs["class"].map(positions) + 0.27),
        s=7,
        c=[colours[str(name)] for name in runs["class"]],
        alpha=0.6,
        linewidths=0,
        zorder=3,
    )
    axes.scatter(mean["initial"], positions, s=30, facecolors=PAPER, edgecolors=shades, linewidths=1.3, zorder=4)
    axes.scatter(mean["learned"], positions, s=34, c=shades, zorder=5)
    axes.axvline(0, color=MUTED, linewidth=0.6, zorder=1)
    axes.set_yticks(range(len(mean)), [wrapped(str(name), 24) for name in mean.index])
    axes.set_ylim(len(mean) - 0.4, -0.6)
    axes.set_xlabel("attention bias, centred")
    spare_grid(axes, "x")
    axes.spines["left"].set_visible(False)
    return axes


def draw_prior_to_final(study: AnalysedStudy) -> Figure:
    """Draw the start and the end of every learned bias, one panel per method."""
    learned = study.table("learned_bias")
    methods = methods_with_bias(study)
    columns = min(3, len(methods))
    lines = -(-len(methods) // columns)
    figure = new_figure(max(5.2, 3.5 * columns), 0.35 + lines * (0.75 + 0.3 * len(study.class_names)))
    grid = figure.subplots(lines, columns, squeeze=False)
    for axes, method in zip(grid.flat, methods, strict=False):
        of_method = learned[(learned["method"] == method) & learned["estimand"].isin(["learned", "change"])]
        prior_to_final(axes, of_method, colours=study.class_colour)
        axes.set_title(wrapped(method, 40))
    for axes in list(grid.flat)[len(methods) :]:
        axes.set_visible(False)
    freeze_layout(figure)
    return figure


def ledger_heatmap(axes: Axes, values: pd.DataFrame) -> Axes:
    """Draw a table of final class parameters; colour compares the classes within a row, numbers are the values.

    Args:
        axes: Where to draw.
        values: Rows are "parameter: method", columns classes.

    Returns:
        The same axes.
    """
    centred = values.sub(values.mean(axis=1), axis=0)
    widest = centred.abs().max(axis=1).replace(0, np.nan)
    shade = centred.div(widest, axis=0).fillna(0).where(values.notna())
    numbers, upright = values.to_numpy(float), values.shape[1] > MOST_LEVEL_NAMES
    labels = np.vectorize(lambda value: significant(value, 2) if np.isfinite(value) else "", otypes=[object])(numbers)
    heat_map(
        axes, shade.to_numpy(float), labels,
        cmap=SCALE, vmin=-1, vmax=1, linewidths=2, annot_kws={"fontsize": 7},
        xticklabels=[wrapped(str(name), 22 if upright else 11, 3) for name in values.columns],
        yticklabels=list(map(str, values.index)),
    )  # fmt: skip
    axes.tick_params(axis="x", rotation=90 if upright else 0, labeltop=True, labelbottom=False)
    axes.tick_params(axis="x", labelcolor=INK, labelsize=7)
    return axes


def final_ledger(trajectories: pd.DataFrame, methods: list[str], classes: list[str]) -> pd.DataFrame:
    """Return the mean over runs of the last value of every parameter: rows (method, parameter), columns classes."""
    keys = ["method", "parameter", "class", "fold", "seed"]
    last = trajectories.sort_values(["stage", "step"]).groupby(keys, sort=False)["value"].last()
    table = last.groupby(["method", "parameter", "class"], sort=False).mean().unstack("class").reindex(columns=classes)
    order = sorted(table.index, key=lambda key: (key[1], methods.index(key[0])))
    return table.reindex(order)


def draw_ledger_heatmap(study: AnalysedStudy) -> Figure:
    """Draw the final ledger of every method."""
    rows = study.table("bias_trajectories")
    rows = rows[rows["method"].isin(study.methods) & rows["value"].notna()]
    if rows.empty:
        raise NotDrawableError("No finished run left a class-parameter ledger, so there is nothing to draw.")
    table = final_ledger(rows, study.methods, study.class_names)
    keys = list(table.index)
    labels = [f"{words(parameter)}: {wrapped(method, 48, 1)}" for method, parameter in keys]
    table.index = pd.Index(labels)
    beside = 0.4 + 0.062 * max(map(len, labels))
    figure = new_figure(beside + max(0.62 * table.shape[1], 2.4), 0.9 + 0.25 * table.shape[0])
    axes = ledger_heatmap(figure.subplots(), table)
    axes.tick_params(axis="y", labelsize=7.5)
    _separate_rows(axes, [str(parameter) for _, parameter in keys])
    freeze_layout(figure)
    return figure


def _separate_rows(axes: Axes, kinds: list[str]) -> None:
    for row, (before, after) in enumerate(pairwise(kinds)):
        if before != after:
            axes.axhline(row + 1, color=MUTED, linewidth=0.8, zorder=5)
