"""Which engine a study gets, what each worker sees, and what is said where a package is missing."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from imbalance_bench import engine_choice, engines
from imbalance_bench.bundle import export_bundle
from imbalance_bench.cli.main import main
from imbalance_bench.engine_choice import choose_engine, visible_devices
from imbalance_bench.engines.base import RunJob
from imbalance_bench.engines.process import ProcessEngine
from imbalance_bench.engines.rounds import Effort, execute_rounds
from imbalance_bench.errors import UserError
from imbalance_bench.execution import Execution, execute_study
from tests.faults.jobs import execute, killed
from tests.faults.listener import Told, errors
from tests.small_study import small_config, write_study


@pytest.mark.parametrize(("engine", "package"), [("slurm", "submitit"), ("ray", "ray")])
def test_a_missing_package_is_one_line_with_its_fix(
    tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch, engine: str, package: str
) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: None if name == package else pytest.fail(name))
    study, out = write_study(tmp_path / "study.yaml", dataset), tmp_path / "out"
    found = CliRunner().invoke(main, ["run", str(study), "--out", str(out), "--engine", engine])
    assert found.exit_code == 2
    [line] = found.stderr.splitlines()
    assert f"needs the package {package}. Got none. Run: pip install 'imbalance-bench[{engine}]'." in line
    assert not out.exists()


def test_nothing_is_imported_for_an_engine_that_is_not_chosen() -> None:
    program = "import imbalance_bench.execution, imbalance_bench.cli.main, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "imbalance_bench.engines" in loaded
    assert not {"submitit", "ray"} & set(loaded)


def test_each_worker_sees_one_device(tmp_path: Path) -> None:
    jobs = [RunJob(tmp_path, f"run{number}", "tells 2", tmp_path) for number in range(3)]
    outcomes = ProcessEngine(3, execute, devices=("4", "GPU-7")).execute(jobs, Told())
    assert errors(outcomes) == {"run0": None, "run1": None, "run2": None}
    seen = [(tmp_path / f"run{number}.device").read_text() for number in range(3)]
    assert seen == ["4", "GPU-7", "4"]


def test_the_worker_after_a_lost_one_sees_the_device_that_became_free(tmp_path: Path) -> None:
    labels = ("waits 6", killed(), "tells 0")
    jobs = [RunJob(tmp_path, f"run{number}", label, tmp_path) for number, label in enumerate(labels)]
    ProcessEngine(2, execute, devices=("4", "5")).execute(jobs, Told())
    assert (tmp_path / "run2.device").read_text() == "5"


def test_without_devices_a_worker_sees_what_its_parent_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "9")
    ProcessEngine(1, execute).execute([RunJob(tmp_path, "run0", "tells 0", tmp_path)], Told())
    assert (tmp_path / "run0.device").read_text() == "9"


@pytest.mark.parametrize(
    ("device", "number", "named", "asked", "engine", "workers", "devices"),
    [
        ("cuda", 2, None, None, "process", 2, ("0", "1")),
        ("cuda", 2, "4,6", None, "process", 2, ("4", "6")),
        ("cuda", 2, None, 4, "process", 4, ("0", "1")),
        ("cuda", 1, None, None, "serial", 1, ()),
        ("cuda:1", 2, None, None, "serial", 1, ()),
        ("cpu", 2, None, 3, "process", 3, ()),
    ],
)
def test_several_gpus_are_used_at_once(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, device: str, number: int, named: str | None, asked: int | None,
    engine: str, workers: int, devices: tuple[str, ...],
) -> None:  # fmt: skip
    monkeypatch.setattr(engine_choice, "choose_device", lambda _: torch.device(device))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: number)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert len(visible_devices()) == number
    chosen = choose_engine(small_config(dataset), workers=asked)
    assert (chosen.name, chosen.resources.workers, chosen.resources.devices) == (engine, workers, devices)


@pytest.mark.parametrize("engine", ["slurm", "ray"])
def test_a_gpu_that_nobody_asks_for_is_refused(dataset: Path, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name)  # of sbatch
    monkeypatch.setattr(engine_choice, "require_installed", lambda _: None)
    config = small_config(dataset, compute={"device": "cuda"})
    with pytest.raises(UserError, match=rf"`compute\.{engine}\.gpus` asks for none"):
        choose_engine(config, engine)
    chosen = choose_engine(small_config(dataset, compute={"device": "cuda", engine: {"gpus": 1}}), engine)
    assert (chosen.device, chosen.where) == (None, f"that of each run: {engine} is asked for 1 GPUs")


def test_an_engine_without_a_queue_is_not_left(dataset: Path) -> None:
    with pytest.raises(UserError, match=r"--detach needs an engine with a queue of its own, such as slurm\. Got proc"):
        choose_engine(small_config(dataset), "process", 2, detach=True)


def test_what_a_scheduler_stops_goes_on_for_as_long_as_it_comes_further(tmp_path: Path) -> None:
    from tests.engines.stopping import Stopping

    told = Told()
    further = Stopping([3, 6, 9, 12, None])
    jobs = [RunJob(tmp_path, "run0", "a", tmp_path, steps=20)]
    assert errors(execute_rounds(lambda _: further, Effort(1, retries=0), jobs, told)) == {"run0": None}
    assert all(line.endswith("It continues.") for line in told.remarks)
    stuck = Stopping([15, 15, 15, None])
    assert errors(execute_rounds(lambda _: stuck, Effort(1, retries=1), jobs, told)) == {"run0": "stopped."}
    assert stuck.left == [None]


def test_what_is_asked_of_a_cluster_is_not_shared(tmp_path: Path, dataset: Path, shared_cache: Path) -> None:
    compute = {"slurm": {"account": "secret", "setup": ["source /secret"]}, "ray": {"address": "10.0.0.1:1"}}
    study = tmp_path / "study"
    config = small_config(dataset, methods=["cross_entropy"], compute=compute)
    execute_study(config, study, Execution(cache=shared_cache, engine="serial"))
    assert "secret" in (study / "study.yaml").read_text()
    assert "secret" not in (study / "plan.json").read_text()
    export_bundle(study, tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        held = b"".join(archive.read(name) for name in archive.namelist())
    assert b"secret" not in held
    assert b"10.0.0.1" not in held
