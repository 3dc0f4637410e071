"""How every figure looks: one style, applied through a context manager, and colours that stay apart for everyone."""

import colorsys
import textwrap
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

INK = "#1b1f24"
MUTED = "#5c6570"
GRID = "#e4e7eb"
PAPER = "#ffffff"
BAND = "#eef1f4"  # a region of practical equivalence, the ground behind unlabelled pixels

CONTROL_COLOUR = "#5a626c"
# Okabe and Ito (2008) without black (taken by text) and yellow (invisible on paper), and two that stay apart from them.
METHOD_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7b4ea3", "#8c6d31")
METHOD_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")  # 11 and 8 share no factor: 88 distinct pairs

# What the report shows in place of each colour on a dark screen.
DARK = {
    INK: "#e6e9ec",
    MUTED: "#a3adb8",
    GRID: "#2f363e",
    PAPER: "#14181c",
    BAND: "#20262d",
    CONTROL_COLOUR: "#a7b0ba",
    "#0072b2": "#4aa3e0",
    "#d55e00": "#f0803c",
    "#009e73": "#2fbf95",
    "#cc79a7": "#dd93bb",
    "#7b4ea3": "#a983d0",
    "#8c6d31": "#b8955a",
}

RC: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.titlepad": 7,
    "axes.unicode_minus": True,
    "figure.dpi": 100,
    "figure.facecolor": "none",
    "figure.titlesize": 10,
    "font.size": 8.5,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.4,
    "lines.solid_capstyle": "round",
    "pdf.fonttype": 42,  # TrueType, embedded
    "savefig.dpi": 200,
    "savefig.facecolor": "none",
    "svg.hashsalt": "imbalance-bench",
    "text.color": INK,
    "text.parse_math": False,  # a class may be called "$x$"
    "text.usetex": False,
    "xtick.color": MUTED,
    "xtick.labelsize": 8,
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}
# Matplotlib ships DejaVu Sans; the others are asked, where installed, for the scripts that it lacks.
FALLBACK_FONTS = ("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans Devanagari", "Noto Sans Arabic", "Noto Sans Thai")

_LEAST_DISTANCE = 0.18  # between a moved colour and the others, in RGB from 0 to 1
_TEXT_CONTRAST = 1.9  # least contrast of a class colour to paper and to a dark screen


@cache
def _fonts() -> tuple[str, ...]:
    installed = set(font_manager.get_font_names())
    return ("DejaVu Sans", *(font for font in FALLBACK_FONTS if font in installed))


@contextmanager
def figure_style(*, text_as_text: bool = False) -> Iterator[None]:
    """Apply the style inside a `with` block; afterwards everything is as before.

    Args:
        text_as_text: Write SVG text as text rather than as outlines, for a page that brings its own fonts.
    """
    with warnings.catch_warnings(), mpl.rc_context():
        warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)  # the report shows it as text
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        mpl.rcParams["font.family"] = list(_fonts())
        mpl.rcParams["svg.fonttype"] = "none" if text_as_text else "path"
        yield


def new_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty figure outside pyplot's global state; `freeze_layout` lays it out."""
    figure = Figure(figsize=(width_in, height_in))
    FigureCanvasAgg(figure)
    return figure


def freeze_layout(figure: Figure) -> None:
    """Lay the figure out once, so that labels can be placed in pixels and every file looks the same.

    The engine is not attached to the figure: it would draw everything once more for every file.
    """
    engine = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06)
    engine.execute(
        figure
    )  # goes over everything twice: ticks change with the size of the axes, and that with the ticks
    if any(axes.get_aspect() != "auto" for axes in figure.axes):
        engine.execute(figure)  # square pixels shrink the axes once more


