"""Tables of the analysis contract without an analysis: any class names, any number of runs, any gap."""

from collections.abc import Sequence
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from analysis.answers import NO_BIAS
from analysis.schema import TABLES
from analysis.schema.files import write_table
from analysis.study.analysed_records import AnalysedRecords
from analysis.verdicts import Topic, Verdict, Word
from imbalance_bench.manifest import write_json
from imbalance_bench.records import StudyRecords

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
        "leaders": _leaders(methods, level, gain),
        **_distributions(rng, methods, control, level, gain),
        "rankings": _rankings(methods, gain),
        **_tuning(rng, methods, gain),
        "confusion": _confusion(rng, methods, level),
        **_explanation(rng, methods),
        "interventions": _interventions(rng, methods, level),
        "path_controls": _path_controls(rng, methods, names),
        "trimap_curves": _trimap_curves(rng, methods, level),
        **_probabilities(rng, methods, level),
        "border_profiles": _border_profiles(rng, names) if measures else [],
        "measures": _measures(rng, names) if measures else [],
        **_bias(rng, runs, names),
    }
    tables |= _tests(rng, sorted({row["method"] for row in tables["learned_bias"]}), len(names), testable)
    for name, schema in TABLES.items():
        write_table(root / "analysis", name, pd.DataFrame(tables.get(name, []), columns=list(schema.columns)))
    write_json(
        root / "analysis" / "verdicts.json",
        {"plan_hash": "p" * 64, "verdicts": _verdicts(names, methods, len(failed), len(plan["runs"]))},
    )
    AnalysedRecords.of(StudyRecords(root)).write(root / "analysis")
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
    for method, aggregation in product(methods, ("pooled", "per_image", "per_group")):
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
            "n_seeds": 3,
            "level": 0.95,
            "low_holm": value - 0.03,
            "high_holm": value + 0.03,
            "family": 4,
            "influential": "",
            "p_sign_flip": 0.02,
            "superiority": 0.7,
            "skewness": 0.1,
            "p_holm": 0.12,
            "wilcoxon_p": 0.04,
            "cliffs_delta": 0.3,
            **interval,
        }
        rows.append(row | {"verdict": "not_testable" if lost else verdict})
    return rows


def _leaders(methods: list[str], level: dict[str, float], gain: dict[str, float]) -> list[dict[str, Any]]:
    """Macro: everyone shares the lead. First class: best, second, behind. The others: a lead that two share."""
    ordered = sorted(methods, key=lambda method: -gain[method])
    marks = {"macro": ["shared_best"] * len(methods), next(iter(level)): ["best", "second", *["behind"] * len(methods)]}
    rows = []
    for name, value in {**level, "macro": 0.5}.items():
        chosen = marks.get(name, ["shared_best", "shared_best", *["shared_second"] * len(methods)])
        for method, mark in zip(ordered, chosen, strict=False):
            row = {"model": "class_query", "class": name, "method": method, "mean": value + gain[method]}
            row |= {"leader": ordered[0], "n_units": 12, "difference": gain[method] - gain[ordered[0]], "low": -0.1}
            row |= {"high": 0.1, "p": 0.2, "p_corrected": 0.6, "family": 3}
            rows.append(row | {"mark": "absent" if np.isnan(value) else mark})
    return rows


def _distributions(
    rng: np.random.Generator, methods: list[str], control: str, level: dict[str, float], gain: dict[str, float]
) -> dict[str, list[dict[str, Any]]]:
    """Pairs, profiles and trade-offs; a class that does not occur has no values."""
    tables: dict[str, list[dict[str, Any]]] = {"pairwise": [], "profiles": [], "tradeoffs": []}
    tables["practical_differences"] = []
    ordered = sorted(methods, key=lambda method: -gain[method])
    for first, second in combinations(ordered, 2):
        row = {"model": "class_query", "method_a": first, "method_b": second, "difference": gain[first] - gain[second]}
        tables["pairwise"].append(row | {"low": -0.1, "high": 0.1, "p": 0.01, "p_holm": 0.03})
    for method, (name, value) in product(methods, {**level, "macro": 0.5}.items()):
        for threshold in np.round(np.arange(0.05, 1.0, 0.05), 2):
            share = np.nan if np.isnan(value) else float(np.clip(2 * (value - threshold) + 0.5, 0, 1))
            row = {"method": method, "threshold": threshold, "class": name, "share": share, "n_units": 12}
            tables["profiles"].append(row | {"low": max(share - 0.1, 0.0), "high": min(share + 0.1, 1.0)})
        if method != control:
            row = {"method": method, "control": control, "class": name, "n_units": 12, "dice": gain[method]}
            for metric in ("recall", "precision"):
                middle = np.nan if np.isnan(value) else rng.normal(0, 0.05)
                ends = _interval(rng, middle, 0.02)
                row |= {metric: middle, f"{metric}_low": ends["low"], f"{metric}_high": ends["high"]}
            tables["tradeoffs"].append(row | {"hurt": bool(row["precision_high"] < 0)})
            row = {"method": method, "control": control, "class": name, "unit": "image", "n_units": 12, "n_seeds": 3}
            row |= {"margin": 0.01, "centre": np.nan if np.isnan(value) else gain[method] - gain[control]}
            shares = [np.nan] * 3 if np.isnan(value) else rng.dirichlet(np.ones(3))
            row |= dict(zip(("p_worse", "p_equivalent", "p_better"), shares, strict=True))
            tables["practical_differences"].append(row | {"error": 0.02, "degrees": 11.0})
    return tables


