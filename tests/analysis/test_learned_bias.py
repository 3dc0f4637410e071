"""Estimands and their reliability. Oracle of ICC(3,k): Shrout and Fleiss 1979, table 4, and R psych::ICC's interval."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.statistics.intraclass_correlation import icc_average_consistency
from analysis.study.runs import RunData
from analysis.topics.learned_bias import estimands

JUDGES = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float)


def run_with(rows: dict[str, list[list[float]]], stages: int = 1) -> RunData:
    """A run whose ledger holds, per parameter, one list of class values per step (0, 10, ...), in every stage."""
    ledger = [
        [stage, 10 * step, c, name, value + 100 * (stages - 1 - stage)]
        for stage in range(stages)
        for name, steps in rows.items()
        for step, values in enumerate(steps)
        for c, value in enumerate(values)
    ]
    frame = pd.DataFrame(ledger, columns=["stage", "step", "class_id", "parameter", "value"])
    return RunData("r", "dfa", "dfa", "class_query", 0, 0, {}, pd.DataFrame(), frame)


def test_icc_equals_shrout_and_fleiss():
    icc, low, high = icc_average_consistency(JUDGES)
    assert icc == pytest.approx(0.9093, abs=5e-5)
    assert (low, high) == (pytest.approx(0.68, abs=0.01), pytest.approx(0.99, abs=0.005))


@given(st.floats(-5, 5), st.floats(0.1, 10), st.permutations(range(4)))
def test_icc_ignores_offsets_of_raters_and_scale(offset, scale, order):
    changed = scale * JUDGES[:, list(order)] + offset * np.arange(4)
    assert icc_average_consistency(changed) == pytest.approx(icc_average_consistency(JUDGES), rel=1e-6)


def test_icc_at_its_limits():
    assert icc_average_consistency(np.tile(np.arange(5.0)[:, None], 3)) == (1, 1, 1)
    assert np.isnan(icc_average_consistency(JUDGES[:, :1])).all()
    assert np.isnan(icc_average_consistency(JUDGES[:1])).all()
    assert np.isnan(icc_average_consistency(np.zeros((5, 3)))).all()
    noise = [icc_average_consistency(np.random.default_rng(s).normal(size=(5, 3)))[0] for s in range(300)]
    assert np.median(noise) < 0.3  # no agreement: not called reliable by default


def test_estimands_of_the_last_step_centred_over_occurring_classes():
    run = run_with(
        {
            "attention_bias": [[0.1, 0.2, 0.3, 9.0], [1.0, 2.0, 6.0, 50.0]],
            "attention_bias_initial": [[0.1, 0.2, 0.3, 9.0]] * 2,
            "attention_mass": [[0.25] * 4, [0.1, 0.2, 0.3, 0.4]],
        }
    )
    found = estimands(run, np.array([True, True, True, False]))
    np.testing.assert_allclose(found["learned"], [-2, -1, 3, np.nan])
    np.testing.assert_allclose(found["change"], np.array([0.9, 1.8, 5.7, np.nan]) - 2.8)
    np.testing.assert_allclose(found["attention_mass"], [0.1, 0.2, 0.3, np.nan])
    assert "effective_offset" not in found


def test_a_constant_added_to_every_class_changes_nothing():
    rows = {"attention_bias": [[0.0, 0, 0], [1, 2, 4]], "attention_bias_initial": [[0.0, 0, 0]] * 2}
    shifted = rows | {"attention_bias": [[0.0, 0, 0], [6, 7, 9]]}
    everything = np.ones(3, dtype=bool)
    for name, values in estimands(run_with(rows), everything).items():
        np.testing.assert_allclose(estimands(run_with(shifted), everything)[name], values)


def test_official_layout_reports_the_bias_that_drives_the_class():
    run = run_with(
        {
            "attention_bias": [[1.0, 2, 3], [1, 2, 3]],
            "attention_bias_initial": [[9.0, 9, 9]] * 2,
            "attention_bias_driving": [[0.0, 1, 0], [2, 3, 0]],
        }
    )
    found = estimands(run, np.ones(3, dtype=bool))
    np.testing.assert_allclose(found["learned"], np.array([2, 3, 0]) - 5 / 3)
    np.testing.assert_allclose(found["change"], np.array([2, 2, 0]) - 4 / 3)


def test_only_the_last_stage_counts():
    rows = {"effective_offset": [[0.0, 0, 0], [1, 2, 3]]}
    np.testing.assert_allclose(
        estimands(run_with(rows, stages=2), np.ones(3, dtype=bool))["effective_offset"], [-1, 0, 1]
    )


def test_a_method_without_bias_has_none():
    assert estimands(run_with({"loss_weight": [[1.0, 1, 1]]}), np.ones(3, dtype=bool)) == {}
    assert estimands(run_with({}), np.ones(3, dtype=bool)) == {}
