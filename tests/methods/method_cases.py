"""The configurations and inputs that every registered method is tested on.

`VARIANTS` adds configurations to each method's default one; `NEUTRAL` says with which options a method must be plain
cross-entropy + Dice. A method that is missing from `NEUTRAL` fails the suite.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from methods import REGISTRY
from methods.base import BuildContext, ClassFeedback, ClassStatistics, Components, Loss, MethodConfig
from methods.cross_entropy import CrossEntropyDice

K = 5
LAYERS, HEADS = 2, 4

VARIANTS: dict[str, list[dict]] = {
    "inverse_frequency": [{"reduction": "mean"}],
    "effective_number": [{"count": "components"}, {"count": "pixels"}, {"beta": 0.0}],
    "enet": [{"reduction": "mean"}],
    "focal": [{"gamma": 0.0}, {"gamma": 0.5}],
    "cdb": [
        {"score": "dice"},
        {"schedule": "sigmoid"},
        {"schedule": "double_sigmoid", "score": "dice"},
        {"tau": 0.0},
        {"reduction": "mean"},
    ],
    "dfa": [
        *({"prior": prior} for prior in ("log_frequency", "none", "shuffled", "inverted", "difficulty")),
        {"mode": "anchored"},
        {"mode": "fixed"},
        {"mode": "fixed", "prior": "difficulty"},
        {"token_layout": "official", "mode": "anchored"},
        {"direction": "token_to_image"},
        {"sharing": "per_head"},
        {"sharing": "per_layer", "mode": "anchored"},
        {"sharing": "per_layer_and_head", "l2": 1e-4},
    ],
}

# options and whether the class statistics must be equal for all classes
NEUTRAL: dict[str, tuple[dict, bool]] = {
    "cross_entropy": ({}, False),
    "inverse_frequency": ({}, True),
    "inverse_sqrt": ({}, True),
    "median_frequency": ({}, True),
    "enet": ({}, True),
    "effective_number": ({"beta": 0.0}, False),
    "focal": ({"gamma": 0.0}, False),
    "cdb": ({"tau": 0.0}, False),
    "dfa": ({"prior": "none", "mode": "fixed"}, False),
}


@dataclass(frozen=True)
class Batch:
    """logits (B, K, H, W) float32, target (B, H, W) int64, valid (B, H, W) bool."""

    logits: Tensor
    target: Tensor
    valid: Tensor


def configurations() -> list[tuple[str, dict]]:
    """Every registered method with its default and its listed options."""
    return [(name, options) for name in REGISTRY for options in ({}, *VARIANTS.get(name, []))]


def label(case: tuple[str, dict]) -> str:
    """A readable test id."""
    name, options = case
    return "-".join([name, *(f"{key}={value}" for key, value in options.items())])


def skewed_statistics() -> ClassStatistics:
    """A training split of 400 tiles in which classes are rare in different ways."""
    return ClassStatistics(
        names=("tumour", "stroma", "inflammatory", "necrosis", "other"),
        pixels=torch.tensor([3.98e6, 3.47e6, 0.78e6, 0.80e6, 0.97e6], dtype=torch.float64),
        images=torch.tensor([310, 390, 220, 40, 150], dtype=torch.float64),
        components=torch.tensor([900, 2400, 5100, 60, 700], dtype=torch.float64),
        pixels_of_images_with_class=torch.tensor([7.9e6, 9.8e6, 5.6e6, 1.0e6, 3.9e6], dtype=torch.float64),
        n_images=400,
    )


def uniform_statistics() -> ClassStatistics:
    """Statistics that are the same for every class."""
    same = torch.full((K,), 1e6, dtype=torch.float64)
    return ClassStatistics(tuple("abcde"), same, same / 1e4, same / 1e3, 5 * same, 100)


def permuted_statistics(statistics: ClassStatistics, order: Tensor) -> ClassStatistics:
    """New class i is old class order[i]."""
    return replace(
        statistics,
        names=tuple(statistics.names[i] for i in order.tolist()),
        pixels=statistics.pixels[order],
        images=statistics.images[order],
        components=statistics.components[order],
        pixels_of_images_with_class=statistics.pixels_of_images_with_class[order],
    )


def validation_counts() -> ClassFeedback:
    """A validation pass in which rare is not the same as hard."""
    return ClassFeedback(
        step=100,
        epoch=1,
        tp=torch.tensor([9000, 6000, 2100, 700, 400]),
        fp=torch.tensor([1000, 2500, 900, 60, 1100]),
        fn=torch.tensor([800, 3000, 700, 100, 1600]),
    )


def permuted_counts(feedback: ClassFeedback, order: Tensor) -> ClassFeedback:
    """New class i is old class order[i]."""
    return replace(feedback, tp=feedback.tp[order], fp=feedback.fp[order], fn=feedback.fn[order])


def random_batch(seed: int = 0, *, size_px: int = 6) -> Batch:
    """A batch in which every class occurs and about a fifth of the pixels is invalid."""
    generator = torch.Generator().manual_seed(seed)
    shape = (2, size_px, size_px)
    target = torch.randint(0, K, shape, generator=generator)
    target[0, 0, :K] = torch.arange(K)
    valid = torch.rand(shape, generator=generator) > 0.2
    valid[0, 0, :K] = True
    return Batch(torch.randn(2, K, size_px, size_px, generator=generator) * 2, target, valid)


def build(
    config: MethodConfig,
    statistics: ClassStatistics | None = None,
    feedback: ClassFeedback | None = None,
    seed: int = 0,
) -> Components:
    """Build the last stage's components and show them one validation pass."""
    feedback = feedback or validation_counts()
    stage = len(config.stages()) - 1
    components = config.build(
        BuildContext(
            statistics=statistics or skewed_statistics(),
            seed=seed,
            attention_layers=LAYERS,
            attention_heads=HEADS,
            stage=stage,
            finished=(feedback,) * stage,
        )
    )
    if components.on_epoch_end is not None:
        components.on_epoch_end(feedback)
    return components


def loss_of(components: Components) -> Loss:
    """The loss that the runner would train with."""
    return components.loss or CrossEntropyDice()
