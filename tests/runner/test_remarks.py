"""What methods say of themselves on the data at hand, before anything trains."""

from pathlib import Path

import pytest

from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.planning import prepare_study
from tests.small_study import small_config


def test_a_weight_that_contradicts_rarity_is_remarked_in_the_plan(
    tmp_path: Path, dataset: Path, shared_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    methods = ["effective_number", {"label": "by_pieces", "name": "effective_number", "count": "components"}]
    config = small_config(dataset, methods=methods)
    (remark,) = prepare_study(config, tmp_path / "study", lambda *_: None, write=False).remarks()
    assert remark.startswith("'by_pieces': a weight contradicts rarity: 'common' (")
    assert "'background' (" in remark
    execute_study(config, tmp_path / "study", Execution(cache=shared_cache, dry_run=True))
    assert f"remark: {remark}" in capsys.readouterr().out
