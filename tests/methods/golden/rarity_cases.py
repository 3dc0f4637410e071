"""Golden values of losses that treat rare classes' logits or pixels differently."""

import math

import numpy as np
import torch
from margin_cases import logit_pixels, softmax
from oracle import LOGITS, PIXELS, TARGET, VALID, P, case, pixel_mean, pixels

COMMON = 0  # tumour has the most pixels


def cases() -> list[dict]:
    return [*_scaling(), *_variation(), *_asymmetric(), *_adaptive_focal()]


def _scaling() -> list[dict]:
    def row(method: str, options: dict, gamma: float, tau: float) -> dict:
        temperature, offset = (PIXELS.max() / PIXELS) ** gamma, tau * np.log(P)
        loss = np.mean([-math.log(softmax(z / temperature + offset)[y]) for z, y in logit_pixels()])
        held = {"logit_temperature": temperature, "logit_offset": offset}
        return case(method, options, "numpy", {"scaled_cross_entropy": loss}, held)

    return [
        row("vs_loss", {}, 0.3, 1.0),
        row("vs_loss", {"gamma": 0.1, "tau": 0.5}, 0.1, 0.5),
        row("cdt", {}, 0.3, 0.0),
        row("cdt", {"gamma": 0.5}, 0.5, 0.0),
    ]


def _variation() -> list[dict]:
    def row(options: dict, sigma: float, step: int, oracle: str) -> dict:
        # numbers of torch's generator; the seed of the golden runs is 0
        drawn = torch.randn(LOGITS.shape, generator=torch.Generator().manual_seed(step)).double().numpy()
        amount = np.log(P) / np.log(P).min()
        varied = LOGITS + np.minimum(np.abs(sigma * drawn), 1) * amount.reshape(1, 3, 1, 1)
        terms = [-math.log(softmax(varied[b, :, i, j])[TARGET[b, i, j]]) for b, i, j in np.argwhere(VALID)]
        parts, held = {"varied_cross_entropy": np.mean(terms)}, {"logit_variation": amount}
        return case("blv", options, oracle, parts, held, steps=step + 1)

    return [row({}, 4.0, 0, "numpy"), row({"sigma": 0.5}, 0.5, 2, "numpy; third step")]


def _asymmetric() -> list[dict]:
    rare, rarest = [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]  # below a third of the pixels: stroma, necrosis

    def focal(options: dict, gamma: float) -> dict:
        terms = [-math.log(p[y]) * ((1 - p[y]) ** gamma if y == COMMON else 1) for p, y in pixels()]
        held = {"treated_as_rare": rare}
        return case("asymmetric_focal", options, "numpy", {"asymmetric_focal": np.mean(terms)}, held)

    def margin(options: dict, m: float) -> dict:
        terms = []
        for z, y in logit_pixels():
            with_margin = z.copy()
            with_margin[y] -= m * (y != COMMON)
            terms.append(-math.log(softmax(with_margin)[y]))
        held = {"margin": m * np.array(rarest)}
        return case("asymmetric_margin", options, "numpy", {"asymmetric_margin": np.mean(terms)}, held)

    return [
        focal({}, 4.0),
        focal({"gamma": 1.5, "rare": "below_uniform"}, 1.5),
        margin({}, 1.0),
        margin({"margin": 0.3, "rare": "below_uniform"}, 0.3),
    ]


def _adaptive_focal() -> list[dict]:
    def row(options: dict, gamma: float, unlikely: float, threshold: float) -> dict:
        loss = pixel_mean(lambda p: (1 - p) ** (unlikely if p < threshold else gamma) * -math.log(p))
        return case("adaptive_focal", options, "numpy", {"adaptive_focal": loss})

    other = {"gamma": 1.0, "gamma_unlikely": 2.0, "threshold": 0.5}
    return [row({}, 3.0, 5.0, 0.2), row(other, 1.0, 2.0, 0.5)]
