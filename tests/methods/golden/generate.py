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
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

IGNORED = -100
SMOOTH = 1e-5

LOGITS = np.random.default_rng(20260).normal(0, 1.5, (2, 3, 2, 3)).round(3)
TARGET = np.array([[[0, 1, 2], [0, 0, 1]], [[1, 0, 0], [0, 2, 0]]])
VALID = np.array([[[1, 1, 1], [0, 1, 1]], [[1, 1, 0], [1, 1, 1]]], dtype=bool)

STATISTICS = {
    "names": ["tumour", "stroma", "necrosis"],
    "pixels": [700_000.0, 250_000.0, 50_000.0],
    "images": [90.0, 60.0, 10.0],
    "components": [120.0, 300.0, 15.0],
    "pixels_of_images_with_class": [900_000.0, 600_000.0, 100_000.0],
    "n_images": 100,
}
PIXELS = np.array(STATISTICS["pixels"])
P = PIXELS / PIXELS.sum()  # .70 .25 .05

# recall .9 .6 .2; Dice 1800/2000 = .9, 1200/1900 = .6316, 40/220 = .1818
FEEDBACK = {"tp": [900, 600, 20], "fp": [100, 300, 100], "fn": [100, 400, 80]}
TP, FP, FN = (np.array(FEEDBACK[key], dtype=float) for key in ("tp", "fp", "fn"))
RECALL = TP / (TP + FN)
DICE = 2 * TP / (2 * TP + FP + FN)


def pixels() -> list[tuple[np.ndarray, int]]:
    """Softmax probabilities and label of each valid pixel."""
    found = []
    for b, row, column in np.argwhere(VALID):
        e = np.exp(LOGITS[b, :, row, column])
        found.append((e / e.sum(), int(TARGET[b, row, column])))
    return found


def dice_loss() -> float:
    losses = []
    for c in range(3):
        overlap = sum(p[c] for p, y in pixels() if y == c)
        size = sum(p[c] for p, _ in pixels()) + sum(y == c for _, y in pixels())
        if any(y == c for _, y in pixels()):
            losses.append(1 - (2 * overlap + SMOOTH) / (size + SMOOTH))
    return sum(losses) / len(losses)


def pixel_mean(term: Callable[[float], float]) -> float:
    """Mean over valid pixels of a function of the true class's probability."""
    return sum(term(p[y]) for p, y in pixels()) / len(pixels())


def weighted(weight: np.ndarray, reduction: str) -> float:
    terms = [(weight[y], -math.log(p[y])) for p, y in pixels()]
    total = sum(w * ce for w, ce in terms)
    return total / (sum(w for w, _ in terms) if reduction == "weighted_mean" else len(terms))


def weighted_by_torch(weight: np.ndarray) -> float:
    target = torch.from_numpy(np.where(VALID, TARGET, IGNORED))
    return torch.nn.functional.cross_entropy(
        torch.from_numpy(LOGITS), target, weight=torch.from_numpy(weight), ignore_index=IGNORED
    ).item()


def mean_one(weight: np.ndarray) -> np.ndarray:
    return weight / weight.mean()


def effective_number(n: list[float], beta: float) -> np.ndarray:
    """(1 - beta) / (1 - beta^n), summing to the number of classes."""
    weight = np.array([(1 - beta) / (1 - beta**count) for count in n])
    return weight / weight.sum() * len(weight)


def case(method: str, options: dict, oracle: str, parts: dict, held: dict | None = None, **extra: object) -> dict:
    parts = parts | {"dice": dice_loss()}
    held = {name: np.asarray(value).tolist() for name, value in (held or {}).items()}
    expected = {"total": sum(parts.values()), "parts": parts, "class_parameters": held}
    return {"method": method, "options": options, "oracle": oracle} | extra | expected


def weighted_case(method: str, options: dict, oracle: str, weight: np.ndarray, held: dict | None = None) -> dict:
    reduction = options.get("reduction", "weighted_mean")
    loss = weighted_by_torch(weight) if oracle.startswith("torch") else weighted(weight, reduction)
    held = {"loss_weight": weight} | (held or {})
    return case(method, options, oracle, {"weighted_cross_entropy": loss}, held)


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
        weighted_case("effective_number", {}, "torch; weights: numpy", effective_number(STATISTICS["images"], 0.9999)),
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
        *difficulty_cases(),
        *attention_cases(),
    ]
    golden = {
        "logits": LOGITS.tolist(),
        "target": TARGET.tolist(),
        "valid": VALID.tolist(),
        "statistics": STATISTICS,
        "feedback": FEEDBACK,
        "cases": cases,
    }
    path = Path(__file__).with_name("golden.json")
    path.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