def write_attention(root: Path, dataset: dict[str, Any], *, stride_px: int = 16) -> None:
    """Write attention maps for the predictions that the runs of a synthetic study kept."""
    rng = np.random.default_rng(0)
    for prediction in sorted(root.glob("runs/*/predictions/*.png")):
        weights = rng.dirichlet([1.0] * len(dataset["classes"]), size=(6, 6)).transpose(2, 0, 1).astype(np.float16)
        target = prediction.parent.parent / "attention" / f"{prediction.stem}.safetensors"
        target.parent.mkdir(exist_ok=True)
        save_file({"weights": np.ascontiguousarray(weights), "stride_px": np.array([stride_px])}, target)


def _rankings(methods: list[str], gain: dict[str, float]) -> list[dict[str, Any]]:
    ordered = sorted(methods, key=lambda method: -gain[method])
    keys = {"metric": "dice", "class": "macro", "kendall_tau": 0.7, "n_units": 12, "n_seeds": 3}
    return [
        keys
        | {"aggregation": aggregation, "method": method, "score": gain[method], "rank": place + 1}
        | {"rank_low": max(1, place - 0.4), "rank_high": min(len(methods), place + 2.3), "p_best": 1 / (place + 2)}
        for aggregation in ("pooled", "per_image", "per_group")
        for place, method in enumerate(ordered)
    ]


def _tuning(rng: np.random.Generator, methods: list[str], gain: dict[str, float]) -> dict[str, list[dict[str, Any]]]:
    """Four trials of every method, of which the last won; more trials are better."""
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in ("tuning", "tuning_effects", "tuning_budgets")}
    for place, method in enumerate(methods):
        score = {name: 0.6 + gain[method] + rng.uniform(0, 0.02) for name in ("validation", "test")}
        row = {
            "method": method,
            "select": "macro_dice",
            "trials": 4,
            "different": 4,
            "winner": 3,
            "setting": "gamma 1.5",
        }
        row |= {f"{name}_{of}": value for name, value in score.items() for of in ("default", "winner", "again")}
        row |= {"test_oracle": 0.7, "optimism_of_seeds": 0.01, "optimism_of_gain": 0.02, "tuning_steps": 800}
        tables["tuning"].append(row | {"tuning_seconds": 240.0, "study_steps": 400, "study_seconds": 120.0})
        row = {"method": method, "class": "macro", "unit": "image", "n_units": 12, "n_seeds": 2, "difference": 0.02}
        row |= {"of_tuned": 0.6, "of_default": 0.58, **_interval(rng, 0.02, 0.03), "p_holm": 0.2}
        tables["tuning_effects"].append(row | {"verdict": "undecided"})
        for n in range(1, 5):
            row = {
                "method": method,
                "trials": n,
                "rank": place + 1.0,
                "rank_low": place + 1.0,
                "rank_high": place + 1.0,
            }
            row |= {name: value + 0.01 * n for name, value in score.items()} | {"p_best": float(place == 0)}
            tables["tuning_budgets"].append(row | {"kendall_tau": 1.0, "subsets": 3})
    return tables


def _confusion(rng: np.random.Generator, methods: list[str], level: dict[str, float]) -> list[dict[str, Any]]:
    rows = []
    for method, (true, value) in product(methods, level.items()):
        shares = rng.dirichlet([1.0] * len(level))
        for share, predicted in zip(shares, level, strict=True):
            known = np.nan if np.isnan(value) else share
            row = {"method": method, "true": true, "predicted": predicted, "share": known}
            rows.append(row | {"pixels": 0 if np.isnan(value) else int(1000 * share)})
    return rows


