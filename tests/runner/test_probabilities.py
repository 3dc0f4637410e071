"""Counts of predicted probabilities: against a plain loop, against the other records, exact over images."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from imbalance_bench.evaluation import probabilities
from imbalance_bench.evaluation.image_tables import ImageKeys, probability_rows
from imbalance_bench.evaluation.probabilities import count_probabilities
from imbalance_bench.records import StudyRecords
from imbalance_bench.table_schemas import PROBABILITY_BINS, PROBABILITY_UNIT

K = 3
KEYS = ["image_id", "group_id", "split", "class_id"]


def drawn(seed: int, size: tuple[int, int] = (11, 13)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, predicted and true classes; every class occurs and some pixels are unlabelled."""
    rng = np.random.default_rng(seed)
    logits = (3 * rng.normal(size=(K, *size))).astype(np.float32)
    target = rng.choice([*range(K), 255], size).astype(np.uint8)
    return logits, logits.argmax(0).astype(np.uint8), target


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over classes in double precision."""
    raised = np.exp(logits.astype(np.float64))
    return raised / raised.sum(0)


def test_probability_counts_agree_with_a_plain_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probabilities, "PIXELS_AT_ONCE", 50)  # the image ends inside a part
    logits, predicted, target = drawn(0)
    found, p = count_probabilities(logits, predicted, target), softmax(logits)
    for c, hit, true, b in product(range(K), range(2), range(2), range(PROBABILITY_BINS)):
        inside = (p[c] >= b / PROBABILITY_BINS) & (p[c] < (b + 1) / PROBABILITY_BINS)
        chosen = inside & ((predicted == c) == hit) & ((target == c) == true) & (target != 255)
        n = chosen.sum()
        assert found.pixels[c, hit, true, b] == n
        # each pixel is rounded by half a unit, and its square by that twice and by half a unit
        assert found.p[c, hit, true, b] / PROBABILITY_UNIT == pytest.approx(p[c][chosen].sum(), abs=1e-6 * n)
        squares = (p[c][chosen] ** 2).sum()
        assert found.p_squared[c, hit, true, b] / PROBABILITY_UNIT == pytest.approx(squares, abs=2e-6 * n)


def test_certain_and_impossible_classes_fall_into_the_outer_bins() -> None:
    logits = np.array([200.0, -200.0, -np.inf], dtype=np.float32).reshape(3, 1, 1)
    found = count_probabilities(logits, np.zeros((1, 1), np.uint8), np.ones((1, 1), np.uint8))
    rows = probability_rows(ImageKeys("a", "g", "test"), found).drop(columns=["image_id", "group_id", "split"])
    last = PROBABILITY_BINS - 1
    assert rows.to_numpy(dtype=int).tolist() == [
        [0, 1, last, 1, 0, PROBABILITY_UNIT, 0, PROBABILITY_UNIT],
        [1, 0, 0, 1, 1, 0, 0, 0],
        [2, 0, 0, 1, 0, 0, 0, 0],
    ]


def test_bins_begin_at_their_lower_end() -> None:
    for b in range(1, PROBABILITY_BINS):
        above = -(-b * PROBABILITY_UNIT // PROBABILITY_BINS)  # the first millionth that is not below the edge
        for millionths, expected in ((above - 1, b - 1), (above, b)):
            p = millionths / PROBABILITY_UNIT
            logits = np.log(np.array([p, 1 - p])).astype(np.float32).reshape(2, 1, 1)
            found = count_probabilities(logits, np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8))
            assert found.p[0].sum() == millionths
            assert found.pixels[0, 1, 1, expected] == 1


def test_sums_do_not_depend_on_order_and_add_up_exactly() -> None:
    logits, predicted, target = drawn(1, (40, 50))
    whole = count_probabilities(logits, predicted, target)
    order = np.random.default_rng(2).permutation(2000)
    mixed = [each.reshape(*each.shape[:-2], 1, -1)[..., order] for each in (logits, predicted, target)]
    halves = [count_probabilities(*(each[..., part] for each in mixed)) for part in (slice(700), slice(700, None))]
    for name in ("pixels", "p", "p_squared"):
        assert (getattr(whole, name) == getattr(halves[0], name) + getattr(halves[1], name)).all()


def test_recorded_probabilities_tell_the_same_as_the_counts(finished_study: Path) -> None:
    for run in StudyRecords.open(finished_study).finished():
        rows, counts = run.probabilities(), run.counts().set_index(KEYS)
        assert rows is not None
        assert set(rows.split) == {"val", "test"}
        found = rows.groupby(KEYS)[["pixels", "true_pixels", "p_millionths"]].sum()
        assert found.pixels.equals(counts.n_valid.rename("pixels"))
        assert found.true_pixels.equals((counts.tp + counts.fn).rename("true_pixels"))
        chosen = rows[rows.predicted].groupby(KEYS)[["pixels", "true_pixels"]].sum().reindex(counts.index, fill_value=0)
        assert chosen.pixels.equals((counts.tp + counts.fp).rename("pixels"))
        assert chosen.true_pixels.equals(counts.tp.rename("true_pixels"))
        # probabilities of an image's pixels sum to one over classes, each rounded by half a millionth
        total = found.groupby(KEYS[:3])[["p_millionths"]].sum().p_millionths
        n_valid = counts.groupby(KEYS[:3]).n_valid.first()
        assert ((total - n_valid * PROBABILITY_UNIT).abs() <= 0.5 * K * n_valid).all()
        assert run.manifest()["cost"]["evaluation_seconds"]["probabilities"] > 0


def test_the_mean_probability_of_a_row_lies_in_its_bin(finished_study: Path) -> None:
    rows = next(iter(StudyRecords.open(finished_study).finished())).probabilities()
    assert rows is not None
    mean = rows.p_millionths / rows.pixels * PROBABILITY_BINS / PROBABILITY_UNIT
    assert ((mean >= rows.bin) & (mean < rows.bin + 1 + (rows.bin == PROBABILITY_BINS - 1))).all()
    assert (mean[rows.predicted] >= PROBABILITY_BINS / K - 1e-5).all()  # the predicted class is the most likely one
    assert (rows.true_p_millionths <= rows.p_millionths).all()
    assert (rows.p_squared_millionths <= rows.p_millionths).all()
