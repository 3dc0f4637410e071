"""Search spaces: what a draw becomes, and that none changes unnoticed (a change of one is a change of rules)."""

from pathlib import Path

import pytest

from methods import REGISTRY
from methods.search_space import Choice, Range, search_space

WRITTEN = Path(__file__).parent / "golden" / "search_spaces.txt"


def test_quantiles_of_a_range():
    assert [Range(1.0, 3.0).at(q) for q in (0.0, 0.25, 1.0)] == [1.0, 1.5, 3.0]
    assert Range(0.01, 1.0, log=True).at(0.5) == pytest.approx(0.1)
    assert [Range(0.01, 1.0, log=True).at(q) for q in (0.0, 1.0)] == pytest.approx([0.01, 1.0], rel=1e-12)
    assert [Range(1, 5, integer=True).at(q) for q in (0.0, 0.3, 1.0)] == [1, 2, 5]
    assert isinstance(Range(1, 5, integer=True).at(0.3), int)


def test_quantiles_of_a_choice():
    choice = Choice(("a", "b", "c"))
    assert [choice.at(q) for q in (0.0, 0.33, 0.34, 0.67, 1.0)] == ["a", "a", "b", "c", "c"]
    assert choice.holds("a")
    assert not choice.holds("d")


@pytest.mark.parametrize(("low", "high", "log"), [(1.0, 1.0, False), (2.0, 1.0, False), (0.0, 1.0, True)])
def test_an_impossible_range_is_refused(low, high, log):
    with pytest.raises(ValueError, match="A range"):
        Range(low, high, log=log)


def test_a_choice_of_one_is_refused_and_a_range_holds_numbers_only():
    with pytest.raises(ValueError, match="at least two"):
        Choice(("a",))
    assert Choice((1, 2)).holds(2)
    space = Range(0.0, 1.0)
    assert space.holds(0.0)
    assert space.holds(1)
    assert not space.holds(1.1)
    assert not space.holds(-0.1)
    assert not space.holds(True)
    assert not space.holds("a")


def test_every_search_space_is_the_one_that_was_written_down():
    spaces = [
        f"{name}.{option}: {search}"
        for name, method in REGISTRY.items()
        for option, search in search_space(method).items()
    ]
    assert spaces == WRITTEN.read_text(encoding="utf-8").splitlines(), (
        f"a search space changed: write it into {WRITTEN.name} and give it a [Rules] line in the changelog"
    )
