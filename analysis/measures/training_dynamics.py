"""How the control learned watched training pixels of each class: forgetting, confidence, area under the margin.

Sources: Toneva et al. 2019 (ICLR, forgetting), Swayamdipta et al. 2020 (EMNLP, confidence), Pleiss et al. 2020
(NeurIPS, area under the margin). These watch whole, augmented examples whenever they are in a batch; here pixels on a
fixed grid of fixed crops are predicted at every ledger step, without augmentation
(`imbalance_bench.training.dynamics`).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.measures.construct import pooled_ratio
from analysis.measures.control_runs import ControlMeasure
from analysis.statistics.intervals import multinomial_weights
from imbalance_bench.records import RunRecord
from imbalance_bench.seeding import generator

_MILLION = 1e6
# name -> (unit, numerator, denominator, scale of the numerator)
_MEASURES = {
    "never_learned": ("share of watched pixels", "unlearned", "pixels", 1.0),
    "forgetting": ("share of learned pixels, wrong again later", "forgotten", "learned", 1.0),
    "confidence": ("mean probability of the true class", "probability_millionths", "predictions", _MILLION),
    "area_under_margin": ("logits, true class minus the largest other", "margin_millionths", "predictions", _MILLION),
}


def training_dynamics(runs: Sequence[RunRecord], n_classes: int, *, resamples: int, seed: int) -> list[ControlMeasure]:
    """Return the four measures of the last stage, pooled over runs; none if a run did not record its dynamics.

    A pixel that was never predicted correctly cannot be forgotten: it is left out of forgetting (censored) and counted
    by never_learned, so that the forgetting of a class that is not learned at all is NaN rather than 0.

    Args:
        runs: Runs of the control.
        n_classes: K.
        resamples: Number of bootstrap resamples of groups; the interval is the 2.5 and 97.5 percentiles and needs two
            groups.
        seed: Seed of the bootstrap.
    """
    tables = [run.dynamics() for run in runs]
    frames = [table[table["stage"] == table["stage"].max()] for table in tables if table is not None]
    if not frames or len(frames) < len(runs):
        return []
    every = pd.concat(frames, ignore_index=True)
    every["unlearned"] = every["pixels"] - every["learned"]
    every["predictions"] = every["pixels"] * every["looks"]
    groups = pd.Index(sorted(every["group_id"].unique()))
    weights = multinomial_weights(len(groups), resamples, generator(seed, "bootstrap", "dynamics"))
    watched = every.groupby(["image_id", "class_id"])["pixels"].max().groupby("class_id").sum()
    n = watched.reindex(range(n_classes), fill_value=0).to_numpy(dtype=np.int64)

    def sums(column: str) -> np.ndarray:
        """Return the sums of a column, (groups, K)."""
        grid = every.pivot_table(index="group_id", columns="class_id", values=column, aggfunc="sum", fill_value=0)
        return grid.reindex(index=groups, columns=range(n_classes), fill_value=0).to_numpy(dtype=float)

    measures = []
    for name, (unit, above, below, scale) in _MEASURES.items():
        value, low, high = pooled_ratio(sums(above) / scale, sums(below), weights)
        measures.append(ControlMeasure("learnability", name, (unit,) * n_classes, value, low, high, n))
    return measures
