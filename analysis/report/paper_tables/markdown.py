"""Tables as Markdown."""

import html
import re

from analysis.report.paper_tables.content import MEANING, NOTHING, Mark, PaperCell, PaperTable

_MARKS = {
    Mark.NONE: "{}",
    Mark.BEST: "**{}**",
    Mark.SHARED_BEST: "{} \\*",
    Mark.SECOND: "<u>{}</u>",
    Mark.SHARED_SECOND: "{} †",
    Mark.BETTER: "**{}** ↑",
    Mark.WORSE: "{} ↓",
    Mark.EQUIVALENT: "{} =",
}


def markdown_table(table: PaperTable) -> str:
    """Return the caption, the table and the meaning of its marks."""
    lines = [escape(table.caption), "", _line([escape(column) for column in table.columns])]
    lines.append(_line(["---", *["---:"] * (len(table.columns) - 1)]))
    lines += [_line([_cell(cell) for cell in row]) for row in table.rows]
    if table.marks:
        lines += ["", "; ".join(f"{_MARKS[mark].format('x')} {MEANING[mark]}" for mark in table.marks) + "."]
    return "\n".join([*lines, ""])


def escape(text: str) -> str:
    """Escape any text so that Markdown shows it unchanged, in one line."""
    return re.sub(r"([\\`*_\[\]|$~#])", r"\\\1", html.escape(" ".join(text.split()), quote=False))


def _cell(cell: PaperCell) -> str:
    shown = "\N{EN DASH}" if cell.text == NOTHING else escape(_minus(cell.text))
    return _MARKS[cell.mark].format(shown) + (f"<br><sub>{escape(_minus(cell.below))}</sub>" if cell.below else "")


def _minus(text: str) -> str:
    return re.sub(r"(?<![\w.])-(?=\d)", "\N{MINUS SIGN}", text)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
