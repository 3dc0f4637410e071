"""Tables that somebody else wrote: names stay names, missing numbers are missing, truth has many spellings."""

from pathlib import Path

import pandas as pd
import pytest

from analysis.compare_scores import compare
from analysis.study.class_frames import measures_frame
from imbalance_bench.csv_cells import read_frame, truth_values
from imbalance_bench.errors import UserError


def test_names_are_kept_and_missing_numbers_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_bytes("\ufeffclass,value\nNA,0.5\nnan,NA\n,null\n".encode())
    frame = read_frame(path, ("value", "seed"))
    assert list(frame["class"]) == ["NA", "nan", ""]
    assert list(frame["value"].isna()) == [False, True, True]


NO_TABLES = {
    "nothing": b"",
    "blank lines": b"\n\n",
    "an odd number of bytes in UTF-16": b"\xff\xfe\x00a\x00",
    "a quotation that does not end": b'a,b\n"1,2\n',
    "rows longer than the header": b"a,b\n1,2,3\n4,5,6\n",
    "commas at the end of rows": b"a,b\n1,2,\n4,5,\n",
    "a short row": b"a,b\n1\n",
    "one name twice": b"a,a\n1,2\n",
    "semicolons": b"a;b\n1;2\n",
    "a NUL": b"a,b\n1,\x002\n",
}


@pytest.mark.parametrize("content", NO_TABLES.values(), ids=NO_TABLES)
def test_what_is_no_table_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"scores\.csv") as refused:
        read_frame(path, ())
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "cells", [["TRUE", "FALSE", ""], [True, False, None], [1, 0, float("nan")], ["yes", "no", " "]]
)
def test_truth_has_many_spellings(cells: list) -> None:
    assert list(truth_values(pd.Series(cells, dtype=object), "`primary`", blank=False)) == [True, False, False]
    with pytest.raises(UserError, match="`primary` must be true or false"):
        truth_values(pd.Series(cells, dtype=object), "`primary`")


def test_a_measure_is_primary_only_where_the_table_says_so() -> None:
    rows = [("d", name, "pixel_share", 0.1 * number) for number, name in enumerate("abc", start=1)]
    rows += [("d", name, "image_share", 0.2 * number) for number, name in enumerate("abc", start=1)]
    table = pd.DataFrame(rows, columns=["data_set", "class", "measure", "value"]).assign(construct="frequency")
    table["primary"] = ["TRUE"] * 3 + ["FALSE", "", "no"]
    frame = measures_frame(table)
    assert set(frame.loc[frame["primary"], "measure"].str.replace("log_", "")) == {"pixel_share"}


def test_an_absent_class_is_absent_however_it_is_written() -> None:
    rows = [(m, i, c, 0.5 + 0.01 * i) for m in "ab" for i in range(8) for c in "xy"]
    table = pd.DataFrame(rows, columns=["method", "image", "class", "value"])
    with pytest.raises(UserError, match="`present` must be true or false"):
        compare(table.assign(present="perhaps"))
    table["present"] = ["false" if (c == "y" and i < 4) else "true" for _, i, c, _ in rows]
    asked = compare(table).tables["scores"]
    truth = compare(table.assign(present=table["present"] == "true")).tables["scores"]
    pd.testing.assert_frame_equal(asked, truth)
    whole = compare(table.drop(columns="present")).tables["scores"]
    assert not asked.equals(whole)
