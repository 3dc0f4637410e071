"""The common style of all figures, applied through a context manager, and text that fits."""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from analysis.plots.described import described
from analysis.reading.palette import BAND, CELL_INK, GRID, INK, MUTED, PAPER, MethodMark

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
    "text.hinting": "none",  # else a text is a tenth narrower at the resolution of the layout than in the file
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
_LEFT_OUT = "… "
# Matplotlib includes DejaVu Sans; the others, if installed, provide the scripts that it lacks.
FALLBACK_FONTS = ("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans Devanagari", "Noto Sans Arabic", "Noto Sans Thai")


@cache
def _fonts() -> tuple[str, ...]:
    installed = set(font_manager.get_font_names())
    return ("DejaVu Sans", *(font for font in FALLBACK_FONTS if font in installed))


@contextmanager
def figure_style(*, text_as_text: bool = False) -> Iterator[None]:
    """Apply the style inside a `with` block and restore all settings afterwards.

    Args:
        text_as_text: Write SVG text as text rather than as outlines, for a page with its own fonts.
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
    """Compute the layout once, so that labels can be placed in pixels and every file looks the same.

    The engine is not attached to the figure, because it would draw everything again for every file.
    """
    engine = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06)
    engine.execute(figure)  # two passes: ticks depend on the size of the axes, which depends on the ticks
    if any(axes.get_aspect() != "auto" for axes in figure.axes):
        engine.execute(figure)  # square pixels shrink the axes once more


def save(figure: Figure, path: Path, *, text_as_text: bool = False) -> Path:
    """Write a figure as .svg, .pdf or .png, without a date, so that the same figure gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower())
    paper = PAPER if path.suffix.lower() == ".png" else "none"
    with figure_style(text_as_text=text_as_text):
        figure.savefig(path, metadata=metadata, facecolor=paper)
    if path.suffix.lower() == ".svg":
        path.write_text(described(path.read_text(encoding="utf-8")), encoding="utf-8")
    return path


def thin_line_alpha(lines: int) -> float:
    """Return the opacity of the lines of single runs, which decreases with their number."""
    return min(0.45, max(0.06, 5 / max(lines, 1)))


def method_handles(
    marks: Mapping[str, MethodMark], *, markersize: float = 4, linewidth: float = 1.2, width: int = 28
) -> list[Line2D]:
    """Return the legend entry of each method; names are wrapped at `width` characters."""
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


def wrapped(name: str, width: int = 22, lines: int = 2) -> str:
    """Break a long name into at most `lines` lines of `width` characters, at spaces and after "_", "-" and "/".

    If it does not fit, words before the last one are omitted, because names often differ at their end.
    """
    words = [part for word in re.findall(r"[^\s_/-]*[_/-]+|[^\s_/-]+\s*|\s+", name) for part in _pieces(word, width)]
    rows = _rows(words, width)
    for n_words in range(len(words) - 1, 0, -1):
        if len(rows) <= lines:
            break
        rows = _rows([*words[: n_words - 1], _LEFT_OUT, words[-1]], width)
    return "\n".join(rows[:lines]) or name


def _pieces(word: str, width: int) -> list[str]:
    """Cut a word that is longer than a line, as happens in scripts without spaces."""
    return [word[start : start + width] for start in range(0, len(word), width)]


def _rows(words: Sequence[str], width: int) -> list[str]:
    rows: list[str] = []
    for word in words:
        if rows and len((rows[-1] + word).rstrip()) <= width:
            rows[-1] += word
        else:
            rows.append(word)
    return [row.strip() for row in rows if row.strip()]


def heat_map(axes: Axes, values: np.ndarray, labels: np.ndarray, **options: Any) -> Axes:
    """Draw a matrix with text in its cells through seaborn.

    Args:
        axes: Where to draw.
        values: (rows, columns) values of the colours; NaN is left blank.
        labels: (rows, columns) text of the cells.
        options: Further arguments of `seaborn.heatmap`.
    """
    import seaborn as sns  # imports pyplot, which takes a second

    options = {"cbar": False, "linewidths": 1, "linecolor": PAPER, "fmt": ""} | options
    annotated = {"color": CELL_INK} | options.pop("annot_kws", {})
    sns.heatmap(values, ax=axes, annot=labels, annot_kws=annotated, **options)
    for text in axes.texts:
        text.set_in_layout(False)  # lies within its cell, so that measuring it would change nothing
    axes.set_facecolor(BAND)
    axes.tick_params(axis="y", rotation=0)
    axes.grid(visible=False)
    return axes


def spare_grid(axes: Axes, along: str) -> None:
    """Show only the grid lines of one axis ("x" or "y")."""
    axes.grid(visible=False)
    axes.grid(visible=True, axis="x" if along == "x" else "y")
