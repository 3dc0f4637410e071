"""Class borders: the stain across them, and the errors around them."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.plots.described import part
from analysis.plots.style import freeze_layout, method_handles, new_figure, spare_grid, wrapped
from analysis.reading.analysed_study import AnalysedStudy, NotDrawableError
from analysis.reading.palette import BAND, MUTED, MethodMark

STAIN_COLOUR = {"haematoxylin": "#7b4ea3", "eosin": "#cc79a7"}
EVERY_CLASS = "all"  # the "class" of trimap_curves.csv that counts every labelled pixel
MOST_COLUMNS = 5


def border_profile(axes: Axes, profile: pd.DataFrame) -> Axes:
    """Draw mean optical density of each stain against the signed distance to the border of one class.

    Args:
        axes: Where to draw.
        profile: Rows of border_profiles.csv of one class.

    Returns:
        The same axes; the inside of the class is shaded.
    """
    valid = profile.dropna(subset=["value"])
    if valid.empty:
        axes.text(0.5, 0.5, "no border to measure", transform=axes.transAxes, ha="center", fontsize=7.5, color=MUTED)
    for stain, rows in valid.sort_values("distance").groupby("stain", sort=False):
        colour = STAIN_COLOUR[str(stain)]
        axes.fill_between(rows["distance"], rows["low"], rows["high"], color=colour, alpha=0.2, linewidth=0)
        axes.plot(rows["distance"], rows["value"], color=colour, linewidth=1.6)
    if len(profile):
        axes.axvspan(0, profile["distance"].max() + 0.5, color=BAND, linewidth=0, zorder=0)
        axes.set_xlim(profile["distance"].min() - 0.5, profile["distance"].max() + 0.5)
    axes.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    spare_grid(axes, "y")
    return axes


def draw_border_profile(study: AnalysedStudy) -> Figure:
    """Draw the border profile of every class."""
    profiles = study.table("border_profiles")
    if profiles["value"].notna().sum() == 0:
        raise NotDrawableError("No border profile was measured (analysis/border_profiles.csv has no values).")
    figure, panels = _grid(len(study.class_names), height_in=1.75)
    for axes, name in zip(panels, study.class_names, strict=True):
        border_profile(axes, profiles[profiles["class"] == name])
        axes.set_title(wrapped(name, 24, 3), fontsize=8)
    handles = [Line2D([], [], color=colour, linewidth=1.8, label=stain) for stain, colour in STAIN_COLOUR.items()]
    figure.legend(handles=handles, loc="outside upper right", ncols=2, handlelength=1.6)
    figure.supylabel("optical density", fontsize=8.5)
    unit = str(profiles["unit"].iloc[0])
    figure.supxlabel(f"distance to the border ({unit}): outside, then inside (shaded)", fontsize=8.5)
    freeze_layout(figure)
    return figure


def trimap_curve(axes: Axes, curves: pd.DataFrame, *, marks: Mapping[str, MethodMark]) -> Axes:
    """Draw the share of wrong pixels in rings around the true borders, one line per method.

    Args:
        axes: Where to draw.
        curves: Rows of trimap_curves.csv of one class.
        marks: Method -> colour and marker, in the order of drawing.

    Returns:
        The same axes; rings are evenly spaced, and the last one may have no outer end.
    """
    rings = curves[["inner_um", "outer_um"]].drop_duplicates().sort_values("inner_um").itertuples(index=False)
    ends = [(float(inner), float(outer)) for inner, outer in rings]
    for method, mark in marks.items():
        rows = curves[curves["method"] == method].sort_values("inner_um")
        if rows["value"].notna().any():
            axes.plot(
                *([ends.index((row["inner_um"], row["outer_um"])) for row in rows.to_dict("records")], rows["value"]),
                color=mark.colour, marker=mark.marker, markersize=4, linewidth=1.2, gid=part(method),
            )  # fmt: skip
    if not curves["value"].notna().any():
        axes.text(0.5, 0.5, "absent", transform=axes.transAxes, ha="center", fontsize=7.5, color=MUTED)
    axes.set_xticks(range(len(ends)), [_ring(inner, outer) for inner, outer in ends])
    axes.tick_params(axis="x", labelsize=6.5)
    axes.set_xlim(-0.5, max(len(ends) - 0.5, 0.5))
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    spare_grid(axes, "y")
    return axes


def draw_trimap_curve(study: AnalysedStudy) -> Figure:
    """Draw the errors around borders of all pixels and of every class."""
    curves = study.table("trimap_curves")
    methods = {name: mark for name, mark in study.marks.items() if name in set(curves["method"])}
    if not methods or curves["value"].notna().sum() == 0:
        raise NotDrawableError("No finished run recorded errors around borders (boundary.parquet).")
    names = [EVERY_CLASS, *study.class_names]
    figure, panels = _grid(len(names), height_in=1.85)
    for axes, name in zip(panels, names, strict=True):
        trimap_curve(axes, curves[curves["class"] == name], marks=methods)
        axes.set_title("all pixels" if name == EVERY_CLASS else wrapped(name, 24, 3), fontsize=8)
    handles = method_handles(methods)
    figure.legend(handles=handles, loc="outside right upper", handlelength=1.6)
    figure.supylabel("share of wrong pixels", fontsize=8.5)
    figure.supxlabel("distance to the nearest true border (um)", fontsize=8.5)
    freeze_layout(figure)
    return figure


def _grid(panels: int, *, height_in: float) -> tuple[Figure, Sequence[Axes]]:
    """Return a figure of small panels in rows of at most MOST_COLUMNS, as even as possible."""
    lines = -(-panels // MOST_COLUMNS)
    columns = max(2, -(-panels // lines))
    figure = new_figure(0.9 + 2.0 * columns, 0.7 + height_in * lines)
    grid = figure.subplots(lines, columns, squeeze=False)
    for axes in list(grid.flat)[panels:]:
        axes.set_visible(False)
    return figure, list(grid.flat)[:panels]


def _ring(inner: float, outer: float) -> str:
    return f">{inner:g}" if np.isinf(outer) else f"{outer:g}"
