"""Training loss and validation Dice over steps."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.plots.described import part
from analysis.plots.style import freeze_layout, method_handles, new_figure, spare_grid, thin_line_alpha
from analysis.reading.analysed_study import AnalysedStudy, NotDrawableError
from analysis.reading.palette import MethodMark
from analysis.scoring.validation import validation_counts
from analysis.study.steps import along_stages
from imbalance_bench.errors import UserError
from imbalance_bench.table_schemas import EPOCHS

STEP = ["run_id", "stage", "step"]


def learning_curves(axes: Axes, curves: pd.DataFrame, *, marks: Mapping[str, MethodMark]) -> Axes:
    """Draw one quantity over steps: thin lines are runs, thick ones the mean of a method.

    Args:
        axes: Where to draw.
        curves: Columns method, run_id, elapsed (steps) and value.
        marks: Method -> colour and marker.

    Returns:
        The same axes.
    """
    for method, mark in marks.items():
        rows = curves[curves["method"] == method]
        alpha = thin_line_alpha(rows["run_id"].nunique())
        runs = [run[["elapsed", "value"]].to_numpy() for _, run in rows.groupby("run_id", sort=False)]
        axes.add_collection(LineCollection(runs, colors=mark.colour, linewidths=0.5, alpha=alpha, gid=part(method)))
        mean = rows.groupby("elapsed")["value"].mean()
        axes.plot(
            *(mean.index, mean),
            color=mark.colour,
            linewidth=1.8,
            marker=mark.marker,
            markersize=4,
            markevery=max(1, len(mean) // 6),
            gid=part(method),
        )
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlabel("optimiser steps")
    spare_grid(axes, "y")
    return axes


def validation_macro_dice(epochs: pd.DataFrame) -> pd.DataFrame:
    """Return the pooled Dice of each class from validation counts, averaged over classes that occur or are predicted.

    Args:
        epochs: Rows of the runs' epochs tables (table_schemas.EPOCHS), with `run_id`.

    Returns:
        Columns run_id, stage, step, value.
    """
    wide = validation_counts(epochs, STEP)
    if wide.empty:
        return pd.DataFrame({"run_id": [], "stage": [], "step": [], "value": []})
    occurs = (wide["tp"] + wide["fn"]).groupby(["run_id", "class_id"]).transform("max") > 0
    wide = wide[occurs]
    dice = 2 * wide["tp"] / (2 * wide["tp"] + wide["fp"] + wide["fn"])
    return dice.groupby(STEP).mean().rename("value").reset_index()


def training_loss(epochs: pd.DataFrame) -> pd.DataFrame:
    """Return the training loss of each run: columns run_id, stage, step, value."""
    rows = epochs[(epochs["split"] == "train") & (epochs["quantity"] == "loss")]
    return rows[[*STEP, "value"]]


def draw_learning_curves(study: AnalysedStudy) -> Figure:
    """Draw validation macro Dice and training loss of every finished run."""
    finished = study.table("runs")
    finished = finished[finished["state"] == "done"]
    tables = []
    for run_id in finished["run_id"]:
        try:
            tables.append(study.records.run(run_id).epochs().assign(run_id=run_id))
        except UserError:
            continue  # the table of runs shows its state; the other curves are drawn
    epochs = pd.concat(tables) if tables else pd.DataFrame(columns=[*EPOCHS.names, "run_id"])
    method_of = finished.set_index("run_id")["method"]
    panels = [
        (label, along_stages(curves.assign(method=curves["run_id"].map(method_of)), ["run_id"]))
        for label, curves in (
            ("validation macro Dice, pooled", validation_macro_dice(epochs)),
            ("training loss", training_loss(epochs)),
        )
        if len(curves)
    ]
    if not panels:
        raise NotDrawableError("No finished run has readable epoch records, so there is no learning curve to draw.")
    methods = {name: mark for name, mark in study.marks.items() if name in set(finished["method"])}
    figure = new_figure(1.4 + 3.3 * len(panels), 2.9)
    for axes, (label, curves) in zip(figure.subplots(1, len(panels), squeeze=False).flat, panels, strict=True):
        learning_curves(axes, curves, marks=methods)
        axes.set_title(label)
    handles = method_handles(methods, linewidth=1.8, width=24)
    figure.legend(handles=handles, loc="outside right upper", handlelength=1.6)
    freeze_layout(figure)
    return figure
