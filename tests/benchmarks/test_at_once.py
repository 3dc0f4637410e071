"""Several things at once: all are done, none is begun when time is short, and an error is not swallowed."""

from collections.abc import Iterator

import pytest

from benchmarks.at_once import work_on


def squared(number: int) -> int:
    if number == 99:
        raise ValueError("no square")
    return number**2


@pytest.mark.parametrize("at_once", [1, 2])
def test_everything_is_done(at_once: int) -> None:
    found = {item: result for item, result, _ in work_on(range(5), squared, at_once, lambda _: True)}
    assert found == {number: number**2 for number in range(5)}


def test_nothing_is_begun_once_time_is_short() -> None:
    answers: Iterator[bool] = iter([True, True, False])
    found = [item for item, _, _ in work_on(range(5), squared, 1, lambda _: next(answers))]
    assert found == [0, 1]


@pytest.mark.parametrize("at_once", [1, 2])
def test_an_error_ends_it(at_once: int) -> None:
    with pytest.raises(ValueError, match="no square"):
        list(work_on([99], squared, at_once, lambda _: True))
