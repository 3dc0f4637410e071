"""A run whose model was trained elsewhere: evaluated and recorded as the others are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from imbalance_bench.errors import UserError
from imbalance_bench.models.segmenter import Segmenter
from imbalance_bench.run_lock import exclusive
from imbalance_bench.study import PlannedRun, Study
from imbalance_bench.training.material import choose_device, open_material
from imbalance_bench.training.numerics import configure_torch
from imbalance_bench.training.run import RunExecution


def adopt_run(
    study: Study, run: PlannedRun, cache_dir: Path, load: Callable[[Segmenter], None], origin: dict[str, Any]
) -> None:
    """Make the records of a run from weights that were trained elsewhere.

    Args:
        study: The study.
        run: One of its runs, not done yet.
        cache_dir: Where tiles and features are cached.
        load: Gives the run's model its weights.
        origin: Where they come from, for the manifest.

    Raises:
        UserError: The run has records already, or the weights do not fit; nothing has been recorded.
    """
    study, record = study.of(run.model), study.records.run(run.run_id)
    with exclusive(record):
        if record.is_done() or record.last_step():
            raise UserError(f"{record.path} holds a run of '{run.label}' already. Give another --out, or a --seed.")
        device = choose_device(study.config.compute)
        configure_torch(study.config.compute, device)
        data = open_material(study, cache_dir, device)
        RunExecution(study, run, record, data, lambda *_: None).adopt(load, origin)
