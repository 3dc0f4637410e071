"""The one way to a terminal: text is printed as text, whatever a path or a name in it holds.

Square brackets are no markup, `:bug:` is no picture, and characters that steer a terminal are shown as escapes.
"""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from imbalance_bench.visible_text import visible


def styled(*parts: str | tuple[str, str]) -> Text:
    """Return a text of plain parts and of parts with a style.

    Args:
        *parts: Text, or text and style ("bold", "dim", "red", ...).
    """
    return Text.assemble(*(visible(part) if isinstance(part, str) else (visible(part[0]), part[1]) for part in parts))


class Terminal(Console):
    """A console without markup, emoji codes and guessed colours; styles are asked for with `styled` or `style=`.

    Args:
        stderr: Print to standard error.
        **options: Of a rich console, such as `file` and `width`.
    """

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Turn a string, also one in a cell of a table, into text that steers nothing."""
        return super().render_str(visible(text), **options)
