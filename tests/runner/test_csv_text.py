"""CSV text is what pandas writes, whatever stands in the cells."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from imbalance_bench import csv_cells

_TEXTS = st.one_of(
    st.none(),
    st.sampled_from(["", "a,b", 'say "x"', "two\nlines", "=1+1", "nan", " "]),
    st.text("a,\"'\r\n;", max_size=4),
)
_ROW = st.tuples(_TEXTS, st.floats(allow_nan=True), st.integers(-(2**63), 2**63 - 1), st.booleans())


@given(st.lists(_ROW, min_size=1, max_size=6))
def test_text_is_that_of_pandas(rows: list[tuple[str | None, float, int, bool]]) -> None:
    frame = pd.DataFrame(rows, columns=["text", "a,number", "whole", "truth"]).astype(
        {"truth": bool, "whole": np.int64}
    )
    plain = csv_cells._mapped(frame, csv_cells.guarded)
    plain["truth"] = plain["truth"].map({True: "TRUE", False: "FALSE"})
    if plain["a,number"].isna().all():
        plain["a,number"] = "NaN"
    expected = plain.to_csv(index=False, lineterminator="\n")
    assert csv_cells.csv_text(frame) == expected


def test_empty_frame_and_lone_column() -> None:
    for frame in (pd.DataFrame({"a": [], "b": []}), pd.DataFrame({"a": ["", "x"]})):
        assert csv_cells.csv_text(frame) == frame.to_csv(index=False, lineterminator="\n")
