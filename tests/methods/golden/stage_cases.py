"""Golden values of sampling, stages, learned difficulty and the attention gate."""

import math

import numpy as np
from estimator_cases import BASE
from oracle import LOGITS, VALID, P, case, mean_one, pixels, weighted

# labelled pixels of three classes on six tiles; the third class is on one of them
TILE_PIXELS = np.array([[90, 10, 0], [100, 0, 0], [60, 40, 0], [80, 0, 0], [50, 30, 20], [100, 0, 0]])
CLASSIFIER = np.array([[3.0, 4.0], [0.6, -0.8], [0.0, 0.5]])  # (K, E), norms 5, 1, .5


def cases() -> list[dict]:
    base, rarity = {"cross_entropy": BASE}, mean_one(1 / P)
    return [
        *_repeat_factor(),
        _drawn_for_a_class("class_present", {}, 0.33),
        _drawn_for_a_class("class_present", {"share": 1.0}, 1.0),
        _drawn_for_a_class("crt", {}, 1.0),
        case("class_copy_paste", {}, "numpy", base, {"paste_weight": rarity}),
        case("class_copy_paste", {"rarity": 0.5}, "numpy", base, {"paste_weight": mean_one(P**-0.5)}),
        _tau_norm({}, 1.0),
        _tau_norm({"tau": 0.5}, 0.5),
        *_learned_difficulty(),
        case("focal_attention_gate", {}, "hand", base, {"focal_exponent": [1.0, 1.0, 1.0]}),
    ]


def _sampling_factor(draws: list[float]) -> list[float]:
    """Share of the class's pixels among those drawn over its share on the tiles."""
    drawn = [sum(d * tile[c] for d, tile in zip(draws, TILE_PIXELS, strict=True)) for c in range(3)]
    return [drawn[c] / sum(drawn) / (TILE_PIXELS[:, c].sum() / TILE_PIXELS.sum()) for c in range(3)]


def _sampled(method: str, options: dict, held: dict) -> dict:
    return case(method, options, "numpy", {"cross_entropy": BASE}, held, tile_pixels=TILE_PIXELS.tolist())


def _repeat_factor() -> list[dict]:
    rows = []
    for options, t in (({}, 1.0), ({"threshold": 0.4}, 0.4)):
        factor = [max(1.0, math.sqrt(t / f)) for f in (6 / 6, 3 / 6, 1 / 6)]
        draws = [max(factor[c] for c in range(3) if tile[c] > 0) for tile in TILE_PIXELS]
        rows.append(
            _sampled("repeat_factor", options, {"repeat_factor": factor, "sampling_factor": _sampling_factor(draws)})
        )
    return rows


def _drawn_for_a_class(method: str, options: dict, share: float) -> dict:
    draws = []
    for tile in TILE_PIXELS:
        of_random_pixel = sum(tile[c] / TILE_PIXELS[:, c].sum() for c in range(3)) / 3
        draws.append((1 - share) + share * len(TILE_PIXELS) * of_random_pixel)
    return _sampled(method, options, {"sampling_factor": _sampling_factor(draws)})


def _tau_norm(options: dict, tau: float) -> dict:
    rescaled = [[w / math.hypot(*row) ** tau for w in row] for row in CLASSIFIER]
    extra = {"classifier": CLASSIFIER.tolist(), "adjusted_classifier": rescaled}
    return case("tau_norm", options, "numpy", {"cross_entropy": BASE}, **extra)


def _learned_difficulty() -> list[dict]:
    losses = [-math.log(p[y]) for p, y in pixels()]
    labels = [y for _, y in pixels()]
    untrained = {"weighted_cross_entropy": BASE, "prediction_error": float(np.mean(np.square(losses)))}
    observed = [np.mean([loss for loss, y in zip(losses, labels, strict=True) if y == c]) for c in range(3)]
    rows = [
        case("learned_difficulty", {}, "numpy", untrained, {"loss_weight": np.ones(3), "difficulty": np.zeros(3)}),
        case("learned_difficulty", {}, "numpy; second step", untrained, {"observed_loss": observed}, steps=2),
    ]
    rng = np.random.default_rng(7)
    first, bias = rng.normal(0, 1, (2, 3, 3, 3)).round(2), np.array([0.3, 0.2])
    last, offset = np.array([0.7, 0.4]), 0.5
    predicted = _head(first, bias, last, offset)
    expected = [np.mean([h for h, y in zip(predicted, labels, strict=True) if y == c]) for c in range(3)]
    unexpected = np.mean(observed) - np.mean(expected)
    weight = mean_one(np.array(expected) + max(unexpected, 0.0))
    parts = {
        "weighted_cross_entropy": weighted(weight, "weighted_mean"),
        "prediction_error": float(np.mean(np.square(np.subtract(predicted, losses)))),
    }
    parameters = {
        "head.surroundings.weight": first.tolist(),
        "head.surroundings.bias": bias.tolist(),
        "head.out.weight": last.reshape(1, 2, 1, 1).tolist(),
        "head.out.bias": [offset],
    }
    held = {"loss_weight": weight, "difficulty": expected, "observed_loss": observed}
    options, oracle = {"channels": 2}, "numpy; a head with given weights, second step"
    rows.append(case("learned_difficulty", options, oracle, parts, held, steps=2, parameters=parameters))
    return rows


def _head(first: np.ndarray, bias: np.ndarray, last: np.ndarray, offset: float) -> list[float]:
    """The predicted loss of each valid pixel: a 3 x 3 convolution of sorted log probabilities over 16, with loops."""
    batch, n_classes, height, width = LOGITS.shape
    log_probability = LOGITS - np.log(np.exp(LOGITS).sum(1, keepdims=True))
    known = np.zeros((batch, n_classes, height + 2, width + 2))
    for b, i, j in np.argwhere(VALID):
        known[b, :, i + 1, j + 1] = np.sort(log_probability[b, :, i, j]) / 16
    predicted = []
    for b, i, j in np.argwhere(VALID):
        hidden = [max(0.0, float((first[h] * known[b, :, i : i + 3, j : j + 3]).sum() + bias[h])) for h in range(2)]
        predicted.append(float(np.dot(last, hidden) + offset))
    return predicted
