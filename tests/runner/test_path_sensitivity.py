"""What the benchmark of path sensitivity says of rows whose answer is known."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.path_sensitivity import macro_dice, sensitivity
from imbalance_bench.table_schemas import PATH_CONTROLS, PathControl

TRUTH = np.array([60, 30, 10])
ONE_IMAGE = {"image_id": "a", "group_id": "g", "split": "test"}


def rows(control: PathControl, predicted: list[int], right: list[int], target_id: int = -1, dose: float = 0.0):
    tp, classes = np.array(right), np.arange(3)
    counts = {"tp": tp, "fp": np.array(predicted) - tp, "fn": TRUTH - tp, "n_valid": 100}
    where = {"control": str(control), "target_id": target_id, "dose": dose, "class_id": classes}
    return pd.DataFrame(ONE_IMAGE | where | counts)[PATH_CONTROLS.names]


def controls(moved: dict[float, list[int]]) -> pd.DataFrame:
    """A perfect model: uniform weights predict class 0 alone; each dose of each class moves it as `moved` says."""
    perfect = TRUTH.tolist()
    found = [rows(PathControl.LEARNED, perfect, perfect), rows(PathControl.UNIFORM, [100, 0, 0], [60, 0, 0])]
    found += [rows(each, perfect, perfect) for each in (PathControl.REMOVED, PathControl.ORACLE, PathControl.ROLLED)]
    for kind in (PathControl.BIAS_DOSE, PathControl.LOGIT_DOSE, PathControl.LOGIT_MATCHED):
        for class_id in range(3):
            for dose, shift in moved.items():
                predicted = (TRUTH + np.roll(shift, class_id)).tolist()
                found.append(rows(kind, predicted, np.minimum(TRUTH, predicted).tolist(), class_id, dose))
    return pd.concat(found, ignore_index=True)


def test_macro_dice_is_the_mean_over_classes_of_pooled_dice() -> None:
    assert macro_dice(rows(PathControl.UNIFORM, [100, 0, 0], [60, 0, 0])) == pytest.approx(100 * (120 / 160) / 3)


def test_a_live_path_is_seen() -> None:
    found = sensitivity(controls({-4.0: [-8, 5, 3], -2.0: [-4, 2, 2], 2.0: [4, -2, -2], 4.0: [8, -4, -4]}))
    assert found.ceilings == {"uniform": pytest.approx(25 - 100), "removed": 0, "oracle": 0, "rolled": 0}
    assert set(found.monotone.values()) == set(found.specific.values()) == {1.0}
    assert found.largest > 1
    assert found.beyond_logits == 0


@pytest.mark.parametrize(
    ("moved", "monotone", "specific"),
    [
        ({-4.0: [0, 0, 0], -2.0: [0, 0, 0], 2.0: [0, 0, 0], 4.0: [0, 0, 0]}, 0, 0),  # inert
        ({-4.0: [8, -4, -4], -2.0: [4, -2, -2], 2.0: [-4, 2, 2], 4.0: [-8, 4, 4]}, 0, 0),  # the wrong way
        ({-4.0: [-2, 5, -3], -2.0: [-1, 3, -2], 2.0: [1, 3, -4], 4.0: [2, 3, -5]}, 1, 0),  # others move further
        ({-4.0: [-4, 2, 2], -2.0: [-8, 4, 4], 2.0: [4, -2, -2], 4.0: [8, -4, -4]}, 0, 1),  # falls once
    ],
)
def test_a_path_that_is_not_live_is_not_called_so(moved: dict[float, list[int]], monotone: int, specific: int) -> None:
    found = sensitivity(controls(moved))
    assert found.monotone[PathControl.BIAS_DOSE] == monotone
    assert found.specific[PathControl.BIAS_DOSE] == specific
