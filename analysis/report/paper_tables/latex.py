r"""Tables as LaTeX fragments for booktabs, and a document that shows them."""

import re
import unicodedata
from collections.abc import Sequence

from analysis.report.paper_tables.content import MEANING, NOTHING, Mark, PaperCell, PaperTable
from analysis.report.paper_tables.layout import LONGEST_LINE, LONGEST_SENTENCE, Part, broken, floats

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    **{character: "\\" + character for character in "&%$#_{}"},
}
_PLAIN_LATIN = frozenset(chr(code) for code in range(0xC0, 0x100)) - set("\u00d0\u00d7\u00de\u00f0\u00f7\u00fe")
_MARKS = {
    Mark.NONE: "{}",
    Mark.BEST: r"\textbf{{{}}}",
    Mark.SHARED_BEST: r"{}\rlap{{$^{{*}}$}}",
    Mark.SECOND: r"\underline{{{}}}",
    Mark.SHARED_SECOND: r"{}\rlap{{$^{{\dagger}}$}}",
    Mark.BETTER: r"\textbf{{{}}}\rlap{{$^{{\uparrow}}$}}",
    Mark.WORSE: r"{}\rlap{{$^{{\downarrow}}$}}",
    Mark.EQUIVALENT: r"{}\rlap{{$^{{=}}$}}",
}
HEAD = r"""% Needs \usepackage{booktabs} and, where a name is wider than was thought, \usepackage{graphicx}, which
% scales that tabular down to \linewidth. Names in other scripts than Latin are set by XeLaTeX and LuaLaTeX with a font
% that has them; pdfLaTeX shows the second argument of \nonlatin (redefine it if your document has the encoding).
\providecommand{\nonlatin}[2]{\ifdefined\Umathchar#1\else#2\fi}
\providecommand{\fitted}[1]{\sbox0{#1}\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi}
"""


def latex_table(table: PaperTable) -> str:
    """Return table environments of at most one page each, with the meaning of their marks below."""
    parts = floats(table)
    written = [_float(table, tabulars, number, len(parts)) for number, tabulars in enumerate(parts, start=1)]
    return "\n".join([HEAD.rstrip(), *written, ""])


def _float(table: PaperTable, tabulars: Sequence[Part], number: int, total: int) -> str:
    caption = table.caption if total == 1 else f"{table.caption} Part {number} of {total}."
    label = f"tab:{table.name}" if number == 1 else f"tab:{table.name}:{number}"
    lines = [
        r"\begin{table}[tbp]",
        r"\centering\footnotesize\setlength{\belowcaptionskip}{4pt}",
        rf"\caption{{{escape(caption)}}}",
        rf"\label{{{label}}}",
    ]
    lines += [r"\setlength{\tabcolsep}{4pt}"]
    lines += ["\n\\par\\medskip\n".join(_tabular(part) for part in tabulars)]
    used = {cell.mark for part in tabulars for row in part.rows for cell in row.cells}
    marks = [mark for mark in table.marks if mark in used]
    if marks:
        meanings = "; ".join(f"{_MARKS[mark].format('x')}~~{escape(MEANING[mark])}" for mark in marks)
        lines += [rf"\par\smallskip\parbox{{\linewidth}}{{\footnotesize {meanings}.}}"]
    return "\n".join([*lines, r"\end{table}"])


def _tabular(part: Part) -> str:
    lines = [r"\fitted{%", rf"\begin{{tabular}}{{@{{}}l{'c' * (len(part.columns) - 1)}@{{}}}}", r"\toprule"]
    heads = [_lines([escape(line) for line in broken(name, LONGEST_LINE)], "b") for name in part.columns]
    lines += [" & ".join(heads) + r" \\", r"\midrule"]
    for number, row in enumerate(part.rows):
        if part.begins_group(number):
            title = rf"\multicolumn{{{len(part.columns)}}}{{@{{}}l@{{}}}}{{\textit{{{escape(row.group)}}}}}"
            lines.append((r"\addlinespace " if number else "") + title + r" \\")
        lines.append(" & ".join(_cell(cell, first=column == 0) for column, cell in enumerate(row.cells)) + r" \\")
        if any(cell.below for cell in row.cells):
            below = [rf"{{\scriptsize {_text(cell.below)}}}" if cell.below else "" for cell in row.cells]
            lines.append(" & ".join(below) + r" \\[2pt]")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}}"])


def latex_preview(names: Sequence[str]) -> str:
    """Write a document that shows the tables on plain pages, for a look and for a test that they compile and fit."""
    inputs = "\n".join(rf"\input{{{name}.tex}}" for name in names)
    return (
        "\\documentclass{article}\n\\usepackage{booktabs,graphicx}\n"
        "\\begin{document}\n" + inputs + "\n\\end{document}\n"
    )


def escape(text: str) -> str:
    """Escape any text so that it compiles and shows unchanged; other scripts use the command `nonlatin`."""
    return "".join(_escape_word(part) for part in re.split(r"(\s+)", text))


def _escape_word(word: str) -> str:
    """Escape one word; as a whole if a character is not Latin, so that its letters may join."""
    if all(character.isascii() or character in _PLAIN_LATIN for character in word):
        return " " if word.isspace() else "".join(_SPECIAL.get(character, character) for character in word)
    shown = "".join(_SPECIAL.get(character, character) for character in word if character.isprintable())
    return rf"\nonlatin{{{shown}}}{{{_ascii(word)}}}"


def _ascii(word: str) -> str:
    """Return a word in ASCII: without accents if that suffices, otherwise as code points."""
    bare = "".join(
        character for character in unicodedata.normalize("NFKD", word) if not unicodedata.combining(character)
    )
    if bare.isascii():
        return "".join(_SPECIAL.get(character, character) for character in bare)
    return "".join(
        character if character.isascii() and character.isalnum() else f"[{ord(character):04X}]" for character in word
    )


def _cell(cell: PaperCell, *, first: bool) -> str:
    lines = broken(cell.text, LONGEST_SENTENCE if first else LONGEST_LINE)
    text = _text(cell.text) if len(lines) == 1 else _lines([_text(line) for line in lines], "t", left=first)
    return _MARKS[cell.mark].format(text)


def _lines(lines: Sequence[str], align: str, *, left: bool = False) -> str:
    """Stack lines in one cell, aligned with the row at their top (t) or bottom (b)."""
    if len(lines) == 1:
        return lines[0]
    return rf"\begin{{tabular}}[{align}]{{@{{}}{'l' if left else 'c'}@{{}}}}" + r"\\".join(lines) + r"\end{tabular}"


def _text(text: str) -> str:
    """Escape a cell; numbers get a true minus sign."""
    if text == NOTHING:
        return "--"
    if re.search(r"\d", text) and re.fullmatch(r"(< )?[-+\d.e]+( to [-+\d.e]+)?", text):
        return re.sub(r"([-+<]) ?", r"$\1$", text)
    return escape(text)
