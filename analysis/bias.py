"""What a method learned about each class: estimands, trajectories, and whether seeds agree."""

import numpy as np
import pandas as pd
from scipy import stats

from analysis.columns import table
from analysis.tables import RunData, StudyTables
from imbalance_bench.preregistration import PRIMARY_ESTIMANDS as PRIMARY_ESTIMANDS

ESTIMANDS = ("learned", "change", "effective_offset", "attention_mass")
CENTRED = ("learned", "change", "effective_offset")  # a constant added to every class means nothing
OUTCOMES = ("effective_offset", "attention_mass")  # what the bias and everything else bring about
ESTIMAND_WORDS = {
    "learned": "learned bias",
    "change": "change of the bias",
    "effective_offset": "effective offset",
    "attention_mass": "attention mass",
}


def trajectories(tables: StudyTables) -> pd.DataFrame:
    """Return every ledger entry of every run; table `bias_trajectories`."""
    frames = []
    for run in tables.data:
        names = dict(enumerate(tables.class_names))
        keys = {"method": run.method, "fold": run.fold, "seed": run.seed}
        frames.append(run.ledger.assign(**keys, **{"class": run.ledger["class_id"].map(names)}))
    return table("bias_trajectories", pd.concat(frames))


def learned_bias(tables: StudyTables) -> pd.DataFrame:
    """Return the estimands of every run; table `learned_bias`."""
    rows = []
    for run in tables.data:
        occurring = np.array(tables.occurring[run.fold])
        keys = {"method": run.method, "fold": run.fold, "seed": run.seed}
        for estimand, values in estimands(run, occurring).items():
            rows += [
                keys | {"class_id": c, "class": name, "estimand": estimand, "value": values[c]}
                for c, name in enumerate(tables.class_names)
            ]
    return table("learned_bias", rows)


def estimands(run: RunData, occurring: np.ndarray) -> dict[str, np.ndarray]:
    """Return the estimands that a run's ledger holds.

    Args:
        run: The run.
        occurring: (K,) bool, classes with training pixels; the others become NaN.

    Returns:
        Estimand -> (K,) float64 at the last step of the last stage.
    """
    found = {}
    for name, (start, end) in _values(run, len(occurring)).items():
        found[name] = end
        if name == "learned" and start is not None:
            found["change"] = end - start
    order = [name for name in ESTIMANDS if name in found]
    return {name: _centred(found[name], occurring, name in CENTRED) for name in order}


def ends(run: RunData, occurring: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return where estimands started and ended, (K,) float64 each, centred as in `estimands`.

    Args:
        run: The run.
        occurring: (K,) bool, classes with training pixels; the others become NaN.

    Returns:
        Estimand -> values at the first and at the last step of the last stage; those with a known start only.
    """
    return {
        name: (_centred(start, occurring, name in CENTRED), _centred(end, occurring, name in CENTRED))
        for name, (start, end) in _values(run, len(occurring)).items()
        if start is not None
    }


def _values(run: RunData, n_classes: int) -> dict[str, tuple[np.ndarray | None, np.ndarray]]:
    """Return first (None: unknown) and last values of every estimand but `change`."""
    if run.ledger.empty:
        return {}
    last = run.ledger[run.ledger["stage"] == run.ledger["stage"].max()]
    final, first = (_at(last, step, n_classes) for step in (last["step"].max(), last["step"].min()))
    # in the official token layout the bias that drives class c is not the one recorded as its own
    name = "attention_bias_driving" if "attention_bias_driving" in final else "attention_bias"
    found: dict[str, tuple[np.ndarray | None, np.ndarray]] = {}
    if name in final:
        start = first.get(name, final.get("attention_bias_initial"))
        if name == "attention_bias":
            start = final.get("attention_bias_initial", start)
        found["learned"] = (start, final[name])
    return found | {each: (first.get(each), final[each]) for each in OUTCOMES if each in final}


def class_means(bias: pd.DataFrame, method: str, estimand: str, n_classes: int) -> np.ndarray:
    """Average an estimand over seeds and folds, (K,) float64."""
    chosen = bias[(bias["method"] == method) & (bias["estimand"] == estimand)]
    return chosen.groupby("class_id")["value"].mean().reindex(range(n_classes)).to_numpy(dtype=np.float64)


def reliability(bias: pd.DataFrame) -> pd.DataFrame:
    """Ask of every method and estimand whether runs agree on the classes; table `reliability`."""
    rows = []
    for (method, estimand), part in bias.groupby(["method", "estimand"], sort=False):
        grid = part.pivot(index="class_id", columns=["fold", "seed"], values="value").dropna(axis=0)
        icc, low, high = icc_average_consistency(grid.to_numpy())
        keys = {"method": method, "estimand": estimand, "icc": icc, "low": low, "high": high}
        rows.append(keys | {"n_seeds": grid.shape[1], "n_classes": grid.shape[0]})
    return table("reliability", rows)


def icc_average_consistency(values: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Return ICC(3,k), the reliability of the mean over k raters, with its interval.

    Args:
        values: (n targets, k raters) float64; here classes x runs.
        level: Of the interval.

    Returns:
        Estimate, low, high; NaN with fewer than 2 targets or raters, or if nothing varies. May be negative.

    Source:
        Shrout and Fleiss 1979, eq. for ICC(3,k) and its interval.
    """
    nan = float("nan")
    n, k = values.shape
    if n < 2 or k < 2:
        return nan, nan, nan
    grand, of_targets, of_raters = values.mean(), values.mean(axis=1), values.mean(axis=0)
    between = k * np.sum((of_targets - grand) ** 2) / (n - 1)
    residual = values - of_targets[:, None] - of_raters + grand
    error = np.sum(residual**2) / ((n - 1) * (k - 1))
    scale = np.abs(values).max() ** 2 * 1e-20
    if between <= scale:
        return nan, nan, nan
    if error <= scale:
        return 1.0, 1.0, 1.0
    ratio, free = between / error, (n - 1, (n - 1) * (k - 1))
    tail = 0.5 + level / 2
    low = 1 - stats.f.ppf(tail, free[0], free[1]) / ratio
    high = 1 - 1 / (ratio * stats.f.ppf(tail, free[1], free[0]))
    return float(1 - 1 / ratio), float(low), float(high)


def _at(ledger: pd.DataFrame, step: int, n_classes: int) -> dict[str, np.ndarray]:
    rows = ledger[ledger["step"] == step]
    return {
        str(name): part.set_index("class_id")["value"].reindex(range(n_classes)).to_numpy(dtype=np.float64)
        for name, part in rows.groupby("parameter")
    }


def _centred(values: np.ndarray, occurring: np.ndarray, centre: bool) -> np.ndarray:
    kept = np.where(occurring, values, np.nan)
    known = np.isfinite(kept)
    return kept - kept[known].mean() if centre and known.any() else kept
