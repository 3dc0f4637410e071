"""Numbers of the report: those of one column are rounded alike, whatever their size."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from analysis.reading.analysed_study import AnalysedStudy
from analysis.reading.wording import DASH, MINUS, number, signed, significant
from analysis.report.build import written_numbers
from analysis.report.details import detail_tables
from analysis.report.details.bias import DETAILS as BIAS
from analysis.report.details.cells import Detail
from analysis.report.details.classes import DETAILS as CLASSES
from analysis.report.details.methods import DETAILS as METHODS
from analysis.report.details.tuning import DETAILS as TUNING
from analysis.report.tables import Cell, make_tables
from analysis.schema import TABLES
from tests.analysis.contract_study import write_analysis
from tests.analysis.synthetic import write_synthetic_study

VALUES = (0.25, 0.00097, 0.0031, -0.0002, -0.19, 0.0, 0.9999, 12.3456, 123456.7, 3e-9)
NUMBER = re.compile(rf"[+{MINUS}]?\d+(?:\.(\d+))?(e[+{MINUS}]?\d+)?")
MEASURED = {"measures", "planted_factors", "tuning_options"}  # whose rows or columns are of different scales
DETAILS = (*METHODS, *TUNING, *BIAS, *CLASSES)


def decimals_of(cell: Cell) -> set[int]:
    """Decimals of all numbers of a cell; a p value below the least that is written counts as it stands."""
    parts = [part for text in (cell.text, cell.note) for part in NUMBER.findall(text)]
    assert not any(exponent for _, exponent in parts), cell
    return {len(decimals) for decimals, _ in parts}


def row_of(detail: Detail, value: float) -> dict[str, Any]:
    """A row of the analysis in which every number is `value`."""
    columns = TABLES[detail.name].columns
    row = {name: value if column.kind == "number" else "undecided" for name, column in columns.items()}
    whole = {name: 0 for name, column in columns.items() if column.kind == "integer"}
    return row | whole


@pytest.mark.parametrize("detail", [each for each in DETAILS if each.name not in MEASURED], ids=lambda each: each.name)
def test_every_column_of_a_detail_table_has_its_decimals(detail: Detail) -> None:
    for heading, make in detail.columns.items():
        cells = [make(row_of(detail, value)) for value in VALUES]
        if any(cell.sort for cell in cells):
            assert len(set().union(*map(decimals_of, cells))) == 1, (heading, [cell.text for cell in cells])


def test_every_column_of_every_table_of_a_report_has_its_decimals(tmp_path: Path) -> None:
    root = write_synthetic_study(tmp_path / "rich", seeds=2, n_images=4, dataset=False)
    plan, dataset = (json.loads((root / f"{name}.json").read_text()) for name in ("plan", "dataset"))
    study = AnalysedStudy.open(write_analysis(root, plan, dataset))
    checked = 0
    for table in make_tables(study, tmp_path / "tables", detail_tables(study)).values():
        for heading, column in zip(table.columns, zip(*table.rows, strict=True), strict=False):
            numeric = [cell for cell in column if cell.sort]
            checked += len(numeric)
            if table.name not in MEASURED:
                assert len(set().union(*map(decimals_of, numeric))) <= 1, (table.name, heading.text)
    assert checked > 500


def test_a_number_has_its_decimals_whatever_its_size() -> None:
    assert [number(value) for value in (0.00097, 0.003, -0.00002, 2e5)] == [
        "0.001",
        "0.003",
        f"{MINUS}0.000",
        "200000.000",
    ]
    assert [signed(value) for value in (0.00097, 0.003, 0.00002, 0.0)] == ["+0.001", "+0.003", "+0.000", "0.000"]
    assert number(math.nan) == number(math.inf) == DASH


def test_a_measure_has_its_digits_whatever_its_scale() -> None:
    shown = {
        0.61234: "0.612",
        0.00012: "0.000120",
        12.345: "12.3",
        1234.5: "1234",
        3e-9: "3.00e-09",
        -0.5: "-0.500",
        0.0: "0.00",
    }
    assert {value: significant(value) for value in shown} == {
        key: text.replace("-", MINUS) for key, text in shown.items()
    }
    assert significant(math.nan) == DASH


def test_numbers_behind_a_verdict_are_written_like_those_of_the_tables() -> None:
    text = written_numbers({"difference": 0.00097, "low": 0.003, "p_holm": 2.5e-18, "min_p": 0.0167, "n_units": 12})
    assert text == "difference 0.001, low 0.003, p holm < 0.001, min p = 0.017, n units 12"
