"""One study over the whole catalogue."""

from pathlib import Path

import pytest

from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.records import StudyRecords
from methods import REGISTRY
from tests.small_study import small_config


@pytest.mark.slow
def test_one_study_trains_every_method_and_each_leaves_a_ledger(
    tmp_path: Path, dataset: Path, shared_cache: Path
) -> None:
    steps = {"steps": 2, "validate_every": 1, "ledger_every": 1, "warmup_steps": 0}
    config = small_config(dataset, methods=list(REGISTRY), training=steps)
    execute_study(config, tmp_path / "study", Execution(cache=shared_cache, engine="serial"))
    finished = {run.manifest()["method"]["label"]: run for run in StudyRecords.open(tmp_path / "study").finished()}
    assert finished.keys() == REGISTRY.keys()
    for label, run in finished.items():
        ledger = run.class_parameters()
        assert {"effective_offset", "attention_mass", "classifier_norm", "logit_gradient_norm"} <= set(
            ledger.parameter
        ), label
        last = ledger[ledger["stage"] == ledger["stage"].max()]
        assert last["step"].max() == run.manifest()["cost"]["stages"][-1]["steps"], label
        assert not run.counts().empty, label
