"""The notebook of `examples/` runs from records to a figure, and holds the outputs of a run."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples" / "records_to_figure.ipynb"


def code_cells() -> list[dict[str, Any]]:
    return [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]


def test_every_cell_runs(finished_study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMBALANCE_BENCH_STUDY", str(finished_study))
    names: dict[str, Any] = {"__name__": "notebook"}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for cell in code_cells():
            exec("".join(cell["source"]), names)
    assert names["path"].exists()
    assert "notebook.png True" in printed.getvalue()


def test_it_was_executed_and_stays_small() -> None:
    printing = [cell for cell in code_cells() if "print(" in "".join(cell["source"])]
    assert all(cell["outputs"] for cell in printing)
    assert NOTEBOOK.stat().st_size < 50_000
    assert not any(output["output_type"] == "error" for cell in code_cells() for output in cell["outputs"])
