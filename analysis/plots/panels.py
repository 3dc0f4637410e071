"""Positions of the panels of a figure, so that a narrow screen can stack them vertically."""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

View = tuple[float, float, float, float]  # x, y, width, height in points, y from the top, as in SVG
_PAD_PX = 3


@dataclass(frozen=True)
class Panels:
    """The panels of a figure.

    Args:
        views: For each panel the areas to show side by side: the row names that it shares with another, and itself.
        axis_labels: Labels common to all panels.
    """

    views: list[list[View]]
    axis_labels: list[str]


def panels_of(figure: Figure) -> Panels | None:
    """Return the panels of a figure with final layout; None for a single panel or a sheet of images."""
    visible = [axes for axes in figure.axes if axes.get_visible() and axes.axison]
    if len(visible) < 2 or any(axes.images and not axes.get_yticklabels() for axes in visible):
        return None
    boxes = {axes: box for axes in visible if (box := axes.get_tightbbox()) is not None}
    names = {axes: _row_names(axes, boxes) for axes in boxes}
    views = [[_view(figure, legend.get_window_extent())] for legend in figure.legends]
    for axes, box in boxes.items():
        strip = names[axes]
        if strip is None:
            views.append([_view(figure, box.padded(_PAD_PX))])
            continue
        low, high = min(box.y0, strip.y0), max(box.y1, strip.y1)
        parts = (Bbox.from_extents(strip.x0, low, strip.x1, high), Bbox.from_extents(box.x0, low, box.x1, high))
        views.append([_view(figure, part.padded(0, _PAD_PX)) for part in parts])
    return Panels(views, [text for text in (figure.get_supxlabel(), figure.get_supylabel()) if text])


def _row_names(axes: Axes, boxes: dict[Axes, Bbox]) -> Bbox | None:
    """Return the area of the row names that a panel shares with one to its left; None if it has its own."""
    if any(label.get_visible() and label.get_text() for label in axes.get_yticklabels()) and _labels_left(axes):
        return None
    frame = axes.get_window_extent()
    for other, box in boxes.items():
        other_frame = other.get_window_extent()
        beside = abs(other_frame.y0 - frame.y0) < 1 and other_frame.x1 <= frame.x0
        if beside and _labels_left(other) and axes.get_shared_y_axes().joined(axes, other):
            return Bbox.from_extents(box.x0 - _PAD_PX, box.y0, other_frame.x0, box.y1)
    return None


def _labels_left(axes: Axes) -> bool:
    return bool(axes.yaxis.get_tick_params().get("labelleft", True))


def _view(figure: Figure, box: Bbox) -> View:
    scale, height = 72 / figure.dpi, figure.bbox.height
    x0, x1 = max(box.x0, 0.0), min(box.x1, figure.bbox.width)
    y0, y1 = max(box.y0, 0.0), min(box.y1, height)
    x, y, width, depth = (round(value * scale, 1) for value in (x0, height - y1, x1 - x0, y1 - y0))
    return x, y, width, depth
