"""The classes before any training: difficulty against frequency."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.plots.bias import NO_MEASURES, draw_points, label_classes, share_axis
from analysis.plots.style import freeze_layout, new_figure, wrapped
from analysis.reading.analysed_study import AnalysedStudy, NotDrawableError
from analysis.reading.wording import CONSTRUCT, words


def frequency_difficulty_plane(
    axes: Axes, frequency: pd.DataFrame, measure: pd.DataFrame, *, colours: Mapping[str, str]
) -> Axes:
    """Draw one measure of difficulty against frequency, a point per class, with the interval of the measure.

    Args:
        axes: Where to draw.
        frequency: Rows of measures.csv for the frequency measure.
        measure: Rows of measures.csv for the other measure.
        colours: Class -> colour.

    Returns:
        The same axes. Names are added by `bias.label_classes` once the layout is final.
    """
    points = plane_points(frequency, measure)
    draw_points(axes, points, colours)
    axes.margins(x=0.2, y=0.16)
    if len(points) and (points["x"] > 0).all():
        share_axis(axes)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel(wrapped(words(str(frequency["measure"].iloc[0])), 30))
    construct = str(measure["construct"].iloc[0])
    axes.set_title(CONSTRUCT.get(construct, construct))
    axes.set_ylabel(wrapped(words(str(measure["measure"].iloc[0])), 34))
    return axes


def plane_points(frequency: pd.DataFrame, measure: pd.DataFrame) -> pd.DataFrame:
    """Return x, y, low and high of each class that has both measures."""
    x = frequency.drop_duplicates("class").set_index("class")["value"].rename("x")
    other = measure.drop_duplicates("class").set_index("class")[["value", "low", "high"]].rename(columns={"value": "y"})
    return other.join(x, how="inner").dropna(subset=["x", "y"])


def draw_frequency_difficulty_plane(study: AnalysedStudy) -> Figure:
    """Draw the primary measure of every other construct against the primary measure of frequency."""
    measures = study.table("measures")
    primary = measures[measures["primary"] & measures["value"].notna()]
    frequency = primary[primary["construct"] == "frequency"]
    others = [rows for name in CONSTRUCT if name != "frequency" and len(rows := primary[primary["construct"] == name])]
    if frequency.empty or not others:
        raise NotDrawableError(NO_MEASURES)
    figure = new_figure(max(3.8, 3.1 * len(others)), 3.0)
    panels = []
    for axes, measure in zip(figure.subplots(1, len(others), squeeze=False).flat, others, strict=True):
        frequency_difficulty_plane(axes, frequency, measure, colours=study.class_colour)
        panels.append((axes, plane_points(frequency, measure)))
    freeze_layout(figure)
    label_classes(figure, panels, study.class_names)
    return figure
