"""Scores of single images: from the counts and borders of that image, empty where the class does not occur."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.schema import rows_of
from analysis.study.runs import read_study
from analysis.topics.image_scores import image_scores
from imbalance_bench.records import StudyRecords
from tests.analysis import synthetic
from tests.analysis.synthetic import write_synthetic_study

DISTANCES = (1.0, 2.0, 4.0)
SCORES = ("dice", "iou", "recall", "precision", "boundary_iou", "surface_dice")


@pytest.fixture(autouse=True)
def _several_distances(monkeypatch):
    setting = replace(synthetic.BOUNDARY, boundary_um=DISTANCES, surface_um=DISTANCES)
    monkeypatch.setattr(synthetic, "BOUNDARY", setting)


def scores_of(root: Path, band_um: float = 2.0) -> tuple[pd.DataFrame, StudyRecords]:
    records = StudyRecords.open(root)
    return image_scores(read_study(records), records, band_um), records


def test_each_row_follows_from_the_records_of_its_run(tmp_path):
    root = write_synthetic_study(
        tmp_path / "s", methods=("cross_entropy",), seeds=2, n_images=5, absent_class=True, borders=True
    )
    found, records = scores_of(root)
    names = [each["name"] for each in records.dataset()["classes"]]
    checked = absent = 0
    for run in records.plan()["runs"]:
        record = records.run(run["run_id"])
        counts, boundary = record.counts(), record.boundary()
        assert boundary is not None
        counts = counts[counts["split"] == "test"]
        own = {(row["image"], row["class_id"]): row for row in rows_of(found) if row["seed"] == run["seed"]}
        border = {
            (row["image_id"], row["class_id"], row["measure"], row["distance_um"]): row["numerator"]
            / row["denominator"]
            for row in rows_of(boundary.fillna({"distance_um": 0.0}))
        }
        assert len(own) == len(counts)
        for each in rows_of(counts):
            place, tp, fp, fn = (each["image_id"], each["class_id"]), each["tp"], each["fp"], each["fn"]
            row = own[place]
            assert (row["class"], row["group"]) == (names[each["class_id"]], each["group_id"])
            assert (row["tp"], row["fp"], row["fn"]) == (tp, fp, fn)
            if tp + fn == 0:
                assert np.isnan([row[column] for column in (*SCORES, "hd95_um")]).all()
                absent += 1
                continue
            expected = [2 * tp / (2 * tp + fp + fn), tp / (tp + fp + fn), tp / (tp + fn), tp / (tp + fp)]
            expected += [border[*place, "boundary_iou", 2.0], border[*place, "surface_dice", 2.0]]
            assert [row[column] for column in SCORES] == pytest.approx(expected, rel=1e-12)
            assert (row["boundary_um"], row["surface_um"]) == (2.0, 2.0)
            assert row["hd95_um"] == pytest.approx(border[*place, "hausdorff_95", 0.0] / 1e6, rel=1e-12)
            checked += 1
    assert checked > 20
    assert absent == 10


def test_distances_are_the_nearest_recorded_and_runs_without_borders_have_none(tmp_path):
    root = write_synthetic_study(tmp_path / "s", methods=("cross_entropy",), seeds=1, n_images=4, borders=True)
    found, records = scores_of(root, band_um=3.9)
    assert set(found["surface_um"].dropna()) == {4.0}
    for run in records.plan()["runs"]:
        (records.run(run["run_id"]).path / "boundary.parquet").unlink()
    bare, _ = scores_of(root)
    assert bare[["boundary_iou", "boundary_um", "surface_dice", "surface_um", "hd95_um"]].isna().all(axis=None)
    pd.testing.assert_series_equal(bare["dice"], found["dice"])
