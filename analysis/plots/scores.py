"""The Dice of each method, and its difference from the control."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.plots.described import part
from analysis.plots.style import freeze_layout, method_handles, new_figure, spare_grid, wrapped
from analysis.reading.analysed_study import AnalysedStudy, NotDrawableError
from analysis.reading.palette import BAND, GRID, INK, MUTED, PAPER, MethodMark
from analysis.reading.wording import AGGREGATION, MINUS, number, signed, words
from analysis.schema.names import MACRO
from analysis.verdicts import Word

OVERALL = "all classes (macro)"
OWN_AXES_FROM = 3.0
OWN_AXES = "Each panel has its own axis, because the panels differ in width."
ROW_NAME_WIDTH = 26  # characters before a name breaks


def class_dice(axes: Axes, scores: pd.DataFrame, *, classes: Sequence[str], marks: Mapping[str, MethodMark]) -> Axes:
    """Draw one row per class, and one dot with its interval per method; the mean over classes is the top row.

    Args:
        axes: Where to draw.
        scores: Rows of method_scores.csv of one aggregation and metric.
        classes: Class names in the order of the rows; the macro row comes first.
        marks: Method -> colour and marker, in the order of drawing.

    Returns:
        The same axes.
    """
    rows = _rows(scores, classes)
    offsets = 0.76 * ((np.arange(len(marks)) + 0.5) / len(marks) - 0.5)  # as far from a neighbour as from the next row
    positions = {name: position for position, name in enumerate(rows)}
    for offset, (method, mark) in zip(offsets, marks.items(), strict=True):
        of_method = scores[(scores["method"] == method) & scores["class"].isin(rows) & scores["mean"].notna()]
        ys = of_method["class"].map(positions) + offset
        axes.hlines(ys, of_method["low"], of_method["high"], colors=mark.colour, linewidth=1.1, gid=part(method))
        axes.plot(
            *(of_method["mean"], ys, mark.marker),
            color=mark.colour,
            markersize=4.6,
            markeredgewidth=0,
            gid=part(method, [f"{method}, {text}" for text in estimates(of_method, "mean")]),
        )
    absent = [name for name in rows if scores.loc[scores["class"] == name, "mean"].notna().sum() == 0]
    for name in absent:
        axes.text(0.5, rows.index(name), "absent from the scored images", transform=axes.get_yaxis_transform(),
                  ha="center", va="center", fontsize=7.5, color=MUTED)  # fmt: skip
    _class_rows(axes, rows)
    axes.set_xlabel("Dice")
    return axes


def paired_differences(
    axes: Axes,
    comparisons: pd.DataFrame,
    *,
    classes: Sequence[str],
    mark: MethodMark,
    rope: float | None = None,
) -> Axes:
    """Draw method minus control per class with its interval; filled if the verdict is better or worse.

    Args:
        axes: Where to draw.
        comparisons: Rows of comparisons.csv of one method.
        classes: Class names in the order of the rows; the macro row comes first.
        mark: Colour and marker of the method.
        rope: Half width of the region of practical equivalence, in Dice, drawn as a band.

    Returns:
        The same axes.
    """
    rows = _rows(comparisons, classes)
    if rope:
        axes.axvspan(-rope, rope, color=BAND, linewidth=0, zorder=0)
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    positions = {name: position for position, name in enumerate(rows)}
    for name in comparisons.loc[comparisons["difference"].isna() & comparisons["class"].isin(rows), "class"]:
        axes.text(
            *(0.03, positions[name], "absent"),
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=7,
            color=MUTED,
        )
    valid = comparisons[comparisons["class"].isin(rows) & comparisons["difference"].notna()]
    written = estimates(valid, "difference", write=signed)
    words_of = pd.Series(
        [f"{text}, {words(str(word))}" for text, word in zip(written, valid["verdict"], strict=True)],
        valid.index,
        dtype=str,
    )
    decided = valid["verdict"].map(lambda verdict: verdict in (Word.BETTER, Word.WORSE))
    for part_of, width, face in ((valid[~decided], 1.0, PAPER), (valid[decided], 1.8, mark.colour)):
        ys = part_of["class"].map(positions)
        axes.hlines(ys, part_of["low"], part_of["high"], colors=mark.colour, linewidth=width)
        axes.scatter(
            *(part_of["difference"], ys),
            marker=mark.marker,  # pyright: ignore[reportArgumentType]
            s=30,
            facecolors=face,
            edgecolors=mark.colour,
            linewidths=1.1,
            zorder=4,
            gid=part(values=words_of[part_of.index].tolist()),
        )
    _class_rows(axes, rows)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    return axes


def estimates(rows: pd.DataFrame, column: str, *, write: Callable[[float], str] = number) -> list[str]:
    """Return class, number and interval of every row, as shown under the pointer."""
    texts = []
    for row in rows.to_dict("records"):
        interval = f" ({write(row['low'])} to {write(row['high'])})" if np.isfinite(row["high"] - row["low"]) else ""
        texts.append(f"{OVERALL if row['class'] == MACRO else row['class']}: {write(row[column])}{interval}")
    return texts


def _rows(table: pd.DataFrame, classes: Sequence[str]) -> list[str]:
    """Return the rows of a figure: macro if the table has it, then the classes."""
    return [*([MACRO] if (table["class"] == MACRO).any() else []), *classes]


def _class_rows(axes: Axes, rows: Sequence[str]) -> None:
    """Label the rows from top to bottom, with a line below the macro row."""
    labels = [OVERALL if name == MACRO else wrapped(name, ROW_NAME_WIDTH) for name in rows]
    axes.set_yticks(range(len(rows)), labels)
    axes.set_ylim(len(rows) - 0.45, -0.55)
    for row in range(len(rows) - 1):
        first = row == 0 and rows[0] == MACRO
        axes.axhline(row + 0.5, color=MUTED if first else GRID, linewidth=0.7 if first else 0.5, zorder=0)
    spare_grid(axes, "x")
    axes.spines["left"].set_visible(False)


def widths_differ(panels: Iterable[tuple[Any, pd.DataFrame]]) -> bool:
    """Return whether the widest panel would flatten others on a shared axis: it spans OWN_AXES_FROM times the least.

    Args:
        panels: Name and rows with the columns low and high, of differences to 0.
    """
    extents = [float(rows[["low", "high"]].abs().max().max()) for _, rows in panels]
    valid = [extent for extent in extents if np.isfinite(extent) and extent > 0]
    return bool(valid) and max(valid) > OWN_AXES_FROM * min(valid)


def draw_class_dice(study: AnalysedStudy) -> Figure:
    """Draw the Dice of every method for every class."""
    scores = study.table("method_scores")
    scores = scores[(scores["metric"] == "dice") & (scores["aggregation"] == study.aggregation)]
    methods = {name: mark for name, mark in study.marks.items() if name in set(scores["method"])}
    if not methods:
        raise NotDrawableError("No method has a finished run, so there is no score to draw.")
    if scores["mean"].notna().sum() == 0:
        raise NotDrawableError("No class occurs in the scored images, so there is no score to draw.")
    rows = _rows(scores, study.class_names)
    figure = new_figure(9.0, 0.9 + len(rows) * max(0.26, 0.07 + 0.085 * len(methods)))
    axes = class_dice(figure.subplots(), scores, classes=study.class_names, marks=methods)
    axes.set_xlabel(f"Dice, {AGGREGATION.get(study.aggregation, study.aggregation)}, with 95 % interval")
    handles = method_handles(methods, markersize=5, linewidth=1.1)
    figure.legend(handles=handles, loc="outside right upper", handlelength=1.6)
    freeze_layout(figure)
    return figure


def draw_paired_differences(study: AnalysedStudy) -> Figure:
    """Draw each method's difference to its control, one panel per method."""
    comparisons = study.table("comparisons")
    methods = [method for method in study.methods if method in set(comparisons["method"])]
    if not methods:
        raise NotDrawableError("No method could be compared with a control, so there is no difference to draw.")
    if comparisons["difference"].notna().sum() == 0:
        raise NotDrawableError("No class occurs in the scored images, so there is no difference to draw.")
    lines = -(-len(methods) // 4)
    columns = -(-len(methods) // lines)
    rows = _rows(comparisons, study.class_names)
    row_in = 0.31 if any("\n" in wrapped(name, ROW_NAME_WIDTH) for name in rows) else 0.24
    figure = new_figure(1.9 + 1.75 * columns, 0.45 + lines * (0.75 + row_in * len(rows)))
    own_axes = widths_differ(comparisons.groupby("method"))
    grid = figure.subplots(lines, columns, squeeze=False, sharex=not own_axes, sharey=True)
    rope = study.plan.get("analysis", {}).get("rope_dice")
    for axes, method in zip(grid.flat, methods, strict=False):
        of_method = comparisons[comparisons["method"] == method]
        paired_differences(axes, of_method, classes=study.class_names, mark=study.marks[method], rope=rope)
        axes.set_title(wrapped(method, 24), fontsize=8, color=INK)
        axes.tick_params(labelbottom=True)
    for axes in list(grid.flat)[len(methods) :]:
        axes.set_visible(False)
    figure.supxlabel(f"Dice {MINUS} Dice of {' or '.join(study.controls)}, with 95 % interval", fontsize=8.5)
    figure.set_label(OWN_AXES if own_axes else "")
    freeze_layout(figure)
    return figure
