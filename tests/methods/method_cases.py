"""The configurations and inputs that every registered method is tested on.

`VARIANTS` adds configurations to each method's default one; `NEUTRAL` says with which options a method must be plain
cross-entropy + Dice, or what else it must then be. A method that is missing from `NEUTRAL` fails the suite.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from methods import REGISTRY
from methods.base import BuildContext, ClassFeedback, ClassStatistics, Components, Loss, MethodConfig
from methods.cross_entropy import CrossEntropyDice, SoftDice, cross_entropy_per_pixel, mean_over_valid

K = 5
LAYERS, HEADS = 2, 4
STEPS = 100  # of the stage

VARIANTS: dict[str, list[dict]] = {
    "inverse_frequency": [{"reduction": "mean"}],
    "effective_number": [{"count": "images"}, {"count": "components"}, {"count": "pixels"}, {"beta": 0.0}],
    "enet": [{"reduction": "mean"}],
    "focal": [{"gamma": 0.0}, {"gamma": 0.5}],
    "class_balanced_focal": [{"reduction": "weighted_mean", "gamma": 0.5}, {"count": "pixels"}],
    "adaptive_focal": [{"gamma": 0.5, "gamma_unlikely": 2.0, "threshold": 0.5}],
    "asymmetric_focal": [{"rare": "below_uniform", "gamma": 0.5}],
    "ohem": [{"min_kept": 0.5, "threshold": 0.3}],
    "topk": [{"share": 0.5}],
    "ghm_c": [{"momentum": 0.75, "bins": 30}],
    "generalised_dice": [{"cross_entropy_weight": 0.0, "power": 1.0}],
    "tversky": [{"cross_entropy_weight": 0.0}],
    "focal_tversky": [{"cross_entropy_weight": 0.0, "exponent": 0.5}],
    "pm_dice": [{"gamma": 0.5}, {"cross_entropy_weight": 0.0, "gamma": 2.0}],
    "adaptive_tvmf_dice": [{"cross_entropy_weight": 0.0, "scale": 2.0}],
    "compound": [
        {"sigmoid_focal": 0.0, "dice": 1.0, "topk": 1.0},
        {"sigmoid_focal": 0.0, "focal": 1.0, "tversky": 0.5, "lovasz": 0.5},
        {"ce": 1.0, "generalised_dice": 1.0, "alpha": 0.25, "gamma": 0.5},
    ],
    "exponential_logarithmic": [{"gamma": 1.0, "dice_share": 0.3}],
    "combo": [{"alpha": 0.8, "beta": 0.2}],
    "unified_focal": [{"form": "symmetric", "gamma": 0.3}],
    "lovasz_softmax": [{"cross_entropy_weight": 0.0}],
    "label_marginal_l1": [{"weight": 10.0}],
    "boundary_loss": [{"schedule": "constant", "weight": 1.0}],
    "contour_weighted": [{"width_px": 2, "contour_weight": 0.5, "dice_weight": 0.5}],
    "blob_loss": [{"weight": 2.0}],
    "cc_loss": [{"weight": 2.0}],
    "rmi": [{"radius": 2, "pool_px": 1}, {"pool_px": 1, "weight": 0.3}],
    "vs_loss": [{"gamma": 0.1, "tau": 0.5}],
    "cdt": [{"gamma": 0.1}],
    "blv": [{"sigma": 0.5}],
    "asymmetric_margin": [{"rare": "below_uniform", "margin": 0.3}],
    "rankseg": [{"metric": "iou", "pruning": 0.0}],
    "ldam_drw": [{"deferral": 0.01, "count": "pixels", "scale": 30.0}],
    "logit_adjustment": [{"mode": "post_hoc"}, {"tau": 0.5}],
    "seesaw": [{"p": 2.0, "q": 0.0}],
    "equalization_v2": [{"gamma": 1.0, "mu": 0.2}],
    "cdb": [
        {"score": "dice"},
        {"schedule": "sigmoid"},
        {"schedule": "double_sigmoid", "score": "dice"},
        {"tau": 0.0},
        {"reduction": "mean"},
    ],
    "distdw": [{"dice": "weighted"}],
    "diffdw": [{"reduction": "mean", "momentum": 0.5}, {"dice": "weighted"}],
    "recall_loss": [{"reduction": "weighted_mean"}],
    "learned_difficulty": [{"reduction": "mean", "momentum": 0.5}, {"strength": 0.0, "channels": 2}],
    "focal_attention_gate": [{"sharing": "per_class", "gamma": 2.0}, {"learned": False, "gamma": 0.5}],
    "dfa": [
        *({"prior": prior} for prior in ("log_frequency", "none", "shuffled", "inverted", "difficulty")),
        *({"prior": "given", "measure": m} for m in ("share", "image_share", "components", "component_size")),
        {"prior": "given", "mode": "anchored", "measure": "share"},
        {"mode": "anchored"},
        {"mode": "fixed"},
        {"mode": "fixed", "prior": "difficulty"},
        {"token_layout": "official", "mode": "anchored"},
        {"token_layout": "official_ignored"},
        {"token_layout": "official_ignored", "mode": "fixed"},
        {"direction": "token_to_image"},
        {"sharing": "per_head"},
        {"sharing": "per_layer", "mode": "anchored"},
        {"sharing": "per_layer_and_head", "l2": 1e-4},
    ],
}


@dataclass(frozen=True)
class Batch:
    """logits (B, K, H, W) float32, target (B, H, W) int64, valid (B, H, W) bool."""

    logits: Tensor
    target: Tensor
    valid: Tensor


def base_loss(batch: Batch) -> Tensor:
    """Cross-entropy + soft Dice."""
    return CrossEntropyDice()(batch.logits, batch.target, batch.valid, 0).total


def mix_of_base_parts(cross_entropy: float, dice: float) -> Callable[[Batch], Tensor]:
    """Cross-entropy and soft Dice with other weights than 1 and 1."""

    def mix(batch: Batch) -> Tensor:
        log_probability = batch.logits.log_softmax(1)
        pixel = mean_over_valid(cross_entropy_per_pixel(log_probability, batch.target), batch.valid)
        return cross_entropy * pixel + dice * SoftDice()(log_probability.exp(), batch.target, batch.valid)

    return mix


def with_plain_accuracy(batch: Batch) -> Tensor:
    """Cross-entropy + 1 - mean p_y: generalised Dice when all classes weigh the same."""
    probability = batch.logits.softmax(1).gather(1, batch.target.unsqueeze(1)).squeeze(1)
    return mix_of_base_parts(1, 0)(batch) + 1 - probability[batch.valid].mean()


def with_jaccard_of_level_sets(batch: Batch) -> Tensor:
    """Cross-entropy + the Lovasz extension by its definition: the Jaccard loss integrated over error thresholds."""
    probability, target = batch.logits.softmax(1).movedim(1, -1)[batch.valid], batch.target[batch.valid]
    losses = []
    for c in target.unique().tolist():
        truth = target == c
        error = (truth.float() - probability[:, c]).abs()
        levels = torch.cat([torch.zeros(1), error.sort().values])
        wrong = error.unsqueeze(0) > (levels[:-1] + levels[1:]).unsqueeze(1).detach() / 2  # (levels, pixels)
        jaccard_loss = wrong.sum(1) / (wrong | truth).sum(1)
        losses.append((levels.diff() * jaccard_loss).sum())
    return mix_of_base_parts(1, 0)(batch) + torch.stack(losses).mean()


def with_plain_sigmoids(batch: Batch) -> Tensor:
    """Dice + one binary cross-entropy for each class: equalization v2 before it has seen a gradient."""
    truth = torch.nn.functional.one_hot(batch.target, K).movedim(-1, 1).float()
    term = torch.nn.functional.softplus(batch.logits) - truth * batch.logits
    return mix_of_base_parts(0, 1)(batch) + term.sum(1)[batch.valid].mean()


def with_squared_dice(batch: Batch) -> Tensor:
    """Cross-entropy + Dice with squares in the denominator: modulated Dice when every error weighs 1."""
    p = batch.logits.softmax(1).movedim(1, -1)[batch.valid]
    g = torch.nn.functional.one_hot(batch.target[batch.valid], K).float()
    dice = (2 * (p * g).sum(0) + 1e-5) / ((p**2 + g).sum(0) + 1e-5)
    return mix_of_base_parts(1, 0)(batch) + (1 - dice).mean()


def with_cosines(batch: Batch) -> Tensor:
    """Cross-entropy + the squared distance of cosines from 1: t-vMF Dice without concentration."""
    p = batch.logits.softmax(1).movedim(1, -1)[batch.valid]
    g = torch.nn.functional.one_hot(batch.target[batch.valid], K).float()
    return mix_of_base_parts(1, 0)(batch) + ((1 - torch.nn.functional.cosine_similarity(p, g, dim=0)) ** 2).mean()


def logarithm_of_dice(batch: Batch) -> Tensor:
    """.8 of -ln Dice + .2 of cross-entropy that all classes weight by the root of K."""
    p = batch.logits.softmax(1).movedim(1, -1)[batch.valid]
    g = torch.nn.functional.one_hot(batch.target[batch.valid], K).float()
    dice = (2 * (p * g).sum(0) + 1e-5) / ((p + g).sum(0) + 1e-5)
    return 0.8 * -dice.log().mean() + mix_of_base_parts(0.2 * K**0.5, 0)(batch)


@dataclass(frozen=True)
class Neutral:
    """The options with which a method reduces to something simpler, and to what: the base loss if it can.

    Attributes:
        options: Of the method.
        uniform_statistics: Whether the class statistics must be equal for all classes.
        reduces_to: The value that the loss must then have.
    """

    options: dict
    uniform_statistics: bool = False
    reduces_to: Callable[[Batch], Tensor] = base_loss


NEUTRAL: dict[str, Neutral] = {
    "cross_entropy": Neutral({}),
    "inverse_frequency": Neutral({}, uniform_statistics=True),
    "inverse_sqrt": Neutral({}, uniform_statistics=True),
    "median_frequency": Neutral({}, uniform_statistics=True),
    "enet": Neutral({}, uniform_statistics=True),
    "effective_number": Neutral({"beta": 0.0}),
    "focal": Neutral({"gamma": 0.0}),
    "class_balanced_focal": Neutral({"gamma": 0.0, "beta": 0.0}),
    "adaptive_focal": Neutral({"gamma": 0.0, "gamma_unlikely": 0.0}),
    "asymmetric_focal": Neutral({"gamma": 0.0}),
    "ohem": Neutral({"min_kept": 1.0}),
    "topk": Neutral({"share": 1.0}),
    "ghm_c": Neutral({"bins": 1}),
    "poly1": Neutral({"epsilon": 0.0}),
    "dice": Neutral({}, reduces_to=mix_of_base_parts(0, 1)),
    "generalised_dice": Neutral({"power": 0.0}, reduces_to=with_plain_accuracy),
    "tversky": Neutral({"fp_weight": 0.5, "fn_weight": 0.5}),
    "focal_tversky": Neutral({"fp_weight": 0.5, "fn_weight": 0.5, "exponent": 1.0}),
    "pm_dice": Neutral({"gamma": 0.0}, reduces_to=with_squared_dice),
    "adaptive_tvmf_dice": Neutral({"scale": 0.0}, reduces_to=with_cosines),
    "compound": Neutral({"ce": 1.0, "dice": 1.0, "sigmoid_focal": 0.0}),
    "exponential_logarithmic": Neutral({"gamma": 1.0}, uniform_statistics=True, reduces_to=logarithm_of_dice),
    "combo": Neutral({"alpha": 0.3, "beta": 1.0}, reduces_to=mix_of_base_parts(0.3 / K, 0.7)),
    "unified_focal": Neutral({"delta": 0.5, "gamma": 0.0}, reduces_to=mix_of_base_parts(0.25, 0.5)),
    "lovasz_softmax": Neutral({}, reduces_to=with_jaccard_of_level_sets),
    "label_marginal_l1": Neutral({"weight": 0.0}, reduces_to=mix_of_base_parts(1, 0)),
    "boundary_loss": Neutral({"weight": 0.0}),
    "contour_weighted": Neutral({"contour_weight": 0.0, "dice_weight": 0.0}, reduces_to=mix_of_base_parts(2, 0)),
    "blob_loss": Neutral({"weight": 0.0}),
    "cc_loss": Neutral({"weight": 0.0}),
    "rmi": Neutral({"weight": 0.0}, reduces_to=mix_of_base_parts(1, 0)),
    "vs_loss": Neutral({"gamma": 0.0, "tau": 0.0}),
    "cdt": Neutral({"gamma": 0.0}),
    "blv": Neutral({"sigma": 0.0}),
    "asymmetric_margin": Neutral({"margin": 0.0}),
    "rankseg": Neutral({}),
    "ldam_drw": Neutral({"max_margin": 0.0}),
    "logit_adjustment": Neutral({"tau": 0.0}),
    "balanced_softmax": Neutral({}, uniform_statistics=True),
    "seesaw": Neutral({"p": 0.0, "q": 0.0}),
    "equalization_v2": Neutral({}, reduces_to=with_plain_sigmoids),
    "cdb": Neutral({"tau": 0.0}),
    "diffdw": Neutral({"strength": 0.0}),
    "distdw": Neutral({"floor": 1.0}),
    "recall_loss": Neutral({"strength": 0.0}),
    "learned_difficulty": Neutral({"prediction_weight": 0.0}),
    "repeat_factor": Neutral({"threshold": 0.0}),
    "class_present": Neutral({"share": 0.0}),
    "class_copy_paste": Neutral({"probability": 0.0}),
    "crt": Neutral({}),
    "tau_norm": Neutral({"tau": 0.0}),
    "two_stage_dice_weights": Neutral({"gamma": 0.0}),
    "two_stage_dice_bias": Neutral({"gamma": 0.0}),
    "dfa": Neutral({"prior": "none", "mode": "fixed"}),
    "focal_attention_gate": Neutral({"learned": False}),
}


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
            steps=STEPS,
        )
    )
    if components.on_epoch_end is not None:
        components.on_epoch_end(feedback)
    return components


def loss_of(components: Components) -> Loss:
    """The loss that the runner would train with."""
    return components.loss or CrossEntropyDice()
