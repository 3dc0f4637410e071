"""Write golden.json: expected losses and class parameters from formulas that share no code with `methods`.

Run `python tests/methods/golden/generate.py` after adding a case; it needs numpy and torch and imports nothing of ours.

Oracles, named in each case:
- "numpy": the paper's formula in plain float64 numpy, with loops over pixels and classes;
- "torch": torch.nn.functional.cross_entropy with `weight` and `ignore_index` in float64, for the pixel term;
- "hand": numbers worked out on paper, with the arithmetic beside them.
Dice always comes from the numpy loop below.
"""

import json
import math
from pathlib import Path

import estimator_cases
import margin_cases
import numpy as np
import overlap_cases
import pixel_cases
import rarity_cases
import region_cases
import stage_cases
from oracle import (
    DICE,
    FEEDBACK,
    LOGITS,
    RECALL,
    SAMPLES,
    STATISTICS,
    TARGET,
    VALID,
    P,
    case,
    effective_number,
    mean_one,
    pixel_mean,
    weighted_by_torch,
    weighted_case,
)


def frequency_cases() -> list[dict]:
    # f = 7/9, 5/12, 1/2; median 1/2
    median = 0.5 / np.array([7 / 9, 5 / 12, 1 / 2])
    enet = 1 / np.log(1.02 + P)
    return [
        weighted_case("inverse_frequency", {}, "torch; weights: numpy", mean_one(1 / P)),
        weighted_case("inverse_frequency", {"reduction": "mean"}, "numpy", mean_one(1 / P)),
        weighted_case("inverse_sqrt", {}, "torch; weights: numpy", mean_one(1 / np.sqrt(P))),
        weighted_case("median_frequency", {}, "torch; weights: hand", median),
        weighted_case("median_frequency", {"reduction": "mean"}, "numpy; weights: hand", median),
        weighted_case("enet", {}, "torch; weights: numpy", enet),
        weighted_case("enet", {"reduction": "mean"}, "numpy", enet),
        weighted_case("effective_number", {}, "torch; weights: numpy", effective_number(SAMPLES["patches"], 0.9999)),
        weighted_case("effective_number", {"count": "images"}, "numpy", effective_number(STATISTICS["images"], 0.9999)),
        weighted_case(
            "effective_number",
            {"count": "components", "beta": 0.99},
            "numpy",
            effective_number(STATISTICS["components"], 0.99),
        ),
        weighted_case("effective_number", {"count": "pixels"}, "numpy", effective_number(STATISTICS["pixels"], 0.9999)),
    ]


def difficulty_cases() -> list[dict]:
    logistic = 1 / (1 + math.exp(-(0.9 / 0.21)))  # max A / (min A + .01) = .9 / .21
    double = 2 / (1 + math.exp(-(0.9 / 0.21 - 1)))
    cases = []
    for options, difficulty, tau in (
        ({}, 1 - RECALL, 1.5),
        ({"reduction": "mean"}, 1 - RECALL, 1.5),
        ({"score": "dice"}, 1 - DICE, 1.5),
        ({"score": "dice", "tau": 0.5}, 1 - DICE, 0.5),
        ({"schedule": "sigmoid"}, 1 - RECALL, logistic),
        ({"schedule": "double_sigmoid"}, 1 - RECALL, double),
    ):
        oracle = "numpy" if "reduction" in options else "torch; weights: numpy"
        cases.append(weighted_case("cdb", options, oracle, mean_one(difficulty**tau), {"difficulty": difficulty}))
    return cases


def attention_cases() -> list[dict]:
    """Biases; the loss is the base loss."""
    prior = 2 * np.log(1 - P)
    centred = prior - prior.mean()
    log_frequency = -np.log(P) + np.log(P).mean()
    difficulty = 2 * np.log(1 - DICE)
    rows = [
        ({}, prior, 0.5 * centred),
        ({"alpha": 0.1, "gamma": 1.0, "mode": "anchored"}, prior / 2, prior / 2 + 0.05 * centred),
        ({"mode": "fixed"}, prior, prior),
        ({"alpha": 0.0}, prior, np.zeros(3)),
        ({"prior": "none", "mode": "anchored"}, np.zeros(3), np.zeros(3)),
        ({"prior": "log_frequency"}, log_frequency, 0.5 * log_frequency),
        ({"prior": "inverted", "mode": "fixed"}, -centred, -centred),
        ({"prior": "difficulty"}, difficulty, 0.5 * (difficulty - difficulty.mean())),
        ({"prior": "difficulty", "mode": "fixed"}, difficulty, difficulty),
    ]
    base = {"cross_entropy": pixel_mean(lambda p: -math.log(p))}
    cases = []
    for options, log_pi, bias in rows:
        held = {"attention_bias": bias, "attention_bias_initial": bias, "attention_bias_prior": log_pi}
        cases.append(case("dfa", options, "numpy", base, held))
    official = {
        "attention_bias": prior,
        "attention_bias_initial": prior,
        "attention_bias_prior": prior,
        "attention_bias_driving": [prior[1], prior[2], 0.0],
    }
    cases.append(case("dfa", {"mode": "fixed", "token_layout": "official"}, "numpy", base, official))
    # the frequencies of the official BCSS configuration, renormalised to sum 1 because ours are measured shares
    bcss = {
        "names": ["inflammatory", "tumor", "stroma", "other", "necrosis"],
        "pixels": [78.0, 398.0, 347.0, 97.0, 80.0],
    }
    prior = 2 * np.log(1 - np.array(bcss["pixels"]) / 1000)
    held = {"attention_bias": 0.5 * (prior - prior.mean()), "attention_bias_prior": prior}
    cases.append(case("dfa", {}, "numpy; frequencies of the official BCSS configuration", base, held, statistics=bcss))
    return cases


def main() -> None:
    """Write golden.json beside this file."""
    base = pixel_mean(lambda p: -math.log(p))
    cases = [
        case("cross_entropy", {}, "numpy", {"cross_entropy": base}),
        case("cross_entropy", {}, "torch", {"cross_entropy": weighted_by_torch(np.ones(3))}),
        *(
            case("focal", options, "numpy", {"focal": pixel_mean(lambda p, g=gamma: (1 - p) ** g * -math.log(p))})
            for options, gamma in (({}, 2.0), ({"gamma": 0.0}, 0.0), ({"gamma": 0.5}, 0.5))
        ),
        *frequency_cases(),
        *pixel_cases.cases(),
        *overlap_cases.cases(),
        *margin_cases.cases(),
        *rarity_cases.cases(),
        *region_cases.cases(),
        *estimator_cases.cases(),
        *stage_cases.cases(),
        *difficulty_cases(),
        *attention_cases(),
    ]
    golden = {
        "logits": LOGITS.tolist(),
        "target": TARGET.tolist(),
        "valid": VALID.tolist(),
        "large": region_cases.BATCH,
        "statistics": STATISTICS,
        "feedback": FEEDBACK,
        "cases": cases,
    }
    path = Path(__file__).with_name("golden.json")
    path.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
