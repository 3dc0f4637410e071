"""A table of an analysis whose rows and heading do not agree is refused: pandas would shift or drop its columns."""

from pathlib import Path

import pytest

from analysis.schema import TABLES
from analysis.schema.files import read_table
from imbalance_bench.errors import UserError


@pytest.mark.parametrize("fields_more", [1, 2])
@pytest.mark.parametrize("rows", [1, 2])
def test_rows_longer_than_the_heading_are_refused(tmp_path: Path, fields_more: int, rows: int) -> None:
    columns = list(TABLES["partition"].columns)
    row = ",".join(["1"] * (len(columns) + fields_more))
    (tmp_path / "partition.csv").write_text("\n".join([",".join(columns), *[row] * rows, ""]))
    with pytest.raises(UserError, match=r"partition\.csv: not readable") as refused:
        read_table(tmp_path, "partition")
    assert "\n" not in str(refused.value)
