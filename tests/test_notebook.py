"""The notebook of `examples/` runs from records to a figure, and holds the outputs of a run."""

import contextlib
import io
import json
import re
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


def test_its_cells_have_ids_and_it_uses_the_one_namespace() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    ids = [cell["id"] for cell in cells]  # nbformat 4.5
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", each) for each in ids)
    source = "".join("".join(cell["source"]) for cell in code_cells())
    assert "import imbalance_bench as ib" in source
    assert not re.search(r"\b(from|import) (analysis|methods|imbalance_bench\.)", source)
