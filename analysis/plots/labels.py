"""Placement of names beside points and lines without overlaps."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import BboxBase, blended_transform_factory

from analysis.plots.style import wrapped
from analysis.reading.palette import MUTED

_ANGLES = np.deg2rad([0, 180, 90, 270, 45, 135, 315, 225, 20, 160, 340, 200, 65, 115, 245, 295])
_DISTANCES_PT = np.array([5.0, 9.0, 14.0, 21.0, 30.0, 42.0])
# Candidate positions of a name, best first: (96, 2) directions and (96, 1) distances from its point.
_DIRECTIONS = np.tile(np.column_stack([np.cos(_ANGLES), np.sin(_ANGLES)]), (len(_DISTANCES_PT), 1))
_REACH_PT = np.repeat(_DISTANCES_PT, len(_ANGLES))[:, None]
_POINT_RADIUS_PT = 4.0
_Boxes = tuple[np.ndarray, np.ndarray]  # (n, 2) lower left corners and (n, 2) sizes, in pixels
_ORDERS = 6  # random orders to try, because greedy placement depends on the order


def label_points(axes: Axes, points: pd.DataFrame, names: Sequence[str]) -> list[Annotation]:
    """Write each name beside its point, without overlapping another name, point or bar.

    The layout of the figure must be final (`style.freeze_layout`).

    Args:
        axes: Where the points are drawn.
        points: Columns x and y (data units, finite), and low and high, the ends of the vertical bar of each point.
        names: Name of each point.

    Returns:
        One annotation per point; an empty list if the names do not all fit.
    """
    if points.empty:
        return []
    scale = _figure(axes).dpi / 72
    x = points["x"].to_numpy(float)
    anchors, lows, highs = (
        axes.transData.transform(np.column_stack([x, points[name].fillna(points["y"]).to_numpy(float)]))
        for name in ("y", "low", "high")
    )
    radius = np.array([_POINT_RADIUS_PT, _POINT_RADIUS_PT]) * scale
    edge = np.array([1.5, 0.0]) * scale
    obstacle_corners = np.vstack([anchors - radius, lows - edge])
    blocked = (obstacle_corners, np.vstack([anchors + radius, highs + edge]) - obstacle_corners)
    notes = [
        axes.annotate(
            *(text, (row.x, row.y)), xytext=(0, 0), textcoords="offset points", fontsize=7, zorder=6, in_layout=False
        )
        for text, row in zip(names, points.itertuples(), strict=True)
    ]
    sizes = np.array([[box.width, box.height] for box in map(_extent, notes)])
    corners = _search(anchors, sizes, _bounds(axes), blocked, scale)
    if corners is None:
        for note in notes:
            note.remove()
        return []
    for note, anchor, size, corner in zip(notes, anchors, sizes, corners, strict=True):
        note.set_position(tuple((corner - anchor) / scale))
        _draw_leader(axes, anchor, corner, size, scale)
    return notes


def _search(anchors: np.ndarray, sizes: np.ndarray, bounds: _Boxes, blocked: _Boxes, scale: float) -> np.ndarray | None:
    """Return the lower left corner of each box in pixels, (n, 2), or None if no order of placement succeeds."""
    crowding = np.linalg.norm(anchors[:, None] - anchors[None], axis=2).sum(axis=1)
    rng = np.random.default_rng(0)
    orders = [np.argsort(crowding), np.argsort(-crowding), *(rng.permutation(len(anchors)) for _ in range(_ORDERS))]
    for order in orders:
        corners = np.full((len(anchors), 2), np.nan)
        for index in order:
            placed = ~np.isnan(corners[:, 0])
            taken = (corners[placed], sizes[placed])
            corner = _free_corner(anchors[index], sizes[index], bounds, (taken, blocked), scale)
            if corner is None:
                break
            corners[index] = corner
        else:
            return corners
    return None


def _free_corner(
    anchor: np.ndarray, size: np.ndarray, bounds: _Boxes, obstacles: tuple[_Boxes, _Boxes], scale: float
) -> np.ndarray | None:
    """Return the lower left corner of the best position that touches no obstacle and no edge; None without one."""
    corners = anchor + _DIRECTIONS * (_REACH_PT * scale + np.abs(_DIRECTIONS) * size / 2) - size / 2
    free = (corners >= bounds[0]).all(axis=1) & (corners + size <= bounds[1]).all(axis=1)
    for lower_left, sizes in obstacles:
        separate = np.any((corners[:, None] >= lower_left + sizes) | (lower_left >= corners[:, None] + size), axis=2)
        free &= np.all(separate, axis=1)
    return corners[free.argmax()] if free.any() else None


def _draw_leader(axes: Axes, anchor: np.ndarray, corner: np.ndarray, size: np.ndarray, scale: float) -> None:
    """Draw a thin line from a point to its name if the name is far away."""
    nearest = np.clip(anchor, corner, corner + size)
    if np.linalg.norm(nearest - anchor) <= 11 * scale:
        return
    ends = axes.transData.inverted().transform(np.vstack([anchor, nearest]))
    axes.plot(ends[:, 0], ends[:, 1], color=MUTED, linewidth=0.5, zorder=1, scalex=False, scaley=False, gid="leader")


def label_line_ends(axes: Axes, ys: Sequence[float], names: Sequence[str], colours: Sequence[str]) -> list[Text]:
    """Write each name right of the axes, at the height of the end of its line.

    Call `spread_vertically` once the layout is final.
    """
    transform = blended_transform_factory(axes.transAxes, axes.transData)
    return [
        axes.text(1.02, y, wrapped(name, 20, 1), color=colour, fontsize=7, va="center", transform=transform)
        for y, name, colour in zip(ys, names, colours, strict=True)
    ]


def spread_vertically(axes: Axes, texts: Sequence[Text]) -> None:
    """Move the texts of one axes apart as little as needed, keeping their order and their vicinity to the axes."""
    if not texts:
        return
    box = axes.get_window_extent()
    targets = axes.transData.transform([(0.0, float(text.get_position()[1])) for text in texts])[:, 1]
    height = max(_extent(text).height for text in texts) * 1.05
    order = np.argsort(targets, kind="stable")
    positions = targets[order].copy()
    for _ in range(500):
        overlap = height - np.diff(positions)
        if (overlap <= 1e-3).all():
            break
        push = np.clip(overlap, 0, None) / 2
        positions[:-1] -= push
        positions[1:] += push
        room = max(box.height, height * (len(positions) - 1))
        middle = (box.y0 + box.y1) / 2
        positions = np.clip(positions, middle - room / 2, middle + room / 2)
    for index, position in zip(order, positions, strict=True):
        texts[index].set_y(float(axes.transData.inverted().transform((0.0, position))[1]))


def overlapping(texts: Sequence[Text]) -> list[tuple[str, str]]:
    """Return the pairs of texts whose boxes overlap by more than a pixel."""
    boxes = [(text.get_text(), _extent(text)) for text in texts if text.get_text() and text.get_visible()]
    return [
        (name, other_name)
        for number, (name, box) in enumerate(boxes)
        for other_name, other_box in boxes[number + 1 :]
        if min(box.x1, other_box.x1) - max(box.x0, other_box.x0) > 1
        and min(box.y1, other_box.y1) - max(box.y0, other_box.y0) > 1
    ]


def _extent(text: Text) -> BboxBase:
    figure = text.get_figure(root=True)
    if figure is None:
        raise ValueError("The text does not belong to a figure.")
    canvas = figure.canvas if isinstance(figure.canvas, FigureCanvasAgg) else FigureCanvasAgg(figure)
    renderer = canvas.get_renderer()
    if isinstance(text, Annotation):
        text.update_positions(renderer)
    return Text.get_window_extent(text, renderer)  # without the point that an annotation belongs to


def _bounds(axes: Axes) -> tuple[np.ndarray, np.ndarray]:
    box = axes.get_window_extent()
    return np.array([box.x0, box.y0]), np.array([box.x1, box.y1])


def _figure(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    if figure is None:
        raise ValueError("The axes do not belong to a figure.")
    return figure