def _explanation(rng: np.random.Generator, methods: list[str]) -> dict[str, list[dict[str, Any]]]:
    partial, parts, inertia = [], [], []
    for method in (each for each in methods if each.startswith("dfa")):
        keys = {"method": method, "estimand": "change"}
        for construct, measure in (("frequency", "pixel_share"), ("difficulty", "boundary + morphology")):
            row = {**keys, "construct": construct, "measure": measure, "given": "the other", "n_classes": 5}
            row |= {"residual_df": 1, "partial_rho": 0.3, "r2": rng.uniform(), "p": 0.4, "min_p": 0.0167}
            row |= {"p_adjusted": 0.8, "p_uncalibrated": 0.4, "reliability": np.nan, "explained_below": np.nan}
            partial.append(row | {"vif": 2.5, "verdict": "not_supported"})
        for component in ("unique frequency", "unique difficulty", "shared"):
            row = {**keys, "kind": "share", "component": component, "value": rng.uniform(), "adjusted": -0.2}
            row |= {"low": -0.5, "high": 0.4, "resampled": "runs", "n_classes": 5, "residual_df": 1, "vif": np.nan}
            parts.append(row)
        row = {"method": method, "starts": method, "estimand": "learned", "view": "one_start", "n_starts": 1}
        row |= {"n_runs": 2, "n_classes": 5, "kept": 0.93, "low": 0.8, "high": 1.1, "correlation": 0.9, "decay": -0.1}
        row |= {"taken_back": 0.2, "taken_back_low": 0.1, "taken_back_high": 0.3, "agreement": np.nan}
        inertia.append(row | {"moved": 0.3, "moved_low": 0.2, "moved_high": 0.4, "verdict": "inertia"})
    return {"partial_associations": partial, "partition": parts, "inertia": inertia}


def _interventions(rng: np.random.Generator, methods: list[str], level: dict[str, float]) -> list[dict[str, Any]]:
    rows = []
    for method in (each for each in methods if each.startswith("dfa")):
        names = {"zeroed": ["macro", *level], "permuted": ["macro", *level], "shifted": list(level)}
        for kind, name in ((kind, name) for kind, those in names.items() for name in those):
            value = np.nan if np.isnan(level.get(name, 0.5)) else rng.normal(-0.03, 0.03)
            interval = _interval(rng, value, 0.04)
            verdict = "worse" if interval["high"] < 0 else "undecided"
            row = {"method": method, "intervention": kind, "class": name, "unit": "image", "n_units": 12, "n_seeds": 3}
            row |= {"difference": value, "p": 0.03, "p_sign_flip": 0.04, "p_holm": 0.1, **interval}
            row |= {"low_holm": value - 0.05, "high_holm": value + 0.05}
            rows.append(row | {"verdict": verdict})
    return rows


def _path_controls(rng: np.random.Generator, methods: list[str], names: list[str]) -> list[dict[str, Any]]:
    rows = []
    for method in methods:
        keys = {"method": method, "unit": "image", "n_units": 12, "n_seeds": 3, "n_models": 3}
        for control, name in product(("uniform", "oracle"), ("macro", *names)):
            row = keys | {"control": control, "target": "", "dose": 0.0, "class": name, "difference": -0.4}
            row |= {"low": -0.5, "high": -0.3, "magnitude": 0.4, "p_tost_holm": 1.0, "verdict": "live"}
            rows.append(row | {"monotone": False, "specific": False})
        for control, name, dose in product(("bias_dose", "logit_dose"), names, (-4.0, -2.0, 2.0, 4.0)):
            row = keys | {"control": control, "target": name, "dose": dose, "class": name, "difference": -0.1}
            row |= {"predicted": 0.2 + 0.04 * dose + rng.uniform(0, 0.02), "predicted_trained": 0.2}
            rows.append(row | {"monotone": True, "specific": True, "verdict": "not_testable"})
    return rows


def _probabilities(
    rng: np.random.Generator, methods: list[str], level: dict[str, float]
) -> dict[str, list[dict[str, Any]]]:
    errors, bins = [], []
    for method, (name, value) in product(methods, {"macro": 0.5, **level, "all": 0.5}.items()):
        for measure in ("calibration_error", "overconfidence"):
            middle = np.nan if np.isnan(value) else rng.normal(0.05, 0.02)
            row = {"method": method, "class": name, "measure": measure, "value": middle}
            errors.append(row | {**_interval(rng, middle, 0.02), "sd_over_seeds": 0.01, "n_units": 12, "n_seeds": 3})
        if name == "macro" or np.isnan(value):
            continue
        for place in range(15):
            p = (place + 0.5) / 15
            row = {"method": method, "class": name, "bin_low": place / 15, "bin_high": (place + 1) / 15}
            row |= {"probability": p, "value": p**1.3, **_interval(rng, p**1.3, 0.05), "n_units": 1 + place}
            bins.append(row | {"pixels": int(10 ** rng.uniform(2, 6))})
    return {"calibration": errors, "reliability_diagram": bins}


