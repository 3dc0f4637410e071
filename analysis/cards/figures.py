"""Figures of the cards: the position of a class among the others, its border, its shapes and its tiles."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from skimage.measure import approximate_polygon

from analysis.cards.specimens import TILE_UM
from analysis.plots.borders import border_profile
from analysis.plots.inline import inline_svg
from analysis.plots.style import figure_style, freeze_layout, new_figure
from analysis.reading.palette import GRID, INK, MUTED, PAPER
from analysis.reading.wording import CONSTRUCT, significant, words
from imbalance_bench.preregistration import CONSTRUCTS, PRIMARY_MEASURES

HARDER = {
    "frequency": "rarer",
    "boundary": "border harder to see",
    "morphology": "shapes differ more",
    "context": "more like its rival",
}
TILE_SIDE_PX = 192  # size of a tile on a page
STAIRS_PX = 0.6  # steps of a contour along pixels that its outline leaves out
_WEBP_QUALITY = 78


@dataclass(frozen=True)
class CardFigure:
    """A figure of a card: inline SVG, which `page.js` saves as a file."""

    svg: Markup


def difficulty_strips(axes: Axes, measures: pd.DataFrame, class_name: str, colour: str) -> Axes:
    """Draw the position of a class among all classes on each primary measure, harder to the right.

    Args:
        axes: Where to draw.
        measures: Table `measures`.
        class_name: The class to mark, with its interval.
        colour: Its colour.

    Returns:
        The same axes: one row per construct, from the easiest class (0) to the hardest (1); frequency is logarithmic.
    """
    for row, construct in enumerate(CONSTRUCTS):
        rows = measures[(measures["construct"] == construct) & (measures["measure"] == PRIMARY_MEASURES[construct])]
        position = scaled(rows.set_index("class")[["low", "value", "high"]], construct)
        position = position.reindex(measures["class"].unique())  # a construct that was not measured has no rows
        axes.plot([0, 1], [row, row], color=GRID, linewidth=1.0, zorder=1)
        axes.text(1.16, row, HARDER[construct], va="center", fontsize=7.5, color=MUTED)
        others = position.drop(index=class_name)["value"].dropna()
        axes.scatter(others, np.full(len(others), row), s=22, color=PAPER, edgecolors=MUTED, linewidths=0.9, zorder=3)
        marked = position.loc[class_name]
        if not np.isfinite(marked["value"]):
            axes.text(0.5, row + 0.28, "not measured", ha="center", fontsize=7.5, color=MUTED)
            continue
        if np.isfinite(marked["low"]):
            ends = np.clip(sorted((marked["low"], marked["high"])), -0.12, 1.12)
            axes.plot(ends, [row, row], color=colour, linewidth=3.2, alpha=0.45, zorder=2)
        axes.scatter([marked["value"]], [row], s=62, color=colour, edgecolors=INK, linewidths=0.8, zorder=4)
    axes.set_yticks(range(len(CONSTRUCTS)), [CONSTRUCT[construct] for construct in CONSTRUCTS])
    axes.set_ylim(len(CONSTRUCTS) - 0.45, -0.55)
    axes.set_xlim(-0.13, 1.13)
    axes.set_xticks([0, 1], ["easiest class", "hardest class"])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return axes


def scaled(values: pd.DataFrame, construct: str) -> pd.DataFrame:
    """Map the values of the classes to 0 (easiest) .. 1 (hardest); NaN with fewer than two classes."""
    if construct == "frequency":
        values = values.where(values > 0).apply(np.log).mul(-1)
    valid = values["value"].dropna()
    span = valid.max() - valid.min() if len(valid) > 1 else np.nan
    return (values - valid.min()) / (span if span > 0 else np.nan)


def strips_figure(measures: pd.DataFrame, class_name: str, colour: str, name: str) -> CardFigure:
    """Return the strips for a page; `name` is the prefix of their ids."""
    with figure_style():
        figure = new_figure(5.6, 2.1)
        difficulty_strips(figure.subplots(), measures, class_name, colour)
        return _for_page(figure, name, f"Difficulty of {class_name} among the classes")


def profile_figure(profile: pd.DataFrame, class_name: str, name: str) -> CardFigure:
    """Return the border profile of a class for a page; `name` is the prefix of its ids."""
    with figure_style():
        figure = new_figure(5.6, 2.4)
        axes = border_profile(figure.subplots(), profile)
        unit = str(profile["unit"].iloc[0])
        axes.set_xlabel(f"distance to the border ({unit}): outside, then inside (shaded)")
        axes.set_ylabel("optical density")
        return _for_page(figure, name, f"Stain across the border of {class_name}")


def shapes_svg(shapes: Sequence[np.ndarray], mpp_um: float | None) -> Markup:
    """Return the shapes side by side on a common scale, with a scale bar."""
    if not shapes:
        return Markup("")
    extents = [polygon.max(axis=0) - polygon.min(axis=0) for polygon in shapes]
    largest = float(max(extent.max() for extent in extents))
    scale = min(3.0, 96 / largest)
    gap, width, x, y, row_height = 10.0, 640.0, 0.0, 0.0, 0.0
    paths = []
    for outline, extent in zip(shapes, extents, strict=True):
        polygon = approximate_polygon(outline, STAIRS_PX)
        w, h = extent * scale
        if x + w > width and x > 0:
            x, y, row_height = 0.0, y + row_height + gap, 0.0
        points = (polygon - outline.min(axis=0)) * scale + (x, y)
        paths.append("M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in points) + "Z")
        x, row_height = x + w + gap, max(row_height, h)
    unit, length = ("px", 40.0) if mpp_um is None else ("um", 10.0)
    bar = length / (mpp_um or 1.0) * scale
    bottom = y + row_height + 22
    body = f'<path d="{" ".join(paths)}"/><path class="bar-line" d="M0 {bottom:.1f}h{bar:.1f}"/>'
    text = f'<text x="{bar + 8:.1f}" y="{bottom + 4:.1f}">{length:g} {unit}</text>'
    box = f"-2 -2 {width + 4:.0f} {bottom + 10:.0f}"
    return Markup(f'<svg class="shapes" role="img" aria-label="Shapes of instances" viewBox="{box}">{body}{text}</svg>')


def tile_address(tile: np.ndarray) -> str:
    """Return a tile, reduced to its size on the page, as a data: address."""
    buffer, picture = io.BytesIO(), Image.fromarray(tile)
    picture.thumbnail((TILE_SIDE_PX, TILE_SIDE_PX))
    picture.save(buffer, format="WEBP", quality=_WEBP_QUALITY, method=6)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def tile_caption(mpp_um: float | None) -> str:
    """Return the width of a tile as text."""
    return f"{TILE_UM:g} um wide" if mpp_um else f"{TILE_UM / 0.25:g} px wide"


def estimate(row: dict | None, *, digits: int = 3) -> str:
    """Return a value with its interval as text."""
    if row is None or not np.isfinite(row["value"]):
        return words("not measured")
    if not np.isfinite(row["low"]):
        return significant(row["value"], digits)
    value, low, high = (significant(row[name], digits) for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _for_page(figure: Figure, name: str, title: str) -> CardFigure:
    freeze_layout(figure)
    return CardFigure(inline_svg(figure, name=name, title=title))
