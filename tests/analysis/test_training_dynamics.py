"""Forgetting, confidence and area under the margin from the counts of runs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.measures.training_dynamics import training_dynamics
from imbalance_bench.records import RunRecord
from imbalance_bench.table_files import write_table
from imbalance_bench.table_schemas import DYNAMICS

MILLION = 1_000_000


def run_with(folder: Path, rows: list[tuple[int, str, int, int, int, int, int, float, float]]) -> RunRecord:
    """Write rows of stage, group, class, looks, pixels, learned, forgotten, and the sums of p and margin."""
    folder.mkdir()
    lines = [
        (
            stage,
            f"im_{group}",
            group,
            k,
            looks,
            pixels,
            learned,
            forgotten,
            forgotten,
            round(p * MILLION),
            round(m * MILLION),
        )
        for stage, group, k, looks, pixels, learned, forgotten, p, m in rows
    ]
    types = {"stage": "int8", "class_id": "int16", "looks": "int32"}
    write_table(folder / "dynamics.parquet", "dynamics", pd.DataFrame(lines, columns=DYNAMICS.names).astype(types))
    return RunRecord(folder)


def values_of(runs: list[RunRecord], n_classes: int = 3) -> dict[str, np.ndarray]:
    return {each.measure: each.value for each in training_dynamics(runs, n_classes, resamples=200, seed=0)}


def test_ratios_of_sums_over_groups_and_runs(tmp_path: Path):
    one = run_with(tmp_path / "one", [(0, "a", 0, 5, 10, 8, 2, 20.0, -5.0), (0, "b", 0, 5, 30, 12, 6, 100.0, 25.0)])
    two = run_with(tmp_path / "two", [(0, "a", 0, 5, 10, 10, 0, 50.0, 40.0), (0, "b", 0, 5, 30, 10, 2, 30.0, 0.0)])
    values = values_of([one, two])
    assert values["never_learned"][0] == pytest.approx(40 / 80)
    assert values["forgetting"][0] == pytest.approx(10 / 40)
    assert values["confidence"][0] == pytest.approx(200 / 400)
    assert values["area_under_margin"][0] == pytest.approx(60 / 400)


def test_a_class_that_is_never_learned_has_no_forgetting_and_an_absent_one_has_nothing(tmp_path: Path):
    run = run_with(tmp_path / "run", [(0, "a", 1, 4, 10, 0, 0, 4.0, -80.0)])
    found = training_dynamics([run], 3, resamples=50, seed=0)
    values = {each.measure: each.value for each in found}
    assert values["never_learned"].tolist()[1] == 1
    assert np.isnan(values["forgetting"][1])
    assert values["area_under_margin"][1] == pytest.approx(-2)
    for each in found:
        assert np.isnan(each.value[[0, 2]]).all()
        assert each.n.tolist() == [0, 10, 0]
        assert np.isnan(each.low).all()  # one group says nothing about others


def test_intervals_are_over_groups_and_repeat(tmp_path: Path):
    rows = [(0, f"g{g}", 0, 2, 100, 90, 10 * (g % 4), 100.0 + g, 50.0) for g in range(12)]
    run = run_with(tmp_path / "run", rows)
    first, second = (training_dynamics([run], 1, resamples=500, seed=3)[1] for _ in range(2))
    assert first.measure == "forgetting"
    assert first.low[0] < first.value[0] < first.high[0]
    assert (first.low == second.low).all()
    wide = training_dynamics([run_with(tmp_path / "few", rows[:4])], 1, resamples=500, seed=3)[1]
    assert wide.high[0] - wide.low[0] > first.high[0] - first.low[0]


def test_only_the_last_stage_counts_and_every_run_must_have_recorded(tmp_path: Path):
    run = run_with(tmp_path / "run", [(0, "a", 0, 5, 10, 1, 1, 1.0, 1.0), (1, "a", 0, 5, 10, 10, 0, 50.0, 1.0)])
    assert values_of([run], 1)["confidence"][0] == pytest.approx(1)
    (tmp_path / "old").mkdir()
    assert training_dynamics([run, RunRecord(tmp_path / "old")], 1, resamples=10, seed=0) == []
