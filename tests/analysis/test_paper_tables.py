"""Tables for papers: they compile, they say what the analysis says, and marks are those of the statistics."""

import csv
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from analysis.reading.analysed_study import AnalysedStudy
from analysis.report.paper_tables import write_paper_tables
from analysis.report.paper_tables.content import association_table, difference_table, score_table
from analysis.report.paper_tables.latex import escape
from analysis.report.paper_tables.layout import MOST_LINES, PAGE_WIDTH_PT, broken, estimated_width, floats
from analysis.report.paper_tables.markdown import escape as escape_markdown
from analysis.report.paper_tables.paragraph import comparison_paragraph
from analysis.verdicts import data_limit
from tests.analysis.contract_study import LONG_NAMES, write_analysis, write_bare_study

STRANGE = (
    *("<script>alert(1)</script>", 'a "quoted" & $x_1$ {50 %} #3 ~^\\', "\u816b\u760d", "опухоль tissue", "NA"),
    *("Tïssué naïve", "łęka", "a | b * c _d_"),
)
LATEX = [name for name in ("pdflatex", "xelatex") if shutil.which(name)]


def analysed(root: Path, **gaps: object) -> AnalysedStudy:
    plan, dataset = (json.loads((root / f"{name}.json").read_text()) for name in ("plan", "dataset"))
    write_analysis(root, plan, dataset, **gaps)  # pyright: ignore[reportArgumentType]
    return AnalysedStudy.open(root)


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("paper") / "strange"
    methods = ("cross_entropy", "focal <b>$\\beta_2$</b>", "dfa_50%")
    study = analysed(write_bare_study(root, STRANGE, methods=methods, dataset="50 % & $more$"), absent=["NA"])
    write_paper_tables(study, root / "tables")
    return root


@pytest.mark.skipif(not LATEX, reason="no LaTeX is installed")
@pytest.mark.parametrize("engine", LATEX)
def test_latex_compiles(strange: Path, tmp_path: Path, engine: str) -> None:
    folder = shutil.copytree(strange / "tables", tmp_path / "tables")
    done = subprocess.run(
        [engine, "-interaction=nonstopmode", "-halt-on-error", "paper_preview.tex"],
        cwd=folder, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert (folder / "paper_preview.pdf").stat().st_size > 5000


MANY = [f"tissue compartment {k}" for k in range(20)]
METHODS = ["cross_entropy", "a_very_long_method_name_with_a_suffix", *(f"method_{k}" for k in range(24))]


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("paper") / "wide"
    write_paper_tables(analysed(write_bare_study(root, MANY, methods=METHODS)), root / "tables")
    return root


def test_no_tabular_is_wider_or_longer_than_a_page(wide: Path) -> None:
    study = AnalysedStudy.open(wide)
    for make in (score_table, difference_table, association_table):
        table = make(study)
        parts = [part for each in floats(table) for part in each]
        shown: set[tuple[str, str]] = set()
        for part in parts:
            assert estimated_width(part) <= PAGE_WIDTH_PT
            assert part.lines <= MOST_LINES
            named = [(row.group, row.cells[0].text) for row in part.rows]
            shown |= {(column, f"{group} {name}") for group, name in named for column in part.columns[1:]}
        wanted = table.columns[table.grouped_by + 1 :]
        rows = {(", ".join(c.text for c in row[: table.grouped_by]), row[table.grouped_by].text) for row in table.rows}
        assert shown == {(column, f"{group} {name}") for column in wanted for group, name in rows}


@pytest.mark.skipif("pdflatex" not in LATEX, reason="pdflatex is not installed")
@pytest.mark.parametrize("kind", ["strange", "wide"])
def test_tables_fit_the_page(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    folder = shutil.copytree(request.getfixturevalue(kind) / "tables", tmp_path / "tables")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "paper_preview.tex"],
        cwd=folder, capture_output=True, text=True, timeout=100, check=False, errors="replace",
    )  # fmt: skip
    assert done.returncode == 0
    assert not re.findall(r"Overfull.*|Float too large.*", done.stdout)


def test_names_are_broken_where_they_may_be() -> None:
    assert broken("dfa", 16) == ["dfa"]
    assert broken("tissue compartment 7", 16) == ["tissue", "compartment 7"]
    assert broken("a_very_long_method_name", 12) == ["a_very_long_", "method_name"]
    assert broken("inseparableinseparable", 12) == ["inseparableinseparable"]
    assert broken("-0.12", 16) == ["-0.12"]
    assert "".join(broken("a  b_c-d/e", 2)).replace(" ", "") == "ab_c-d/e"


