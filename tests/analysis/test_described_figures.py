"""Figures in a page: what is shown under the pointer, what belongs to a method, and that fewer bytes draw the same."""

import html
import io
import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.plots.compact import compact, short_path
from analysis.plots.described import described, part
from analysis.plots.inline import inline_svg, svg_of
from analysis.plots.scores import class_dice
from analysis.plots.style import figure_style, freeze_layout, new_figure
from analysis.reading.palette import method_marks

METHODS = ("cross_entropy", 'focal "<b>" & co')
SCORES = pd.DataFrame(
    [(method, name, 0.5 + 0.1 * place, 0.4, 0.9) for method in METHODS for place, name in enumerate(("macro", "a>b"))],
    columns=["method", "class", "mean", "low", "high"],
)


@pytest.fixture
def figure() -> Figure:
    with figure_style():
        drawn = new_figure(4, 3)
        class_dice(drawn.subplots(), SCORES, classes=["a>b"], marks=method_marks(METHODS, METHODS[:1]))
        freeze_layout(drawn)
    return drawn


def tree(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg.replace("xlink:href", "href"))


def test_a_point_shows_its_method_class_and_interval(figure: Figure) -> None:
    titles = [
        html.unescape(text) for text in re.findall(r"<title>(.*?)</title>", inline_svg(figure, name="x", title="x"))
    ]
    assert titles == [
        f"{method}, {name}: {value} (0.400 to 0.900)"
        for method in METHODS
        for name, value in (("all classes (macro)", "0.500"), ("a>b", "0.600"))
    ]


def test_lines_and_points_of_a_method_carry_its_name(figure: Figure) -> None:
    names = [each.get("data-method") for each in tree(inline_svg(figure, name="x", title="x")).iter()]
    assert {name: names.count(name) for name in METHODS} == dict.fromkeys(METHODS, 2)
    assert "part " not in svg_of(figure)


def test_marks_that_are_not_all_drawn_have_no_titles() -> None:
    with figure_style():
        drawn = new_figure(2, 2)
        axes = drawn.subplots()
        axes.plot([0.2, np.nan, 0.8], [1, 1, 1], "o", gid=part("m", ["one", "two", "three"]))
        axes.plot([0.2, 0.8], [2, 2], "o", gid=part("n", ["four", "five"]))
    assert re.findall(r"<title>(.*?)</title>", svg_of(drawn)) == ["four", "five"]


def test_a_file_without_descriptions_is_left_alone() -> None:
    with figure_style():
        drawn = new_figure(2, 2)
        drawn.subplots().plot([1, 2])
        buffer = io.StringIO()
        drawn.savefig(buffer, format="svg")
    assert described(buffer.getvalue()) == buffer.getvalue()


def points_of(path: str) -> list[tuple[float, float]]:
    """The points of a path of absolute steps M, L, H, V."""
    at, points = (0.0, 0.0), []
    for step, numbers in re.findall(r"([MLHVz])([^MLHVz]*)", path):
        values = [float(value) for value in numbers.split()]
        if step == "H":
            at = (values[0], at[1])
        elif step == "V":
            at = (at[0], values[0])
        elif step != "z":
            at = (values[0], values[1])
        points.append(at)
    return points


@pytest.mark.parametrize(
    ("path", "shorter"),
    [
        ("M 1 2 \nL 1 5 \nL 4 5 \nL 4 2 \nL 1 2 \nz\n", "M1 2V5H4V2H1z"),
        ("M 1 2 \nL 1 2 \nL 3.5 4 \n", "M1 2L3.5 4"),
        ("M 0 -3 \nC 0.8 -3 1.5 -2.7 2.1 -2.1 \nL 2.1 0 \nz", "M0 -3C0.8 -3 1.5 -2.7 2.1 -2.1V0z"),
        ("M 1 2 \nL 3 2 \nz \nM 5 2 \nL 6 2 \n", "M1 2H3zM5 2H6"),
    ],
)
def test_a_path_is_shorter_and_goes_through_the_same_points(path: str, shorter: str) -> None:
    assert short_path(path) == shorter
    if "C" not in path:
        assert dict.fromkeys(points_of(shorter)) == dict.fromkeys(points_of(path))


def test_shorter_svg_draws_the_same(figure: Figure) -> None:
    svg = svg_of(figure)
    whole = re.sub(
        r">\s*\n\s*<",
        "><",
        re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg[svg.index("<svg") :], flags=re.DOTALL),
    )
    short = compact(whole, "x")
    assert len(short) < 0.7 * len(whole)
    before, after = tree(whole), tree(short)
    assert [each.text for each in before.iter() if each.tag.endswith("text")] == [
        each.text for each in after.iter() if each.tag.endswith("text")
    ]
    drawn = [[each for each in root.iter() if each.tag.rsplit("}")[-1] in ("path", "use")] for root in (before, after)]
    assert len(drawn[0]) == len(drawn[1]) > 10
    rules = dict(re.findall(r"\.(x-s\d+)\{([^}]*)\}", short))
    for one, other in zip(*drawn, strict=True):
        style = other.get("style") or rules.get(other.get("class", ""), "")
        assert style.replace(" ", "") == (one.get("style") or "").replace(" ", "")


def test_every_reference_of_a_shorter_svg_has_its_target(figure: Figure) -> None:
    short = compact(svg_of(figure), "x")
    ids = re.findall(r'\sid="([^"]*)"', short)
    used = re.findall(r'(?:href="#|url\(#)([^")]+)', short)
    assert len(ids) == len(set(ids))
    assert used
    assert set(used) <= set(ids)
    assert all(each.startswith("x-") for each in ids)
