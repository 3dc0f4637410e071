"""Golden values of the margins-and-logits family."""

import math

import numpy as np
from oracle import (
    LOGITS,
    PIXELS,
    SAMPLES,
    SMOOTH,
    STATISTICS,
    TARGET,
    VALID,
    P,
    case,
    complete_case,
    effective_number,
    pixel_mean,
)

IMAGES = np.array(STATISTICS["images"])
BASE = pixel_mean(lambda p: -math.log(p))


def logit_pixels() -> list[tuple[np.ndarray, int]]:
    """Logits and label of each valid pixel."""
    return [(LOGITS[b, :, i, j], int(TARGET[b, i, j])) for b, i, j in np.argwhere(VALID)]


def softmax(z: np.ndarray) -> np.ndarray:
    return np.exp(z) / np.exp(z).sum()


def cases() -> list[dict]:
    return [*_ldam(), *_logit_adjustment(), *_seesaw(), *_equalization()]


def _ldam() -> list[dict]:
    def scaled_dice(scale: float) -> float:
        losses = []
        for c in range(3):
            overlap = sum(softmax(scale * z)[c] for z, y in logit_pixels() if y == c)
            size = sum(softmax(scale * z)[c] + (y == c) for z, y in logit_pixels())
            losses.append(1 - (2 * overlap + SMOOTH) / (size + SMOOTH))
        return sum(losses) / 3

    def row(options: dict, margin: np.ndarray, scale: float, weight: np.ndarray, oracle: str, **extra: int) -> dict:
        terms = []
        for z, y in logit_pixels():
            with_margin = z.copy()
            with_margin[y] -= margin[y]
            terms.append((weight[y], -math.log(softmax(scale * with_margin)[y])))
        loss = sum(w * term for w, term in terms) / sum(w for w, _ in terms)
        held = {"margin": margin.tolist(), "loss_weight": weight.tolist()}
        return complete_case("ldam_drw", options, oracle, {"ldam": loss, "dice": scaled_dice(scale)}, held, **extra)

    margin = 0.5 * (PIXELS.min() / PIXELS) ** 0.25
    image_margin = 0.5 * (10 / IMAGES) ** 0.25
    pixel_margin = 0.2 * (PIXELS.min() / PIXELS) ** 0.25
    late = effective_number(SAMPLES["patches"], 0.9999)
    image_late = effective_number(STATISTICS["images"], 0.9999)
    ones, by_pixels = np.ones(3), {"max_margin": 0.2, "scale": 2.0, "count": "pixels"}
    as_published = {"count": "images", "scale": 30.0}
    return [  # the stage has 10 steps
        row({}, margin, 1.0, ones, "numpy"),
        row({}, margin, 1.0, ones, "numpy; last step without weights", steps=8),
        row({}, margin, 1.0, late, "numpy; first step with weights", steps=9),
        row(as_published, image_margin, 30.0, image_late, "numpy; first step with weights", steps=9),
        row(by_pixels, pixel_margin, 2.0, ones, "numpy"),
    ]


def _logit_adjustment() -> list[dict]:
    def loss(tau: float) -> float:
        return float(np.mean([-math.log(softmax(z + tau * np.log(P))[y]) for z, y in logit_pixels()]))

    # n_y exp z_y / sum n_c exp z_c, as in the paper of balanced softmax
    balanced = np.mean([-math.log(PIXELS[y] * np.exp(z[y]) / (PIXELS * np.exp(z)).sum()) for z, y in logit_pixels()])
    rows = [
        case(
            "logit_adjustment",
            options,
            "numpy",
            {"adjusted_cross_entropy": loss(tau)},
            {"logit_offset": tau * np.log(P)},
        )
        for options, tau in (({}, 1.0), ({"tau": 1.5}, 1.5))
    ]
    rows.append(
        case("balanced_softmax", {}, "numpy", {"adjusted_cross_entropy": balanced}, {"logit_offset": np.log(P)})
    )
    rows.append(
        case(
            "logit_adjustment",
            {"mode": "post_hoc", "tau": 0.5},
            "numpy",
            {"cross_entropy": BASE},
            {"inference_logit_offset": -0.5 * np.log(P)},
            adjusted=(LOGITS[0, :, 0, 0] - 0.5 * np.log(P)).tolist(),
        )
    )
    return rows


def _seesaw() -> list[dict]:
    labels = [y for _, y in logit_pixels()]
    in_batch = np.array([labels.count(c) for c in range(3)], dtype=float)

    def row(options: dict, p: float, q: float, oracle: str, steps: int = 1) -> dict:
        counts, terms = steps * in_batch, []
        for z, y in logit_pixels():
            score, total = softmax(z), 0.0
            for j in range(3):
                mitigation = (counts[j] / counts[y]) ** p if counts[y] > counts[j] else 1.0
                compensation = (score[j] / max(score[y], 0.01)) ** q if score[j] > max(score[y], 0.01) else 1.0
                total += math.exp(z[j]) * (1.0 if j == y else mitigation * compensation)
            terms.append(-math.log(math.exp(z[y]) / total))
        held = {"pixels_seen": (steps - 1) * in_batch}
        return case("seesaw", options, oracle, {"seesaw": np.mean(terms)}, held, steps=steps)

    return [
        row({}, 0.8, 2.0, "numpy"),
        row({"p": 0.0}, 0.0, 2.0, "numpy"),
        row({"q": 0.0}, 0.8, 0.0, "numpy"),
        row({}, 0.8, 2.0, "numpy; third step", steps=3),
    ]


def _equalization() -> list[dict]:
    def row(options: dict, gamma: float, mu: float, alpha: float, oracle: str, steps: int) -> dict:
        positive_gradient, negative_gradient = np.zeros(3), np.zeros(3)
        ratio, negative_weight, positive_weight, loss = np.full(3, 100.0), np.ones(3), np.ones(3), 0.0
        for step in range(steps):
            if step > 0:
                ratio = positive_gradient / negative_gradient
                negative_weight = 1 / (1 + np.exp(-gamma * (ratio - mu)))
                positive_weight = 1 + alpha * (1 - negative_weight)
            loss = 0.0
            added = np.zeros((2, 3))
            for z, y in logit_pixels():
                for c in range(3):
                    s = 1 / (1 + math.exp(-z[c]))
                    if c == y:
                        loss += positive_weight[c] * -math.log(s)
                        added[0, c] += positive_weight[c] * (1 - s)
                    else:
                        loss += negative_weight[c] * -math.log(1 - s)
                        added[1, c] += negative_weight[c] * s
            positive_gradient, negative_gradient = positive_gradient + added[0], negative_gradient + added[1]
        held = {"gradient_ratio": ratio, "positive_weight": positive_weight, "negative_weight": negative_weight}
        parts = {"equalization_v2": loss / len(logit_pixels())}
        return case("equalization_v2", options, oracle, parts, held, steps=steps)

    other = {"gamma": 3.0, "mu": 0.5, "alpha": 2.0}
    return [
        row({}, 12.0, 0.8, 4.0, "numpy", 1),
        row({}, 12.0, 0.8, 4.0, "numpy; third step", 3),
        row(other, 3.0, 0.5, 2.0, "numpy; second step", 2),
    ]
