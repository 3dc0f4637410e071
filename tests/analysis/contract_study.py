"""Tables of the analysis contract without an analysis: any class names, any number of runs, any gap."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.columns import COLUMNS, write_csv
from imbalance_bench.manifest import write_json

METHODS = ("cross_entropy", "inverse_frequency", "focal", "cdb", "dfa")
MEASURES = (
    ("frequency", "pixel_share", True, "1"),
    ("frequency", "image_share", False, "1"),
    ("boundary", "stain_overlap_across_border", True, "1"),
    ("boundary", "edge_strength", False, "1"),
    ("morphology", "shape_dispersion", True, "1"),
    ("context", "nearest_rival_overlap", True, "1"),
)
LONG_NAMES = tuple(f"a rather long class name of tissue compartment {letter}" for letter in "abcdefghijklmnopqrst")
STEPS = (0, 100, 200, 300, 400)


def write_bare_study(
    root: Path,
    names: Sequence[str],
    *,
    colours: Sequence[str] | None = None,
    methods: Sequence[str] = METHODS,
    seeds: int = 3,
    dataset: str = "bare",
) -> Path:
    """Write plan.json and dataset.json of a study whose images and records are gone."""
    palette = colours or [f"#{40 + 9 * i % 200:02x}{200 - 8 * i % 190:02x}{(90 + 37 * i) % 256:02x}" for i in range(99)]
    classes = [{"id": i, "name": name, "colour": palette[i]} for i, name in enumerate(names)]
    train = {"pixels": [10] * len(names), "images": [3] * len(names), "components": [5] * len(names)}
    folds = [{"n_train": 6, "n_val": 2, "n_test": 4, "train": train}]
    write_json(
        root / "dataset.json",
        {"name": dataset, "path": "gone", "mpp_um": None, "groups_known": False, "data_hash": "d" * 64}
        | {"classes": classes, "merging": {"groups": {}, "ignore": []}, "folds": folds, "n_images": 12},
    )
    keys = [(method, seed) for method in methods for seed in range(seeds)]
    runs = [
        {"run_id": f"{number:012x}", "method": method, "fold": 0, "seed": seed, "architecture": "class_query"}
        for number, (method, seed) in enumerate(keys)
    ]
    analysis = {"control": methods[0], "alpha": 0.05, "rope_dice": 0.01, "reliability_floor": 0.5}
    write_json(root / "plan.json", {"name": root.name, "created": "2026-01-01", "runs": runs, "analysis": analysis})
    return root


def write_analysis(
    root: Path,
    plan: dict[str, Any],
    dataset: dict[str, Any],
    *,
    absent: Sequence[str] = (),
    failed: Sequence[str] = (),
    measures: bool = True,
    testable: bool = True,
) -> Path:
    """Write analysis/*.csv and verdicts.json with numbers that mean nothing and look plausible.

    Args:
        root: The study directory.
        plan: Content of plan.json.
        dataset: Content of dataset.json.
        absent: Classes that occur in no scored image.
        failed: Run ids that failed; every other run is done.
        measures: False leaves measures.csv without values, as when the data set is gone.
        testable: False makes every association "not_testable".
    """
    rng = np.random.default_rng(0)
    names = [each["name"] for each in dataset["classes"]]
    control = plan["analysis"]["control"]
    runs = [run for run in plan["runs"] if run["run_id"] not in failed]
    methods = list(dict.fromkeys(run["method"] for run in runs))
    level = {name: (np.nan if name in absent else rng.uniform(0.3, 0.9)) for name in names}
    gain = {method: rng.normal(0.02, 0.04) for method in methods}
    tables = {
        "runs": _runs(plan, failed),
        "method_scores": _method_scores(rng, methods, level, gain),
        "comparisons": _comparisons(rng, [m for m in methods if m != control], control, level, gain),
        "measures": _measures(rng, names) if measures else [],
        **_bias(rng, runs, names),
    }
    tables |= _tests(rng, sorted({row["method"] for row in tables["learned_bias"]}), len(names), testable)
    for name, rows in tables.items():
        write_csv(root / "analysis" / f"{name}.csv", name, pd.DataFrame(rows, columns=list(COLUMNS[name])))
    write_json(root / "analysis" / "verdicts.json", {"plan_hash": "p" * 64, "verdicts": _verdicts(names, methods)})
    return root


def _runs(plan: dict[str, Any], failed: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for run in plan["runs"]:
        row = {key: run[key] for key in ("run_id", "method", "fold", "seed")}
        lost = run["run_id"] in failed
        row |= {"state": "failed" if lost else "done", "seconds": None if lost else 61.5, "steps": 400}
        rows.append(row | {"steps_per_second": 6.5, "error": "CUDA out of memory <at step 7>" if lost else ""})
    return rows


def _interval(rng: np.random.Generator, middle: float, half: float) -> dict[str, float]:
    low, high = rng.uniform(0.6, 1.4, 2) * half
    return {"low": middle - low, "high": middle + high}


def _method_scores(
    rng: np.random.Generator, methods: list[str], level: dict[str, float], gain: dict[str, float]
) -> list[dict[str, Any]]:
    rows = []
    for method, aggregation in product(methods, ("pooled", "per_image")):
        values = {
            name: float(np.minimum(0.97, value + gain[method] + rng.normal(0, 0.02))) for name, value in level.items()
        }
        for name, value in {**values, "macro": np.nanmean(list(values.values()))}.items():
            row = {"method": method, "aggregation": aggregation, "metric": "dice", "class": name, "mean": value}
            rows.append(row | _interval(rng, value, 0.05) | {"sd_over_seeds": 0.01, "n_units": 12, "n_seeds": 3})
    return rows


def _comparisons(
    rng: np.random.Generator, methods: list[str], control: str, level: dict[str, float], gain: dict[str, float]
) -> list[dict[str, Any]]:
    rows = []
    for method, name in product(methods, [*level, "macro"]):
        lost = np.isnan(level.get(name, 0.5))
        value = np.nan if lost else gain[method] - gain[control] + rng.normal(0, 0.02)
        interval = _interval(rng, value, 0.04)
        verdict = "better" if interval["low"] > 0 else "worse" if interval["high"] < 0 else "undecided"
        row = {"method": method, "control": control, "class": name, "metric": "dice", "unit": "image", "n_units": 12}
        row |= {
            "difference": value,
            "p": 0.03,
            "p_seeds": 0.02,
            "p_holm": 0.12,
            "wilcoxon_p": 0.04,
            "cliffs_delta": 0.3,
            **interval,
        }
        rows.append(row | {"verdict": "not_testable" if lost else verdict})
    return rows


def _measures(rng: np.random.Generator, names: list[str]) -> list[dict[str, Any]]:
    rows = []
    for (construct, measure, primary, unit), (class_id, name) in product(MEASURES, enumerate(names)):
        value = 0.6 * 0.6**class_id if measure == "pixel_share" else rng.uniform(0.1, 0.9)
        row = {"class_id": class_id, "class": name, "construct": construct, "measure": measure, "primary": primary}
        rows.append(row | {"value": value, "n": 40, "unit": unit} | _interval(rng, value, 0.1 * value))
    return rows


def _bias(rng: np.random.Generator, runs: list[dict[str, Any]], names: list[str]) -> dict[str, list[dict[str, Any]]]:
    true = rng.normal(0, 0.5, (3, len(names)))
    true -= true.mean(1, keepdims=True)
    learned, trajectories = [], []
    for run in runs:
        keys = {key: run[key] for key in ("method", "fold", "seed")}
        held = {"effective_offset": true[0]}
        if run["method"].startswith("dfa"):
            held |= {"learned": true[1] + true[2], "change": true[1]}
        for (estimand, values), (class_id, name) in product(held.items(), enumerate(names)):
            row = {**keys, "class_id": class_id, "class": name, "estimand": estimand}
            learned.append(row | {"value": values[class_id] + rng.normal(0, 0.08)})
        parameters = {"logit_gradient_norm": np.abs(true[0])}
        if run["method"].startswith("dfa"):
            parameters |= {"attention_bias": true[1] + true[2], "attention_bias_initial": true[2]}
        for (parameter, values), step, (class_id, name) in product(parameters.items(), STEPS, enumerate(names)):
            row = {**keys, "stage": 0, "step": step, "class_id": class_id, "class": name, "parameter": parameter}
            progress = 1 - np.exp(-4 * step / STEPS[-1])
            trajectories.append(row | {"value": true[2][class_id] + progress * (values - true[2])[class_id]})
    return {"learned_bias": learned, "bias_trajectories": trajectories}


def _tests(rng: np.random.Generator, methods: list[str], classes: int, testable: bool) -> dict[str, list[Any]]:
    associations, reliability = [], []
    for method, estimand in product(methods, ("change", "effective_offset")):
        if estimand == "change" and not method.startswith("dfa"):
            continue
        interval = {"icc": 0.9, "low": 0.7, "high": 0.98}
        reliability.append(
            {"method": method, "estimand": estimand, **interval, "n_seeds": 3, "n_classes": classes},
        )
        for construct, measure, primary, _ in MEASURES:
            rho = rng.uniform(-1, 1)
            row = {"method": method, "estimand": estimand, "construct": construct, "measure": measure}
            row |= {"primary": primary, "n_classes": classes, "spearman": rho, "kendall": 0.8 * rho, "min_p": 0.0167}
            row |= {"p_spearman": 0.083, "p_kendall": 0.09, "rho_needed": 1.0, "p_holm": 0.33, "p_bh": 0.4}
            associations.append(row | {"verdict": "not_supported" if testable else "not_testable"})
    return {"associations": associations, "reliability": reliability}


def _verdicts(names: list[str], methods: list[str]) -> list[dict[str, Any]]:
    best = methods[-1]
    return [
        {"id": f"comparison/{best}/macro", "topic": "comparison", "subject": best, "verdict": "better",
         "sentence": f"{best} is better than {methods[0]} by 0.031 Dice over all classes.",
         "numbers": {"difference": 0.031, "low": 0.012, "high": 0.05, "p_holm": 0.012, "n_units": 12},
         "rule": "Macro Dice per image, sign-flip permutation, Holm over methods, alpha 0.05."},
        {"id": "comparison/class", "topic": "comparison", "subject": names[-1], "verdict": "undecided",
         "sentence": f"On {names[-1]} no method can be told from {methods[0]}.",
         "numbers": {"difference": 0.011, "p_holm": 0.4}, "rule": "The same, per class."},
        {"id": f"association/{best}/change/pixel_share", "topic": "association", "subject": best,
         "verdict": "not_supported",
         "sentence": "What the bias learned follows neither frequency nor a primary measure of difficulty.",
         "numbers": {"spearman": -0.9, "p": 0.083}, "rule": "Exact Spearman test over classes, Holm over four."},
        {"id": "attainability/classes", "topic": "attainability", "subject": "classes", "verdict": "limited",
         "sentence": f"With {len(names)} classes only a perfect rank correlation can reach 0.05.",
         "numbers": {"min_p": 0.0167}, "rule": "2/K!"},
        {"id": f"reliability/{best}/change", "topic": "reliability", "subject": best, "verdict": "reliable",
         "sentence": "The learned change agrees over seeds.", "numbers": {"icc": 0.9}, "rule": "ICC(3,k) >= 0.5"},
    ]  # fmt: skip
