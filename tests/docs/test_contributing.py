"""CONTRIBUTING.md names files that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"`([^`]+)`")
PLACEHOLDERS = ("YOURS", "DIR", "images/", "masks/")  # of somebody else


def named_files(text: str) -> list[str]:
    """Paths in backticks, and pages of `docs/` that are named without."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)  # else backticks pair up wrongly
    paths = [span for span in CODE.findall(text) if "/" in span and " " not in span]
    paths += re.findall(r"(?<![`\w/])docs/[\w/]+\.md", text)
    return [path for path in paths if not any(word in path for word in PLACEHOLDERS)]


def rows() -> list[str]:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text[text.index("## Where do I change") :]
    table = table[: table.index("\n## ", 1)]
    return [line for line in table.splitlines() if line.startswith("|")][2:]


def test_the_table_is_found() -> None:
    assert len(rows()) > 15


@pytest.mark.parametrize("row", rows())
def test_every_file_of_the_table_exists(row: str) -> None:
    for path in named_files(row):
        assert list(ROOT.glob(path.rstrip("/"))), f"{path} of {row!r}"


def test_every_other_file_it_names_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    places = (ROOT, ROOT / "analysis")  # whose rooms the text names alone
    missing = [path for path in named_files(text) if not any(list(place.glob(path.rstrip("/"))) for place in places)]
    assert not missing
