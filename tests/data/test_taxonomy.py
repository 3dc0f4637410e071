"""Merging and ignoring classes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imbalance_bench.data.prepared import ClassInfo, DatasetInfo
from imbalance_bench.data.taxonomy import UNLABELLED, Taxonomy
from imbalance_bench.errors import UserError


def info_of(*names: str, unlabelled_id: int = 255) -> DatasetInfo:
    classes = tuple(ClassInfo(k, name, f"#0000{k:02x}") for k, name in enumerate(names))
    return DatasetInfo("made_up", "", None, unlabelled_id, True, classes, "", "")


INFO = info_of("background", "healthy", "immune", "malignant", "muscle", unlabelled_id=9)


def test_a_merged_class_takes_the_place_and_colour_of_its_first_source() -> None:
    taxonomy = Taxonomy(INFO, {"epithelial": ["malignant", "healthy"]})
    assert taxonomy.names == ("background", "epithelial", "immune", "muscle")
    assert taxonomy.colours == ("#000000", "#000001", "#000002", "#000004")
    assert taxonomy.sources[1] == ("healthy", "malignant")
    mask = np.array([[0, 1, 2, 3, 4, 9, 255]], dtype=np.uint8)
    assert taxonomy.apply(mask).tolist() == [[0, 1, 2, 1, 3, 255, 255]]


def test_ignored_classes_become_unlabelled() -> None:
    taxonomy = Taxonomy(INFO, ignore=["background"])
    assert taxonomy.names == ("healthy", "immune", "malignant", "muscle")
    assert taxonomy.lookup[[0, 1, 4, 9]].tolist() == [UNLABELLED, 0, 3, UNLABELLED]


def test_a_group_may_keep_the_name_of_one_of_its_sources() -> None:
    assert Taxonomy(INFO, {"healthy": ["healthy", "malignant"]}).names == ("background", "healthy", "immune", "muscle")


def test_an_order_moves_names_colours_and_numbers_together() -> None:
    order = ["muscle", "epithelial", "background"]
    taxonomy = Taxonomy(INFO, {"epithelial": ["malignant", "healthy"]}, ["immune"], order)
    assert taxonomy.names == tuple(order)
    assert taxonomy.colours == ("#000004", "#000001", "#000000")
    assert taxonomy.sources[1] == ("healthy", "malignant")
    assert taxonomy.lookup[[0, 1, 2, 3, 4, 9]].tolist() == [2, 1, 255, 1, 0, 255]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (["healthy", "immune", "malignant", "mussle", "background"], "Got 'mussle'. Did you mean 'muscle'?"),
        (
            ["healthy", "immune"],
            "must name each of the 5 classes (background, healthy, immune, malignant, muscle) once",
        ),
        (["healthy", "immune", "malignant", "muscle", "muscle"], "once. Got 5: healthy, immune, malignant, muscle, mu"),
    ],
)
def test_an_order_of_other_classes_is_refused(order: list[str], expected: str) -> None:
    with pytest.raises(UserError) as caught:
        Taxonomy(INFO, order=order)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("groups", "ignore", "expected"),
    [
        ({"immune": ["healthy", "malignant"]}, [], "must not take the name of a class outside the group. Got 'immune'"),
        ({"epithelial": ["helthy"]}, [], "Got 'helthy'. Did you mean 'healthy'?"),
        ({"a": ["healthy"], "b": ["healthy"]}, [], "`groups.b` must not use a class twice. Got 'healthy'"),
        ({"a": ["healthy", "healthy"]}, [], "must not use a class twice"),
        ({"a": ["healthy"]}, ["healthy"], "must not use a class twice"),
        ({"a": []}, [], "`groups.a` must name at least one class"),
        ({"a": "healthy"}, [], "`groups.a` must be a list"),
        ({}, ["mussle"], "`ignore` must name classes of the data set. Got 'mussle'. Did you mean 'muscle'?"),
        ({"all": ["background", "healthy", "immune", "malignant", "muscle"]}, [], "at least 2 classes"),
    ],
)
def test_refuses(groups: dict[str, list[str]], ignore: list[str], expected: str) -> None:
    with pytest.raises(UserError) as caught:
        Taxonomy(INFO, groups, ignore)
    assert expected in str(caught.value)


@given(st.lists(st.integers(-1, 4), min_size=2, max_size=40))
def test_every_class_goes_where_it_was_sent(destinations: list[int]) -> None:
    """Destination -1 leaves a class alone, others merge it."""
    names = [f"class_{k}" for k in range(len(destinations))]
    groups: dict[str, list[str]] = {}
    for name, destination in zip(names, destinations, strict=True):
        if destination >= 0:
            groups.setdefault(f"group_{destination}", []).append(name)
    expected = [f"group_{d}" if d >= 0 else name for name, d in zip(names, destinations, strict=True)]
    if len(set(expected)) < 2:
        with pytest.raises(UserError):
            Taxonomy(info_of(*names), groups)
        return
    taxonomy = Taxonomy(info_of(*names), groups)
    assert [taxonomy.names[taxonomy.lookup[k]] for k in range(len(names))] == expected
    assert list(taxonomy.names) == list(dict.fromkeys(expected))
    assert (taxonomy.lookup[len(names) :] == UNLABELLED).all()
    assert sorted(name for sources in taxonomy.sources for name in sources) == sorted(names)
