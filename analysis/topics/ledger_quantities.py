"""Per-class quantities of a run other than its class attention, such as loss weights, difficulty and gradient norms.

They are not biases, but whatever differs between classes can be explained by measures of the classes.
"""

import numpy as np
import pandas as pd

from analysis.schema import table
from analysis.schema.names import OUTCOMES
from analysis.study.class_columns import ClassColumns
from analysis.study.runs import RunData, StudyTables

BIAS = "attention_bias"  # names that begin so are explained as what the bias learned, unless it never changed
GIVEN_BIAS = "given_bias"  # a bias that the study file fixed, like a loss weight: nothing was learned
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
    """Keep the quantities of a method that differ between classes in some run; the others cannot follow anything."""
    run = [quantities[name] for name in ("method", "estimand", "fold", "seed")]
    value = quantities["value"]
    spread = value.groupby(run).transform("max") - value.groupby(run).transform("min")
    spread = spread.where(~value.isna().groupby(run).transform("any"))
    size = value.abs().groupby(run).transform("max")
    varies = (spread > 1e-6 * size).groupby([quantities["method"], quantities["estimand"]]).transform("any")
    return quantities[varies & quantities["value"].notna()]


def _ends(run: RunData, n_classes: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the first value of each quantity, NaN if it was fixed or only observed, and its last value."""
    ends, quantities = run.ledger_ends(n_classes), {}
    for name, entry in ends.last.items():
        if name in OUTCOMES or (name.startswith(BIAS) and name != BIAS):
            continue
        start, end = ends.first[name].values, entry.values
        unchanged = np.array_equal(start, end, equal_nan=True)
        without_start = name in OBSERVED or unchanged
        if name == BIAS and not unchanged:
            continue
        quantities[GIVEN_BIAS if name == BIAS else name] = (np.full(n_classes, np.nan) if without_start else start, end)
    return quantities
