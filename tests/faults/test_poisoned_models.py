"""A model that turned NaN or infinite is never called done, and never replaces the last good checkpoint."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from imbalance_bench.errors import UserError
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.records import RunRecord, StudyRecords
from imbalance_bench.training import loop
from imbalance_bench.training.optimisation import Optimisation
from tests.small_study import small_config

LAST_STEP, LAST_CHECKPOINT = 6, 4


def the_run(root: Path, cache: Path, dataset: Path, **training: object) -> RunRecord:
    config = small_config(dataset, methods=["cross_entropy"], training=training)
    with pytest.raises(UserError, match=r"not finite at step \d|The loss is (nan|inf) at step \d"):
        execute_study(config, root, Execution(cache=cache, engine="serial"))
    (run,) = StudyRecords.open(root).runs()
    return run


def gradient(optimisation: Optimisation) -> None:
    optimisation.optimiser.param_groups[0]["params"][0].grad.fill_(torch.nan)


def weight(optimisation: Optimisation) -> None:
    optimisation.optimiser.param_groups[0]["params"][0].data.fill_(torch.nan)


def large_weight(optimisation: Optimisation) -> None:
    """Finite weights whose logits overflow."""
    for parameter in optimisation.optimiser.param_groups[0]["params"]:
        parameter.data.fill_(1e30)


@pytest.mark.parametrize("poison", [gradient, weight, large_weight])
@pytest.mark.parametrize("at", [LAST_CHECKPOINT, LAST_STEP])
def test_a_poisoned_update_fails_the_run_and_keeps_the_last_good_checkpoint(
    tmp_path: Path,
    dataset: Path,
    shared_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    poison: Callable[[Optimisation], None],
    at: int,
) -> None:
    update = Optimisation.step
    taken = 0

    def poisoned(self: Optimisation) -> None:
        nonlocal taken
        taken += 1
        if taken == at and poison is gradient:
            poison(self)
        update(self)
        if taken == at and poison is not gradient:
            poison(self)

    monkeypatch.setattr(Optimisation, "step", poisoned)
    run = the_run(tmp_path / "s", shared_cache, dataset)
    assert run.status()["state"] == "failed"
    assert not (run.path / "model.safetensors").exists()
    kept = torch.load(run.path / "checkpoint.pt", weights_only=True)
    assert kept["trainer"]["step"] == at - 2
    assert all(bool(value.isfinite().all()) for value in kept["trainer"]["model"].values())


@pytest.mark.parametrize("watched", [0, 4])
def test_one_step_with_an_absurd_learning_rate_leaves_no_record(
    tmp_path: Path, dataset: Path, shared_cache: Path, watched: int
) -> None:
    training = {"steps": 1, "warmup_steps": 0, "schedule": "constant", "learning_rate": 1e30}
    config = small_config(dataset, training=training, evaluation={"dynamics_crops": watched})
    with pytest.raises(UserError, match=r"2 of 2 runs failed.*not finite at step 1"):
        execute_study(config, tmp_path / "s", Execution(cache=shared_cache, engine="serial"))
    assert not list(tmp_path.glob("s/runs/*/*.parquet"))
    assert not list(tmp_path.glob("s/runs/*/checkpoint.pt"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_ledger_is_finite(
    tmp_path: Path, dataset: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    backward = loop.StageTrainer._backward

    def with_infinite_part(self: loop.StageTrainer, *rest: object) -> float | torch.Tensor:
        found = backward(self, *rest)  # pyright: ignore[reportArgumentType]
        if self.step == LAST_STEP - 1:
            self._journal.add_loss({"extra": torch.tensor(value)})
        return found

    monkeypatch.setattr(loop.StageTrainer, "_backward", with_infinite_part)
    run = the_run(tmp_path / "s", shared_cache, dataset)
    assert "'extra'" in run.status()["error"]
