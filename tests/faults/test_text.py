"""Text of any origin: in a terminal it steers nothing, in a CSV table it computes nothing."""

import io
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from analysis.plots.inline import embedded
from analysis.schema import TABLES
from analysis.schema.files import read_table, write_table
from imbalance_bench.cli.main import main
from imbalance_bench.csv_cells import csv_text, guarded, unguarded, without_guards
from imbalance_bench.data.dataset_file import read_dataset_info
from imbalance_bench.errors import UserError
from imbalance_bench.terminal import Terminal, styled
from imbalance_bench.visible_text import visible
from tests.small_study import write_dataset

ODD = "a[/b]:bug:\x1b[31m\x9b1m\x07\u202e\ud800"
SHOWN = "a[/b]:bug:\\x1b[31m\\x9b1m\\x07\\u202e\\ud800"
FORMULAS = ("=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1", "'=1", "''@x")


def test_a_terminal_shows_odd_text_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(ODD)
    table.add_row(ODD)
    console = Terminal()
    console.print(ODD, soft_wrap=True)
    console.print(styled(ODD, (ODD, "bold")), soft_wrap=True)
    console.print(table)
    assert capsys.readouterr().out.count(SHOWN) == 5


@given(st.text())
def test_visible_text_has_nothing_that_steers(text: str) -> None:
    shown = visible(text)
    assert all(each.isprintable() or each in "\t\n" or not each.isascii() for each in shown)
    assert not {*shown} & {*map(chr, range(0x7F, 0xA0))}
    assert visible(shown) == shown


def test_errors_steer_nothing() -> None:
    assert str(UserError(f"{ODD} is wrong")) == f"{SHOWN} is wrong"
    found = CliRunner().invoke(main, ["status", "no\x1b[31mthing"])
    assert "\x1b" not in found.output
    found = CliRunner().invoke(main, ["run", "x", "--engine", "\x1b[31m"])
    assert "\x1b" not in found.output


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas_are_guarded_and_come_back(name: str) -> None:
    assert guarded(name).startswith("'")
    assert unguarded(guarded(name)) == name


@pytest.mark.parametrize("cell", ["-1", "+0.5", "-1e-3", "1", "-inf", "tumour", "", "'", "--", "-", "'--", "a=b"])
def test_numbers_and_plain_names_stay(cell: str) -> None:
    assert guarded(cell) == cell == unguarded(cell)


TEXT = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=("Cs",)))
LIKE_FORMULAS = st.tuples(st.text("'=+-@\t", min_size=1, max_size=3), TEXT).map("".join)


@given(st.lists(TEXT | LIKE_FORMULAS, min_size=1))
def test_every_text_survives_a_table(texts: list[str]) -> None:
    frame = pd.DataFrame({"name": texts, "value": [-1.5] * len(texts)})
    text = csv_text(frame)
    cells = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    formulas = [cell for cell in cells["name"] if cell[:1] in tuple("=+-@\t") and any(map(str.isalnum, cell))]
    assert not [cell for cell in formulas if not _is_number(cell)]
    assert set(cells["value"]) == {"-1.5"}
    back = without_guards(cells)
    assert list(back["name"]) == texts


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_a_table_of_the_analysis_comes_back(tmp_path: Path) -> None:
    columns = TABLES["runs"].columns
    row = {name: "=1+1" if str(column.kind) == "text" else -1 for name, column in columns.items()}
    frame = pd.DataFrame([row])
    write_table(tmp_path, "runs", frame)
    assert "'=1+1" in (tmp_path / "runs.csv").read_text()
    assert read_table(tmp_path, "runs")["method"].tolist() == ["=1+1"]


def test_scores_with_formulas_as_names(tmp_path: Path) -> None:
    rows = [f"{m},im{i},{0.5 + 0.01 * i + 0.02 * (m == '=b')}" for m in ("=b", "a") for i in range(8)]
    (tmp_path / "scores.csv").write_text("method,image,value\n" + "\n".join(rows) + "\n")
    words = ["compare-scores", str(tmp_path / "scores.csv"), "--control", "a", "--out", str(tmp_path / "out")]
    found = CliRunner().invoke(main, words)
    assert found.exit_code == 0, found.output
    for path in (tmp_path / "out").glob("*.csv"):
        assert ",=b" not in path.read_text()
        assert not path.read_text().startswith("=b")
    assert "'=b" in (tmp_path / "out" / "scores.csv").read_text()


def test_a_backslash_in_a_title_is_a_backslash() -> None:
    svg = '<svg width="1" viewBox="0 0 1 1"></svg>'
    assert r'aria-label="a\1 \g&lt;0&gt;"' in embedded(svg, name="x", title=r"a\1 \g<0>", width_in=1.0)


@pytest.mark.parametrize("name", ["macro", "Macro", "a\0b", "a\x1b[31m", "a\nb", ""])
def test_class_names_that_mean_something_else(tmp_path: Path, name: str) -> None:
    import yaml

    path = write_dataset(tmp_path / "discs") / "dataset.yaml"
    info = yaml.safe_load(path.read_text())
    info["classes"][1]["name"] = name
    path.write_text(yaml.safe_dump(info))
    with pytest.raises(UserError, match="name"):
        read_dataset_info(path)
