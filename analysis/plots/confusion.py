"""Confusion matrices."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from analysis.plots.bias import add_key
from analysis.plots.style import freeze_layout, heat_map, new_figure, wrapped
from analysis.reading.analysed_study import AnalysedStudy, NotDrawableError
from analysis.reading.palette import CELL_INK

SHADE = LinearSegmentedColormap.from_list("share", ["#f4f5f6", "#6aa7d6"])  # light enough for dark numbers
LONGEST_NAME = 18  # characters beside a matrix
MOST_NUMBERED = 10  # numbers have the normal size for up to this many classes
LEAST_SHOWN = 0.005  # a smaller share is left blank


def confusion(axes: Axes, shares: pd.DataFrame, *, classes: Sequence[str]) -> Axes:
    """Draw a confusion matrix: each row shows the predictions for the pixels of one true class, in per cent.

    Args:
        axes: Where to draw.
        shares: Rows of confusion.csv of one method.
        classes: Class names in the order of rows and columns.

    Returns:
        The same axes.
    """
    wide = shares.pivot_table(index="true", columns="predicted", values="share", sort=False, dropna=False)
    values = wide.reindex(index=list(classes), columns=list(classes)).to_numpy(float)
    size = 7 if len(classes) <= MOST_NUMBERED else 4.5
    shown = np.isfinite(values) & (values >= LEAST_SHOWN)
    labels = np.where(shown, np.char.mod("%.0f", 100 * np.nan_to_num(values)), "")
    names = list(classes) if names_fit(classes) else [str(number + 1) for number in range(len(classes))]
    heat_map(
        axes, values, labels,
        cmap=SHADE, vmin=0, vmax=1, square=True, annot_kws={"fontsize": size}, xticklabels=names, yticklabels=names,
    )  # fmt: skip
    for row in np.flatnonzero(~np.isfinite(values).any(axis=1)).tolist():
        axes.text(len(classes) / 2, row + 0.5, "absent", ha="center", va="center", fontsize=size, color=CELL_INK)
    axes.tick_params(axis="x", rotation=90 if names_fit(classes) else 0)
    axes.tick_params(labelsize=7)
    return axes


def names_fit(classes: Sequence[str]) -> bool:
    """Return whether class names fit beside the matrix; otherwise numbers and a key are drawn."""
    return len(classes) <= MOST_NUMBERED and max(map(len, classes)) <= LONGEST_NAME


def draw_confusion(study: AnalysedStudy) -> Figure:
    """Draw the confusion matrix of every method, the control first."""
    rows = study.table("confusion")
    methods = [method for method in study.methods if method in set(rows["method"])]
    if not methods:
        raise NotDrawableError("No finished run recorded which classes were taken for which (confusion.parquet).")
    if not rows["pixels"].gt(0).any():
        raise NotDrawableError("No scored pixel is labelled, so no class was taken for another.")
    methods, left_out = study.shown(methods)
    columns = min(3, len(methods))
    lines = -(-len(methods) // columns)
    side = 0.9 + (0.33 if len(study.class_names) <= MOST_NUMBERED else 0.2) * len(study.class_names)
    figure = new_figure(columns * side + 0.7, lines * side + 0.9)
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for axes, method in zip(grid.flat, methods, strict=False):
        confusion(axes, rows[rows["method"] == method], classes=study.class_names)
        axes.set_title(wrapped(method, 26), fontsize=8.5)
    for axes in list(grid.flat)[len(methods) :]:
        axes.set_visible(False)
    if len(methods) % columns:
        for axes in grid[-2, len(methods) % columns :]:
            axes.tick_params(labelbottom=True)
    for axes in grid[:, 0]:
        axes.set_ylabel("true class")
    for index, axes in enumerate(list(grid.flat)[: len(methods)]):
        if index + columns >= len(methods):
            axes.set_xlabel("predicted class, % of the true one")
    figure.set_label(left_out)
    freeze_layout(figure)
    if not names_fit(study.class_names):
        add_key(figure, study.class_names)
    return figure
