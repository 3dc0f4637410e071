"""Golden values of the estimators that weight classes by a batch, a distribution or a finished baseline."""

import math

import numpy as np
from oracle import DICE, FEEDBACK, LOGITS, PIXELS, TARGET, VALID, case, mean_one, pixel_mean, weighted, weighted_case

BASE = pixel_mean(lambda p: -math.log(p))


def batch_counts(scale: float = 1.0) -> np.ndarray:
    """True and false positives and false negatives of the most likely class of scaled logits, (3, 3)."""
    counts = np.zeros((3, 3))
    for b, i, j in np.argwhere(VALID):
        predicted, y = int((scale * LOGITS[b, :, i, j]).argmax()), int(TARGET[b, i, j])
        if predicted == y:
            counts[0, y] += 1
        else:
            counts[1, predicted] += 1
            counts[2, y] += 1
    return counts


def cases() -> list[dict]:
    rarity = np.log(PIXELS.max() / PIXELS)
    floored = np.maximum(rarity / rarity.max(), 0.1)
    bias = 2 * np.log(1 - DICE)
    return [
        weighted_case("distdw", {}, "torch; weights: numpy", mean_one(floored)),
        weighted_case("distdw", {"floor": 0.5, "reduction": "mean"}, "numpy", mean_one(np.maximum(floored, 0.5))),
        weighted_case("two_stage_dice_weights", {}, "torch; weights: numpy", mean_one(1 - DICE)),
        weighted_case(
            "two_stage_dice_weights", {"gamma": 2.0, "reduction": "mean"}, "numpy", mean_one((1 - DICE) ** 2)
        ),
        _two_stage_with_a_class_that_validation_lacks(),
        case("two_stage_dice_bias", {}, "numpy", {"cross_entropy": BASE}, {"attention_bias": bias}),
        case("two_stage_dice_bias", {"gamma": 1.0}, "numpy", {"cross_entropy": BASE}, {"attention_bias": bias / 2}),
        *_recall(),
        *_diffdw(),
    ]


def _two_stage_with_a_class_that_validation_lacks() -> dict:
    """The third class is predicted in validation but not there: it gets the mean difficulty of the others."""
    feedback = {"tp": [*FEEDBACK["tp"][:2], 0], "fp": FEEDBACK["fp"], "fn": [*FEEDBACK["fn"][:2], 0]}
    difficulty = 1 - DICE
    difficulty[2] = difficulty[:2].mean()
    oracle = "numpy; a class that validation lacks"
    weight = mean_one(difficulty)
    parts = {"weighted_cross_entropy": weighted(weight, "weighted_mean")}
    return case("two_stage_dice_weights", {}, oracle, parts, {"loss_weight": weight}, feedback=feedback)


def _recall() -> list[dict]:
    tp, _, fn = batch_counts()
    rate = np.maximum(fn, 1) / (tp + fn)
    return [
        case(
            "recall_loss",
            options,
            "numpy",
            {"weighted_cross_entropy": weighted(weight, reduction)},
            {"loss_weight": weight},
        )
        for options, weight, reduction in (
            ({}, rate, "mean"),
            ({"strength": 2.0, "reduction": "weighted_mean"}, rate**2, "weighted_mean"),
        )
    ]


def _diffdw() -> list[dict]:
    def row(options: dict, momentum: float, exponent: float, oracle: str, scales: list[float]) -> dict:
        last, gain, loss, error = np.full(3, 1e-8), np.zeros(3), np.zeros(3), np.ones(3)
        held_error = error
        for scale in scales:  # of the logits, so that Dice moves from step to step
            tp, fp, fn = batch_counts(scale)
            dice = (2 * tp + 1e-8) / (2 * tp + fp + fn + 2e-8)
            held_error = error
            change, ratio = dice - last, np.log(dice / last)
            gain = momentum * gain + (1 - momentum) * np.where(change > 0, change * ratio, 0)
            loss = momentum * loss + (1 - momentum) * np.where(change <= 0, change * ratio, 0)
            error = momentum * error + (1 - momentum) * (1 - dice)
            last = dice
        weight = mean_one(((loss + 1e-8) / (gain + 1e-8)) ** exponent * error)
        parts = {"weighted_cross_entropy": weighted(weight, options.get("reduction", "weighted_mean"))}
        # the ledger shows the running 1 - Dice of the steps before
        held = {"loss_weight": weight, "difficulty": held_error}
        return case("diffdw", options, oracle, parts, held, scales=scales)

    other = {"momentum": 0.5, "exponent": 0.5, "reduction": "mean"}
    return [
        row({}, 0.98, 0.2, "numpy", [1.0]),
        row({}, 0.98, 0.2, "numpy; third step", [1.0] * 3),
        row(other, 0.5, 0.5, "numpy; second step", [1.0] * 2),
        row({}, 0.98, 0.2, "numpy; Dice falls, then rises", [1.0, -1.0, 1.0]),
        row(other, 0.5, 0.5, "numpy; Dice rises, then falls", [-1.0, 1.0, -1.0, 1.0]),
    ]