def _trimap_curves(rng: np.random.Generator, methods: list[str], level: dict[str, float]) -> list[dict[str, Any]]:
    rows = []
    for method, (name, value) in product(methods, {"all": 0.5, **level}.items()):
        for inner, outer in ((0, 1), (1, 2), (2, 4), (4, 8), (8, np.inf)):
            share = np.nan if np.isnan(value) else rng.uniform(0, 0.6) / (1 + inner)
            row = {"method": method, "class": name, "inner_um": inner, "outer_um": outer, "value": share}
            rows.append(row | {"low": 0.9 * share, "high": 1.1 * share, "n_units": 12, "n_pixels": 500})
    return rows


def _border_profiles(rng: np.random.Generator, names: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for (class_id, name), stain in product(enumerate(names), ("haematoxylin", "eosin")):
        for distance in np.arange(-5.5, 6):
            value = rng.uniform(0.2, 0.3) + 0.2 * (distance > 0)
            row = {"class_id": class_id, "class": name, "stain": stain, "distance": distance, "value": value}
            rows.append(row | {"low": value - 0.03, "high": value + 0.03, "n": 400, "unit": "um"})
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
            value = values[class_id] + rng.normal(0, 0.08)
            start = true[2][class_id] if estimand in ("learned", "change") else np.nan
            learned.append(row | {"value": value, "start": start, "start_of": run["method"]})
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
            {"method": method, "estimand": estimand, "over": "seeds", **interval, "p": 0.001, "without_best": np.nan}
            | {"n_seeds": 3, "n_classes": classes, "verdict": "reliable"},
        )
        for construct, measure, primary, _ in MEASURES:
            rho = rng.uniform(-1, 1)
            row = {"method": method, "estimand": estimand, "construct": construct, "measure": measure}
            row |= {"primary": primary, "n_classes": classes, "spearman": rho, "kendall": 0.8 * rho, "min_p": 0.0167}
            row |= {"p_spearman": 0.083, "p_kendall": 0.09, "rho_needed": 1.0, "p_holm": 0.33, "p_bh": 0.4}
            row |= {"given": "", "reliability": np.nan}
            associations.append(row | {"verdict": "not_supported" if testable else "not_testable"})
    return {"associations": associations, "reliability": reliability}


def _verdicts(names: list[str], methods: list[str], n_failed: int, n_runs: int) -> list[dict[str, Any]]:
    best = methods[-1]
    learned = best.startswith("dfa")
    reason = f"What the bias of {best} learned is not shown to follow pixel share." if learned else NO_BIAS
    verdicts = [
        Verdict(topic=Topic.ANSWER, aspect="method", subject="all methods", word=Word.BETTER,
                sentence=f"Use {best}: {best} is better than {methods[0]} by 0.031 Dice over all classes.",
                rule="better: any macro comparison is better"),
        Verdict(topic=Topic.ANSWER, aspect="reason", method=best if learned else "", subject=best,
                word=Word.NOT_SUPPORTED, sentence=reason, rule="a word that all share"),
        Verdict(topic=Topic.COMPARISON, method=best, class_name="macro", subject=best, word=Word.BETTER,
                sentence=f"{best} is better than {methods[0]} by 0.031 Dice over all classes.",
                numbers={"difference": 0.031, "low": 0.012, "high": 0.05, "p_holm": 0.012, "n_units": 12},
                rule="Macro Dice per image, sign-flip permutation, Holm over methods, alpha 0.05."),
        Verdict(topic=Topic.COMPARISON, method=best, class_name=names[-1], subject=names[-1], word=Word.UNDECIDED,
                sentence=f"On {names[-1]} no method can be told from {methods[0]}.",
                numbers={"difference": 0.011, "p_holm": 0.4}, rule="The same, per class."),
        Verdict(topic=Topic.ASSOCIATION, method=best, estimand="change", measure="pixel_share", subject=best,
                word=Word.NOT_SUPPORTED,
                sentence="What the bias learned follows neither frequency nor a primary measure of difficulty.",
                numbers={"spearman": -0.9, "p": 0.083}, rule="Exact Spearman test over classes, Holm over four."),
        Verdict(topic=Topic.ATTAINABILITY, aspect="classes", subject="classes", word=Word.LIMITED,
                sentence=f"With {len(names)} classes only a perfect rank correlation can reach 0.05.",
                numbers={"min_p": 0.0167}, rule="2/K!"),
        Verdict(topic=Topic.RELIABILITY, method=best, estimand="change", subject=best, word=Word.RELIABLE,
                sentence="The learned change agrees over seeds.", numbers={"icc": 0.9}, rule="ICC(3,k) >= 0.5"),
    ]  # fmt: skip
    if n_failed:
        sentence = f"{n_failed} of {n_runs} planned runs are not finished ({n_failed} failed)."
        verdicts.append(
            Verdict(topic=Topic.DATA, aspect="runs", subject="planned runs", word=Word.LIMITED, sentence=sentence)
        )
    return [each.as_json() for each in verdicts]
