"""Golden values of the overlap family."""

import math
from dataclasses import dataclass

import numpy as np
from oracle import DICE, LOGITS, SMOOTH, TARGET, VALID, P, complete_case, dice_loss, pixel_mean, pixels

COMMON = 0  # tumour has the most pixels
CROSS_ENTROPY = pixel_mean(lambda p: -math.log(p))


@dataclass
class Region:
    tp: float = 0.0
    fp: float = 0.0
    fn: float = 0.0
    size: int = 0


def regions() -> list[Region]:
    found = [Region() for _ in range(3)]
    for p, y in pixels():
        for c, region in enumerate(found):
            if y == c:
                region.tp += p[c]
                region.fn += 1 - p[c]
                region.size += 1
            else:
                region.fp += p[c]
    return found


def tversky_index(region: Region, alpha: float, beta: float) -> float:
    half = SMOOTH / 2
    return (region.tp + half) / (region.tp + alpha * region.fp + beta * region.fn + half)


def cases() -> list[dict]:
    return [
        complete_case("dice", {}, "numpy", {"dice": dice_loss()}),
        *_generalised_dice(),
        *_tversky(),
        *_combo(),
        *_unified_focal(),
        *_lovasz(),
        *_label_marginal(),
        *_modulated(),
        *_tvmf(),
        *_compound(),
        *_exponential_logarithmic(),
    ]


def with_cross_entropy(method: str, options: dict, oracle: str, name: str, overlap: float) -> dict:
    weight = options.get("cross_entropy_weight", 1.0)
    return complete_case(method, options, oracle, {"cross_entropy": weight * CROSS_ENTROPY, name: overlap})


def _generalised_dice() -> list[dict]:
    rows = []
    for options, power in (({}, 2), ({"power": 1.0, "cross_entropy_weight": 0.0}, 1), ({"power": 0.0}, 0)):
        weights = [1 / region.size**power for region in regions()]
        overlap = sum(w * region.tp for w, region in zip(weights, regions(), strict=True))
        sizes = sum(w * (2 * region.tp + region.fp + region.fn) for w, region in zip(weights, regions(), strict=True))
        loss = 1 - 2 * overlap / sizes
        rows.append(with_cross_entropy("generalised_dice", options, "numpy", "generalised_dice", loss))
    return rows


def _tversky() -> list[dict]:
    def loss(alpha: float, beta: float, exponent: float = 1.0) -> float:
        return float(np.mean([(1 - tversky_index(region, alpha, beta)) ** exponent for region in regions()]))

    other = {"fp_weight": 0.6, "fn_weight": 0.2, "cross_entropy_weight": 0.5}
    return [
        with_cross_entropy("tversky", {}, "numpy", "tversky", loss(0.3, 0.7)),
        with_cross_entropy("tversky", other, "numpy", "tversky", loss(0.6, 0.2)),
        with_cross_entropy("focal_tversky", {}, "numpy", "focal_tversky", loss(0.3, 0.7, 0.75)),
        with_cross_entropy("focal_tversky", {"exponent": 2.0}, "numpy", "focal_tversky", loss(0.3, 0.7, 2.0)),
    ]


def _combo() -> list[dict]:
    def parts(alpha: float, beta: float) -> dict:
        total = sum(
            beta * -math.log(p[c]) if y == c else (1 - beta) * -math.log(1 - p[c])
            for p, y in pixels()
            for c in range(3)
        )
        return {
            "modified_cross_entropy": alpha * total / (3 * len(pixels())),
            "dice": (1 - alpha) * dice_loss(),
        }

    return [
        complete_case("combo", {}, "numpy", parts(0.5, 0.5)),
        complete_case("combo", {"alpha": 0.7, "beta": 0.2}, "numpy", parts(0.7, 0.2)),
    ]


def _unified_focal() -> list[dict]:
    def parts(share: float, delta: float, gamma: float, *, symmetric: bool) -> dict:
        focal = 0.0
        for p, y in pixels():
            factor = 1 - delta if y == COMMON else delta
            if y == COMMON or symmetric:
                factor *= (1 - p[y]) ** gamma
            focal += factor * -math.log(p[y])
        tversky = []
        for c, region in enumerate(regions()):
            error = 1 - tversky_index(region, 1 - delta, delta)
            tversky.append(error ** (1 - gamma) if c != COMMON or symmetric else error)
        return {
            "focal": share * focal / len(pixels()),
            "focal_tversky": (1 - share) * float(np.mean(tversky)),
        }

    held = {"treated_as_rare": [0.0, 1.0, 1.0]}
    return [
        complete_case("unified_focal", {}, "numpy", parts(0.5, 0.6, 0.5, symmetric=False), held),
        complete_case("unified_focal", {"form": "symmetric"}, "numpy", parts(0.5, 0.6, 0.5, symmetric=True), held),
        complete_case(
            "unified_focal",
            {"focal_share": 0.8, "delta": 0.3, "gamma": 0.2},
            "numpy",
            parts(0.8, 0.3, 0.2, symmetric=False),
            held,
        ),
    ]


def _lovasz() -> list[dict]:
    """By the definition: the Jaccard loss of the pixels with an error of at least t, integrated over t."""
    losses = []
    for c in range(3):
        errors = [(abs((y == c) - p[c]), y == c) for p, y in pixels()]
        labelled = sum(truth for _, truth in errors)
        integral, below = 0.0, 0.0
        for level in sorted(error for error, _ in errors):
            missed = sum(truth for error, truth in errors if error >= level)
            added = sum(not truth for error, truth in errors if error >= level)
            integral += (level - below) * (1 - (labelled - missed) / (labelled + added))
            below = level
        losses.append(integral)
    loss = float(np.mean(losses))
    return [
        with_cross_entropy("lovasz_softmax", options, "numpy", "lovasz_softmax", loss)
        for options in ({}, {"cross_entropy_weight": 0.0})
    ]


