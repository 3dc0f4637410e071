"""CSV tables as other programs read them: truth is truth, and a column of numbers without one is numbers."""

import io
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from analysis.schema import TABLES, table
from analysis.schema.files import read_table, write_table
from imbalance_bench.csv_cells import csv_text, without_guards

FRAME = pd.DataFrame(
    {
        "class": ["stroma", "fat"],
        "primary": [True, False],
        "hd95_um": [float("nan"), float("nan")],
        "dice": [0.5, float("nan")],
        "n": [1, 2],
    }
)
TEXT = csv_text(FRAME)


def test_text_of_a_table() -> None:
    assert TEXT.splitlines() == ["class,primary,hd95_um,dice,n", "stroma,TRUE,NaN,0.5,1", "fat,FALSE,NaN,,2"]
    assert csv_text(FRAME.iloc[:0]).splitlines() == ["class,primary,hd95_um,dice,n"]
    assert FRAME["primary"].dtype == bool  # not changed


def test_pandas() -> None:
    read = pd.read_csv(io.StringIO(TEXT))
    pd.testing.assert_frame_equal(read, FRAME, check_dtype=False)
    assert (read["primary"].dtype, read["hd95_um"].dtype) == (bool, float)
    pd.testing.assert_frame_equal(without_guards(read), read)


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
def test_r(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TEXT)
    script = 'd <- read.csv("t.csv"); cat(sapply(d, class), sum(d$primary), sum(is.na(d$hd95_um)))'
    done = subprocess.run(["Rscript", "-e", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "character logical numeric numeric integer 1 2"


@pytest.mark.skipif(find_spec("polars") is None, reason="polars is not installed")
def test_polars() -> None:
    import polars  # pyright: ignore[reportMissingImports]

    read = polars.read_csv(io.BytesIO(TEXT.encode()))
    assert [str(each) for each in read.dtypes] == ["String", "Boolean", "Float64", "Float64", "Int64"]


@pytest.mark.skipif(find_spec("duckdb") is None, reason="DuckDB is not installed")
def test_duckdb(tmp_path: Path) -> None:
    import duckdb  # pyright: ignore[reportMissingImports]

    (tmp_path / "t.csv").write_text(TEXT)
    read = duckdb.sql(f"select * from '{tmp_path / 't.csv'}'")
    assert [str(each) for each in read.types] == ["VARCHAR", "BOOLEAN", "DOUBLE", "DOUBLE", "BIGINT"]


def test_tables_of_earlier_versions_are_read(tmp_path: Path) -> None:
    columns = TABLES["associations"].columns
    values = {"text": "x", "true or false": True, "integer": 1, "number": float("nan")}
    frame = table("associations", [{name: values[column.kind] for name, column in columns.items()}])
    write_table(tmp_path, "associations", frame)
    text = (tmp_path / "associations.csv").read_text()
    assert ",TRUE," in text
    assert "NaN" in text
    pd.testing.assert_frame_equal(read_table(tmp_path, "associations"), frame)
    (tmp_path / "associations.csv").write_text(text.replace("TRUE", "True").replace("NaN", ""))
    pd.testing.assert_frame_equal(read_table(tmp_path, "associations"), frame)


def test_no_word_of_a_table_is_a_missing_value_to_readers() -> None:
    assert "nan:" not in " ".join(column.meaning for each in TABLES.values() for column in each.columns.values())
