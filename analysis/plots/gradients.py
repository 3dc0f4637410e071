"""The gradient view: the share of the gradient of each class under each method, relative to cross-entropy."""

from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots.ledger import SCALE
from analysis.plots.style import freeze_layout, heat_map, new_figure, wrapped
from analysis.reading.palette import INK, MUTED

FULL_COLOUR = 3.0  # doublings at which the colour saturates


def gradient_heatmap(axes: Axes, gradients: pd.DataFrame) -> Axes:
    """Draw the table; colour is the logarithm of the factor, numbers are the factor.

    Args:
        axes: Where to draw.
        gradients: Columns `method`, `family`, `class` and `relative_share`; methods of a family are adjacent.

    Returns:
        The same axes.
    """
    methods, classes = list(gradients["method"].unique()), list(gradients["class"].unique())
    wide = gradients.pivot_table(index="method", columns="class", values="relative_share").loc[methods, classes]
    factors = wide.to_numpy(float)
    doublings = np.log2(np.maximum(factors, 2.0 ** -(2 * FULL_COLOUR)))
    labels = np.vectorize(factor_text, otypes=[object])(factors)
    heat_map(
        axes, doublings, labels,
        cmap=SCALE, vmin=-FULL_COLOUR, vmax=FULL_COLOUR, linewidths=2, annot_kws={"fontsize": 7},
        xticklabels=[wrapped(str(name), 12) for name in classes], yticklabels=methods,
    )  # fmt: skip
    axes.tick_params(axis="x", rotation=0, labeltop=True, labelbottom=False, labelcolor=INK)
    _name_families(axes, gradients.drop_duplicates("method")["family"].tolist())
    return axes


def factor_text(value: float) -> str:
    """Return a factor as text; anything below 0.005 is written as 0."""
    return "0" if value < 0.005 else f"{value:.2f}" if value < 9.995 else f"{value:.0f}"


def _name_families(axes: Axes, families: list[str]) -> None:
    """Draw lines between families and write the name of each right of its first row."""
    for row, (before, after) in enumerate(pairwise(families)):
        if before != after:
            axes.axhline(row + 1, color=MUTED, linewidth=0.8, zorder=5)
    for name in dict.fromkeys(families):
        axes.annotate(
            name,
            (1.01, families.index(name) + 0.5),
            xycoords=("axes fraction", "data"),
            fontsize=7,
            va="center",
            color=MUTED,
        )


def draw_gradients(gradients: pd.DataFrame) -> Figure:
    """Draw the gradient view of some methods as a figure."""
    methods, classes = gradients["method"].nunique(), gradients["class"].nunique()
    figure = new_figure(3.6 + 0.8 * classes, 1.0 + 0.22 * methods)
    axes = gradient_heatmap(figure.subplots(), gradients)
    axes.set_title("Share of the gradient that each class gets, times that under cross-entropy + Dice", pad=34)
    freeze_layout(figure)
    return figure
