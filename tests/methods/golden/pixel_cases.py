"""Golden values of the pixel-difficulty family."""

import math

import numpy as np
from oracle import SAMPLES, case, effective_number, pixels


def cases() -> list[dict]:
    return [
        *_class_balanced_focal(),
        case("topk", {}, "numpy", {"topk_cross_entropy": _hardest(1)}),  # .1 of 10 valid pixels
        case("topk", {"share": 0.35}, "numpy", {"topk_cross_entropy": _hardest(4)}),  # 3.5, rounded up
        *_ohem(),
        *_ghm(),
        *(
            case("poly1", options, "numpy", {"poly1": np.mean([-math.log(p) + epsilon * (1 - p) for p in _right()])})
            for options, epsilon in (({}, 1.0), ({"epsilon": 2.5}, 2.5))
        ),
    ]


def _right() -> list[float]:
    """Probability of each valid pixel's true class."""
    return [p[y] for p, y in pixels()]


def _hardest(n: int) -> float:
    return sum(sorted(-math.log(p) for p in _right())[-n:]) / n


def _class_balanced_focal() -> list[dict]:
    rows = []
    for options, gamma, beta, reduction in (
        ({}, 2.0, 0.9999, "mean"),
        ({"gamma": 0.5, "beta": 0.99, "reduction": "weighted_mean"}, 0.5, 0.99, "weighted_mean"),
        ({"count": "images"}, 2.0, 0.9999, "mean"),
    ):
        weight = effective_number(SAMPLES[options.get("count", "patches")], beta)
        terms = [(weight[y], (1 - p[y]) ** gamma * -math.log(p[y])) for p, y in pixels()]
        divisor = len(terms) if reduction == "mean" else sum(w for w, _ in terms)
        loss = sum(w * term for w, term in terms) / divisor
        rows.append(case("class_balanced_focal", options, "numpy", {"weighted_focal": loss}, {"loss_weight": weight}))
    return rows


def _ohem() -> list[dict]:
    def kept(threshold: float, least: int) -> float:
        hard = [-math.log(p) for p in _right() if p < threshold]
        return sum(hard) / len(hard) if len(hard) >= least else _hardest(least)

    return [
        case("ohem", {}, "numpy", {"ohem_cross_entropy": kept(0.7, 1)}),
        case("ohem", {"threshold": 0.2}, "numpy", {"ohem_cross_entropy": kept(0.2, 1)}),
        case("ohem", {"threshold": 0.01, "min_kept": 0.5}, "numpy", {"ohem_cross_entropy": kept(0.01, 5)}),
    ]


def _ghm() -> list[dict]:
    def binned(bins: int) -> dict[int, list[float]]:
        members: dict[int, list[float]] = {}
        for p in _right():
            members.setdefault(min(int((1 - p) * bins), bins - 1), []).append(-math.log(p))
        return members

    def harmonised(bins: int) -> float:
        """Mean over the bins that are not empty of their mean cross-entropy."""
        return float(np.mean([np.mean(terms) for terms in binned(bins).values()]))

    return [
        case("ghm_c", {}, "numpy", {"harmonised_cross_entropy": harmonised(10)}),
        case("ghm_c", {"bins": 3}, "numpy", {"harmonised_cross_entropy": harmonised(3)}),
        # running counts are (1 - .75^n) of the batch's after n equal batches
        case("ghm_c", {"momentum": 0.75}, "numpy", {"harmonised_cross_entropy": harmonised(10) / 0.25}),
        case(
            "ghm_c",
            {"momentum": 0.75},
            "numpy; third step",
            {"harmonised_cross_entropy": harmonised(10) / (1 - 0.75**3)},
            steps=3,
        ),
    ]
