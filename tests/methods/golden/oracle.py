"""The tensors of the golden values, and formulas in plain float64 numpy that share no code with `methods`."""

import math
from collections.abc import Callable

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
SAMPLES = {name: STATISTICS[name] for name in ("images", "components", "pixels")}
SAMPLES["patches"] = [count / 1024 for count in STATISTICS["pixels"]]  # of 32 x 32 pixels
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
    """A case whose parts are those of the loss without Dice, which is added."""
    return complete_case(method, options, oracle, parts | {"dice": dice_loss()}, held, **extra)


def complete_case(
    method: str, options: dict, oracle: str, parts: dict, held: dict | None = None, **extra: object
) -> dict:
    """A case whose parts are all given."""
    held = {name: np.asarray(value).tolist() for name, value in (held or {}).items()}
    parts = {name: float(value) for name, value in parts.items()}
    expected = {"total": sum(parts.values()), "parts": parts, "class_parameters": held}
    return {"method": method, "options": options, "oracle": oracle} | extra | expected


def weighted_case(method: str, options: dict, oracle: str, weight: np.ndarray, held: dict | None = None) -> dict:
    reduction = options.get("reduction", "weighted_mean")
    loss = weighted_by_torch(weight) if oracle.startswith("torch") else weighted(weight, reduction)
    held = {"loss_weight": weight} | (held or {})
    return case(method, options, oracle, {"weighted_cross_entropy": loss}, held)
