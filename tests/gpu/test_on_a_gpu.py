"""What must hold on a GPU: every method trains, pairing is that of the CPU, runs share a device, a stopped run goes on.

`pytest -m gpu` runs them; without a CUDA device they are skipped. How close a GPU comes to the CPU is bounded loosely:
both work in float32, sums are taken in another order.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from imbalance_bench.config import StudyConfig
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.models.decoders import DECODERS
from imbalance_bench.planning import prepare_study
from imbalance_bench.records import RunRecord, StudyRecords
from imbalance_bench.training.material import open_material
from imbalance_bench.training.run import execute_run
from methods import REGISTRY
from tests.small_study import small_config

DEVICE = "cuda"
CLOSE = 1e-2  # relative, of the mean loss of a few steps in float32
# relative to the CPU: of the first two steps; of the last two of six, when AdamW, whose first steps have the size of
# the learning rate whatever the gradient, has enlarged the rounding; an H200 gave 1e-5 and 1.5e-2
SAME, DRIFT = 1e-3, 5e-2
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    # bilinear upsampling has no deterministic kernel, which torch says
    pytest.mark.filterwarnings("ignore:.*deterministic:UserWarning"),
]


def config_on(device: str, dataset: Path, precision: str = "float32", **sections: Any) -> StudyConfig:
    training = {"precision": precision} | sections.pop("training", {})
    return small_config(dataset, compute={"device": device}, training=training, **sections)


def finished(config: StudyConfig, out: Path, engine: str = "serial", workers: int = 1) -> dict[str, RunRecord]:
    """Execute a study with a cache of its own; its runs by method and seed."""
    execute_study(config, out, Execution(out.parent / f"cache_{out.name}", engine=engine, workers=workers))
    runs = StudyRecords.open(out).finished()
    return {f"{(manifest := run.manifest())['method']['label']} {manifest['seed']}": run for run in runs}


def losses(run: RunRecord) -> np.ndarray:
    epochs = run.epochs()
    return epochs.loc[epochs["quantity"] == "loss", "value"].to_numpy()


def test_every_method_trains(tmp_path: Path, dataset: Path) -> None:
    steps = {"steps": 2, "validate_every": 1, "ledger_every": 1, "warmup_steps": 0}
    runs = finished(config_on(DEVICE, dataset, "auto", methods=list(REGISTRY), training=steps), tmp_path / "all")
    assert {name.split()[0] for name in runs} == REGISTRY.keys()
    for name, run in runs.items():
        assert np.isfinite(losses(run)).all(), name
        assert run.counts()["n_valid"].gt(0).all(), name


@pytest.mark.parametrize("decoder", [*DECODERS, "unet of SMP"])
def test_every_decoder_trains_in_bfloat16(tmp_path: Path, dataset: Path, decoder: str) -> None:
    model = {"architecture": "unet"} if decoder == "unet of SMP" else {"decoder": decoder}
    methods = ["cross_entropy"] if decoder == "unet of SMP" else ["cross_entropy", "dfa"]
    runs = finished(config_on(DEVICE, dataset, "bfloat16", model=model, methods=methods), tmp_path / "decoder")
    assert len(runs) == len(methods)
    for run in runs.values():
        assert np.isfinite(losses(run)).all()


def test_a_run_is_paired_with_those_of_the_cpu_and_close_to_them(tmp_path: Path, dataset: Path) -> None:
    here, there = (finished(config_on(device, dataset), tmp_path / device) for device in (DEVICE, "cpu"))
    assert here.keys() == there.keys()
    for name, run in here.items():
        assert run.manifest()["pairing"] == there[name].manifest()["pairing"]
        ours, theirs = losses(run), losses(there[name])
        np.testing.assert_allclose(ours[0], theirs[0], rtol=SAME)
        np.testing.assert_allclose(ours, theirs, rtol=DRIFT)


def test_encoded_tiles_are_close_to_those_of_the_cpu(tmp_path: Path, dataset: Path) -> None:
    rows, found = np.arange(2), []
    for device in (DEVICE, "cpu"):
        study = prepare_study(config_on(device, dataset), tmp_path / device, lambda *_: None, write=False)
        cache = open_material(study, tmp_path / f"cache_{device}", torch.device(device)).cache
        assert cache is not None
        found.append(cache.read(rows, np.zeros_like(rows), np.zeros_like(rows), np.zeros_like(rows), 64))
    for here, there in zip(*found, strict=True):
        torch.testing.assert_close(here, there, rtol=CLOSE, atol=CLOSE)


def test_runs_share_a_device(tmp_path: Path, dataset: Path) -> None:
    config = config_on(DEVICE, dataset, seeds=[0, 1])
    beside, after = finished(config, tmp_path / "beside", "process", 2), finished(config, tmp_path / "after")
    assert beside.keys() == after.keys()
    for name, run in beside.items():
        assert run.manifest()["pairing"] == after[name].manifest()["pairing"]
        np.testing.assert_allclose(losses(run), losses(after[name]), rtol=CLOSE)


def test_a_stopped_run_goes_on(tmp_path: Path, dataset: Path) -> None:
    config = config_on(DEVICE, dataset, methods=["dfa"])
    study = prepare_study(config, tmp_path / "study", lambda *_: None)
    run, cache = study.runs[0], tmp_path / "cache"

    def stop(step: int, *_: object) -> None:
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute_run(study, run, cache, stop)
    assert (study.records.run(run.run_id).path / "checkpoint.pt").exists()
    execute_run(study, run, cache, lambda *_: None)
    whole = finished(config, tmp_path / "whole")["dfa 0"]
    record = study.records.run(run.run_id)
    assert record.manifest()["pairing"] == whole.manifest()["pairing"]
    np.testing.assert_allclose(losses(record), losses(whole), rtol=CLOSE)
