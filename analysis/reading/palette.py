"""Colours and markers that mean the same in every figure, table and card, and remain distinct for everyone."""

import colorsys
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

INK = "#1b1f24"


MUTED = "#5c6570"


GRID = "#e4e7eb"


PAPER = "#ffffff"


BAND = "#eef1f4"  # the region of practical equivalence, and the background of unlabelled pixels


CELL_INK = "#1b1f25"  # numbers in cells stay dark on a dark screen, where the cells stay light


CONTROL_COLOUR = "#5a626c"


# Okabe and Ito (2008) without black (used by text) and yellow (invisible on paper), and two colours distinct from them.
METHOD_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7b4ea3", "#8c6d31")


_SALT = 207  # gives eight methods that are often compared eight different colours
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


_LEAST_DISTANCE = 0.18  # between a changed colour and the others, in RGB from 0 to 1


_TEXT_CONTRAST = 1.9  # least contrast of a class colour to paper and to a dark screen


@dataclass(frozen=True)
class MethodMark:
    """Colour and marker of one method, the same in every figure."""

    colour: str
    marker: str


def method_marks(methods: Sequence[str], controls: Collection[str]) -> dict[str, MethodMark]:
    """Return the colour and marker of each method, which depend on its name alone; controls are grey.

    If two names share a colour and marker, the later in the alphabet takes the next free pair.
    """
    pairs = len(METHOD_COLOURS) * len(METHOD_MARKERS)
    taken: dict[MethodMark, str] = {}
    for method in sorted(methods):
        index = zlib.crc32(f"{_SALT} {method}".encode()) % pairs
        options = (_mark((index + step) % pairs, is_control=method in controls) for step in range(pairs))
        taken[next((mark for mark in options if mark not in taken), _mark(index, is_control=False))] = method
    marks = {method: mark for mark, method in taken.items()}
    return {method: marks.get(method, _mark(0, is_control=method in controls)) for method in methods}


def model_marks(models: Sequence[str]) -> dict[str, MethodMark]:
    """Return the colour and marker of each model, in the order of the study: models are never beside methods."""
    return {model: _mark(index, is_control=False) for index, model in enumerate(models)}


def _mark(index: int, *, is_control: bool) -> MethodMark:
    marker = METHOD_MARKERS[index % len(METHOD_MARKERS)]
    return MethodMark(CONTROL_COLOUR if is_control else METHOD_COLOURS[index % len(METHOD_COLOURS)], marker)


def class_colours(colours: Sequence[str]) -> list[str]:
    """Return the data set's colours; those that are illegible on paper or on a dark screen are changed just enough.

    Args:
        colours: "#rrggbb" of each class.

    Returns:
        "#rrggbb" of each class; changed colours remain distinct from all others as far as possible.
    """
    chosen = [_hex(_rgb(colour)) if _legible(colour) == _hex(_rgb(colour)) else "" for colour in colours]
    for index, colour in enumerate(colours):
        if chosen[index]:
            continue  # a legible colour is not changed
        candidate = _legible(colour)
        step = -0.02 if _luminance(candidate) > 0.2 else 0.02
        for _ in range(25):
            if all(_distance(candidate, other) > _LEAST_DISTANCE for other in chosen if other):
                break
            candidate = _shift_lightness(candidate, step)
        chosen[index] = candidate
    return chosen


def _legible(colour: str) -> str:
    """Darken a very light colour, lighten a very dark one, and leave all others unchanged."""
    candidate = _hex(_rgb(colour))
    for _ in range(100):
        luminance = _luminance(candidate)
        if (1.05 / (luminance + 0.05)) < _TEXT_CONTRAST:
            candidate = _shift_lightness(candidate, -0.01)
        elif (luminance + 0.05) / (_luminance(DARK[PAPER]) + 0.05) < _TEXT_CONTRAST:
            candidate = _shift_lightness(candidate, 0.01)
        else:
            break
    return candidate


def _distance(first: str, second: str) -> float:
    return sum((a - b) ** 2 for a, b in zip(_rgb(first), _rgb(second), strict=True)) ** 0.5


def _shift_lightness(colour: str, step: float) -> str:
    hue, lightness, saturation = colorsys.rgb_to_hls(*_rgb(colour))
    return _hex(colorsys.hls_to_rgb(hue, min(1.0, max(0.0, lightness + step)), saturation))


def _luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.1)."""
    red, green, blue = (
        value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in _rgb(colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _rgb(colour: str) -> tuple[float, float, float]:
    """Return red, green and blue of "#rrggbb", 0 to 1."""
    red, green, blue = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return red, green, blue


def _hex(rgb: tuple[float, float, float]) -> str:
    return "#" + "".join(f"{round(value * 255):02x}" for value in rgb)
