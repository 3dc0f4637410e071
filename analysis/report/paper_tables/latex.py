r"""Tables as LaTeX fragments for booktabs, and a document that shows them."""

import re
import unicodedata
from collections.abc import Sequence

from analysis.report.paper_tables.content import MEANING, NOTHING, Mark, PaperCell, PaperTable

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    **{each: "\\" + each for each in "&%$#_{}"},
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
HEAD = r"""% Needs \usepackage{booktabs}. Names in other scripts than Latin are set by XeLaTeX and LuaLaTeX with a font
% that has them; pdfLaTeX shows the second argument of \nonlatin (redefine it if your document has the encoding).
\providecommand{\nonlatin}[2]{\ifdefined\Umathchar#1\else#2\fi}
"""


def latex_table(table: PaperTable) -> str:
    """Write a table environment; marks are explained below the rows."""
    lines = [HEAD.rstrip(), r"\begin{table}", r"\centering", rf"\caption{{{escape(table.caption)}}}"]
    lines += [rf"\label{{tab:{table.name}}}", r"\setlength{\tabcolsep}{5pt}"]
    lines += [rf"\begin{{tabular}}{{l{'c' * (len(table.columns) - 1)}}}", r"\toprule"]
    lines += [" & ".join(escape(column) for column in table.columns) + r" \\", r"\midrule"]
    for row in table.rows:
        lines.append(" & ".join(_cell(cell) for cell in row) + r" \\")
        if any(cell.below for cell in row):
            below = [rf"{{\scriptsize {_text(cell.below)}}}" if cell.below else "" for cell in row]
            lines.append(" & ".join(below) + r" \\[2pt]")
    lines += [r"\bottomrule", r"\end{tabular}"]
    if table.marks:
        meanings = "; ".join(f"{_MARKS[mark].format('x')}~~{escape(MEANING[mark])}" for mark in table.marks)
        lines += [rf"\par\smallskip\parbox{{\linewidth}}{{\footnotesize {meanings}.}}"]
    return "\n".join([*lines, r"\end{table}", ""])


def latex_preview(names: Sequence[str]) -> str:
    """Write a document that shows the tables, for a look and for a test that they compile."""
    inputs = "\n".join(rf"\input{{{name}.tex}}" for name in names)
    return (
        "\\documentclass{article}\n\\usepackage[margin=1cm,landscape]{geometry}\n\\usepackage{booktabs}\n"
        "\\begin{document}\n\\footnotesize\n" + inputs + "\n\\end{document}\n"
    )


def escape(text: str) -> str:
    """Write any text so that it compiles and shows as it is; other scripts go through the command `nonlatin`."""
    return "".join(_escape_word(part) for part in re.split(r"(\s+)", text))


def _escape_word(word: str) -> str:
    """Escape one word, as a whole where a character of it is not Latin, so that its letters may join."""
    if all(character.isascii() or character in _PLAIN_LATIN for character in word):
        return " " if word.isspace() else "".join(_SPECIAL.get(character, character) for character in word)
    shown = "".join(_SPECIAL.get(character, character) for character in word if character.isprintable())
    return rf"\nonlatin{{{shown}}}{{{_ascii(word)}}}"


def _ascii(word: str) -> str:
    """Write a word in ASCII: without its accents, else by its code points."""
    bare = "".join(each for each in unicodedata.normalize("NFKD", word) if not unicodedata.combining(each))
    if bare.isascii():
        return "".join(_SPECIAL.get(character, character) for character in bare)
    return "".join(each if each.isascii() and each.isalnum() else f"[{ord(each):04X}]" for each in word)


def _cell(cell: PaperCell) -> str:
    return _MARKS[cell.mark].format(_text(cell.text))


def _text(text: str) -> str:
    """Escape a cell; numbers get a true minus sign."""
    if text == NOTHING:
        return "--"
    if re.search(r"\d", text) and re.fullmatch(r"(< )?[-+\d.e]+( to [-+\d.e]+)?", text):
        return re.sub(r"([-+<]) ?", r"$\1$", text)
    return escape(text)
