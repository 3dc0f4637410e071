"""Rows that a run collects for its records, kept in the checkpoint until the run is done."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from imbalance_bench.evaluation.finite import NotFiniteError
from imbalance_bench.progress_log import EpochRow, LedgerRow
from imbalance_bench.table_schemas import DYNAMICS
from imbalance_bench.training.dynamics import DynamicsRow

NOT_PER_CLASS = -1


class RunJournal:
    """Rows of epochs.parquet, class_parameters.parquet and dynamics.parquet, and loss sums since the last row."""

    def __init__(self) -> None:
        self._epochs: list[EpochRow] = []
        self._ledger: list[LedgerRow] = []
        self._dynamics: list[DynamicsRow] = []
        self._sums: dict[str, float | Tensor] = {}  # those of a GPU stay there
        self._batches = 0
        self._told = 0, 0  # rows of epochs and ledger that `news` has returned

    def news(self) -> tuple[list[EpochRow], list[LedgerRow]]:
        """Return the rows of epochs and ledger since the last call; those of a checkpoint are no news."""
        (epochs, ledger), self._told = self._told, (len(self._epochs), len(self._ledger))
        return self._epochs[epochs:], self._ledger[ledger:]

    def add_loss(self, parts: Mapping[str, Tensor]) -> None:
        """Add the loss parts of one batch to the running sums."""
        for name, value in parts.items():
            self._sums[name] = self._sums.get(name, 0.0) + (value.detach().double() if value.is_cuda else float(value))
        self._batches += 1

    def write_losses(self, stage: int, step: int, learning_rate: float) -> None:
        """Turn the sums into rows of means and start again.

        Raises:
            NotFiniteError: A part of the loss is NaN or infinite.
        """
        for name, total in self._losses().items():
            if not math.isfinite(total):
                raise NotFiniteError(f"The losses '{name}'", step)
            self._epochs.append((stage, step, "train", name, NOT_PER_CLASS, total / self._batches))
        self._epochs.append((stage, step, "train", "learning_rate", NOT_PER_CLASS, learning_rate))
        self._sums, self._batches = {}, 0

    def _losses(self) -> dict[str, float]:
        return {name: float(total) for name, total in self._sums.items()}

    def write_validation(self, stage: int, step: int, counts: Mapping[str, np.ndarray]) -> None:
        """Add per-class validation counts, name -> (K,)."""
        for name, values in counts.items():
            self._epochs += [(stage, step, "val", name, k, float(value)) for k, value in enumerate(values)]

    def write_ledger(
        self, stage: int, step: int, parameters: Mapping[str, Tensor], *, may_be_unknown: bool = False
    ) -> None:
        """Add per-class parameters, name -> (K,).

        Args:
            stage: Stage.
            step: Optimiser steps done.
            parameters: The values.
            may_be_unknown: NaN says that a value is not known, as the difficulty of a class before any validation.

        Raises:
            NotFiniteError: One of them is infinite, or NaN where it cannot be unknown.
        """
        for name, values in parameters.items():
            measured = values[~values.isnan()] if may_be_unknown else values
            if not bool(measured.isfinite().all()):
                raise NotFiniteError(f"The class parameters '{name}'", step)
            self._ledger += [(stage, step, k, name, float(value)) for k, value in enumerate(values.tolist())]

    def write_dynamics(self, rows: Sequence[DynamicsRow]) -> None:
        """Add what a stage's watched pixels went through."""
        self._dynamics += rows

    def epochs(self) -> pd.DataFrame:
        """Rows of epochs.parquet."""
        return pd.DataFrame(self._epochs, columns=["stage", "step", "split", "quantity", "class_id", "value"]).astype(
            {"stage": "int8", "step": "int32", "class_id": "int16"}
        )

    def ledger(self) -> pd.DataFrame:
        """Rows of class_parameters.parquet."""
        return pd.DataFrame(self._ledger, columns=["stage", "step", "class_id", "parameter", "value"]).astype(
            {"stage": "int8", "step": "int32", "class_id": "int16"}
        )

    def dynamics(self, group_of: Callable[[str], str]) -> pd.DataFrame:
        """Rows of dynamics.parquet; `group_of` gives the group of an image."""
        columns = [name for name in DYNAMICS.names if name != "group_id"]
        frame = pd.DataFrame(self._dynamics, columns=columns)
        return frame.assign(group_id=frame["image_id"].map(group_of)).astype(
            {"stage": "int8", "class_id": "int16", "looks": "int32"}
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return {
            "epochs": self._epochs,
            "ledger": self._ledger,
            "dynamics": self._dynamics,
            "sums": self._losses(),
            "batches": self._batches,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._epochs = [tuple(row) for row in state["epochs"]]
        self._ledger = [tuple(row) for row in state["ledger"]]
        self._dynamics = [tuple(row) for row in state["dynamics"]]
        self._sums, self._batches = dict(state["sums"]), int(state["batches"])
        self._told = len(self._epochs), len(self._ledger)
