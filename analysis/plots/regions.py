"""The probability of a practical difference, in a triangle: worse, practically equivalent, better."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots.described import part
from analysis.plots.style import figure_style, freeze_layout, method_handles, new_figure, save, wrapped
from analysis.reading.analysed_study import AnalysedStudy, NotDrawableError
from analysis.reading.palette import BAND, INK, MUTED, PAPER, MethodMark
from analysis.reading.wording import number
from analysis.schema.names import MACRO
from analysis.statistics.hierarchical import Posterior
from imbalance_bench.seeding import generator

REGIONS = ["p_worse", "p_equivalent", "p_better"]
LABELS = ("worse", "equivalent", "better")
CORNERS = np.array([[0.0, 0.0], [0.5, np.sqrt(0.75)], [1.0, 0.0]])  # of worse, equivalent, better
DRAWS = 1500
COLUMNS = 3


def simplex(probabilities: np.ndarray) -> np.ndarray:
    """Return points in the triangle, (..., 2), for probabilities that sum to 1, (..., 3)."""
    return probabilities @ CORNERS


def triangle(axes: Axes) -> Axes:
    """Draw the triangle: corners are certainty, and lines divide it by the most probable region.

    Args:
        axes: Where to draw.

    Returns:
        The same axes, without ticks.

    Source:
        Benavoli, Corani, Demsar and Zaffalon 2017, figure 9.
    """
    axes.fill(*CORNERS.T, facecolor=BAND, edgecolor=MUTED, linewidth=0.8, zorder=0)
    centre = CORNERS.mean(axis=0)
    for first, second in ((0, 1), (1, 2), (0, 2)):
        middle = CORNERS[[first, second]].mean(axis=0)
        axes.plot(*np.stack([centre, middle]).T, color=MUTED, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    labels = (
        ("worse", 0, "center", "top", -6),
        ("equivalent", 1, "center", "bottom", 5),
        ("better", 2, "center", "top", -6),
    )
    for name, corner, horizontal, vertical, shift in labels:
        axes.annotate(
            name, CORNERS[corner], xytext=(0, shift), textcoords="offset points",
            ha=horizontal, va=vertical, fontsize=8, color=INK,
        )  # fmt: skip
    axes.set_aspect("equal")
    axes.set_xlim(-0.12, 1.12)
    axes.set_ylim(-0.14, np.sqrt(0.75) + 0.12)
    axes.set_axis_off()
    return axes


def in_triangle(axes: Axes, rows: pd.DataFrame, marks: Mapping[str, MethodMark]) -> Axes:
    """Draw the posterior of every method as one point of the triangle.

    Args:
        axes: Where to draw.
        rows: Rows of practical_differences.csv of one class.
        marks: Method -> colour and marker.

    Returns:
        The same axes.
    """
    triangle(axes)
    for row in rows.to_dict("records"):
        mark = marks[str(row["method"])]
        point = simplex(np.array([row[name] for name in REGIONS], dtype=np.float64))
        text = ", ".join(f"{name} {number(row[key], 2)}" for name, key in zip(LABELS, REGIONS, strict=True))
        axes.plot(
            *point, mark.marker, color=mark.colour, markersize=6, markeredgecolor=PAPER, markeredgewidth=0.6,
            gid=part(str(row["method"]), [f"{row['method']}: {text}"]),
        )  # fmt: skip
    return axes


def draw_practical_differences(study: AnalysedStudy) -> Figure:
    """Draw the posterior of every method between worse, equivalent and better than its control in macro Dice."""
    rows = study.table("practical_differences")
    rows = rows[(rows["class"] == MACRO) & rows["p_better"].notna()]
    if rows.empty:
        raise NotDrawableError("No method could be compared with a control, so no posterior can be drawn.")
    marks = {name: mark for name, mark in study.marks.items() if name in set(rows["method"])}
    figure = new_figure(4.2, 3.4 + 0.2 * -(-len(marks) // 2))
    in_triangle(figure.subplots(), rows, marks)
    figure.legend(handles=method_handles(marks, linewidth=0), loc="outside lower center", ncols=2)
    freeze_layout(figure)
    return figure


def cloud(axes: Axes, posterior: Posterior, rng: np.random.Generator) -> Axes:
    """Draw the posterior over data sets: each dot is one possible division of data sets among the three regions.

    Args:
        axes: Where to draw.
        posterior: Posterior of one method.
        rng: Generator of the draws.

    Returns:
        The same axes; the ring is the mean, the prediction for a new data set.
    """
    triangle(axes)
    drawn = posterior.draws(DRAWS, rng)
    axes.scatter(*simplex(drawn).T, s=3, color=INK, alpha=0.12, linewidth=0, zorder=2, rasterized=True)
    prediction = posterior.of_next()
    point = simplex(np.array([prediction.worse, prediction.equivalent, prediction.better]))
    axes.scatter(*point, s=46, facecolor=PAPER, edgecolor=INK, linewidth=1.4, zorder=3)
    return axes


def save_practical_differences(posteriors: Sequence[tuple[str, Posterior]], path: Path) -> Path:
    """Draw the posteriors over several data sets into a file, one panel per comparison.

    Args:
        posteriors: Title and posterior of each pair of methods, at least one.
        path: An .svg, .pdf or .png file.

    Returns:
        The file.
    """
    with figure_style():
        columns = min(COLUMNS, len(posteriors))
        lines = -(-len(posteriors) // columns)
        figure = new_figure(2.6 * columns, 2.6 * lines)
        grid = figure.subplots(lines, columns, squeeze=False)
        for axes in grid.flat[len(posteriors) :]:
            axes.set_axis_off()
        for axes, (title, posterior) in zip(grid.flat, posteriors, strict=False):
            cloud(axes, posterior, generator(0, "triangle", title))
            axes.set_title(wrapped(title, 30), fontsize=8, color=INK)
        freeze_layout(figure)
    return save(figure, path)
