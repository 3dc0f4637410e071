"""What a study will take. Oracles: what it took, the size of what lies on the disk, counts by hand."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from imbalance_bench.cli.main import main
from imbalance_bench.config import load_study
from imbalance_bench.cost_estimate import FACTOR, duration, estimate_cost, size
from imbalance_bench.planning import prepare_study
from tests.small_study import write_dataset, write_study

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Path:
    """A study that has run, its file and its cache beside it."""
    folder = tmp_path_factory.mktemp("cost")
    study = write_study(folder / "study.yaml", write_dataset(folder / "data"), methods=["cross_entropy", "dfa"])
    words = ["run", str(study), "--out", str(folder / "out"), "--cache", str(folder / "cache"), "--engine", "serial"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return folder


def bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_of_more_seeds_it_is_what_the_finished_runs_took(ran: Path):
    config = load_study(ran / "study.yaml", [f"seeds={list(range(40))}"])
    study = prepare_study(config, ran / "out", lambda *_: None, write=False)
    done = [run for run in study.runs if study.records.run(run.run_id).is_done()]
    waiting = [run for run in study.runs if not study.records.run(run.run_id).is_done()]
    assert (len(done), len(waiting)) == (2, 78)
    found = estimate_cost(study, waiting, 1, CPU)
    spent = sum(study.records.run(run.run_id).manifest()["cost"]["seconds"] for run in done)
    assert found.basis == "finished runs"
    assert found.n_basis == 2
    assert found.seconds - found.encode_seconds == pytest.approx(39 * spent, rel=1e-6)
    halved = estimate_cost(study, waiting, 2, CPU)
    assert halved.seconds - halved.encode_seconds == pytest.approx(39 * spent / 2, rel=1e-6)
    assert found.record_bytes == pytest.approx(39 * bytes_below(ran / "out" / "runs"), rel=0.01)


def test_the_cache_has_the_size_that_is_announced(ran: Path):
    study = prepare_study(load_study(ran / "study.yaml"), ran / "new", lambda *_: None, write=False)
    found = estimate_cost(study, study.runs, 2, CPU)
    tiles = sum(bytes_below(each) for each in (ran / "cache").glob("tiles-*"))
    features = sum(bytes_below(each) for each in (ran / "cache").glob("features-*"))
    assert found.tile_bytes == pytest.approx(tiles, rel=0.1)  # and a journal
    assert found.feature_bytes == pytest.approx(features, rel=0.1)
    assert found.basis == "a timed model"
    assert 0.3 < found.record_bytes / bytes_below(ran / "out" / "runs") < 3


def test_time_grows_with_runs_and_steps_and_not_with_what_is_done(ran: Path):
    study = prepare_study(load_study(ran / "study.yaml"), ran / "new", lambda *_: None, write=False)
    one, both = (estimate_cost(study, runs, 1, CPU) for runs in (study.runs[:1], study.runs))
    assert both.record_bytes == pytest.approx(2 * one.record_bytes, abs=1)
    long = replace(study, config=load_study(ran / "study.yaml", ["training.steps=5000"]))
    assert estimate_cost(long, long.runs, 1, CPU).seconds > 10 * both.seconds


def test_the_dry_run_says_it_and_how_far_to_trust_it(ran: Path):
    words = ["run", str(ran / "study.yaml"), "--out", str(ran / "new"), "--cache", str(ran / "cache"), "--dry-run"]
    output = " ".join(CliRunner().invoke(main, words).output.split())
    assert "time: about" in output
    assert "(from one model timed for a moment; expect" in output
    assert "of features in the cache" in output
    assert not (ran / "new").exists()
    finished = [*words[:3], str(ran / "out"), "--set", "seeds=[0,1,2]", *words[4:]]
    assert "(from 2 finished runs; expect" in " ".join(CliRunner().invoke(main, finished).output.split())


def test_quantities_are_written_in_the_unit_that_suits_them():
    assert [duration(s) for s in (0.1, 60, 600, 3 * 3600, 5 * 86400)] == ["1 s", "60 s", "10 min", "3.0 h", "5.0 days"]
    assert [size(n) for n in (2000, 5 * 2**20, 3 * 2**30)] == ["2 KiB", "5 MiB", "3.0 GiB"]
    assert FACTOR["finished runs"] < FACTOR["a timed model"]
