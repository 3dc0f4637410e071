"""What a run holds of each class beside its attention: loss weights, estimated difficulty, gradient norms and the like.

They say nothing of a bias, but whatever differs between classes can be asked what it follows.
"""

import numpy as np
import pandas as pd

from analysis.schema import table
from analysis.schema.names import OUTCOMES
from analysis.study.class_columns import ClassColumns
from analysis.study.runs import RunData, StudyTables

BIAS = "attention_bias"  # and whatever begins so: explained as what the bias learned, unless it never changed
GIVEN_BIAS = "given_bias"  # a bias that was fixed by the study file: given like a loss weight, nothing was learned
OBSERVED = ("classifier_norm", "logit_gradient_norm", "observed_loss")  # by-products: their first value is no start


def ledger_quantities(study: StudyTables) -> pd.DataFrame:
    """Return the last value of every other entry of the ledger; table `ledger_quantities`."""
    columns = ClassColumns(study.class_names)
    for run in study.data:
        occurring = np.array(study.occurring[run.fold])
        for name, (start, end) in _ends(run, len(occurring)).items():
            columns.add(run, start_of=run.method, estimand=name, value=np.where(occurring, end, np.nan), start=start)
    return table("ledger_quantities", columns.frame())


def differing(quantities: pd.DataFrame) -> pd.DataFrame:
    """Keep the quantities of a method that differ between the classes of some run; the others follow nothing."""
    run = [quantities[name] for name in ("method", "estimand", "fold", "seed")]
    value = quantities["value"]
    spread = value.groupby(run).transform("max") - value.groupby(run).transform("min")
    spread = spread.where(~value.isna().groupby(run).transform("any"))
    size = value.abs().groupby(run).transform("max")
    varies = (spread > 1e-6 * size).groupby([quantities["method"], quantities["estimand"]]).transform("any")
    return quantities[varies & quantities["value"].notna()]


def _ends(run: RunData, n_classes: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return where each quantity started, NaN where it was given or only observed, and its last value."""
    ends, found = run.ledger_ends(n_classes), {}
    for name, entry in ends.last.items():
        if name in OUTCOMES or (name.startswith(BIAS) and name != BIAS):
            continue
        start, end = ends.first[name].values, entry.values
        unchanged = np.array_equal(start, end, equal_nan=True)
        given = name in OBSERVED or unchanged
        if name == BIAS and not unchanged:
            continue
        found[GIVEN_BIAS if name == BIAS else name] = (np.full(n_classes, np.nan) if given else start, end)
    return found
