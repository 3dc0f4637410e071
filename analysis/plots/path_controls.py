"""Is the class attention used? The predicted share of a class against the dose on its bias or on its logit."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.plots.style import freeze_layout, method_handles, new_figure, spare_grid, wrapped
from analysis.reading.analysed_study import AnalysedStudy, NotDrawableError
from analysis.reading.palette import GRID, MUTED, MethodMark
from imbalance_bench.table_schemas import PathControl

STYLES = {PathControl.BIAS_DOSE: "-", PathControl.LOGIT_DOSE: (0, (2, 2))}
COLUMNS, PANEL_IN = 4, 1.75
NOT_DOSED = (
    "No finished run recorded doses on its class attention (path_controls.parquet). They need a decoder with class "
    "tokens, and `evaluation.path_controls` above 0."
)


def dose_curves(axes: Axes, doses: pd.DataFrame, *, marks: Mapping[str, MethodMark]) -> Axes:
    """Draw the predicted share of one class against the dose, one line per method and kind of dose.

    Args:
        axes: Where to draw.
        doses: Rows of path_controls.csv whose class is the dosed one.
        marks: Method -> colour and marker.

    Returns:
        The same axes.
    """
    axes.axvline(0, color=GRID, linewidth=0.8, zorder=0)
    for method, mark in marks.items():
        for control, style in STYLES.items():
            rows = doses[(doses["method"] == method) & (doses["control"] == str(control))]
            if rows.empty:
                continue
            trained = float(rows["predicted_trained"].iloc[0])
            points = [*zip(rows["dose"], rows["predicted"], strict=True), (0.0, trained)]
            x, shares = zip(*sorted(points), strict=True)
            of_bias = control == PathControl.BIAS_DOSE
            axes.plot(
                *(x, [100 * share for share in shares]),
                color=mark.colour,
                linestyle=style,
                linewidth=1.2 if of_bias else 0.9,
                marker=mark.marker if of_bias else None,
                markersize=3,
            )
    axes.set_ylim(bottom=0)
    spare_grid(axes, "y")
    return axes


def draw_path_controls(study: AnalysedStudy) -> Figure:
    """Draw the dose curves of every class, one panel each."""
    doses = study.table("path_controls")
    doses = doses[(doses["target"] != "") & (doses["class"] == doses["target"])]
    dosed = set(doses["method"])
    shown, left_out = study.shown([method for method in study.methods if method in dosed])
    if not shown:
        raise NotDrawableError(NOT_DOSED)
    marks = {method: study.marks[method] for method in shown}
    classes = [name for name in study.class_names if name in set(doses["target"])]
    columns = min(COLUMNS, len(classes))
    rows = -(-len(classes) // columns)
    figure = new_figure(0.6 + PANEL_IN * columns, 1.1 + 1.45 * rows)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True)
    for axes, name in zip(grid.flat, classes, strict=False):
        dose_curves(axes, doses[doses["target"] == name], marks=marks)
        axes.set_title(wrapped(name, 22), fontsize=8, color=study.class_colour[name])
        axes.set_xticks(sorted({0.0, *doses["dose"]}))
        axes.tick_params(labelsize=7, labelbottom=True)
    for axes in grid.flat[len(classes) :]:
        axes.set_axis_off()
    kinds = [
        Line2D([], [], color=MUTED, linestyle=STYLES[PathControl.BIAS_DOSE], label="added to the bias"),
        Line2D([], [], color=MUTED, linestyle=STYLES[PathControl.LOGIT_DOSE], label="added to the output logit"),
    ]
    figure.legend(handles=[*method_handles(marks), *kinds], loc="outside upper left", ncols=3, fontsize=7.5)
    figure.supxlabel("dose on the class, natural log-odds", fontsize=8.5)
    figure.supylabel("share of pixels predicted as the class, %", fontsize=8.5)
    freeze_layout(figure)
    figure.set_label(left_out)
    return figure
