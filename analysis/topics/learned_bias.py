"""What a method learned about each class: estimands, their starts, and their course during training."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from analysis.schema import table
from analysis.schema.names import CENTRED, ESTIMANDS, OUTCOMES
from analysis.study.class_columns import ClassColumns
from analysis.study.runs import RunData, StudyTables
from analysis.topics.context import Context, TopicResult
from imbalance_bench.run_ids import without_label
from methods.plugins import PluginError, UnknownMethodError, find_method


def trajectories(tables: StudyTables) -> pd.DataFrame:
    """Return every ledger entry of every run; table `bias_trajectories`."""
    lengths = [len(run.ledger) for run in tables.data]
    keys = {
        name: np.repeat([getattr(run, name) for run in tables.data], lengths) for name in ("method", "fold", "seed")
    }
    rows = pd.concat([run.ledger for run in tables.data], ignore_index=True).assign(**keys)
    return table(
        "bias_trajectories", rows.assign(**{"class": rows["class_id"].map(dict(enumerate(tables.class_names)))})
    )


def learned_bias(tables: StudyTables) -> pd.DataFrame:
    """Return the estimands of every run; table `learned_bias`."""
    columns = ClassColumns(tables.class_names)
    start_of = {method: family[0] for family in families(tables) for method in family}
    for run in tables.data:
        occurring = np.array(tables.occurring[run.fold])
        recorded = _values(run, len(occurring))
        starts = _starts(recorded, occurring)
        for estimand, values in _estimands(recorded, occurring).items():
            start = starts.get("learned" if estimand == "change" else estimand, np.full(len(values), np.nan))
            origin = start_of.get(run.method, run.method)
            columns.add(run, start_of=origin, estimand=estimand, value=values, start=start)
    return table("learned_bias", columns.frame())


def families(study: StudyTables) -> list[list[str]]:
    """Return groups of two or more methods that differ in the start of their bias only, in every fold."""
    members: dict[str, list[str]] = {}
    starts: dict[str, set[str]] = {}
    for method in study.methods:
        runs = study.runs_of(method)
        if not all(run.manifest.get("method", {}).get("parts") for run in runs):
            continue  # trained elsewhere: nothing is known of it
        key = _in_folds({run.fold: [run.model, _without_start(run.manifest["method"])] for run in runs})
        members.setdefault(key, []).append(method)
        starts.setdefault(key, set()).add(_in_folds({run.fold: without_label(run.manifest["method"]) for run in runs}))
    return [family for key, family in members.items() if len(starts[key]) > 1]


def _in_folds(trained: Mapping[int, Any]) -> str:
    """Return a key of what a method trains; where it is the same in all folds, a missing one makes no difference."""
    contents = {fold: json.dumps(content, sort_keys=True) for fold, content in sorted(trained.items())}
    return next(iter(contents.values())) if len(set(contents.values())) == 1 else json.dumps(contents)


def _without_start(method: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a resolved method decides its training, but not where a bias starts."""
    return without_label(method) | {"parts": [_part_without_start(part) for part in method["parts"]]}


def _part_without_start(part: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what the method declares as its start; nothing of one that is not installed or reads otherwise now."""
    options = {key: value for key, value in part.items() if key not in ("name", "plugin")}
    try:
        of_start = find_method(part.get("name", "")).model_validate(options).start_options()
    except (UnknownMethodError, PluginError, ValidationError):
        of_start = frozenset()
    return {key: value for key, value in part.items() if key not in of_start}


def estimands(run: RunData, occurring: np.ndarray) -> dict[str, np.ndarray]:
    """Return the estimands that a run's ledger contains.

    Args:
        run: The run.
        occurring: (K,) bool, classes with training pixels; the others become NaN.

    Returns:
        Estimand -> (K,) float64 at the last step of the last stage.
    """
    return _estimands(_values(run, len(occurring)), occurring)


Recorded = dict[str, tuple[np.ndarray | None, np.ndarray]]  # estimand -> first (None: unknown) and last values, (K,)


def _estimands(recorded: Recorded, occurring: np.ndarray) -> dict[str, np.ndarray]:
    last = {name: end for name, (_, end) in recorded.items()}
    start, end = recorded.get("learned", (None, None))
    if start is not None and end is not None:
        last["change"] = end - start
    return {name: _centred(last[name], occurring, name in CENTRED) for name in ESTIMANDS if name in last}


def _starts(recorded: Recorded, occurring: np.ndarray) -> dict[str, np.ndarray]:
    """Return the starts of the estimands whose start is known, centred as in `estimands`."""
    return {
        name: _centred(start, occurring, name in CENTRED) for name, (start, _) in recorded.items() if start is not None
    }


def _values(run: RunData, n_classes: int) -> Recorded:
    """Return what the last stage recorded for every estimand but `change`."""
    ends = run.ledger_ends(n_classes)
    final, first = ends.at_last_step(), ends.at_first_step()
    # in the official token layout the bias that drives class c is not the one recorded as its own
    name = "attention_bias_driving" if "attention_bias_driving" in final else "attention_bias"
    recorded: Recorded = {}
    if name in final:
        start = first.get(name, final.get("attention_bias_initial"))
        if name == "attention_bias":
            start = final.get("attention_bias_initial", start)
        recorded["learned"] = (start, final[name])
    return recorded | {name: (first.get(name), final[name]) for name in OUTCOMES if name in final}


def _centred(values: np.ndarray, occurring: np.ndarray, centre: bool) -> np.ndarray:
    occurring_values = np.where(occurring, values, np.nan)
    finite = np.isfinite(occurring_values)
    return occurring_values - occurring_values[finite].mean() if centre and finite.any() else occurring_values


def analyze(context: Context) -> TopicResult:
    """Tabulate learned biases and their course."""
    tables = {"learned_bias": learned_bias(context.study), "bias_trajectories": trajectories(context.study)}
    return TopicResult(tables)
