"""The effect of the bias: Dice after it was changed in the trained model."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots.scores import paired_differences
from analysis.plots.style import freeze_layout, new_figure, wrapped
from analysis.reading.analysed_study import AnalysedStudy, NotDrawableError
from analysis.reading.palette import INK, MethodMark
from analysis.reading.wording import MINUS

TITLE = {
    "zeroed": "bias set to zero",
    "permuted": "bias permuted among classes",
    "shifted": "bias of this class + 1",
}
NOTHING_CHANGED = (
    "No finished run recorded what a changed bias does (interventions.parquet): it takes an attention bias."
)


def interventions(
    axes: Axes, effects: pd.DataFrame, *, classes: Sequence[str], mark: MethodMark, rope: float | None = None
) -> Axes:
    """Draw the change of Dice per class after one intervention; filled where the verdict is better or worse.

    Args:
        axes: Where to draw.
        effects: Rows of interventions.csv of one method and intervention.
        classes: Class names in the order of the rows; the macro row, where there is one, comes first.
        mark: Colour and marker of the method.
        rope: Half width of the region of practical equivalence, in Dice, drawn as a band.

    Returns:
        The same axes.
    """
    return paired_differences(axes, effects, classes=classes, mark=mark, rope=rope)


def draw_interventions(study: AnalysedStudy) -> Figure:
    """Draw every intervention (columns) on every method with a bias (rows)."""
    effects = study.table("interventions")
    effects = effects[effects["difference"].notna()]
    methods = [method for method in study.methods if method in set(effects["method"])]
    if not methods:
        raise NotDrawableError(NOTHING_CHANGED)
    kinds = [kind for kind in TITLE if kind in set(effects["intervention"])]
    rows = 1 + len(study.class_names)
    row_in = 0.31 if max(map(len, study.class_names)) > 26 else 0.24
    figure = new_figure(2.2 + 2.3 * len(kinds), 0.45 + len(methods) * (0.75 + row_in * rows))
    grid = figure.subplots(len(methods), len(kinds), squeeze=False, sharex="col")
    rope = study.plan.get("analysis", {}).get("rope_dice")
    for axes_row, method in zip(grid, methods, strict=True):
        for axes, kind in zip(axes_row, kinds, strict=True):
            of_kind = effects[(effects["method"] == method) & (effects["intervention"] == kind)]
            interventions(axes, of_kind, classes=study.class_names, mark=study.marks[method], rope=rope)
            axes.tick_params(labelbottom=True)
            if axes is not axes_row[0]:
                same = [label.get_text() for label in axes.get_yticklabels()]
                first = [label.get_text() for label in axes_row[0].get_yticklabels()]
                axes.tick_params(labelleft=same != first)
        axes_row[0].set_ylabel(wrapped(method, 24), fontsize=8)
    for axes, kind in zip(grid[0], kinds, strict=True):
        axes.set_title(TITLE[kind], fontsize=8, color=INK)
    figure.supxlabel(f"Dice with the changed bias {MINUS} Dice as trained, with 95 % interval", fontsize=8.5)
    freeze_layout(figure)
    return figure
