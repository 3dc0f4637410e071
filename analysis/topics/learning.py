"""Whether a class was learned and lost again during the training of a run."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.schema import rows_of, table
from analysis.scoring.metrics import score
from analysis.study.runs import RunData
from analysis.study.steps import elapsed_steps
from analysis.topics.context import Context, TopicResult
from analysis.verdicts import Verdict, data_limit
from imbalance_bench.errors import UserError
from imbalance_bench.training.collapse import LOST_FOR, RULE, collapse

_COUNTED = ("tp", "fp", "fn")
MOST_NAMED = 3  # collapses that a sentence names


def analyze(context: Context) -> TopicResult:
    """Look for collapsed classes in the validations of every finished run."""
    rows: list[dict[str, Any]] = []
    n_observed, n_too_short = 0, 0
    for run in context.study.data:
        dice = validation_dice(context, run)
        n_observed += dice.shape[0] > LOST_FOR
        n_too_short += 0 < dice.shape[0] <= LOST_FOR
        rows += collapse_rows(run, dice, context.study.class_names)
    frame = table("collapsed_classes", rows)
    verdict = collapse_verdict(frame, len(context.study.data)) or (
        None if n_observed or not n_too_short else _too_rare(n_too_short)
    )
    return TopicResult({"collapsed_classes": frame}, () if verdict is None else (verdict,))


def validation_dice(context: Context, run: RunData) -> pd.DataFrame:
    """Return Dice of each class in each validation of a run, pooled over images.

    Returns:
        Index: steps done, over all stages; columns: class ids; NaN where the class does not occur. No rows if the run
        did not validate, or if its record cannot be read, which its state says.
    """
    try:
        epochs = context.records.run(run.run_id).epochs()
    except UserError:
        return pd.DataFrame()
    split, quantity = (epochs[name].to_numpy(object) for name in ("split", "quantity"))
    class_id, value = (epochs[name].to_numpy() for name in ("class_id", "value"))
    kind = np.select([quantity == name for name in _COUNTED], range(len(_COUNTED)), -1)
    counted = np.flatnonzero((kind >= 0) & (class_id >= 0) & (split == "val"))
    if not len(counted):
        return pd.DataFrame()
    steps, row = np.unique(elapsed_steps(epochs)[counted], return_inverse=True)
    classes, column = np.unique(class_id[counted], return_inverse=True)
    counts, validated = np.zeros((3, len(steps), len(classes))), np.zeros((len(steps), len(classes)), dtype=bool)
    np.add.at(counts, (kind[counted], row, column), value[counted])
    validated[row, column] = True
    return pd.DataFrame(np.where(validated, score("dice", *counts), np.nan), index=steps, columns=classes)


def collapse_rows(run: RunData, dice: pd.DataFrame, class_names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield a row of table `collapsed_classes` for each class of a run that was learned and lost again."""
    steps = dice.index.tolist()
    for class_id in dice.columns:
        values = dice[class_id]
        fall = collapse(values.tolist())
        if fall is not None:
            row = {"run_id": run.run_id, "method": run.method, "fold": run.fold, "seed": run.seed}
            row |= {"class": class_names[int(class_id)], "best": fall.best_dice, "best_step": int(steps[fall.best])}
            yield row | {"last": fall.last_dice, "last_step": int(steps[-1]), "validations": len(steps)}


def collapse_verdict(frame: pd.DataFrame, runs: int) -> Verdict | None:
    """Say which classes collapsed in which runs; None if none did.

    Args:
        frame: Table `collapsed_classes`.
        runs: Number of finished runs.
    """
    if frame.empty:
        return None
    worst = rows_of(frame.assign(fall=frame["last"] - frame["best"]).sort_values("fall", kind="stable"))
    cases = "; ".join(
        f"{row['class']} of {row['method']} (fold {row['fold']}, seed {row['seed']}: {row['best']:.2f} at step "
        f"{row['best_step']}, {row['last']:.2f} at the end)"
        for row in worst[:MOST_NAMED]
    )
    others = f"; and {len(worst) - MOST_NAMED} more" if len(worst) > MOST_NAMED else ""
    n_runs, n_classes = frame["run_id"].nunique(), frame["class"].nunique()
    sentence = (
        f"In {n_runs} of {runs} runs a class was learned and lost again during training, by its validation Dice: "
        f"{cases}{others}. The end of such a run is not what its method can do."
    )
    numbers = {"runs": n_runs, "classes": n_classes, "collapses": len(frame)}
    return data_limit("collapse", "training", sentence, f"limited: {RULE}", numbers)


def _too_rare(runs: int) -> Verdict:
    sentence = (
        f"Whether a class was learned and lost again cannot be told: the runs were validated at most {LOST_FOR} times, "
        f"and it takes {LOST_FOR + 1}. A smaller `training.validate_every` would show it."
    )
    return data_limit(
        "collapse", "training", sentence, f"limited: no run has {LOST_FOR + 1} validations", {"runs": runs}
    )
