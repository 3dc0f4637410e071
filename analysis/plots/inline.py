"""Figures inside a page: SVG that follows the page's colours and fonts."""

import io
import re
from collections.abc import Callable

from markupsafe import Markup
from matplotlib.figure import Figure

from analysis.plots.style import figure_style
from analysis.reading.palette import DARK


def inline_svg(figure: Figure, *, name: str, title: str) -> Markup:
    """Return a figure as an SVG element for a page: text stays text, ids are its own, colours are the page's.

    Args:
        figure: The figure.
        name: Prefix of every id, so that several figures live on one page.
        title: What a screen reader says.
    """
    return embedded(svg_of(figure), name=name, title=title, width_in=figure.get_figwidth())


def embedded(svg: str, *, name: str, title: str, width_in: float) -> Markup:
    """Return an SVG file, from `svg_of`, as an element for a page; other arguments as of `inline_svg`."""
    text = svg[svg.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = _in_tags(text, lambda tag: _own_ids(_page_colours(tag), name))
    width_px = round(width_in * 96)
    label = Markup.escape(title)
    opening = f'<svg role="img" aria-label="{label}" style="--natural:{width_px}px" viewBox='
    return Markup(re.sub(r"<svg [^>]*?viewBox=", lambda _: opening, text, count=1))  # a name may hold a backslash


def svg_of(figure: Figure) -> str:
    """Return a figure as an SVG file whose text is text."""
    buffer = io.BytesIO()
    with figure_style(text_as_text=True):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, facecolor="none")
    return buffer.getvalue().decode()


def _in_tags(text: str, change: Callable[[str], str]) -> str:
    """Change tags only: what stands between them is a name and stays as it is."""
    return re.sub(r"<[^>]+>", lambda tag: change(tag.group()), text)


def _page_colours(tag: str) -> str:
    for colour in DARK:
        tag = re.sub(f"{colour}(?![0-9a-f])", f"var({variable(colour)},{colour.upper()})", tag)
    return tag


def _own_ids(tag: str, name: str) -> str:
    tag = re.sub(r'\bid="', f'id="{name}-', tag)
    tag = re.sub(r'href="#', f'href="#{name}-', tag)
    return re.sub(r"url\(#", f"url(#{name}-", tag)


def variable(colour: str) -> str:
    """Return the name of the CSS variable that stands for a colour of the figures."""
    return f"--fig-{colour.removeprefix('#')}"


def dark_variables() -> Markup:
    """Return the CSS declarations that turn the figures' colours into those of a dark screen."""
    return Markup("".join(f"{variable(light)}:{dark};" for light, dark in DARK.items()))