@pytest.mark.skipif(not LATEX, reason="no LaTeX is installed")
def test_a_wrong_escape_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "bad.tex").write_text("\\documentclass{article}\\begin{document}50 & x_1\\end{document}")
    done = subprocess.run(
        [LATEX[0], "-interaction=nonstopmode", "-halt-on-error", "bad.tex"],
        cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode != 0


def test_every_special_is_escaped() -> None:
    assert escape("a_b & 50 % $x$ #1 {y} ~ ^ \\") == (
        r"a\_b \& 50 \% \$x\$ \#1 \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{}"
    )
    assert escape("<b>") == r"\textless{}b\textgreater{}"
    assert escape("Tïssué") == "Tïssué"
    assert escape("łęka") == r"\nonlatin{łęka}{[0142][0119]ka}"
    assert escape("\u816b x") == "\\nonlatin{\u816b}{[816B]} x"
    assert escape_markdown("a|b *c* <d>\ne") == "a\\|b \\*c\\* &lt;d&gt; e"


def test_folds_are_named_where_intervals_are_over_them(tmp_path: Path) -> None:
    study = analysed(write_bare_study(tmp_path, ("a", "b")))
    assert "(jackknife, Student's t) and over seeds, and every p" in comparison_paragraph(study)
    assert score_table(study).caption.endswith("over units and seeds.")
    path = tmp_path / "analysis" / "verdicts.json"
    verdicts = json.loads(path.read_text())
    verdicts["verdicts"].append(data_limit("overlap", "folds", "", "", {"folds": 4}).as_json())
    path.write_text(json.dumps(verdicts))
    study = AnalysedStudy.open(tmp_path)
    text = comparison_paragraph(study)
    assert "over seeds and, as models of 4 folds are not independent, over folds (Nadeau and Bengio 2003), and" in text
    assert score_table(study).caption.endswith("over units, seeds and folds.")


def test_the_paragraph_says_what_the_verdicts_say(strange: Path) -> None:
    study = AnalysedStudy.open(strange)
    text = comparison_paragraph(study)
    rows = study.table("comparisons").query("`class` == 'macro'").to_dict("records")
    assert text.startswith("On 50 % & $more$, 2 methods were compared with cross_entropy on macro Dice over 12 images")
    headings = {"better": "Better than the control", "worse": "Worse", "undecided": "Undecided"}
    for row in rows:
        told = text[text.index(headings[row["verdict"]]) :]
        assert f"{row['method']} (difference {row['difference']:+.3f}, 95 % interval {row['low']:+.3f}" in told
        assert "p = 0.120 corrected, ahead in 70 % of images, Cliff's delta +0.30" in text
    assert text.count("difference +") + text.count("difference -") == len(rows)
    assert "the order is described, not tested" in text
    tex = (strange / "tables" / "paper_paragraph.tex").read_text()
    assert r"50 \% \& \$more\$" in tex
    assert "50 % &amp; \\$more\\$" in (strange / "tables" / "paper_paragraph.md").read_text()


def test_effects_stand_beside_how_probable_they_are(strange: Path) -> None:
    study = AnalysedStudy.open(strange)
    with (strange / "tables" / "paper_effects.csv").open() as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    expected = study.table("practical_differences").query("`class` == 'macro'").set_index("method")
    assert len(rows) == len(expected) == 2
    for method, row in expected.iterrows():
        assert rows[str(method)]["P(better)"] == f"{row['p_better']:.2f}"


def test_marks_are_those_of_the_statistics(strange: Path) -> None:
    study = AnalysedStudy.open(strange)
    with (strange / "tables" / "paper_scores.csv").open() as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    leaders = study.table("leaders").set_index(["method", "class"])["mark"]
    scores = study.table("method_scores").query("aggregation == 'per_image'").set_index(["method", "class"])["mean"]
    for method in study.methods:
        for name in ("macro", *study.class_names):
            mark = leaders[(method, name)]
            expected = mark if mark in ("best", "shared_best", "second", "shared_second") and name != "NA" else ""
            assert rows[method][f"{name}: mark"] == expected if f"{name}: mark" in rows[method] else name == "NA"
            shown = rows[method][name]
            assert shown == "--" if name == "NA" else float(shown) == pytest.approx(scores[(method, name)], abs=5e-4)


def test_the_greatest_number_alone_is_not_bold(strange: Path) -> None:
    text = (strange / "tables" / "paper_scores.tex").read_text()
    first_class = text.count(r"\textbf{")
    assert first_class == 1 + text.count(r"\textbf{x}")  # one method is best on one class; all share the macro column
    assert text.count(r"\underline{") == 1 + text.count(r"\underline{x}")
    assert r"\bfseries" not in text


def test_formats_agree(strange: Path) -> None:
    def numbers(text: str) -> list[str]:
        plain = text.replace("$-$", "-").replace("$+$", "+").replace("\N{MINUS SIGN}", "-")
        return sorted(re.findall(r"[-+]?\d\.\d{3}", plain))

    for name in ("paper_scores", "paper_differences"):
        latex, markdown, table = (
            numbers((strange / "tables" / f"{name}.{ending}").read_text()) for ending in ("tex", "md", "csv")
        )
        assert len(latex) >= 48  # 2 methods x 8 columns x 3 numbers
        assert latex == markdown == table


def test_poor_studies_have_the_tables_they_can(tmp_path: Path) -> None:
    one = analysed(write_bare_study(tmp_path / "one", ["a", "b"], methods=["cross_entropy"], seeds=1), measures=False)
    names = {path.name for path in write_paper_tables(one, tmp_path / "one" / "tables")}
    assert "paper_scores.tex" in names
    assert "paper_differences.tex" not in names
    many = analysed(write_bare_study(tmp_path / "many", LONG_NAMES, methods=["cross_entropy", "dfa"]))
    write_paper_tables(many, tmp_path / "many" / "tables")
    text = (tmp_path / "many" / "tables" / "paper_scores.tex").read_text()
    assert "tissue compartment t" in text.replace(r"\\", " ")  # names are broken into lines
