"""The parts of figures: colours, marks, names that lie on nothing, and wording."""

import numpy as np
import pandas as pd
import pytest

from analysis.plots.labels import label_points, overlapping
from analysis.plots.style import figure_style, freeze_layout, new_figure, wrapped
from analysis.reading.palette import CONTROL_COLOUR, DARK, PAPER, class_colours, method_marks
from analysis.reading.wording import MINUS, number, probability, signed, tone
from analysis.study.steps import along_stages


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        values = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
        linear = [value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in values]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    high, low = sorted([luminance(one), luminance(other)], reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_class_colours_stay_legible_and_apart() -> None:
    given = ["#ffffff", "#fefefe", "#000000", "#ffff00", "#d62728", "#b0b0b0"]
    chosen = class_colours(given)
    assert chosen[4:] == given[4:]
    assert all(contrast(colour, PAPER) > 1.6 for colour in chosen)
    assert all(contrast(colour, DARK[PAPER]) > 1.6 for colour in chosen)
    rgb = np.array([[int(colour[place : place + 2], 16) for place in (1, 3, 5)] for colour in chosen])
    gaps = np.linalg.norm(rgb[:, None] - rgb[None], axis=2) + 1000 * np.eye(len(rgb))
    assert gaps.min() > 40


def test_methods_have_marks_of_their_own() -> None:
    methods = ["control", *(f"method {index}" for index in range(30))]
    marks = method_marks(methods, ["control"])
    assert marks["control"].colour == CONTROL_COLOUR
    assert len({(mark.colour, mark.marker) for mark in marks.values()}) == 31


def test_a_mark_belongs_to_the_name_and_not_to_its_place() -> None:
    methods = ["cross_entropy", "focal", "dfa", "cdb", "inverse_frequency", "a method of the user's"]
    marks = method_marks(methods, ["cross_entropy"])
    for some in (methods[::-1], methods[2:], ["ohem", *methods]):
        found = method_marks(some, ["cross_entropy"])
        assert {name: found[name] for name in some if name in marks} == {
            name: marks[name] for name in some if name in marks
        }
    assert len({marks[name].colour for name in methods[:5]}) == 5
    assert method_marks(["focal"], ["focal"])["focal"].colour == CONTROL_COLOUR


@pytest.mark.parametrize("seed", range(8))
def test_names_lie_on_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = pd.DataFrame(rng.uniform(0, 1, (9, 2)), columns=["x", "y"])
    points = points.assign(low=points["y"] - 0.05, high=points["y"] + 0.05)
    with figure_style():
        figure = new_figure(4, 3)
        axes = figure.subplots()
        axes.scatter(points["x"], points["y"])
        axes.margins(0.2)
        freeze_layout(figure)
        placed = label_points(axes, points, [f"class {index}" for index in range(9)])
    assert len(placed) == 9
    assert not overlapping(placed)
    box = axes.get_window_extent()
    anchors = axes.transData.transform(points[["x", "y"]].to_numpy())
    for text in placed:
        inner = text.get_tightbbox()
        assert inner is not None
        assert box.x0 - 1 <= inner.x0
        assert inner.x1 <= box.x1 + 1
        assert not any(inner.contains(*anchor) for anchor in anchors)


def test_names_that_do_not_fit_leave_nothing_behind() -> None:
    points = pd.DataFrame({"x": np.zeros(30), "y": np.zeros(30), "low": np.zeros(30), "high": np.zeros(30)})
    with figure_style():
        figure = new_figure(2, 2)
        axes = figure.subplots()
        freeze_layout(figure)
        assert label_points(axes, points, ["a long name that needs room"] * 30) == []
    assert not axes.texts


def test_stages_follow_one_another() -> None:
    rows = pd.DataFrame({"run": "r", "stage": [0, 0, 1, 1], "step": [0, 100, 0, 50]})
    assert along_stages(rows, ["run"])["elapsed"].tolist() == [0, 100, 100, 150]
    rows["step"] = [0, 100, 101, 150]  # counted through
    assert along_stages(rows, ["run"])["elapsed"].tolist() == [0, 100, 101, 150]


def test_a_text_is_as_wide_in_the_file_as_in_the_layout() -> None:
    widths = []
    for dpi in (100, 200):
        with figure_style():
            figure = new_figure(4, 1)
            figure.set_dpi(dpi)
            text = figure.text(0, 0.5, "logit gradient norm: inverse_frequency", fontsize=7.5)
            widths.append(text.get_window_extent().width / dpi)
    assert widths[0] == pytest.approx(widths[1], rel=0.01)


def test_wording() -> None:
    assert number(-0.5, 2) == f"{MINUS}0.50"
    assert number(float("nan")) == "–"  # noqa: RUF001
    assert signed(0.25, 2) == "+0.25"
    assert probability(0.0831) == "= 0.083"
    assert probability(0.0001) == "< 0.001"
    assert [tone(word) for word in ("better", "worse", "equivalent", "supported", "not_testable")] == [
        *("better", "worse", "equal", "found", "open")
    ]
    assert wrapped("one two three four", 7, 2) == "one two\n… four"
    assert wrapped("focal_loss_with_weights", 12) == "focal_loss_\nwith_weights"
    assert wrapped("a/long-name of_many parts", 8, 9) == "a/long-\nname of_\nmany\nparts"
    assert wrapped("x" * 80) == "x" * 22 + "\n… " + "x" * 14
    assert wrapped("") == ""
