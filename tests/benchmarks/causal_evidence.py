"""Evidence of the causal bench as it would be if its truth were known: nothing is trained."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.causal_bench.design import given_biases
from benchmarks.causal_bench.evidence import Evidence
from imbalance_bench.data.phantom import FACTORS, PhantomSpec, factorial_design
from imbalance_bench.preregistration import PRIMARY_MEASURES

PIXELS = 100_000
SERIES, DECODER = "wide", "tied_detail"
LEARNED = {"share": 0.0, "ambiguity": 1.0, "morphology": 0.0, "context": 0.0}  # what the bias of dfa follows
HURTS = {"share": 0.0, "ambiguity": 0.0, "morphology": 0.0, "context": -20.0}  # points of Dice of cross_entropy
REPAIRS = {"dfa": 0.0, "inverse_sqrt": 12.0}  # points, at the hardest level of context


def hardness(spec: PhantomSpec) -> pd.DataFrame:
    """Levels from 0 to 1, rarity by the logarithm."""
    levels = pd.DataFrame([{factor: getattr(each, factor) for factor in FACTORS} for each in spec.classes])
    levels["share"] = -np.log(levels["share"])
    return (levels - levels.min()) / (levels.max() - levels.min())


def evidence(
    seed: int = 0, learned: Mapping[Any, float] = LEARNED, hurts: Mapping[Any, float] = HURTS, data_sets: int = 10
) -> Evidence:
    """Draw evidence of one arm with two seeds of each method."""
    rng = np.random.default_rng(seed)
    tissue_effect = rng.normal(0, 10, 5)  # of Dice: tissues differ, whatever is planted
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in Evidence.__dataclass_fields__}
    for spec in factorial_design(SERIES, 0)[:data_sets]:
        levels = hardness(spec)
        of_class = rng.normal(0, 0.1, 5)
        for number, each in enumerate(spec.classes):
            key = {"series": SERIES, "data_set": spec.name, "class": each.name}
            tables["planted"].append(key | {factor: getattr(each, factor) for factor in FACTORS})
            for factor, (construct, measure) in zip(FACTORS, PRIMARY_MEASURES.items(), strict=True):
                value = getattr(each, factor)
                stated = {"measure": measure, "construct": construct, "value": value, "primary": True}
                tables["measures"].append(key | stated | {"n": 10.0, "reliability": 1.0, "standard_error": np.nan})
            bias = sum(learned[factor] * levels[factor][number] for factor in FACTORS) + of_class[number]
            given = {entry["label"]: entry["values"][each.name] for entry in given_biases(spec)}
            of_methods = {(label, "given_bias"): value for label, value in given.items()}
            of_methods |= {("inverse_sqrt", "loss_weight"): each.share**-0.5}
            harm = sum(hurts[factor] * levels[factor][number] for factor in FACTORS)
            for run in (0, 1):
                arm = {**key, "decoder": DECODER, "seed": run, "fold": 0, "start_name": ""}
                for (method, quantity), value in of_methods.items():
                    own = {"method": method, "quantity": quantity, "start": np.nan, "value": value}
                    tables["quantities"].append(arm | own)
                own = {"method": "dfa", "quantity": "change", "start": 0.0, "value": bias + rng.normal(0, 0.02)}
                tables["quantities"].append(arm | own)
                for method in ("cross_entropy", *REPAIRS):
                    dice = 60 + tissue_effect[number] + harm + REPAIRS.get(method, 0.0) * levels["context"][number]
                    tp = round(PIXELS * (dice + rng.normal(0, 1)) / 100)
                    counts = {"tp": tp, "fp": PIXELS - tp, "fn": PIXELS - tp}
                    tables["dice"].append({**key, "decoder": DECODER, "method": method, "seed": run} | counts)
        tables["path"] += _path(spec, rng)
        made = {"runs": 60, "seconds": 900.0, "commit": "c" * 40, "torch": "2.9", "device": "cpu"}
        tables["studies"].append({"series": SERIES, "decoder": DECODER, "data_set": spec.name} | made)
        for method in REPAIRS:
            own = {"centre": 0.01, "error": 0.005, "degrees": 20.0, "method": method, "control": "cross_entropy"}
            tables["practical"].append({"series": SERIES, "decoder": DECODER, "data_set": spec.name} | own)
    return Evidence(**{name: pd.DataFrame(rows) for name, rows in tables.items()})


def _path(spec: PhantomSpec, rng: np.random.Generator) -> list[dict[str, Any]]:
    """A path that is read: uniform weights cost 50 points, and a dose moves the share of its own class."""
    arm = {"series": SERIES, "decoder": DECODER, "data_set": spec.name, "method": "dfa"}
    interval = {"low": -0.6, "high": -0.4, "magnitude": 0.5, "predicted": np.nan, "predicted_trained": np.nan}
    rows: list[dict[str, Any]] = []
    for control, effect in (("uniform", -0.5), ("removed", -0.5), ("oracle", 0.1), ("rolled", -0.7)):
        difference = effect + rng.normal(0, 0.01)
        own = {"control": control, "target": "", "dose": 0.0, "class": "macro", "difference": difference}
        rows.append(arm | interval | own | {"verdict": "live" if control == "uniform" else "worse"})
    for each in spec.classes:
        for dose in (-4.0, -2.0, 2.0, 4.0):
            dosed = arm | interval | {"control": "bias_dose", "target": each.name, "dose": dose, "verdict": "worse"}
            rows.append(dosed | {"class": "macro", "difference": -abs(dose) / 20})
            moved = {"predicted": 0.2 + dose / 40, "predicted_trained": 0.2, "difference": -abs(dose) / 20}
            rows.append(dosed | {"class": each.name} | moved)
    return rows
