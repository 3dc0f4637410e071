"""The numbers of a run over its steps, each with its name and the time at which the run wrote it. No torch."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import NamedTuple

import pandas as pd

from imbalance_bench.errors import UserError
from imbalance_bench.names import MACRO
from imbalance_bench.progress_log import Moment, read_progress
from imbalance_bench.records import RunRecord
from imbalance_bench.validation_dice import dice_of_counts, mean_of_known, validations

NOT_PER_CLASS = -1


class Scalar(NamedTuple):
    """One number of one run."""

    name: str  # such as "train/loss", "val/dice/macro", "ledger/attention_bias/tumour"
    step: int  # optimiser steps since the first stage began
    value: float
    time: float  # seconds since 1970


@dataclass(frozen=True)
class History:
    """What a run has written so far.

    Attributes:
        epochs: Rows of `table_schemas.EPOCHS`.
        ledger: Rows of `table_schemas.CLASS_PARAMETERS`.
        times: Stage and step -> seconds since 1970.
    """

    epochs: pd.DataFrame
    ledger: pd.DataFrame
    times: Mapping[Moment, float]

    @classmethod
    def of(cls, record: RunRecord) -> "History":
        """Read a run: of one that is done its tables, of another its log.

        Times are those of the log. Runs without one (of an earlier version, or imported) have times that are spread
        evenly over the seconds that the manifest says each stage took, up to the last change of the status.

        Raises:
            UserError: A table is damaged.
        """
        log = read_progress(record.progress_path)
        if not record.is_done():
            return cls(log.epochs, log.ledger, log.times)
        epochs, ledger = record.epochs(), record.class_parameters()
        return cls(epochs, ledger, _spread(record, epochs, ledger) | log.times)

    @property
    def offsets(self) -> dict[int, int]:
        """Steps before each stage."""
        both = pd.concat([self.epochs[["stage", "step"]], self.ledger[["stage", "step"]]])
        lengths = both.groupby("stage")["step"].max().sort_index()
        return {int(stage): int(lengths[lengths.index < stage].sum()) for stage in lengths.index}

    def scalars(self, class_names: Sequence[str]) -> Iterator[Scalar]:
        """Yield every number; those of one name in the order of the steps."""
        offsets = self.offsets

        def scalar(name: str, stage: int, step: int, value: float) -> Scalar:
            return Scalar(name, step + offsets[stage], value, self.times.get((stage, step), 0.0))

        plain = self.epochs[self.epochs["class_id"] == NOT_PER_CLASS]
        for stage, step, split, quantity, _, value in plain.itertuples(index=False):
            yield scalar(_plain_name(split, quantity), stage, step, value)
        dice = validations(self.epochs)
        for (stage, step), values in zip(dice.index, dice.to_numpy().tolist(), strict=True):
            for name, value in dice_by_name(
                dict(zip(map(int, dice.columns), values, strict=True)), class_names
            ).items():
                yield scalar(f"val/dice/{name}", stage, step, value)
        for stage, step, class_id, parameter, value in self.ledger.itertuples(index=False):
            if not math.isnan(value):  # not known yet
                yield scalar(f"ledger/{parameter}/{class_names[class_id]}", stage, step, value)


def test_dice(record: RunRecord, class_names: Sequence[str]) -> dict[str, float]:
    """Return the Dice of a finished run on its test images, pooled over them: name of the class, and `macro`.

    Raises:
        UserError: The table of counts is damaged.
    """
    counts = record.counts()
    total = counts[counts["split"] == "test"].groupby("class_id")[["tp", "fp", "fn"]].sum()
    rows = zip(total.index, total.itertuples(index=False), strict=True)
    return dice_by_name({class_id: dice_of_counts(*row) for class_id, row in rows}, class_names)


def dice_by_name(dice: Mapping[int, float], class_names: Sequence[str]) -> dict[str, float]:
    """Return macro, the mean over classes that occur, and each of these by name; nothing where none occurs."""
    dice_of_occurring = {class_names[class_id]: value for class_id, value in dice.items() if not math.isnan(value)}
    return {MACRO: mean_of_known(list(dice_of_occurring.values())), **dice_of_occurring} if dice_of_occurring else {}


def _plain_name(split: str, quantity: str) -> str:
    """Name a loss a loss: the part `dice` of a loss is no Dice."""
    if split == "train" and quantity not in ("loss", "learning_rate"):
        return f"train/loss/{quantity}"
    return f"{split}/{quantity}"


def _spread(record: RunRecord, *frames: pd.DataFrame) -> dict[Moment, float]:
    try:
        end = datetime.fromisoformat(str(record.status()["updated"])).timestamp()
        cost = record.manifest().get("cost", {})
    except (KeyError, ValueError, UserError):
        return {}
    stages = cost.get("stages", [])
    seconds = [float(stage["seconds"]) for stage in stages]
    begins = [end - float(cost.get("seconds", 0.0)) + before for before in accumulate(seconds, initial=0.0)]
    times: dict[Moment, float] = {}
    for frame in frames:
        for stage, step in frame[["stage", "step"]].drop_duplicates().itertuples(index=False):
            if stage < len(stages):
                share = step / stages[stage]["steps"] if stages[stage]["steps"] else 1.0
                times[int(stage), int(step)] = begins[stage] + share * seconds[stage]
    return times
