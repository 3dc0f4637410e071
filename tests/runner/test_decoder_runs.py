"""Every decoder in real runs: trained, recorded, opened again."""

from pathlib import Path

import numpy as np
import pytest

from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.inference.trained_model import TrainedModel
from imbalance_bench.models.decoders import DECODERS
from imbalance_bench.records import StudyRecords
from tests.small_study import small_config

GIVEN = {"name": "dfa", "label": "given", "prior": "given", "measure": "share", "mode": "fixed"}
METHODS = [GIVEN, {"name": "dfa", "label": "official", "token_layout": "official"}]


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_run_is_trained_recorded_and_opened_again(
    tmp_path: Path, dataset: Path, shared_cache: Path, decoder: str
) -> None:
    config = small_config(dataset, methods=METHODS, model={"decoder": decoder})
    execute_study(config, tmp_path / "study", Execution(cache=shared_cache, engine="serial"))
    runs = {run.manifest()["method"]["label"]: run for run in StudyRecords.open(tmp_path / "study").finished()}
    assert runs.keys() == {"given", "official"}
    for run in runs.values():
        controls, kept = run.path_controls(), run.attention("im_7")
        assert controls is not None
        assert kept is not None
        stride = config.model.token_stride_px
        assert (kept.stride_px, kept.weights.shape) == (stride, (3, 64 // stride, 64 // stride))
        assert np.isfinite(TrainedModel.open(run.path).logits(np.zeros((1, 64, 64, 3), np.uint8))).all()
    ledger = runs["given"].class_parameters().query("parameter == 'attention_bias'")
    bias = ledger[ledger.step == 6].sort_values("class_id").value
    assert bias.to_numpy().argsort().tolist() == [2, 1, 0]  # by share: background, common, rare
