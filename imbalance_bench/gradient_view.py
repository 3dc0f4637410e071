"""The gradient that each method gives to each class on one fixed batch: how methods differ before anything is trained.

The batch is synthetic. Six classes are common, less common or rare, and at each frequency one is easy and one is hard,
so that a method that follows rarity and one that follows difficulty look different.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from methods import REGISTRY
from methods.base import BuildContext, ClassFeedback, ClassStatistics, Components, Loss, MethodConfig
from methods.cross_entropy import CrossEntropyDice

SIDE_PX = 48
IMAGES = 2
STEPS = 50  # of the training that a method believes to be in; the last one is looked at
REFERENCE = "cross_entropy"


@dataclass(frozen=True)
class ViewedClass:
    """A class of the batch.

    Attributes:
        name: Says what it is.
        share: Of the pixels.
        margin: Mean lead of the true class's logit over the others; noise has standard deviation 1.
        images: Training images that hold the class, of 400.
    """

    name: str
    share: float
    margin: float
    images: int


EASY, HARD = 5.0, 1.5
CLASSES = (
    ViewedClass("common, easy", 0.40, EASY, 390),
    ViewedClass("common, hard", 0.36, HARD, 380),
    ViewedClass("less common, easy", 0.10, EASY, 200),
    ViewedClass("less common, hard", 0.09, HARD, 190),
    ViewedClass("rare, easy", 0.03, EASY, 40),
    ViewedClass("rare, hard", 0.02, HARD, 35),
)


@dataclass(frozen=True)
class FixedBatch:
    """logits (B, K, H, W) float32, target (B, H, W) int64; every pixel is valid."""

    logits: Tensor
    target: Tensor

    @property
    def feedback(self) -> ClassFeedback:
        """Counts of the batch's most likely classes, in the place of a validation pass."""
        predicted = self.logits.argmax(1)
        pairs = [(self.target == c, predicted == c) for c in range(len(CLASSES))]
        tp, fp, fn = (
            torch.tensor([int(count(truth, predicted).sum()) for truth, predicted in pairs])
            for count in (
                lambda truth, predicted: truth & predicted,
                lambda truth, predicted: ~truth & predicted,
                lambda truth, predicted: truth & ~predicted,
            )
        )
        return ClassFeedback(step=1, epoch=0, tp=tp, fp=fp, fn=fn)


def fixed_batch(seed: int = 0) -> FixedBatch:
    """Draw the batch: labels by share, logits with each class's margin and noise."""
    rng = np.random.default_rng(seed)
    n = IMAGES * SIDE_PX**2
    counts = np.floor(np.array([c.share for c in CLASSES]) * n).astype(int)
    counts[0] += n - counts.sum()
    target = rng.permutation(np.repeat(np.arange(len(CLASSES)), counts)).reshape(IMAGES, SIDE_PX, SIDE_PX)
    logits = rng.normal(size=(IMAGES, len(CLASSES), SIDE_PX, SIDE_PX))
    margin = np.array([c.margin for c in CLASSES])
    logits += (np.arange(len(CLASSES))[None, :, None, None] == target[:, None]) * margin[target][:, None]
    return FixedBatch(torch.from_numpy(logits).float(), torch.from_numpy(target))


def training_statistics() -> ClassStatistics:
    """Counts of a training split with the batch's class shares."""
    pixels = torch.tensor([c.share for c in CLASSES], dtype=torch.float64) * 1e8
    images = torch.tensor([c.images for c in CLASSES], dtype=torch.float64)
    return ClassStatistics(tuple(c.name for c in CLASSES), pixels, images, 3 * images, images / 400 * 1e8, 400)


def gradient_table(chosen: Mapping[str, type[MethodConfig]] | None = None, seed: int = 0) -> pd.DataFrame:
    """Measure the gradient of methods that have a loss of their own, with their default options.

    Args:
        chosen: Name -> configuration; every built-in method if None. Cross-entropy + Dice is always there, first.
        seed: Of the batch.

    Returns:
        One row per method and class: `method`, `family`, `class`, `gradient` (sum over the class's pixels of the norm
        of the gradient with respect to the pixel's logits), `share` (of all classes'), `relative_share` (to the share
        under cross-entropy + Dice) and `relative_total` (all classes' gradient, to the same).
    """
    batch = fixed_batch(seed)
    configs = {REFERENCE: REGISTRY[REFERENCE]} | dict(REGISTRY if chosen is None else chosen)
    gradients = {
        name: class_gradients(config(), batch) for name, config in configs.items() if has_loss(config(), batch)
    }
    reference = gradients[REFERENCE]
    tables = []
    for name, gradient in gradients.items():
        share = gradient / gradient.sum()
        tables.append(
            pd.DataFrame(
                {
                    "method": name,
                    "family": configs[name].card.group.value,
                    "class": [viewed.name for viewed in CLASSES],
                    "gradient": gradient,
                    "share": share,
                    "relative_share": share / (reference / reference.sum()),
                    "relative_total": gradient.sum() / reference.sum(),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def methods_elsewhere() -> list[str]:
    """Methods that leave the loss alone and act on attention, sampling, stages or inference."""
    batch = fixed_batch()
    return [name for name, config in REGISTRY.items() if not has_loss(config(), batch)]


def has_loss(config: MethodConfig, batch: FixedBatch) -> bool:
    """Whether the method sets the loss of its last stage; `cross_entropy` does."""
    return built(config, batch).loss is not None


def built(config: MethodConfig, batch: FixedBatch) -> Components:
    """Build the last stage, and tell it of one validation pass."""
    stage = len(config.stages()) - 1
    context = BuildContext(
        training_statistics(),
        attention_layers=2,
        attention_heads=4,
        stage=stage,
        finished=(batch.feedback,) * stage,
        steps=STEPS,
    )
    components = config.build(context)
    if components.on_epoch_end is not None:
        components.on_epoch_end(batch.feedback)
    return components


def class_gradients(config: MethodConfig, batch: FixedBatch) -> np.ndarray:
    """Return the gradient norm that each class's pixels receive in the last step, (K,) float64."""
    loss = built(config, batch).loss or CrossEntropyDice()
    valid = torch.ones_like(batch.target, dtype=torch.bool)
    train_own_parameters(loss, batch, valid)
    logits = batch.logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(logits, batch.target, valid, STEPS - 1).total, logits)
    norm = gradient.double().norm(dim=1)  # (B, H, W)
    return np.array([norm[batch.target == c].sum().item() for c in range(len(CLASSES))])


def train_own_parameters(loss: Loss, batch: FixedBatch, valid: Tensor) -> None:
    """Let a loss see the batch in every step but the last: its running state settles, and its own head learns."""
    parameters = list(loss.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=1e-2) if parameters else None
    for step in range(STEPS - 1):
        total = loss(batch.logits, batch.target, valid, step).total
        if optimiser is not None:
            optimiser.zero_grad()
            total.backward()
            optimiser.step()
