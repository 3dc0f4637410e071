"""Counts of changed models: of the same images on both sides, and as `unit_counts` arranges the frame of a change."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.scoring.changed_models import ChangedModels
from analysis.scoring.units import unit_counts
from analysis.study.runs import RunData

GROUP_OF = {"a": "g", "b": "g", "c": "h", "d": "h", "v": "i"}
TRAINED, UNIFORM, DOSE = ("learned", 0.0), ("uniform", 0.0), ("dose", 1.0)
PREDICTED = {  # (fold, seed) -> change -> images
    (0, 0): {TRAINED: "ab", UNIFORM: "ab", DOSE: "b"},
    (0, 1): {TRAINED: "ab", UNIFORM: "ab", DOSE: "b"},
    (1, 0): {TRAINED: "cd", UNIFORM: "cd", DOSE: "cd"},
    (1, 1): {TRAINED: "cd", UNIFORM: "cd", DOSE: "d"},
    (1, 2): {TRAINED: "cd", UNIFORM: "cd"},  # fold 0 of this seed has not finished
}


@pytest.fixture(scope="module")
def pairs() -> list[tuple[RunData, pd.DataFrame]]:
    """Return the runs of two folds with the rows of their changes; validation images are not scored."""
    rng = np.random.default_rng(0)
    pairs = []
    for (fold, seed), changes in PREDICTED.items():
        rows = [
            {"image_id": image, "group_id": GROUP_OF[image], "split": split, "class_id": class_id}
            | dict(zip(("tp", "fp", "fn"), rng.integers(1, 99, 3).tolist(), strict=True))
            | {"control": change[0], "dose": change[1]}
            for change, images in changes.items()
            for image, split in [*((image, "test") for image in images), ("v", "val")]
            for class_id in range(2)
        ]
        run = RunData(f"{fold}.{seed}", "dfa", "dfa", "m", fold, seed, {}, pd.DataFrame(), pd.DataFrame())
        pairs.append((run, pd.DataFrame(rows)))
    return pairs


def plainly(pairs: list[tuple[RunData, pd.DataFrame]], change: tuple[str, float], images: dict, unit: str):
    """Filter the frame of every run, then arrange the frames."""
    runs = []
    for run, rows in pairs:
        own = rows[(rows["control"] == change[0]) & (rows["dose"] == change[1])]
        runs.append(replace(run, counts=own[own["image_id"].isin(images[run.run_id])]))
    return unit_counts(runs, split="test", unit=unit, n_classes=2)


@pytest.mark.parametrize("unit", ["group", "image"])
@pytest.mark.parametrize(("change", "like"), [(UNIFORM, ()), (UNIFORM, (DOSE,)), (DOSE, ())])
def test_counts_are_those_of_the_frames_on_the_images_of_both_sides(pairs, unit, change, like):
    known = pairs if change != DOSE and not like else pairs[:-1]
    found = ChangedModels.of(known, ("control", "dose"), "test", unit, 2).against([change], TRAINED, like=like)
    images = {run.run_id: set(PREDICTED[run.fold, run.seed][like[0] if like else change]) for run, _ in known}
    for counts, of_change in ((found.changed[0], change), (found.trained, TRAINED)):
        expected = plainly(known, of_change, images, unit)
        for name, value in vars(expected).items():
            if name != "folds":
                np.testing.assert_array_equal(getattr(counts, name), value, err_msg=name)
        assert counts.folds is not None
        assert expected.folds is not None
        np.testing.assert_array_equal(counts.folds.fold, expected.folds.fold)
    assert found.trained.seeds == (0, 1)
    assert found.scores.method.shape == found.scores.control.shape


def test_only_changes_of_every_model_are_listed_and_shares_are_of_predicted_pixels(pairs):
    models = ChangedModels.of(pairs, ("control", "dose"), "test", "image", 2)
    assert models.changes == (TRAINED, UNIFORM)
    assert ChangedModels.of(pairs[:-1], ("control", "dose"), "test", "image", 2).changes == (DOSE, TRAINED, UNIFORM)
    after, before = models.against([UNIFORM], TRAINED).predicted_shares
    assert after.sum() == pytest.approx(1)
    scored = [rows[(rows["control"] == "learned") & (rows["split"] == "test")] for _, rows in pairs[:4]]
    by_seed = []
    for seed in (0, 1):
        rows = pd.concat([scored[seed], scored[2 + seed]])
        pixels = (rows["tp"] + rows["fp"]).groupby(rows["class_id"]).sum().to_numpy()
        by_seed.append(pixels / pixels.sum())
    np.testing.assert_allclose(before, np.mean(by_seed, axis=0))
