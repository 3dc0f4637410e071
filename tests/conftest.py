"""Shared fixtures: a small data set and one finished study on it."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import torch

from analysis.report import figures
from imbalance_bench.execution import Execution, execute_study
from tests.small_study import small_config, write_dataset

hypothesis.settings.register_profile("untimed", deadline=None)  # speed is measured in benchmarks, never by a test
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _one_format() -> Iterator[None]:
    """Reports write their figures as SVG only, to save time; `tests/analysis/test_report.py` asks for every format."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "SUFFIXES", (".svg",))
        yield


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A prepared data set that a test may damage."""
    return write_dataset(tmp_path / "discs")


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiles and features of the small data set, shared by tests that do not test the cache."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """All five families on the small data set, two seeds; tests only read it."""
    folder = tmp_path_factory.mktemp("finished")
    methods = ["cross_entropy", "inverse_sqrt", "focal", "cdb", "dfa"]
    config = small_config(write_dataset(folder / "discs"), methods=methods, seeds=[0, 1])
    execute_study(config, folder / "study", Execution(cache=shared_cache, engine="serial"))
    return folder / "study"
