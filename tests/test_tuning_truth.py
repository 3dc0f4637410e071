"""The benchmark of planted truths of tuning: what it plants, and what it counts as found."""

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.tuning_truth.__main__ import (
    BAD,
    MARGIN,
    PLACEBO,
    beyond_luck,
    config_of,
    found,
    page_text,
    planted_methods,
)
from benchmarks.tuning_truth.planted import WORST, BadDefaultConfig, LuckyCrossEntropy, PlaceboConfig
from imbalance_bench.tuning.draws import trials_of
from methods.search_space import search_space

TRIALS = [0.30, 0.31, 0.29, 0.30]  # standard deviation .0082; of a difference .0115


def rows(winner: int, test_default: float, test_winner: float) -> pd.DataFrame:
    row = {"winner": winner, "test_default": test_default, "test_winner": test_winner, "of_trials": TRIALS}
    return pd.DataFrame([row])


@pytest.mark.parametrize(
    ("winner", "gain", "is_found", "is_beyond"),
    [
        (3, 0.02, True, False),
        (3, 0.03, True, True),
        (3, 0.005, False, False),
        (3, -0.03, False, True),
        (0, 0.0, False, False),
    ],
)
def test_what_is_found_and_what_is_luck(winner, gain, is_found, is_beyond):
    table = rows(winner, 0.3, 0.3 + gain)
    assert found(table).tolist() == [is_found]
    assert beyond_luck(table).tolist() == [is_beyond]
    assert MARGIN == 0.01


def test_the_good_value_lies_in_the_space_and_the_default_at_its_bad_end(tmp_path):
    space = search_space(BadDefaultConfig)
    assert space["exponent"].holds(0.5)
    assert BadDefaultConfig().exponent == WORST
    assert "exponent" not in search_space(PlaceboConfig)
    with planted_methods():
        config = config_of(tmp_path, 0)
        assert config.tuning is not None
        placebo, bad = (trials_of(entry, config.tuning) for entry in config.methods)
    assert {len(placebo), len(bad)} == {config.tuning.trials}
    assert all(set(trial.draw) == {"luck"} for trial in placebo[1:])
    assert not {*config.seeds} & {*config.tuning.seeds}


def test_luck_decides_which_pixels_count_and_nothing_else():
    generator = torch.Generator().manual_seed(0)
    logits, target = (
        torch.randn(2, 3, 16, 16, generator=generator),
        torch.randint(0, 3, (2, 16, 16), generator=generator),
    )
    valid = torch.ones_like(target, dtype=torch.bool)
    plain = torch.nn.functional.cross_entropy(logits, target).item()
    by_luck = [LuckyCrossEntropy(torch.ones(3), luck)(logits, target, valid, 0).total.item() for luck in range(200)]
    assert len({round(value, 6) for value in by_luck}) > 150
    assert np.mean(by_luck) == pytest.approx(plain, abs=4 * np.std(by_luck) / np.sqrt(200))
    first, again = (LuckyCrossEntropy(torch.ones(3), 7)(logits, target, valid, 3).total.item() for _ in range(2))
    assert first == again


def test_the_page_has_a_column_for_each_method():
    same = ["validation_default", "validation_winner", "test_again", "test_oracle", "optimism_of_gain"]
    table = pd.concat(
        rows(3, 0.3, 0.3 + 1.5 * step / 100).assign(
            method=name,
            exponent=1.0,
            optimism_of_seeds=[0.05, 0.1, 0.15][step],
            **{key: 0.4 - step / (9 + place) for place, key in enumerate(same)},
        )
        for name in (BAD, PLACEBO)
        for step in range(3)
    )
    text = page_text(table)
    assert "| left its default for a setting better by more than 1 point on test images | 2 of 3 | 2 of 3 |" in text
    half = 4.302653 * 5 / np.sqrt(3)  # t quantile with 2 degrees of freedom, points
    cell = f"+10.0 ({10 - half:+.1f} to {10 + half:+.1f})"
    assert f"| optimism against the same setting with other seeds | {cell} | {cell} |" in text