def _label_marginal() -> list[dict]:
    found = pixels()  # in the order of the images
    of_image = np.argwhere(VALID)[:, 0]
    differences = []
    for image in range(len(TARGET)):
        members = [found[i] for i in np.flatnonzero(of_image == image)]
        for c in range(3):
            differences.append(abs(sum(p[c] for p, _ in members) - sum(y == c for _, y in members)) / len(members))
    return [
        complete_case(
            "label_marginal_l1",
            options,
            "numpy",
            {"cross_entropy": CROSS_ENTROPY, "label_marginal": weight * float(np.mean(differences))},
        )
        for options, weight in (({}, 0.1), ({"weight": 2.0}, 2.0))
    ]


def _modulated() -> list[dict]:
    def loss(gamma: float) -> float:
        losses = []
        for c in range(3):
            weight = [abs((y == c) - p[c]) ** gamma for p, y in pixels()]
            overlap = sum(m * p[c] for m, (p, y) in zip(weight, pixels(), strict=True) if y == c)
            size = sum(m * ((y == c) + p[c] ** 2) for m, (p, y) in zip(weight, pixels(), strict=True))
            losses.append(1 - (2 * overlap + SMOOTH) / (size + SMOOTH))
        return float(np.mean(losses))

    return [
        with_cross_entropy("pm_dice", options, "numpy", "modulated_dice", loss(gamma))
        for options, gamma in (({}, 1.0), ({"gamma": 0.5, "cross_entropy_weight": 0.0}, 0.5))
    ]


def _tvmf() -> list[dict]:
    """After one validation pass."""

    def row(options: dict, scale: float) -> dict:
        losses = []
        for c in range(3):
            overlap = sum(p[c] for p, y in pixels() if y == c)
            length = math.sqrt(sum(p[c] ** 2 for p, _ in pixels()) * sum(y == c for _, y in pixels()))
            cosine = overlap / length
            similarity = (1 + cosine) / (1 + scale * DICE[c] * (1 - cosine)) - 1
            losses.append((1 - similarity) ** 2)
        weight = options.get("cross_entropy_weight", 1.0)
        parts = {"cross_entropy": weight * CROSS_ENTROPY, "tvmf_dice": np.mean(losses)}
        return complete_case("adaptive_tvmf_dice", options, "numpy", parts, {"concentration": scale * DICE})

    return [row({}, 32.0), row({"scale": 2.0, "cross_entropy_weight": 0.0}, 2.0)]


def _compound() -> list[dict]:
    def sigmoid_focal(gamma: float, alpha: float | None) -> float:
        terms = []
        for b, i, j in np.argwhere(VALID):
            for c in range(3):
                s, own = 1 / (1 + math.exp(-LOGITS[b, c, i, j])), TARGET[b, i, j] == c
                right = s if own else 1 - s
                balance = 1.0 if alpha is None else alpha if own else 1 - alpha
                terms.append(balance * (1 - right) ** gamma * -math.log(right))
        return float(np.mean(terms))

    hardest = sorted((-math.log(p[y]) for p, y in pixels()), reverse=True)
    sizes = [1 / region.size**2 for region in regions()]
    overlap = sum(w * region.tp for w, region in zip(sizes, regions(), strict=True))
    both = sum(w * (2 * region.tp + region.fp + region.fn) for w, region in zip(sizes, regions(), strict=True))
    everything = {
        "ce": 0.5 * CROSS_ENTROPY,
        "focal": 0.4 * pixel_mean(lambda p: (1 - p) ** 1.5 * -math.log(p)),
        "sigmoid_focal": 0.3 * sigmoid_focal(1.5, 0.25),
        "topk": 0.2 * float(np.mean(hardest[: math.ceil(0.3 * len(hardest))])),
        "dice": 0.1 * dice_loss(),
        "generalised_dice": 0.6 * (1 - 2 * overlap / both),
        "tversky": 0.7 * float(np.mean([1 - tversky_index(region, 0.2, 0.8) for region in regions()])),
        "lovasz": 0.8 * _lovasz()[1]["parts"]["lovasz_softmax"],
    }
    weights = dict(zip(everything, (0.5, 0.4, 0.3, 0.2, 0.1, 0.6, 0.7, 0.8), strict=True))
    options = weights | {"gamma": 1.5, "alpha": 0.25, "topk_share": 0.3, "fn_weight": 0.8}
    published = {"sigmoid_focal": 0.25 * sigmoid_focal(2.0, None), "dice": 0.75 * dice_loss()}
    return [
        complete_case("compound", {}, "numpy", published),
        complete_case("compound", options, "numpy", everything),
        complete_case("compound", {"sigmoid_focal": 0.0, "dice": 0.0, "ce": 2.0}, "numpy", {"ce": 2 * CROSS_ENTROPY}),
    ]


def _exponential_logarithmic() -> list[dict]:
    def row(options: dict, share: float, gamma: float) -> dict:
        dice = np.mean([(-math.log(tversky_index(region, 0.5, 0.5))) ** gamma for region in regions()])
        pixel = np.mean([P[y] ** -0.5 * (-math.log(p[y])) ** gamma for p, y in pixels()])
        parts = {"log_dice": share * dice, "log_cross_entropy": (1 - share) * pixel}
        return complete_case("exponential_logarithmic", options, "numpy", parts, {"loss_weight": P**-0.5})

    return [row({}, 0.8, 0.3), row({"dice_share": 0.3, "gamma": 1.0}, 0.3, 1.0)]
