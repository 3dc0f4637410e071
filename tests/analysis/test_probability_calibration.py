"""Calibration of probabilities: closed forms, another implementation, intervals, and records that lack them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.pipeline import analyze_study
from analysis.scoring.image_rows import Folds
from analysis.scoring.predicted_probabilities import (
    ALL,
    BRIER,
    CALIBRATION_ERROR,
    OVERCONFIDENCE,
    PREVALENCE_ERROR,
    TOP_LABEL_ERROR,
    ProbabilitySums,
    calibration_rows,
    classwise_errors,
    diagram_rows,
)
from analysis.scoring.units import UnitCounts
from analysis.statistics.intervals import unit_weights
from analysis.study.runs import AnalysisPlan
from imbalance_bench.evaluation.counts import count_pixels
from imbalance_bench.evaluation.image_tables import ImageKeys, probability_rows
from imbalance_bench.evaluation.probabilities import count_probabilities
from imbalance_bench.table_schemas import PROBABILITY_BINS
from tests.analysis.golden.probabilities import case, softmax
from tests.analysis.synthetic import write_synthetic_study

NAMES = ("a", "b", "c")
PLAN = AnalysisPlan(
    control=None, alpha=0.05, rope_dice=0.01, resamples=500, permutations=100, seed=0, reliability_floor=0.5,
    boundary_band_um=2.0, unit="image",
)  # fmt: skip


def drawn(seed: int, size: tuple[int, int] = (100, 100), *, sharpen: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits and a truth that is drawn from their softmax before they are multiplied by `sharpen`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (len(NAMES), *size))
    p = np.exp(logits) / np.exp(logits).sum(0)
    truth = (rng.random(size) > np.cumsum(p, axis=0)[:-1]).sum(0)
    return (sharpen * logits).astype(np.float32), truth.astype(np.uint8)


def sums_of(images: list[list[tuple[np.ndarray, np.ndarray]]]) -> tuple[ProbabilitySums, pd.DataFrame]:
    """Sums of images, seed by seed; each image is its own unit."""
    frames, counts = [], []
    for seed, of_seed in enumerate(images):
        for number, (logits, truth) in enumerate(of_seed):
            predicted = logits.argmax(0).astype(np.uint8)
            keys = ImageKeys(f"i{number:03}", f"i{number:03}", "test")
            frames.append(probability_rows(keys, count_probabilities(logits, predicted, truth)).assign(seed=seed))
            found = count_pixels(predicted, truth, len(NAMES))
            counts.append((found.tp, found.fp, found.fn))
    n = len(images[0])
    ids = tuple(f"i{number:03}" for number in range(n))
    stacked = np.stack(counts).reshape(len(images), n, 3, len(NAMES)).transpose(2, 0, 1, 3)
    units = UnitCounts(tuple(range(len(images))), ids, ids, np.arange(n), np.arange(n), stacked)
    rows = pd.concat(frames, ignore_index=True)
    return ProbabilitySums.of_rows(rows, units), rows


def scored(sums: ProbabilitySums) -> pd.DataFrame:
    return pd.DataFrame(calibration_rows("m", sums, NAMES)).set_index(["measure", "class"])


def test_probabilities_that_are_true_have_no_error_and_sharper_ones_are_overconfident() -> None:
    true = scored(sums_of([[drawn(seed) for seed in range(12)]])[0])["value"]
    assert true[[CALIBRATION_ERROR, TOP_LABEL_ERROR]].max() < 0.01
    assert true[[OVERCONFIDENCE, PREVALENCE_ERROR]].abs().max() < 0.01
    sharp = scored(sums_of([[drawn(seed, sharpen=3) for seed in range(12)]])[0])
    assert sharp["low"][OVERCONFIDENCE, ALL] > 0.05
    value = sharp["value"]  # overconfident in every bin
    assert value[TOP_LABEL_ERROR, ALL] == pytest.approx(value[OVERCONFIDENCE, ALL], rel=0.05)
    blunt = scored(sums_of([[drawn(seed, sharpen=0.3) for seed in range(12)]])[0])
    assert blunt["high"][OVERCONFIDENCE, ALL] < -0.05


def test_folds_enter_the_intervals_of_both_tables() -> None:
    sums = sums_of([[drawn(seed) for seed in range(8)]])[0]
    folded = replace(sums, folds=Folds(np.arange(8), np.arange(8) % 2))
    every = [sums.pixels, sums.true_pixels, sums.p, sums.true_p, sums.p_squared]
    # two folds that test all units: one predicts as before, the other half as many true pixels
    twice = ProbabilitySums(*(np.repeat(each, 2, axis=1) for each in every), occurs=np.repeat(sums.occurs, 2, axis=0))
    twice.true_pixels[:, 1::2] /= 2
    shared = replace(sums, folds=Folds(np.repeat(np.arange(8), 2), np.tile(np.arange(2), 8)), apart=twice)
    for rows_of in (calibration_rows, diagram_rows):
        alone, apart, all_units = (
            np.array([row["high"] - row["low"] for row in rows_of("m", each, NAMES)]) for each in (sums, folded, shared)
        )
        assert (apart >= alone - 1e-12)[np.isfinite(alone)].all()
        assert (apart > 1.2 * alone).any()
        assert (all_units > 1.2 * alone).any()


def test_a_constant_probability_has_errors_in_closed_form() -> None:
    """Every pixel says (.8, .15, .05); the truth is a, b, c for .5, .3, .2 of the pixels."""
    p, share = np.array([0.8, 0.15, 0.05]), np.array([0.5, 0.3, 0.2])
    logits = np.broadcast_to(np.log(p)[:, None, None], (3, 10, 10)).astype(np.float32)
    truth = np.repeat([0, 1, 2], (100 * share).astype(int)).reshape(10, 10).astype(np.uint8)
    sums = sums_of([[(logits, truth), (logits, truth)]])[0]
    found = scored(sums)["value"]
    squares = share * (1 - p) ** 2 + (1 - share) * p**2
    for c, name in enumerate(NAMES):
        assert found[PREVALENCE_ERROR, name] == pytest.approx(p[c] - share[c], abs=1e-6)
        assert found[CALIBRATION_ERROR, name] == pytest.approx(abs(p[c] - share[c]), abs=1e-6)
        assert found[BRIER, name] == pytest.approx(squares[c], abs=1e-6)
    assert found[BRIER, ALL] == pytest.approx(squares.sum(), abs=3e-6)
    assert found[CALIBRATION_ERROR, "macro"] == pytest.approx(abs(p - share).mean(), abs=1e-6)
    for measure in (OVERCONFIDENCE, TOP_LABEL_ERROR):
        assert found[measure, ALL] == found[measure, "a"] == pytest.approx(0.3, abs=1e-6)
        assert np.isnan(found[measure, "b"])  # never predicted
        assert found[measure, "macro"] == found[measure, "a"]
    assert (CALIBRATION_ERROR, ALL) not in found.index
    rows = pd.DataFrame(diagram_rows("m", sums, NAMES))
    assert rows["class"].tolist() == ["c", "b", "a", ALL]  # by bin
    assert rows["probability"].to_numpy() == pytest.approx([0.05, 0.15, 0.8, 0.8], abs=1e-6)
    assert rows["value"].to_numpy() == pytest.approx([0.2, 0.3, 0.5, 0.5])
    assert rows["pixels"].tolist() == [200] * 4


def test_errors_agree_with_a_plain_computation_from_pixels() -> None:
    images = [[drawn(seed, sharpen=2) for seed in (1, 2, 3)], [drawn(seed, sharpen=1.5) for seed in (4, 5, 6)]]
    images = [[(logits, truths) for (logits, _), (_, truths) in zip(each, images[0], strict=True)] for each in images]
    found = scored(sums_of(images)[0])["value"]
    expected = {key: [] for key in (CALIBRATION_ERROR, TOP_LABEL_ERROR, BRIER, OVERCONFIDENCE)}
    for of_seed in images:
        p = np.concatenate([softmax(logits).reshape(3, -1) for logits, _ in of_seed], axis=1)
        truth = np.concatenate([labels.ravel() for _, labels in of_seed])
        chosen, confidence = p.argmax(0), p.max(0)
        expected[CALIBRATION_ERROR].append(_expected_error(p[1], truth == 1))
        expected[TOP_LABEL_ERROR].append(_expected_error(confidence, truth == chosen))
        expected[BRIER].append(((p - np.eye(3)[truth].T) ** 2).sum(0).mean())
        own = chosen == 2
        expected[OVERCONFIDENCE].append(confidence[own].mean() - (truth[own] == 2).mean())
    names = {CALIBRATION_ERROR: "b", TOP_LABEL_ERROR: ALL, BRIER: ALL, OVERCONFIDENCE: "c"}
    for measure, values in expected.items():
        assert found[measure, names[measure]] == pytest.approx(np.mean(values), abs=3e-6)


def _expected_error(p: np.ndarray, hit: np.ndarray) -> float:
    place = np.minimum((p * PROBABILITY_BINS).astype(int), PROBABILITY_BINS - 1)
    gaps = [abs(p[place == b].sum() - hit[place == b].sum()) for b in range(PROBABILITY_BINS)]
    return sum(gaps) / len(p)


def test_diagram_and_errors_are_those_of_scikit_learn_and_torchmetrics() -> None:
    lines = (Path(__file__).parent / "golden" / "probabilities_python.csv").read_text().splitlines()[2:]
    golden = {key: float(value) for key, value in (line.split(",") for line in lines)}
    sums, _ = sums_of([[case()]])
    rows, found = pd.DataFrame(diagram_rows("m", sums, NAMES)), scored(sums)["value"]
    for c, name in enumerate(NAMES):
        own = rows[rows["class"] == name].reset_index(drop=True)
        assert len(own) == sum(key.startswith(f"observed_{c}_") for key in golden) >= 10
        for row in range(len(own)):
            assert own["value"][row] == pytest.approx(golden[f"observed_{c}_{row}"], abs=1e-12)
            assert own["probability"][row] == pytest.approx(golden[f"probability_{c}_{row}"], abs=1e-6)
        assert found[BRIER, name] == pytest.approx(golden[f"brier_{c}"], abs=2e-6)
    assert found[TOP_LABEL_ERROR, ALL] == pytest.approx(golden["top_label_error_all"], abs=2e-6)


def test_resamples_are_scores_of_the_drawn_images() -> None:
    images = [[drawn(seed, (30, 30), sharpen=2) for seed in range(start, start + 4)] for start in (0, 0)]
    sums, _ = sums_of(images)
    parts, weights = classwise_errors(sums), unit_weights(4, 3, 5)
    found = parts.by_seed(weights)
    for row, weight in enumerate(weights.astype(int)):
        drawn_images = [image for image, n in zip(images[0], weight, strict=True) for _ in range(n)]
        again = classwise_errors(sums_of([drawn_images])[0]).by_seed(np.ones((1, 4)))[0, 0]
        assert found[row, 0] == pytest.approx(again)
        assert found[row, 1] == pytest.approx(again)


def test_an_absent_class_has_no_error_and_does_not_weigh_in_the_mean() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 20, 20)).astype(np.float32)
    found = scored(sums_of([[(logits, rng.integers(0, 2, (20, 20)).astype(np.uint8)) for _ in range(2)]])[0])["value"]
    for measure in (CALIBRATION_ERROR, TOP_LABEL_ERROR, OVERCONFIDENCE, PREVALENCE_ERROR, BRIER):
        assert np.isnan(found[measure, "c"])
        assert found[measure, "macro"] == pytest.approx((found[measure, "a"] + found[measure, "b"]) / 2)


def test_analysis_writes_calibration_and_names_runs_without_it(tmp_path: Path) -> None:
    root = write_synthetic_study(
        tmp_path / "s", methods=["cross_entropy", "dfa"], seeds=2, n_images=6, dataset=False, borders=True
    )
    result = analyze_study(root)
    table, diagram = result.tables["calibration"], result.tables["reliability_diagram"]
    assert set(table["method"]) == set(diagram["method"]) == {"cross_entropy", "dfa"}
    of_all = table[(table["measure"] == OVERCONFIDENCE) & (table["class"] == ALL)].set_index("method")
    by_id = {each.id: each for each in result.verdicts}
    for method in ("cross_entropy", "dfa"):
        value, low, high = (float(of_all[name][method]) for name in ("value", "low", "high"))
        assert f"{value:+.3f}" in by_id[f"calibration/{method}"].sentence
        assert (by_id[f"calibration/{method}"].word == "supported") == (low * high > 0)
    assert "data/probabilities" not in by_id
    next((root / "runs").rglob("probabilities.parquet")).unlink()
    again = analyze_study(root)
    said = next(each for each in again.verdicts if each.id == "data/probabilities")
    assert "did not record them" in said.sentence
    assert len(set(again.tables["calibration"]["method"])) == 1
