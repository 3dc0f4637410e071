"""Tables of borders and confusions: the sums that they come from, classes that are missing, older records."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.pipeline import analyze_study
from analysis.scoring.boundary_scores import BoundaryCounts, boundary_rows, gap_rows, trimap_rows
from analysis.scoring.confusion import confusion_rows
from analysis.scoring.image_rows import Folds, ImageRows
from analysis.scoring.units import UnitCounts, count_units
from analysis.study.runs import AnalysisPlan, read_study
from analysis.topics.context import Context
from imbalance_bench.manifest import write_json
from imbalance_bench.records import StudyRecords
from imbalance_bench.table_schemas import BoundaryMeasure
from tests.analysis.synthetic import write_synthetic_study

NAMES = ("a", "b")
PLAN = AnalysisPlan("control", 0.05, 0.01, 200, 1000, 0, 0.5, 2.0, "auto")


def counts_of(rows: list[tuple], occurs: list[list[bool]] | None = None) -> BoundaryCounts:
    """Return counts of two seeds and three images of two units; rows hold the columns below."""
    columns = ["seed", "image_id", "class_id", "measure", "distance_um", "numerator", "denominator"]
    counts = np.zeros((3, 2, 3, 2), dtype=np.int64)
    counts[0] = np.array(occurs if occurs is not None else [[True] * 2] * 3)
    units = UnitCounts((0, 1), ("g", "h"), ("i", "j", "k"), np.array([0, 0, 1]), np.array([0, 0, 1]), counts)
    return BoundaryCounts(pd.DataFrame(rows, columns=columns), units)


def in_two_folds(counts: BoundaryCounts, *, shared: bool = False) -> BoundaryCounts:
    """The same where each unit is tested in a fold of its own, or all of them, with the same counts, in both folds."""
    units = counts.units
    if not shared:
        return BoundaryCounts(counts.rows, replace(units, folds=Folds(np.arange(2), np.arange(2))))
    seeds, images, classes = (axis.ravel() for axis in np.indices(units.counts.shape[1:]))
    frame = pd.DataFrame({"seed": np.array(units.seeds)[seeds], "class_id": classes})
    frame["image_id"] = np.array(units.images)[images]
    frame["group_id"] = np.array(units.units)[units.unit_of_image[images]]
    both = pd.concat([frame.assign(fold=fold) for fold in range(2)], ignore_index=True)
    values = np.concatenate([units.counts.reshape(3, -1).T] * 2)
    rows = pd.concat([counts.rows.assign(fold=fold) for fold in range(2)], ignore_index=True)
    return BoundaryCounts(rows, count_units(ImageRows.of(both, units.seeds), values, "group", classes.max() + 1))


def widths(rows: list[dict]) -> np.ndarray:
    """Widths of the intervals of all rows that have one."""
    found = np.array([row["high"] - row["low"] for row in rows])
    return found[np.isfinite(found)]


def of_every_table(counts: BoundaryCounts) -> list[list[dict]]:
    """Rows of all tables."""
    rings = replace(counts, rows=counts.rows.assign(measure="trimap"))
    return [boundary_rows("m", counts, NAMES), gap_rows(counts, NAMES)[1], trimap_rows("m", rings, NAMES, (1.0,))]


def of_aggregation(counts: BoundaryCounts, aggregation: str) -> dict[str, dict]:
    """Rows of one aggregation by class."""
    rows = boundary_rows("m", counts, NAMES)
    return {row["class"]: row for row in rows if row["aggregation"] == aggregation}


def test_folds_enter_the_intervals_of_every_table() -> None:
    rows = [
        (seed, image, 0, "boundary_iou", 1.0, above, 1000)
        for seed in (0, 1)
        for image, above in zip("ijk", (500, 501, 503), strict=True)
    ]
    counts = counts_of(rows)
    shared = in_two_folds(counts, shared=True)
    for alone, folded in zip(of_every_table(counts), of_every_table(in_two_folds(counts)), strict=True):
        ratio = widths(folded)[widths(alone) > 0] / widths(alone)[widths(alone) > 0]
        assert (ratio > 1.5).all()  # sqrt(3) but for the bias: (1 / 2 + 1) s^2 in place of s^2 / 2
    for alone, folded in zip(of_every_table(counts), of_every_table(shared), strict=True):
        assert widths(folded) == pytest.approx(widths(alone))  # both folds found the same
    unlucky = shared.rows["fold"].eq(1) & shared.rows["measure"].eq("boundary_iou")
    shared.rows.loc[unlucky, "numerator"] -= 100
    for alone, folded in zip(of_every_table(counts), of_every_table(shared), strict=True):
        assert widths(folded).max() > 5 * widths(alone).max()


def test_scores_are_ratios_of_sums_and_means_over_seeds() -> None:
    rows = [
        (seed, image, 0, "boundary_iou", 1.0, above, below)
        for seed, pairs in enumerate([((1, 4), (3, 6), (0, 10)), ((2, 4), (6, 6), (2, 10))])
        for image, (above, below) in zip("ijk", pairs, strict=True)
    ]
    found = of_aggregation(counts_of(rows), "pooled")
    assert found["a"]["value"] == pytest.approx((4 / 20 + 10 / 20) / 2)
    assert found["a"]["sd_over_seeds"] == pytest.approx(np.std([0.2, 0.5], ddof=1))
    assert (found["a"]["n_units"], found["a"]["n_seeds"]) == (2, 2)
    assert math.isnan(found["b"]["value"])  # labelled, but no border of it was recorded
    assert found["b"]["n_units"] == 0
    assert found["macro"]["value"] == found["a"]["value"]
    absent = counts_of(rows, occurs=[[False, True]] * 3)
    assert math.isnan(of_aggregation(absent, "pooled")["a"]["value"])  # predicted only: NaN, as everywhere else
    per_image = of_aggregation(counts_of(rows), "per_image")["a"]["value"]
    assert per_image == pytest.approx(np.mean([1 / 4, 3 / 6, 0, 2 / 4, 6 / 6, 2 / 10]))
    per_group = of_aggregation(counts_of(rows), "per_group")["a"]["value"]
    assert per_group == pytest.approx(np.mean([4 / 10, 0, 8 / 10, 2 / 10]))


def gap_counts(pairs: list[list[tuple[int, int]]]) -> BoundaryCounts:
    """Class a has 20 pixels and 20 border pixels per unit; pairs are how many of them are right, by seed and unit."""
    rows = [
        (seed, image, 0, "boundary_iou", distance, above * share * narrow, 20 * share)
        for seed, units in enumerate(pairs)
        for image, share, (_, above) in (("i", 0.25, units[0]), ("j", 0.75, units[0]), ("k", 1.0, units[1]))
        for distance, narrow in ((2.0, 1.0), (4.0, 0.5))
    ]
    found = counts_of(rows)
    right = np.array([[[units[0][0] // 4, units[0][0] * 3 // 4, units[1][0]] for units in pairs]])
    whole = np.array([5, 15, 20])
    found.units.counts[:] = 0
    found.units.counts[0, :, :, 0], found.units.counts[2, :, :, 0] = right, whole - right
    return found


def test_the_gap_is_iou_minus_boundary_iou_at_the_narrowest_distance_with_the_interval_of_the_difference() -> None:
    distance, (a, b) = gap_rows(gap_counts([[(16, 12), (8, 4)], [(16, 12), (8, 4)]]), NAMES)
    assert distance == 2.0
    # IoU .8 and .4, boundary IoU .6 and .2: both vary over units, their difference does not
    assert (a["mean"], a["low"], a["high"]) == (pytest.approx(0.2), pytest.approx(0.2), pytest.approx(0.2))
    assert a["n_units"] == 2
    assert math.isnan(b["mean"])
    assert math.isnan(b["low"])
    assert b["n_units"] == 0
    varied = gap_rows(gap_counts([[(16, 12), (8, 8)], [(16, 8), (8, 4)]]), NAMES)[1][0]
    assert varied["mean"] == pytest.approx((24 / 40 - 20 / 40 + 24 / 40 - 12 / 40) / 2)
    assert varied["low"] < varied["mean"] < varied["high"]


def test_a_study_with_borders_gets_the_gap_of_its_control_with_an_interval(tmp_path: Path) -> None:
    root = write_synthetic_study(tmp_path / "s", methods=("cross_entropy", "dfa"), n_images=6, classes=3, borders=True)
    tables = analyze_study(root).tables
    gap = tables["measures"].query("measure == 'boundary_iou_gap'").set_index("class")
    control = "method == 'cross_entropy' and `class` != 'macro'"
    iou = tables["method_scores"].query(f"{control} and metric == 'iou' and aggregation == 'pooled'").set_index("class")
    border = tables["boundary_scores"].query(f"{control} and measure == 'boundary_iou'")
    border = border[border["aggregation"] == "pooled"].set_index("class")
    np.testing.assert_allclose(gap["value"], iou["mean"] - border["value"], atol=1e-12)
    assert (gap["low"] < gap["value"]).all()
    assert (gap["value"] < gap["high"]).all()
    assert (gap["n"] == 6).all()
    apart = (iou["high"] - iou["low"]) + (border["high"] - border["low"])
    assert (gap["high"] - gap["low"] < apart).all()  # one resample serves both


def test_the_hausdorff_distance_is_a_mean_over_images_that_every_seed_predicts() -> None:
    rows = [
        (0, "i", 0, "hausdorff_95", np.nan, 2_000_000, 1),
        (0, "j", 0, "hausdorff_95", np.nan, 90_000_000, 1),  # the other seed misses the class in this image
        (0, "k", 0, "hausdorff_95", np.nan, 4_000_000, 1),
        (1, "i", 0, "hausdorff_95", np.nan, 3_000_000, 1),
        (1, "k", 0, "hausdorff_95", np.nan, 7_000_000, 1),
    ]
    found = of_aggregation(counts_of(rows), "per_image")
    assert found["a"]["value"] == pytest.approx((3.0 + 5.0) / 2)  # um
    assert found["a"]["missed"] == 1
    assert not of_aggregation(counts_of(rows), "pooled")
    assert found["a"]["high"] > 1  # no share
    assert math.isnan(found["a"]["distance_um"])


def test_a_class_that_is_never_predicted_leaves_no_macro_hausdorff_distance() -> None:
    far = [(seed, image, 0, "hausdorff_95", np.nan, 9_000_000, 1) for seed in (0, 1) for image in "ijk"]
    missing = of_aggregation(counts_of(far), "per_image")
    assert missing["a"]["value"] == 9
    assert math.isnan(missing["b"]["value"])
    assert math.isnan(missing["macro"]["value"])  # 9 would be the mean over another set of classes
    assert (missing["macro"]["n_units"], missing["b"]["n_units"]) == (0, 0)
    assert (missing["macro"]["missed"], missing["b"]["missed"]) == (3, 3)
    absent = of_aggregation(
        counts_of(far, occurs=[[True, False]] * 3), "per_image"
    )  # not in the truth: no class to miss
    assert absent["macro"]["value"] == 9
    assert (absent["macro"]["n_units"], absent["macro"]["missed"]) == (2, 0)


def test_rings_are_errors_by_distance_for_each_class_and_all() -> None:
    rows = [
        (seed, "i", class_id, "trimap", outer, above, below)
        for seed in (0, 1)
        for class_id, outer, above, below in ((0, 1.0, 2, 4), (1, 1.0, 1, 6), (0, np.inf, 0, 10))
    ]
    found = trimap_rows("m", counts_of(rows), NAMES, (1.0, 2.0))
    assert [(row["inner_um"], row["outer_um"]) for row in found[::3]] == [(0.0, 1.0), (1.0, 2.0), (2.0, np.inf)]
    by_class = {(row["class"], row["outer_um"]): row for row in found}
    assert by_class["a", 1.0]["value"] == 0.5
    assert by_class["all", 1.0]["value"] == 0.3
    assert by_class["all", 1.0]["n_pixels"] == 10
    assert by_class["all", np.inf]["value"] == 0
    assert math.isnan(by_class["b", np.inf]["value"])
    assert math.isnan(by_class["all", 2.0]["value"])  # a ring without a pixel


def test_confusion_is_the_share_of_the_true_class() -> None:
    rows = pd.DataFrame({"true_id": [0, 0, 0], "predicted_id": [0, 1, 0], "pixels": [5, 3, 2]})
    found = confusion_rows("m", rows, NAMES)
    assert [(row["true"], row["predicted"], row["pixels"]) for row in found[:2]] == [("a", "a", 7), ("a", "b", 3)]
    assert [row["share"] for row in found[:2]] == [0.7, 0.3]
    assert all(math.isnan(row["share"]) for row in found[2:])


def test_a_study_with_borders_gets_their_tables(tmp_path: Path) -> None:
    root = write_synthetic_study(
        tmp_path / "s", methods=("cross_entropy", "dfa"), seeds=2, n_images=4, classes=3, borders=True, dataset=False
    )
    result = analyze_study(root)
    assert "data/borders" not in {each.id for each in result.verdicts}
    scores, curves, confusion = (result.tables[name] for name in ("boundary_scores", "trimap_curves", "confusion"))
    assert set(scores["measure"]) == {str(each) for each in BoundaryMeasure} - {"trimap"}
    assert set(scores["class"]) == {"macro", "background", "tumour", "stroma"}
    assert scores.loc[scores["measure"] != "hausdorff_95", ["value", "low", "high"]].to_numpy().max() <= 1
    study = read_study(StudyRecords.open(root))
    found = Context(StudyRecords.open(root), study, PLAN, lambda *_: None, tmp_path)
    tp, _, fn = found.units["dfa"].counts.sum(axis=(1, 2))
    diagonal = confusion[(confusion["method"] == "dfa") & (confusion["true"] == confusion["predicted"])]
    assert np.allclose(diagonal["share"], tp / (tp + fn))  # recall of the counts
    errors = curves.query("method == 'dfa' and `class` == 'all'")
    assert np.isclose((errors["value"] * errors["n_pixels"]).sum() * 2, fn.sum())  # every error lies in one ring
    lines = (root / "analysis" / "README.md").read_text()
    assert all(f"## {name}.csv" in lines for name in ("boundary_scores", "trimap_curves", "confusion"))


def test_records_of_earlier_versions_are_analysed_without_borders(tmp_path: Path) -> None:
    root = write_synthetic_study(tmp_path / "s", methods=("cross_entropy", "dfa"), seeds=2, n_images=4, dataset=False)
    plan = StudyRecords.open(root).plan()
    del plan["evaluation"]
    write_json(root / "plan.json", plan)
    result = analyze_study(root)
    said = next(each for each in result.verdicts if each.id == "data/borders")
    assert said.sentence.startswith("Nothing is said about borders and confusions of cross_entropy, dfa: their runs")
    assert result.tables["boundary_scores"].empty
    assert (root / "analysis" / "confusion.csv").read_text() == "method,true,predicted,share,pixels\n"


def test_a_damaged_boundary_file_is_named(tmp_path: Path) -> None:
    root = write_synthetic_study(
        tmp_path / "s", methods=("cross_entropy", "dfa"), seeds=1, n_images=3, classes=3, borders=True, dataset=False
    )
    run = next(run for run in StudyRecords.open(root).finished() if run.manifest()["method"]["label"] == "dfa")
    (run.path / "boundary.parquet").write_bytes(b"torn")
    result = analyze_study(root)
    said = next(each for each in result.verdicts if each.id == "data/runs")
    assert f"{run.run_id}/boundary.parquet" in said.sentence
    assert set(result.tables["boundary_scores"]["method"]) == {"cross_entropy"}
