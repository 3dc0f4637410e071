"""What the records of a finished run hold of its model: its weights, and the validation that its method has seen."""

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from imbalance_bench.errors import UserError
from imbalance_bench.models.segmenter import Segmenter
from imbalance_bench.records import WEIGHTS, RunRecord
from methods.base import ClassFeedback


def recorded_feedback(record: RunRecord, stage: int, n_classes: int, validate_every: int) -> ClassFeedback:
    """Read what validation had counted at the end of a stage."""
    rows = record.epochs()
    rows = rows[(rows["stage"] == stage) & (rows["split"] == "val") & (rows["class_id"] >= 0)]
    step = int(rows["step"].max())
    last = rows[rows["step"] == step].pivot_table(index="class_id", columns="quantity", values="value")
    last = last.reindex(range(n_classes), fill_value=0)
    counts = {name: torch.from_numpy(last[name].to_numpy(np.int64)) for name in ("tp", "fp", "fn")}
    return ClassFeedback(step=step, epoch=step // validate_every, **counts)


def load_weights(segmenter: Segmenter, record: RunRecord) -> None:
    """Load what a run learned into its model.

    Raises:
        UserError: The file is missing or damaged, or of another model.
    """
    path = record.path / WEIGHTS
    record.require_as_written(path)
    try:
        segmenter.load_stored_state(load_file(path))
    except KeyError as error:
        raise UserError(
            f"{path}: tensors are not those of the run's model (first: {error.args[0]}). Train the run again."
        ) from error
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UserError(f"{path}: not readable as the run's weights ({error}). Train the run again.") from error
