"""Several models in one study: the effect of every method under each of them."""

import pandas as pd
from matplotlib.figure import Figure

from analysis.plots.scores import class_dice
from analysis.plots.style import freeze_layout, method_handles, new_figure, wrapped
from analysis.reading.analysed_study import AnalysedStudy, NotDrawableError
from analysis.reading.palette import INK, MUTED, model_marks
from analysis.reading.wording import MINUS


def draw_model_effects(study: AnalysedStudy) -> Figure:
    """Draw the effect of every method on its control (panels) for each class, one dot with its interval per model."""
    effects = effects_by_model(study.table("model_interactions"))
    methods = list(dict.fromkeys(effects["method"]))
    if not methods:
        raise NotDrawableError("No method was trained with a control under several models, so no effects compare.")
    marks = model_marks(list(dict.fromkeys(effects["model"])))
    lines = -(-len(methods) // 4)
    columns = -(-len(methods) // lines)
    row_in = max(0.28, 0.1 + 0.11 * len(marks))
    figure = new_figure(2.4 + 1.9 * columns, 0.9 + lines * (0.75 + row_in * (1 + len(study.class_names))))
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for axes, method in zip(grid.flat, methods, strict=False):
        axes.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
        of_method = effects[effects["method"] == method].drop(columns="method").rename(columns={"model": "method"})
        class_dice(axes, of_method, classes=study.class_names, marks=marks)
        axes.set_xlabel("")
        axes.set_title(wrapped(method, 24), fontsize=8, color=INK)
        axes.tick_params(labelbottom=True)
    for axes in list(grid.flat)[len(methods) :]:
        axes.set_visible(False)
    figure.supxlabel(f"Dice {MINUS} Dice of the control under the same model, with 95 % interval", fontsize=8.5)
    figure.legend(handles=method_handles(marks, markersize=5, linewidth=1.1), loc="outside right upper")
    freeze_layout(figure)
    return figure


def effects_by_model(interactions: pd.DataFrame) -> pd.DataFrame:
    """Return method, model, class, mean, low and high, one row for each of them.

    Args:
        interactions: Rows of model_interactions.csv, with two models each.
    """
    ends = {"model": "of_model", "other_model": "of_other"}
    keys = ["method", "class"]
    parts = [
        interactions[[*keys, model, end, f"{end}_low", f"{end}_high"]].set_axis(
            [*keys, "model", "mean", "low", "high"], axis=1
        )
        for model, end in ends.items()
    ]
    return pd.concat(parts, ignore_index=True).drop_duplicates(["method", "model", "class"])
