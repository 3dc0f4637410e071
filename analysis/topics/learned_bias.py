"""What a method learned about each class: estimands, trajectories, and whether seeds agree."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.schema import rows_of, table
from analysis.schema.names import CENTRED, ESTIMAND_WORDS, ESTIMANDS, OUTCOMES
from analysis.statistics.intraclass_correlation import icc_average_consistency
from analysis.study.runs import AnalysisPlan, RunData, StudyTables
from analysis.topics.context import Context, TopicResult
from analysis.verdicts import Topic, Verdict, Word
from imbalance_bench.preregistration import PRIMARY_ESTIMANDS as PRIMARY_ESTIMANDS


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


def analyze(context: Context) -> TopicResult:
    """Tabulate learned biases and their course; judge their reliability over runs."""
    learned = learned_bias(context.study)
    agreement = reliability(learned)
    tables = {
        "learned_bias": learned,
        "bias_trajectories": trajectories(context.study),
        "reliability": agreement,
    }
    return TopicResult(tables, tuple(reliability_verdict(row, context.plan) for row in rows_of(agreement)))


def reliability_verdict(row: Mapping[str, Any], plan: AnalysisPlan) -> Verdict:
    """Judge one row of table `reliability`."""
    method, estimand = row["method"], row["estimand"]
    what = f"{ESTIMAND_WORDS[estimand]} of {method}"
    rule = f"reliable: ICC(3,k) >= {plan.reliability_floor:g}; not_testable: fewer than two runs, or nothing varies"
    numbers = {key: row[key] for key in ("icc", "low", "high", "n_seeds", "n_classes")}
    if not math.isfinite(row["icc"]):
        word = Word.NOT_TESTABLE
        reason = "there is one run" if row["n_seeds"] < 2 else "it is the same for every class"
        sentence = f"Whether the {what} is reliable cannot be tested: {reason}."
    else:
        word = Word.RELIABLE if row["icc"] >= plan.reliability_floor else Word.UNRELIABLE
        interval = f"ICC {row['icc']:.2f}, 95 % interval {row['low']:.2f} to {row['high']:.2f}"
        agree = "agree" if word == Word.RELIABLE else "do not agree"
        sentence = f"{row['n_seeds']} runs {agree} on the {what} ({interval})."
        if word == Word.RELIABLE and row["low"] < plan.reliability_floor:
            sentence += f" The interval reaches below the floor of {plan.reliability_floor:g}: more seeds would help."
    return Verdict(
        topic=Topic.RELIABILITY,
        method=method,
        estimand=estimand,
        subject=what,
        word=word,
        sentence=sentence,
        numbers=numbers,
        rule=rule,
    )
