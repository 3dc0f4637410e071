"""docs/conformance.md is what its command prints."""

import re
from pathlib import Path

import pytest

from benchmarks.cross_implementation.page import render

PAGE = Path(__file__).parents[1] / "docs" / "conformance.md"
NUMBER = re.compile(r"\d+\.?\d*(?:e-?\d+)?")


def test_the_committed_page_is_what_the_command_prints() -> None:
    printed, committed = render(), PAGE.read_text(encoding="utf-8")
    assert NUMBER.sub("", printed) == NUMBER.sub("", committed), "run `make pages`"
    numbers = [float(number) for number in NUMBER.findall(printed)]
    assert numbers == pytest.approx([float(number) for number in NUMBER.findall(committed)], rel=2e-3)
