"""What a mean hides: profiles, interquartile means, trade-offs, all pairs. Oracles: loops, SciPy, comparisons."""

from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from analysis.pipeline import StudyAnalysis, analyze_study
from analysis.scoring.units import UnitCounts
from analysis.statistics.corrections import holm
from analysis.topics.distributions import interquartile_means, profiles
from tests.analysis.synthetic import write_synthetic_study

NAMES = ("a", "b")


def counts_of(dice: np.ndarray, occurs: np.ndarray) -> UnitCounts:
    """Counts of (S, U, 2) Dice of images that are their own units."""
    tp = np.round(1000 * dice).astype(np.int64) * occurs
    fn = (1000 - tp) * occurs
    counts = np.stack([tp, fn, fn])  # as many false positives: Dice = tp / 1000
    n = dice.shape[1]
    ids = tuple(f"i{u:02}" for u in range(n))
    return UnitCounts(tuple(range(len(dice))), ids, ids, np.arange(n), np.arange(n), counts)


@pytest.fixture(scope="module")
def units() -> dict[str, UnitCounts]:
    rng = np.random.default_rng(0)
    occurs = np.ones((9, 2), dtype=bool)
    occurs[5:, 1] = False
    return {"m": counts_of(np.round(rng.uniform(size=(2, 9, 2)), 3), occurs)}


def test_profiles_are_shares_of_units(units: dict[str, UnitCounts]) -> None:
    rows = {(row["class"], row["threshold"]): row for row in profiles(units, NAMES)}
    dice = units["m"].counts[0] / 1000
    for threshold in (0.1, 0.5, 0.8):
        assert rows["a", threshold]["share"] == pytest.approx((dice[..., 0] >= threshold).mean())
        assert rows["b", threshold]["share"] == pytest.approx((dice[:, :5, 1] >= threshold).mean())
        macro = np.concatenate([dice[:, :5].mean(axis=2), dice[:, 5:, 0]], axis=1)
        assert rows["macro", threshold]["share"] == pytest.approx((macro >= threshold).mean())
    assert rows["b", 0.5]["n_units"] == 5
    shares = np.array([row["share"] for (name, _), row in rows.items() if name == "a"], dtype=float)
    assert (np.diff(shares) <= 0).all()


def test_the_interquartile_mean_is_scipys(units: dict[str, UnitCounts]) -> None:
    rows = {row["class"]: row for row in interquartile_means(units, NAMES)}
    dice = units["m"].counts[0] / 1000
    assert rows["a"]["iqm"] == pytest.approx(np.mean([scipy.stats.trim_mean(each[:, 0], 0.25) for each in dice]))
    assert rows["b"]["iqm"] == pytest.approx(np.mean([scipy.stats.trim_mean(each[:5, 1], 0.25) for each in dice]))
    low, iqm, high = (float(str(rows["a"][key])) for key in ("low", "iqm", "high"))
    assert low < iqm < high


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> StudyAnalysis:
    root: Path = tmp_path_factory.mktemp("distributions") / "study"
    methods = ("cross_entropy", "inverse_frequency", "dfa")
    return analyze_study(write_synthetic_study(root, methods=methods, n_images=10, classes=3, dataset=False))


def test_tradeoffs_are_differences_of_the_scores(analysed: StudyAnalysis) -> None:
    scores = analysed.tables["method_scores"].query("aggregation == 'per_group'")
    mean = scores.set_index(["metric", "class", "method"])["mean"]
    rows = analysed.tables["tradeoffs"]
    assert set(rows["class"]) == {"macro", "background", "tumour", "stroma"}
    for row in rows.to_dict("records"):
        for metric in ("recall", "precision", "dice"):
            apart = mean[metric, row["class"], row["method"]] - mean[metric, row["class"], row["control"]]
            assert row[metric] == pytest.approx(apart)
        assert row["hurt"] == (row["precision_high"] < 0 and row["dice"] <= 0)
    assert rows["hurt"].any()  # inverse_frequency is planted to lose


def test_all_pairs_are_corrected_together(analysed: StudyAnalysis) -> None:
    rows = analysed.tables["pairwise"]
    assert len(rows) == 3
    assert (rows["difference"] > 0).all()
    np.testing.assert_allclose(rows["p_holm"], holm(rows["p"].to_numpy()))
    compared = analysed.tables["comparisons"].query("method == 'dfa' and `class` == 'macro'").iloc[0]
    row = rows.query("method_a == 'dfa' and method_b == 'cross_entropy'").iloc[0]
    assert (row["difference"], row["p"]) == (pytest.approx(compared["difference"]), pytest.approx(compared["p"]))
