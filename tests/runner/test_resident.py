"""What a GPU does differently in a step, tried on the CPU: crops gathered by index, checks that are deferred."""

from pathlib import Path

import numpy as np
import pytest
import torch

from imbalance_bench.config import StudyConfig
from imbalance_bench.data.augmentation import ELEMENTS, turn_array
from imbalance_bench.errors import UserError
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.planning import prepare_study
from imbalance_bench.records import StudyRecords
from imbalance_bench.training import first_fault, loop, optimisation
from imbalance_bench.training.batches import BatchSequence
from imbalance_bench.training.first_fault import FirstFault
from imbalance_bench.training.material import open_material
from imbalance_bench.training.resident import ResidentCrops, ResidentMaps
from imbalance_bench.training.tile_data import TileData
from methods.base import LossOutput
from methods.cross_entropy import CrossEntropyDice
from methods.slots import TrainingBatch
from tests.small_study import small_config

CPU = torch.device("cpu")


@pytest.mark.parametrize("element", range(ELEMENTS))
def test_crops_are_those_of_the_turned_map(element: int) -> None:
    array = np.random.default_rng(0).integers(256, size=(3, 9, 9), dtype=np.uint8)
    maps = ResidentMaps(array, [2, 0], CPU)
    tops, lefts = np.array([3, 0]), np.array([1, 5])
    crops = maps.crops([0, 2], tops, lefts, 4, np.full(2, element))
    for crop, row, top, left in zip(crops, (0, 2), tops, lefts, strict=True):
        turned = turn_array(array[row], element)[top : top + 4, left : left + 4]
        np.testing.assert_array_equal(crop.numpy(), turned)


def crops_of_both(config: StudyConfig, folder: Path) -> list[tuple[TrainingBatch, TrainingBatch]]:
    """Training batches as the CPU reads them, and gathered by index."""
    study = prepare_study(config, folder / "study", lambda *_: None, write=False)
    data = open_material(study, folder / "cache", CPU)
    tiles = np.flatnonzero([tile.image_id in study.splits.folds[0].train for tile in data.tiles.tiles])
    batches = BatchSequence(
        tiles,
        data.tile_pixels(tiles.tolist(), len(study.taxonomy.names)),
        tile_px=config.dataset.tile_px,
        section=config.training,
        seed=3,
        cached_views=config.training.augmentation.cached_views if config.uses_feature_cache else 0,
        grid_px=data.grid_px,
    )
    resident = ResidentCrops.of(data, tiles.tolist())
    drawn = [batch for step in range(6) for batch in batches.of_step(step)]
    return [(data.training_batch(batch), resident.training_batch(batch)) for batch in drawn]


@pytest.mark.parametrize("views", [0, 8])
def test_batches_have_the_values_of_the_cpu_path(tmp_path: Path, dataset: Path, views: int) -> None:
    config = small_config(dataset, training={"augmentation": {"cached_views": views}})
    for read, gathered in crops_of_both(config, tmp_path):
        assert read.strides_px == gathered.strides_px
        for name in ("target", "valid"):
            torch.testing.assert_close(getattr(gathered, name), getattr(read, name), rtol=0, atol=0)
        for here, there in zip(gathered.maps, read.maps, strict=True):
            torch.testing.assert_close(here, there, rtol=0, atol=0)
            assert here.stride() == there.stride()


def act_as_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (loop, optimisation, first_fault):
        monkeypatch.setattr(module, "is_deferred", lambda _: True)
    monkeypatch.setattr(loop, "crops_of", lambda data, tiles, _: ResidentCrops.of(data, tiles))


def test_a_run_has_the_bytes_of_the_cpu_path(
    tmp_path: Path, dataset: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # turned labels lie otherwise in memory there, so that sums over them are taken in another order
    unturned = {"augmentation": {"dihedral": False, "cached_views": 2}}
    config = small_config(dataset, methods=["cross_entropy", "dfa"], training=unturned)
    execution = Execution(shared_cache, engine="serial", workers=1)
    execute_study(config, tmp_path / "plain", execution)
    asked: list[TileData] = []
    with monkeypatch.context() as patched:
        act_as_a_gpu(patched)
        patched.setattr(TileData, "training_batch", lambda self, _: asked.append(self))
        execute_study(config, tmp_path / "deferred", execution)
    assert not asked
    plain, deferred = (StudyRecords.open(tmp_path / name) for name in ("plain", "deferred"))
    for run in plain.finished():
        other = deferred.run(run.path.name)
        assert run.manifest()["pairing"] == other.manifest()["pairing"]
        assert run.manifest()["files"] == other.manifest()["files"]


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_the_first_fault_is_kept(number: float) -> None:
    watch = FirstFault()
    assert watch.found() is None
    for step, value in enumerate([1.0, 2.0]):
        watch.note(torch.tensor(value), step)
    assert watch.found() is None
    watch.note(torch.tensor(number), 2)
    watch.note(torch.tensor(-torch.inf), 3)
    found = watch.found()
    assert found is not None
    assert found[0] == 2
    np.testing.assert_equal(found[1], number)


def poisoned(dataset: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    """Train a run that acts as on a GPU, whose loss is multiplied at step 3, before any record is due."""
    act_as_a_gpu(monkeypatch)
    forward = CrossEntropyDice.forward

    def poison(
        self: CrossEntropyDice, logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, step: int
    ) -> LossOutput:
        output = forward(self, logits, target, valid, step)
        if step != 3:
            return output
        # `factor` in the gradients alone, or in the loss as well
        changed = (
            output.total * factor if factor != 0 else output.total + (logits * torch.inf).sum().nan_to_num(0, 0, 0)
        )
        return type(output)(changed, output.parts)

    monkeypatch.setattr(CrossEntropyDice, "forward", poison)
    steps = {"steps": 8, "validate_every": 8, "ledger_every": 8, "warmup_steps": 0}
    config = small_config(dataset, methods=["cross_entropy"], training=steps)
    execute_study(config, tmp_path / "study", Execution(cache, engine="serial", workers=1))


def test_a_loss_that_was_not_finite_is_told_with_its_step(
    tmp_path: Path, dataset: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="The loss is nan at step 3"):
        poisoned(dataset, tmp_path, shared_cache, monkeypatch, torch.nan)


def test_gradients_that_were_not_finite_are_told_with_their_step(
    tmp_path: Path, dataset: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="gradients are not finite at step 3"):
        poisoned(dataset, tmp_path, shared_cache, monkeypatch, 0)
