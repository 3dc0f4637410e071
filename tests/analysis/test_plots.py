"""Figures: what is drawn is what the tables say, nothing overlaps, and every kind survives a poor study."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from analysis.plots import KINDS, AnalysedStudy, NotDrawableError, draw, draw_figure
from analysis.plots.bias import association_title
from analysis.plots.gallery import chosen_images, errors, macro_dice_per_image, paint
from analysis.plots.labels import overlapping
from analysis.plots.learning import validation_macro_dice
from analysis.plots.ranks import critical_difference
from analysis.plots.style import (
    figure_style,
    new_figure,
)
from analysis.reading.wording import signed
from imbalance_bench.errors import UserError
from tests.analysis.contract_study import LONG_NAMES, write_analysis, write_attention, write_bare_study
from tests.analysis.synthetic import write_synthetic_study

NEEDS_RECORDS = {"gallery", "learning_curves", "attention_maps"}
REFUSED = {"critical_difference", "model_effects"}  # one study is one data set, and one model here
STRANGE = ("<script>alert(1)</script>", 'a "quoted" & $x_1$', "\u816b\u760d", "опухоль", "NA")


def analysed(root: Path, **gaps: object) -> AnalysedStudy:
    plan, dataset = (json.loads((root / f"{name}.json").read_text()) for name in ("plan", "dataset"))
    write_analysis(root, plan, dataset, **gaps)  # pyright: ignore[reportArgumentType]
    return AnalysedStudy.open(root)


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> AnalysedStudy:
    root = write_synthetic_study(
        tmp_path_factory.mktemp("plots") / "complete", methods=("cross_entropy", "focal", "dfa"), seeds=2, n_images=5
    )
    write_attention(root, json.loads((root / "dataset.json").read_text()))
    return analysed(root)


@pytest.fixture(scope="module")
def drawn(complete: AnalysedStudy) -> dict[str, Figure]:
    return {kind: draw_figure(kind, complete) for kind in KINDS if kind not in REFUSED}


POOR: dict[str, Callable[[Path], AnalysedStudy]] = {
    "one seed, two classes": lambda root: analysed(
        write_bare_study(root, ["a", "b"], methods=["cross_entropy", "dfa"], seeds=1), testable=False
    ),
    "twenty long names": lambda root: analysed(
        write_bare_study(root, LONG_NAMES, methods=["cross_entropy", "focal", "dfa"], seeds=2), absent=LONG_NAMES[3:4]
    ),
    "strange names": lambda root: analysed(
        write_bare_study(root, STRANGE, methods=["cross_entropy", "dfa <b>$\\beta$</b>"], seeds=2),
        failed=["000000000001"],
    ),
}


@pytest.fixture(scope="module", params=POOR)
def poor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Figure]:
    study = POOR[request.param](tmp_path_factory.mktemp("poor") / "study")
    figures = {}
    for kind in KINDS:
        if kind not in NEEDS_RECORDS | REFUSED:
            figures[kind] = draw_figure(kind, study)
    return figures


def shown_ticks(axis: Axis) -> list[Text]:
    low, high = sorted(axis.get_view_interval())
    margin = 1e-9 * (high - low)
    ticks = [tick for tick in axis.get_major_ticks() if low - margin <= tick.get_loc() <= high + margin]
    return [each for tick in ticks for each in (tick.label1, tick.label2) if each.get_visible() and each.get_text()]


def texts_of(figure: Figure) -> list[Text]:
    return [
        text
        for axes in figure.axes
        if axes.get_visible()
        for text in (
            *(each for each in axes.texts if isinstance(each, Annotation)),
            *shown_ticks(axes.xaxis),
            *shown_ticks(axes.yaxis),
            axes.title,
            axes._left_title,  # pyright: ignore[reportAttributeAccessIssue]
        )
        if text.get_text()
    ]


def assert_legible(figure: Figure, kind: str) -> None:
    with figure_style():  # as when it is saved: a script that no font has is left to the report
        figure.draw_without_rendering()
    for axes in figure.axes:
        if axes.get_visible():
            assert not overlapping(shown_ticks(axes.xaxis)), kind
            assert not overlapping(shown_ticks(axes.yaxis)), kind
            assert not overlapping(axes.texts), kind
    width, height = figure.get_size_inches() * figure.dpi
    for text in texts_of(figure):
        box = text.get_window_extent()
        assert box.x0 > -2, (kind, text.get_text())
        assert box.x1 < width + 2, (kind, text.get_text())
        assert box.y0 > -2, (kind, text.get_text())
        assert box.y1 < height + 2, (kind, text.get_text())


def test_every_kind_of_a_complete_study_is_legible(drawn: dict[str, Figure]) -> None:
    for kind, figure in drawn.items():
        assert_legible(figure, kind)


def test_every_kind_of_a_poor_study_is_legible(poor: dict[str, Figure]) -> None:
    for kind, figure in poor.items():
        assert_legible(figure, kind)


def test_overlap_is_seen() -> None:
    with figure_style():
        figure = new_figure(3, 2)
        axes = figure.subplots()
        texts = [axes.text(0.5, 0.5, "one"), axes.text(0.51, 0.5, "other"), axes.text(0.1, 0.1, "far")]
    assert overlapping(texts) == [("one", "other")]


def test_class_dice_shows_the_scores(complete: AnalysedStudy, drawn: dict[str, Figure]) -> None:
    scores = complete.table("method_scores")
    scores = scores[scores["aggregation"] == complete.aggregation].set_index(["method", "class"])
    (axes,) = drawn["class_dice"].axes
    dots = [line for line in axes.lines if line.get_marker() not in ("None", "", None)]
    for method, line in zip(complete.methods, dots, strict=True):
        expected = sorted(scores.xs(method, level="method")["mean"])
        assert sorted(np.asarray(line.get_xdata(), float)) == pytest.approx(expected)
        assert to_hex(line.get_color()) == complete.marks[method].colour  # pyright: ignore[reportArgumentType]


def test_paired_differences_fill_what_is_decided(complete: AnalysedStudy, drawn: dict[str, Figure]) -> None:
    for axes, method in zip(drawn["paired_differences"].axes, ["focal", "dfa"], strict=True):
        rows = complete.table("comparisons").query("method == @method")
        decided = rows["verdict"].isin(["better", "worse"])
        hollow, filled = (each for each in axes.collections if isinstance(each, PathCollection))
        assert sorted(np.asarray(hollow.get_offsets())[:, 0]) == pytest.approx(sorted(rows.loc[~decided, "difference"]))
        assert sorted(np.asarray(filled.get_offsets())[:, 0]) == pytest.approx(sorted(rows.loc[decided, "difference"]))
        assert axes.get_title(loc="left") == method


def test_titles_of_bias_vs_difficulty_are_those_of_the_tests(complete: AnalysedStudy, drawn: dict[str, Figure]) -> None:
    rows = complete.table("associations").query("method == 'dfa' and primary")
    expected = {f"ρ = {signed(rho, 2)}\np = 0.083 (K = 5)" for rho in rows["spearman"]}  # noqa: RUF001
    assert {axes.get_title(loc="left") for axes in drawn["bias_vs_difficulty"].axes} == expected


def test_a_title_says_what_its_correlation_is_of() -> None:
    row = {"n_classes": 5, "spearman": 0.9, "p_spearman": 0.083, "min_p": 0.017, "verdict": "not_supported"}
    assert association_title(row).startswith("ρ = +0.90")  # noqa: RUF001
    assert association_title(row | {"starts": 1, "given": "start"}).startswith("ρ given the start = +0.90")  # noqa: RUF001
    assert association_title(row | {"starts": 2}).startswith("ρ over 2 starts = +0.90")  # noqa: RUF001
    assert association_title({"together_with": "dfa"}) == "tested with dfa, as another start"


def test_untestable_associations_say_so(tmp_path: Path) -> None:
    figure = draw_figure("bias_vs_difficulty", POOR["one seed, two classes"](tmp_path / "study"))
    assert all("not testable (K = 2" in axes.get_title(loc="left") for axes in figure.axes)
    assert not any("\np " in axes.get_title(loc="left") for axes in figure.axes)


def test_prior_to_final_runs_from_initial_to_learned(complete: AnalysedStudy, drawn: dict[str, Figure]) -> None:
    wide = complete.table("learned_bias").query("method == 'dfa'")
    wide = wide.pivot_table(index="class", columns="estimand", values="value").sort_values("learned", ascending=False)
    (axes,) = drawn["prior_to_final"].axes
    segments = next(each for each in axes.collections if isinstance(each, LineCollection)).get_segments()
    starts, ends = (np.array([np.asarray(segment)[side, 0] for segment in segments]) for side in (0, 1))
    assert starts == pytest.approx((wide["learned"] - wide["change"]).to_numpy())
    assert ends == pytest.approx(wide["learned"].to_numpy())


def test_trajectories_have_a_thin_line_per_run(complete: AnalysedStudy, drawn: dict[str, Figure]) -> None:
    (axes,) = drawn["bias_trajectory"].axes
    thin = [line for line in axes.lines if line.get_linewidth() < 1 and len(np.asarray(line.get_xdata())) > 1]
    assert len(thin) == 5 * 2  # classes x seeds
    last = complete.table("bias_trajectories").query(
        "method == 'dfa' and parameter == 'attention_bias' and step == 400"
    )
    assert sorted(np.asarray(line.get_ydata())[-1] for line in thin) == pytest.approx(sorted(last["value"]))


def test_confusion_shows_the_shares(complete: AnalysedStudy, drawn: dict[str, Figure]) -> None:
    shares = complete.table("confusion")
    for axes, method in zip(drawn["confusion"].axes, complete.methods, strict=True):
        wide = shares[shares["method"] == method].pivot_table(index="true", columns="predicted", values="share")
        expected = wide.loc[complete.class_names, complete.class_names].to_numpy()
        assert np.asarray(axes.collections[0].get_array()).reshape(expected.shape) == pytest.approx(expected)
        written = {text.get_position(): text.get_text() for text in axes.texts}
        for (row, column), share in np.ndenumerate(expected):
            assert written.get((column + 0.5, row + 0.5), "") == (f"{100 * share:.0f}" if share >= 0.005 else "")


def test_ranks_show_intervals_and_shares(complete: AnalysedStudy, drawn: dict[str, Figure]) -> None:
    rows = complete.table("rankings").query("aggregation == 'per_image'").sort_values("rank")
    (axes,) = drawn["ranks"].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == rows["method"].tolist()
    segments = [
        np.asarray(each.get_segments()[0])[:, 0] for each in axes.collections if isinstance(each, LineCollection)
    ]
    assert np.array(segments) == pytest.approx(rows[["rank_low", "rank_high"]].to_numpy())
    assert [text.get_text() for text in axes.texts] == [f"best in {100 * p:.0f} %" for p in rows["p_best"]]


def test_interventions_have_a_panel_each_and_shifts_no_macro_row(
    complete: AnalysedStudy, drawn: dict[str, Figure]
) -> None:
    effects = complete.table("interventions")
    for axes, kind in zip(drawn["interventions"].axes, ("zeroed", "permuted", "shifted"), strict=True):
        expected = effects[effects["intervention"] == kind]["difference"]
        points = np.concatenate(
            [np.asarray(each.get_offsets()) for each in axes.collections if isinstance(each, PathCollection)]
        )
        assert sorted(points[:, 0]) == pytest.approx(sorted(expected))
        assert len(axes.get_yticks()) == (5 if kind == "shifted" else 6)


def test_trimap_curves_have_a_panel_per_class_and_a_line_per_method(
    complete: AnalysedStudy, drawn: dict[str, Figure]
) -> None:
    curves = complete.table("trimap_curves").sort_values("inner_um")
    panels = [axes for axes in drawn["trimap_curve"].axes if axes.get_visible()]
    for axes, name in zip(panels, ["all", *complete.class_names], strict=True):
        for line, method in zip(axes.lines, complete.methods, strict=True):
            expected = curves[(curves["method"] == method) & (curves["class"] == name)]["value"]
            assert np.asarray(line.get_ydata()) == pytest.approx(expected.to_numpy())
        assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "2", "4", "8", ">8"]


def test_reliability_diagrams_leave_out_bins_of_one_unit_and_count_them(
    complete: AnalysedStudy, drawn: dict[str, Figure]
) -> None:
    bins = complete.table("reliability_diagram").sort_values("bin_low")
    panels = [axes for axes in drawn["calibration"].axes if axes.get_visible()]
    diagrams = [axes for axes in panels if axes.get_yscale() == "linear"]
    strips = [axes for axes in panels if axes.get_yscale() == "log"]
    for diagram, strip, name in zip(diagrams, strips, ["all", *complete.class_names], strict=True):
        diagonal, *lines = diagram.lines
        assert np.array_equal(diagonal.get_xdata(), diagonal.get_ydata())
        for line, count, method in zip(lines, strip.lines, complete.methods, strict=True):
            own = bins[(bins["method"] == method) & (bins["class"] == name)]
            shown = own[own["n_units"] > 1]
            assert len(shown) == len(own) - 1 == 14
            assert np.asarray(line.get_xdata()) == pytest.approx(shown["probability"].to_numpy())
            assert np.asarray(line.get_ydata()) == pytest.approx(shown["value"].to_numpy())
            assert np.asarray(count.get_ydata()) == pytest.approx(own["pixels"].to_numpy())


def test_border_profiles_are_drawn_from_outside_to_inside(complete: AnalysedStudy, drawn: dict[str, Figure]) -> None:
    profiles = complete.table("border_profiles")
    for axes, name in zip(drawn["border_profile"].axes, complete.class_names, strict=False):
        curves = [line for line in axes.lines if len(np.asarray(line.get_xdata())) > 2]
        for line, stain in zip(curves, ("haematoxylin", "eosin"), strict=True):
            rows = profiles[(profiles["class"] == name) & (profiles["stain"] == stain)].sort_values("distance")
            assert np.asarray(line.get_xdata()) == pytest.approx(rows["distance"].to_numpy())
            assert np.asarray(line.get_ydata()) == pytest.approx(rows["value"].to_numpy())


def test_attention_maps_are_those_of_the_record(complete: AnalysedStudy, drawn: dict[str, Figure]) -> None:
    figure = drawn["attention_maps"]
    image_id = str(figure.get_label()).split()[1].rstrip(",")
    runs = complete.table("runs").query("seed == 0").set_index("method")["run_id"]
    maps = [complete.records.run(runs[method]).attention(image_id) for method in complete.methods]
    greatest = np.max([np.asarray(each.weights, float).max(axis=(1, 2)) for each in maps if each], axis=0)
    assert len(figure.axes) == len(maps) * (1 + len(complete.class_names))
    first = np.asarray(figure.axes[1].images[0].get_array(), float)
    colour = np.array([int(complete.class_colour[complete.class_names[0]][k : k + 2], 16) for k in (1, 3, 5)])
    assert maps[0] is not None
    share = np.asarray(maps[0].weights[0], float)[..., None] / greatest[0]
    assert first == pytest.approx(255 - share * (255 - colour), abs=2)
    assert [axes.get_xlabel() for axes in figure.axes[-5:]] == [f"{each:.2f}" for each in greatest]


def test_methods_without_room_are_counted_in_the_caption(complete: AnalysedStudy) -> None:
    assert complete.shown(complete.methods) == (complete.methods, "")
    names = [f"method {number}" for number in range(11)]
    shown, sentence = complete.shown(names)
    assert shown == names[:8]
    assert "3 of 11 methods are left out" in sentence


def test_critical_difference_is_for_several_data_sets(complete: AnalysedStudy) -> None:
    with pytest.raises(NotDrawableError, match=r"imbalance-bench compare"):
        draw_figure("critical_difference", complete)
    average = pd.DataFrame({"method": ["a", "b", "c"], "average_rank": [1.2, 1.9, 2.9]})
    with figure_style():
        figure = new_figure(5, 2)
        axes = critical_difference(figure.subplots(), average, cliques=[("a", "b")], distance=1.0)
        figure.draw_without_rendering()
    lines = {
        each.get_gid(): np.asarray(each.get_segments()[0])
        for each in axes.collections
        if isinstance(each, LineCollection) and each.get_gid()
    }
    assert lines["clique"][:, 0].tolist() == [1.2, 1.9]
    assert lines["distance"][:, 0].tolist() == [1.2, 2.2]


def test_errors_are_where_truth_and_prediction_differ() -> None:
    truth, predicted = np.array([[0, 1, 255]], np.uint8), np.array([[0, 2, 1]], np.uint8)
    assert errors(truth, predicted).tolist() == [[255, 1, 255]]


def test_what_a_study_lacks_is_refused_with_a_reason(tmp_path: Path) -> None:
    root = write_bare_study(tmp_path / "study", ["a", "b", "c"], methods=["cross_entropy", "focal"])
    study = analysed(root, measures=False)
    with pytest.raises(NotDrawableError, match="attention bias"):
        draw_figure("interventions", study)
    for kind in ("bias_vs_difficulty", "bias_trajectory", "prior_to_final"):
        with pytest.raises(NotDrawableError, match="learned class bias"):
            draw_figure(kind, study)
    with pytest.raises(NotDrawableError, match="measures are not available"):
        draw_figure("frequency_difficulty_plane", study)
    with pytest.raises(NotDrawableError, match="border profile"):
        draw_figure("border_profile", study)
    with pytest.raises(NotDrawableError, match="no learning curve"):
        draw_figure("learning_curves", study)
    for kind in ("gallery", "attention_maps"):
        with pytest.raises(NotDrawableError, match="cannot be read"):
            draw_figure(kind, study)


@pytest.mark.parametrize("suffix", [".svg", ".pdf", ".png"])
def test_files_are_whole_and_repeatable(complete: AnalysedStudy, tmp_path: Path, suffix: str) -> None:
    one = draw("paired_differences", complete.root, tmp_path / f"one{suffix}").read_bytes()
    other = draw("paired_differences", complete.root, tmp_path / f"other{suffix}").read_bytes()
    assert one == other
    if suffix == ".svg":
        assert b"<text" not in one  # outlines: the fonts are in the file
    if suffix == ".pdf":
        assert b"/FontFile2" in one


def test_default_file_is_in_figures(complete: AnalysedStudy) -> None:
    assert draw("ledger_heatmap", complete.root) == complete.root / "figures" / "ledger_heatmap.svg"


def test_mistakes_are_named(complete: AnalysedStudy, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Did you mean 'class_dice'"):
        draw("clas_dice", complete.root)
    with pytest.raises(UserError, match=r"\.svg, \.pdf, \.png"):
        draw("class_dice", complete.root, tmp_path / "figure.jpeg")
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(UserError, match="imbalance-bench analyze"):
        draw("class_dice", tmp_path)


def test_style_leaves_no_trace_and_torch_and_pyplot_stay_out() -> None:
    before = dict(mpl.rcParams)
    with figure_style():
        assert mpl.rcParams["text.parse_math"] is False
    assert dict(mpl.rcParams) == before
    program = "import sys, analysis.plots, analysis.report; print({'torch', 'matplotlib.pyplot'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_formulas_in_names_are_plain_text(tmp_path: Path) -> None:
    figure = draw_figure("class_dice", POOR["strange names"](tmp_path / "study"))
    assert 'a "quoted" & $x_1$' in [label.get_text() for label in figure.axes[0].get_yticklabels()]


def test_gallery_ranks_by_the_dice_of_the_control() -> None:
    rows = [
        *[("bad", c, 0, 10, 10) for c in (0, 1)],
        *[("good", c, 10, 0, 0) for c in (0, 1)],
        ("middle", 0, 10, 0, 0),
        ("middle", 1, 0, 0, 10),
        *[("lucky", c, tp, 0, 0) for c, tp in ((0, 10), (1, 0))],  # class 1 neither occurs nor is predicted
    ]
    counts = pd.DataFrame(rows, columns=["image_id", "class_id", "tp", "fp", "fn"]).assign(split="test")
    dice = macro_dice_per_image(counts)
    assert dice.to_dict() == {"bad": 0, "good": 1, "lucky": 1, "middle": 0.5}
    assert chosen_images(dice) == [("best", "good"), ("median", "lucky"), ("worst", "bad")]
    assert chosen_images(dice[["bad"]]) == [("best", "bad")]


def test_gallery_rule_stands_in_the_caption(drawn: dict[str, Figure]) -> None:
    assert "Best, median and worst of the 5 test images" in str(drawn["gallery"].get_label())


def test_unlabelled_pixels_are_not_a_class() -> None:
    painted = paint(np.array([[0, 255]], dtype=np.uint8), ["#ff0000"])
    assert painted[0, 0].tolist() == [255, 0, 0]
    assert painted[0, 1].tolist() == [int("ee", 16), int("f1", 16), int("f4", 16)]


def test_validation_dice_leaves_out_classes_that_do_not_occur() -> None:
    rows = [("tp", 0, 8), ("fp", 0, 2), ("fn", 0, 2), ("tp", 1, 0), ("fp", 1, 4), ("fn", 1, 0)]
    epochs = pd.DataFrame(rows, columns=["quantity", "class_id", "value"]).assign(stage=0, step=5, split="val")
    other = epochs.assign(value=[4, 2, 2, 1, 1, 1])  # there class 1 occurs
    both = pd.concat([epochs.assign(run_id="a"), other.assign(run_id="b")])
    assert validation_macro_dice(both)["value"].tolist() == pytest.approx([16 / 20, (8 / 12 + 2 / 4) / 2])