def save(figure: Figure, path: Path, *, text_as_text: bool = False) -> Path:
    """Write a figure as .svg, .pdf or .png, without a date, so that the same figure gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower())
    paper = PAPER if path.suffix.lower() == ".png" else "none"
    with figure_style(text_as_text=text_as_text):
        figure.savefig(path, metadata=metadata, facecolor=paper)
    return path


def thin_line_alpha(lines: int) -> float:
    """Opacity of single runs behind their mean: the more there are, the fainter."""
    return min(0.45, max(0.06, 5 / max(lines, 1)))


@dataclass(frozen=True)
class MethodMark:
    """Colour and marker of one method, the same in every figure."""

    colour: str
    marker: str


def method_handles(
    marks: Mapping[str, MethodMark], *, markersize: float = 4, linewidth: float = 1.2, width: int = 28
) -> list[Line2D]:
    """Return what a legend shows of each method; names are wrapped at `width` letters."""
    return [
        Line2D(
            [],
            [],
            color=mark.colour,
            marker=mark.marker,
            markersize=markersize,
            linewidth=linewidth,
            label=wrapped(name, width),
        )
        for name, mark in marks.items()
    ]


def method_marks(methods: Sequence[str], controls: Collection[str]) -> dict[str, MethodMark]:
    """Give each method a colour and a marker; controls are grey."""
    marks: dict[str, MethodMark] = {}
    for method in methods:
        is_control = method in controls
        index = sum((other in controls) == is_control for other in marks)
        if is_control:
            marks[method] = MethodMark(CONTROL_COLOUR, METHOD_MARKERS[index % len(METHOD_MARKERS)])
        else:
            colour = METHOD_COLOURS[index % len(METHOD_COLOURS)]
            marks[method] = MethodMark(colour, METHOD_MARKERS[(index + 1) % len(METHOD_MARKERS)])
    return marks


def class_colours(colours: Sequence[str]) -> list[str]:
    """Return the data set's colours, with those that vanish on paper or on a dark screen moved just far enough.

    Args:
        colours: "#rrggbb" of each class.

    Returns:
        "#rrggbb" of each class; those that were moved stay apart from all others while there is room.
    """
    chosen = [to_hex(colour) if _legible(colour) == to_hex(colour) else "" for colour in colours]
    for place, colour in enumerate(colours):
        if chosen[place]:
            continue  # a colour that needs no change keeps its place
        candidate = _legible(colour)
        step = -0.02 if _luminance(candidate) > 0.2 else 0.02
        for _ in range(25):
            if all(_distance(candidate, other) > _LEAST_DISTANCE for other in chosen if other):
                break
            candidate = _shift_lightness(candidate, step)
        chosen[place] = candidate
    return chosen


def _legible(colour: str) -> str:
    """Darken a very light colour, lighten a very dark one, and leave the rest alone."""
    candidate = to_hex(colour)
    for _ in range(100):
        luminance = _luminance(candidate)
        if (1.05 / (luminance + 0.05)) < _TEXT_CONTRAST:
            candidate = _shift_lightness(candidate, -0.01)
        elif (luminance + 0.05) / (_luminance(DARK[PAPER]) + 0.05) < _TEXT_CONTRAST:
            candidate = _shift_lightness(candidate, 0.01)
        else:
            break
    return candidate


def _distance(one: str, other: str) -> float:
    return sum((a - b) ** 2 for a, b in zip(to_rgb(one), to_rgb(other), strict=True)) ** 0.5


def _shift_lightness(colour: str, step: float) -> str:
    hue, lightness, saturation = colorsys.rgb_to_hls(*to_rgb(colour))
    return to_hex(colorsys.hls_to_rgb(hue, min(1.0, max(0.0, lightness + step)), saturation))


def _luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.1)."""
    red, green, blue = (
        value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in to_rgb(colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def wrapped(name: str, width: int = 22, lines: int = 2) -> str:
    """Break a long name into at most `lines` lines of `width` characters, with an ellipsis for what is left."""
    return "\n".join(textwrap.wrap(name, width, max_lines=lines, placeholder=" …", break_long_words=True)) or name


def spare_grid(axes: Axes, along: str) -> None:
    """Keep the grid lines of one axis ("x" or "y") only."""
    axes.grid(visible=False)
    axes.grid(visible=True, axis="x" if along == "x" else "y")
