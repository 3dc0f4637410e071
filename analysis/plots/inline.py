"""Figures inside a page: compact SVG that uses the colours and fonts of the page."""

import base64
import io
import json
import re
from dataclasses import asdict

from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

from analysis.plots.compact import compact, in_tags
from analysis.plots.described import described
from analysis.plots.panels import Panels, panels_of
from analysis.plots.style import figure_style
from analysis.reading.palette import DARK

_PICTURE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)")
_WEBP_QUALITY = 82
_MOST_COLOURS = 256  # a picture with at most this many colours is stored losslessly, with a palette


def inline_svg(figure: Figure, *, name: str, title: str) -> Markup:
    """Return a figure as an SVG element for a page: with text as text, unique ids, and the colours of the page.

    Args:
        figure: The figure.
        name: Prefix of every id, so that a page can contain several figures.
        title: Label for screen readers.
    """
    with figure_style():
        panels = panels_of(figure)
    return embedded(svg_of(figure), name=name, title=title, width_in=figure.get_figwidth(), panels=panels)


def embedded(svg: str, *, name: str, title: str, width_in: float, panels: Panels | None = None) -> Markup:
    """Return an SVG file, from `svg_of`, as an element for a page; other arguments as for `inline_svg`."""
    text = svg[svg.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = _PICTURE.sub(lambda match: smaller_picture(match.group(1)), re.sub(r">\s*\n\s*<", "><", text))
    text = compact(in_tags(text, _page_colours), name)
    width_px = round(width_in * 96)
    label = Markup.escape(title)
    views = "" if panels is None else f' data-panels="{Markup.escape(json.dumps(asdict(panels)))}"'
    opening = f'<svg role="img" aria-label="{label}" style="--natural:{width_px}px"{views} viewBox='
    return Markup(re.sub(r"<svg [^>]*?viewBox=", lambda _: opening, text, count=1))  # a name may contain a backslash


def svg_of(figure: Figure) -> str:
    """Return a figure as an SVG file with text as text."""
    buffer = io.BytesIO()
    with figure_style(text_as_text=True):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, facecolor="none")
    return described(buffer.getvalue().decode())


def smaller_picture(encoded: str) -> str:
    """Return a base64 PNG as the data: address of a smaller picture: PNG for few colours, otherwise WebP."""
    picture = Image.open(io.BytesIO(base64.b64decode(encoded)))
    opaque = picture.convert("RGBA").getchannel("A").getextrema()[0] == 255
    picture = picture.convert("RGB" if opaque else "RGBA")
    buffer, colours = io.BytesIO(), picture.getcolors(_MOST_COLOURS)
    if colours is not None and opaque:
        palette = picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=max(2, len(colours)))
        palette.save(buffer, format="PNG", optimize=True)
        kind = "png"
    else:
        picture.save(buffer, format="WEBP", quality=_WEBP_QUALITY, method=6)
        kind = "webp"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _page_colours(tag: str) -> str:
    for colour in DARK:
        tag = re.sub(f"{colour}(?![0-9a-f])", f"var({variable(colour)},{colour.upper()})", tag)
    return tag


def variable(colour: str) -> str:
    """Return the name of the CSS variable for a colour of the figures."""
    return f"--fig-{colour.removeprefix('#')}"


def dark_variables() -> Markup:
    """Return the CSS declarations that turn the figures' colours into those of a dark screen."""
    return Markup("".join(f"{variable(light)}:{dark};" for light, dark in DARK.items()))
