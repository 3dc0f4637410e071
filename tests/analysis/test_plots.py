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
from contract_study import LONG_NAMES, write_analysis, write_bare_study
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from synthetic import write_synthetic_study

from analysis.plots import KINDS, AnalysedStudy, NotDrawableError, draw, draw_figure
from analysis.plots.gallery import chosen_images, macro_dice_per_image, paint
from analysis.plots.labels import overlapping
from analysis.plots.learning import validation_macro_dice
from analysis.plots.style import (
    figure_style,
    new_figure,
)
from analysis.plots.wording import signed
from imbalance_bench.errors import UserError

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
    return analysed(root)


@pytest.fixture(scope="module")
def drawn(complete: AnalysedStudy) -> dict[str, Figure]:
    return {kind: draw_figure(kind, complete) for kind in KINDS}


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
        if kind not in ("gallery", "learning_curves"):  # these need records, see below
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
    scores = scores[scores["aggregation"] == "per_image"].set_index(["method", "class"])
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
    expected = {f"ρ = {signed(rho, 2)}\nexact p = 0.083 (K = 5)" for rho in rows["spearman"]}  # noqa: RUF001
    assert {axes.get_title(loc="left") for axes in drawn["bias_vs_difficulty"].axes} == expected


def test_untestable_associations_say_so(tmp_path: Path) -> None:
    figure = draw_figure("bias_vs_difficulty", POOR["one seed, two classes"](tmp_path / "study"))
    assert all("not testable (K = 2" in axes.get_title(loc="left") for axes in figure.axes)
    assert not any("exact p" in axes.get_title(loc="left") for axes in figure.axes)


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


def test_what_a_study_lacks_is_refused_with_a_reason(tmp_path: Path) -> None:
    root = write_bare_study(tmp_path / "study", ["a", "b", "c"], methods=["cross_entropy", "focal"])
    study = analysed(root, measures=False)
    for kind in ("bias_vs_difficulty", "bias_trajectory", "prior_to_final"):
        with pytest.raises(NotDrawableError, match="learned class bias"):
            draw_figure(kind, study)
    with pytest.raises(NotDrawableError, match="measures are not available"):
        draw_figure("frequency_difficulty_plane", study)
    with pytest.raises(NotDrawableError, match="no learning curve"):
        draw_figure("learning_curves", study)
    with pytest.raises(NotDrawableError, match="cannot be read"):
        draw_figure("gallery", study)


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
    assert validation_macro_dice(epochs)["value"].tolist() == pytest.approx([16 / 20])
