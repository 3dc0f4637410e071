"""Golden values of the estimators that weight classes by a batch, a distribution or a finished baseline."""

import math

import numpy as np
from oracle import DICE, LOGITS, PIXELS, TARGET, VALID, case, mean_one, pixel_mean, weighted, weighted_case

BASE = pixel_mean(lambda p: -math.log(p))


def batch_counts() -> np.ndarray:
    """True and false positives and false negatives of the most likely class, (3, 3)."""
    counts = np.zeros((3, 3))
    for b, i, j in np.argwhere(VALID):
        predicted, y = int(LOGITS[b, :, i, j].argmax()), int(TARGET[b, i, j])
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
        case("two_stage_dice_bias", {}, "numpy", {"cross_entropy": BASE}, {"attention_bias": bias}),
        case("two_stage_dice_bias", {"gamma": 1.0}, "numpy", {"cross_entropy": BASE}, {"attention_bias": bias / 2}),
        *_recall(),
        *_diffdw(),
    ]


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
    def row(options: dict, momentum: float, exponent: float, oracle: str, steps: int) -> dict:
        tp, fp, fn = batch_counts()
        dice = np.maximum(2 * tp / (2 * tp + fp + fn), 1e-8)
        last, gain, loss, error = np.full(3, 1e-8), np.zeros(3), np.zeros(3), np.ones(3)
        held_error = error
        for _ in range(steps):
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
        return case("diffdw", options, oracle, parts, held, steps=steps)

    other = {"momentum": 0.5, "exponent": 0.5, "reduction": "mean"}
    return [
        row({}, 0.98, 0.2, "numpy", 1),
        row({}, 0.98, 0.2, "numpy; third step", 3),
        row(other, 0.5, 0.5, "numpy; second step", 2),
    ]
