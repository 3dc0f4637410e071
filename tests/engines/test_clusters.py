"""A real Slurm cluster of one node and a local Ray cluster: `pytest -m cluster`."""

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.slurm_cluster import one_node_cluster, why_no_cluster
from imbalance_bench.execution import Execution, execute_study
from tests.small_study import small_config, write_study

pytestmark = pytest.mark.cluster
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="pip install 'imbalance-bench[ray]'")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Slurm on this machine."""
    reason = why_no_cluster() or (None if find_spec("submitit") else "submitit is not installed")
    if reason is not None:
        pytest.skip(reason)
    with one_node_cluster():
        yield


def counts(study: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in study.glob("runs/*/counts.parquet")}


def command(*words: object) -> str:
    program = [sys.executable, "-m", "imbalance_bench.cli", *map(str, words)]
    return subprocess.run(program, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def expected(dataset: Path, tmp_path: Path, shared_cache: Path) -> dict[str, bytes]:
    """The counts of every run, by the serial engine."""
    execute_study(small_config(dataset), tmp_path / "serial", Execution(cache=shared_cache, engine="serial"))
    return counts(tmp_path / "serial")


@pytest.mark.usefixtures("cluster")
def test_slurm_makes_the_same_counts_and_status_asks_it(
    dataset: Path, tmp_path: Path, shared_cache: Path, expected: dict[str, bytes]
) -> None:
    waiting = {"begin": "now+40"}  # s; so that the jobs are queued still when the other commands look
    slurm = {"memory_gb": 1, "minutes": 5, "sbatch": waiting}
    file = write_study(tmp_path / "study.yaml", dataset, compute={"slurm": slurm})
    words = ("run", file, "--out", tmp_path / "out", "--cache", shared_cache, "--engine", "slurm")
    assert "submitted 2 runs as Slurm job" in command(*words, "--detach")
    assert re.search(r"queued|running", command("status", tmp_path / "out"))
    assert "2 runs queued or running in Slurm already" in command(*words)
    assert counts(tmp_path / "out") == expected


def refused(file: Path, out: Path, cache: Path, engine: str) -> str:
    """What a command that must fail says."""
    with pytest.raises(subprocess.CalledProcessError) as failed:
        command("run", file, "--out", out, "--cache", cache, "--engine", engine)
    assert failed.value.returncode == 1
    return failed.value.stderr


@pytest.mark.usefixtures("cluster")
def test_what_slurm_refuses_is_one_line(dataset: Path, tmp_path: Path, shared_cache: Path) -> None:
    file = write_study(tmp_path / "study.yaml", dataset, compute={"slurm": {"partition": "no_such"}})
    said = refused(file, tmp_path / "out", shared_cache, "slurm")
    assert "invalid partition" in said
    assert said.count("\n") == 1


@needs_ray
def test_two_ray_workers_make_the_same_counts(
    dataset: Path, tmp_path: Path, shared_cache: Path, expected: dict[str, bytes]
) -> None:
    file = write_study(tmp_path / "study.yaml", dataset)
    command("run", file, "--out", tmp_path / "out", "--cache", shared_cache, "--engine", "ray", "--workers", 2)
    assert counts(tmp_path / "out") == expected


@needs_ray
def test_a_ray_cluster_that_is_not_there_is_one_line(dataset: Path, tmp_path: Path, shared_cache: Path) -> None:
    file = write_study(tmp_path / "study.yaml", dataset, compute={"ray": {"address": "127.0.0.1:1"}})
    said = refused(file, tmp_path / "out", shared_cache, "ray")
    assert "`compute.ray.address` must be that of a running Ray cluster. Got 127.0.0.1:1" in said
