"""Comparisons with installed packages: torch, segmentation_models_pytorch (SMP) and MONAI. They are run each time."""

from collections.abc import Callable
from typing import Any

import segmentation_models_pytorch.losses as smp
import torch
from monai.losses.dice import DiceLoss, GeneralizedDiceLoss
from monai.losses.focal_loss import FocalLoss
from monai.losses.tversky import TverskyLoss
from monai.losses.unified_focal_loss import AsymmetricUnifiedFocalLoss
from torch import Tensor
from torch.nn import functional as F

from benchmarks.cross_implementation.cases import CASES, IGNORED, Case
from benchmarks.cross_implementation.comparison import Comparison
from benchmarks.cross_implementation.ours import Outcome, outcome_of

EVERY = tuple(CASES)
WITHOUT_IGNORED = tuple(name for name in CASES if name != "ignored pixels")
WITH_UNLIKE_ERRORS = tuple(name for name in CASES if name != "confident, wrong")  # there, all errors are 1
WITH_LARGE_AREAS = tuple(name for name in WITHOUT_IGNORED if name != "K = 20")  # there, a class has 10 pixels
BINARY, ABSENT = ("K = 2",), ("absent class",)

Theirs = Callable[[Tensor, Case], Tensor]


def of_smp(loss: smp.DiceLoss | smp.FocalLoss | smp.LovaszLoss) -> Theirs:
    """Call an SMP loss with labels that hold 255 for ignored pixels."""
    return lambda logits, case: loss(logits, case.labels)


def of_monai(loss: torch.nn.Module) -> Theirs:
    """Call a MONAI loss with labels of shape (B, 1, H, W)."""
    return lambda logits, case: loss(logits, case.labels.unsqueeze(1))


def of_monai_on_probabilities(loss: torch.nn.Module) -> Theirs:
    """Call a MONAI loss that applies no softmax of its own."""
    return lambda logits, case: loss(logits.softmax(1), case.labels.unsqueeze(1))


def times(factor: Callable[[Case], float], loss: Theirs) -> Theirs:
    """Scale a loss."""
    return lambda logits, case: factor(case) * loss(logits, case)


def torch_cross_entropy(logits: Tensor, case: Case) -> Tensor:
    """Unweighted cross-entropy of torch."""
    return F.cross_entropy(logits, case.labels, ignore_index=IGNORED)


def torch_weighted(logits: Tensor, case: Case) -> Tensor:
    """Cross-entropy of torch with weights 1 / count; its mean divides by the sum of the weights."""
    weight = torch.where(case.counts > 0, 1 / case.counts, 0.0).float()
    return F.cross_entropy(logits, case.labels, weight=weight * case.counts.max(), ignore_index=IGNORED)


SMP_OPTIONS: dict[str, Any] = {"mode": "multiclass", "ignore_index": IGNORED}
MONAI_OPTIONS: dict[str, Any] = {"to_onehot_y": True, "softmax": True, "batch": True}
SMP_ABSENT = (
    "SMP sets the loss of an absent class to 0 and still divides by K: the fewer classes a crop holds, the less "
)
SMP_ABSENT += "its loss weighs. We divide by the classes that occur"
MONAI_ABSENT = (
    "MONAI gives an absent class a loss of nearly 1 as soon as anything is predicted of it, whatever the amount. "
)
MONAI_ABSENT += (
    "We leave out classes that do not occur in the batch: in small crops most classes are absent most of the time"
)
PER_CLASS_SIGMOID = (
    "one sigmoid per class instead of a softmax, averaged over pixels and classes. gamma 0 is then not the "
)
PER_CLASS_SIGMOID += "cross-entropy that the other methods start from"

TIED_ERRORS = (
    "the values agree, the gradients do not: 1 - 2e-9 is 1 in float32, and the order of equal errors, on which "
)
TIED_ERRORS += "each pixel's share of the gradient rests, is arbitrary"

LIVE: dict[str, tuple[Comparison, Theirs]] = {
    comparison.name: (comparison, theirs)
    for comparison, theirs in (
        (Comparison("cross_entropy", "torch `cross_entropy`", EVERY), torch_cross_entropy),
        (Comparison("inverse_frequency", "torch `cross_entropy(weight=1 / n)`", EVERY), torch_weighted),
        (
            Comparison("dice", "SMP `DiceLoss`", EVERY, diverges=ABSENT, reason=SMP_ABSENT, quantity="total"),
            of_smp(smp.DiceLoss(**SMP_OPTIONS)),
        ),
        (
            Comparison(
                "tversky", "SMP `TverskyLoss(alpha=.3, beta=.7)`", EVERY, {"cross_entropy_weight": 0.0},
                diverges=ABSENT, reason=SMP_ABSENT, quantity="total",
            ),
            of_smp(smp.TverskyLoss(**SMP_OPTIONS, alpha=0.3, beta=0.7)),
        ),
        (
            Comparison(
                "focal_tversky", "SMP `TverskyLoss(alpha=.3, beta=.7, gamma=.75)`", EVERY,
                {"cross_entropy_weight": 0.0}, diverges=WITH_UNLIKE_ERRORS, quantity="total",
                reason="SMP raises the mean over classes to the power; the source, which has one class, raises that "
                "class's error. We raise each class's error, so that each class is focused on by its own error",
            ),
            of_smp(smp.TverskyLoss(**SMP_OPTIONS, alpha=0.3, beta=0.7, gamma=0.75)),
        ),
        (
            Comparison(
                "compound", "SMP `FocalLoss`", EVERY, {"sigmoid_focal": 1.0, "dice": 0.0}, quantity="total",
                reason="one sigmoid per class, averaged over pixels and classes",
            ),
            of_smp(smp.FocalLoss(**SMP_OPTIONS)),
        ),
        (
            Comparison("focal", "SMP `FocalLoss`", EVERY, diverges=EVERY, reason=PER_CLASS_SIGMOID),
            of_smp(smp.FocalLoss(**SMP_OPTIONS)),
        ),
        (
            Comparison("focal", "SMP `FocalLoss(gamma=0)`", EVERY, {"gamma": 0.0}, diverges=EVERY,
                       reason=PER_CLASS_SIGMOID),
            of_smp(smp.FocalLoss(**SMP_OPTIONS, gamma=0.0)),
        ),
        (
            Comparison("lovasz_softmax", "SMP `LovaszLoss`", EVERY, {"cross_entropy_weight": 0.0}, quantity="total",
                       diverges=("confident, wrong",), reason=TIED_ERRORS),
            of_smp(smp.LovaszLoss(**SMP_OPTIONS)),
        ),
        (
            Comparison("dice", "MONAI `DiceLoss(batch=True)`", EVERY, diverges=ABSENT, reason=MONAI_ABSENT,
                       quantity="total"),
            of_monai(DiceLoss(**MONAI_OPTIONS, ignore_index=IGNORED)),
        ),
        (
            Comparison(
                "tversky", "MONAI `TverskyLoss(alpha=.3, beta=.7, batch=True)`", EVERY, {"cross_entropy_weight": 0.0},
                diverges=ABSENT, reason=MONAI_ABSENT, quantity="total",
            ),
            of_monai(TverskyLoss(**MONAI_OPTIONS, alpha=0.3, beta=0.7, ignore_index=IGNORED)),
        ),
        (
            Comparison(
                "generalised_dice", "MONAI `GeneralizedDiceLoss(batch=True)` without smoothing", WITHOUT_IGNORED,
                {"cross_entropy_weight": 0.0}, diverges=ABSENT, quantity="total",
                reason="MONAI gives a class without pixels the largest weight of the others, so that its false "
                "positives count most; here it weighs 0",
            ),
            of_monai(GeneralizedDiceLoss(**MONAI_OPTIONS, smooth_nr=1e-12, smooth_dr=1e-12)),
        ),
        (
            Comparison(
                "generalised_dice", "MONAI `GeneralizedDiceLoss(batch=True)`", WITHOUT_IGNORED,
                {"cross_entropy_weight": 0.0}, diverges=WITH_LARGE_AREAS, quantity="total",
                reason="MONAI adds its smoothing of 1e-5 to sums that were divided by squared areas, so that it grows "
                "with the area: 1e-5 is 1 % of the sum where a class has 1000 pixels. Ours is added to pixels",
            ),
            of_monai(GeneralizedDiceLoss(**MONAI_OPTIONS)),
        ),
        (
            Comparison("focal", "MONAI `FocalLoss`", WITHOUT_IGNORED, diverges=WITHOUT_IGNORED,
                       reason=PER_CLASS_SIGMOID),
            of_monai(FocalLoss(to_onehot_y=True)),
        ),
        (
            Comparison("focal", "MONAI `FocalLoss(use_softmax=True, ignore_index=255)`", EVERY),
            of_monai(FocalLoss(to_onehot_y=True, use_softmax=True, ignore_index=IGNORED)),
        ),
        (
            Comparison(
                "focal", "MONAI `FocalLoss(use_softmax=True)`, times K", WITHOUT_IGNORED,
                reason="without `ignore_index`, MONAI averages over classes too, which divides the loss by K; with it, "
                "whether or not a pixel is ignored, it does not",
            ),
            times(lambda case: case.n_classes, of_monai(FocalLoss(to_onehot_y=True, use_softmax=True))),
        ),
        (
            Comparison(
                "unified_focal", "MONAI `AsymmetricUnifiedFocalLoss(delta=.6)`", BINARY, diverges=BINARY,
                quantity="total",
                reason="MONAI averages the focal part over classes too, which halves it; it knows two classes only, "
                "sums each image, and takes probabilities. Its delta is .7 unless set, the paper's .6",
            ),
            of_monai_on_probabilities(AsymmetricUnifiedFocalLoss(to_onehot_y=True, delta=0.6)),
        ),
        (
            Comparison(
                "unified_focal", "MONAI `AsymmetricUnifiedFocalLoss(delta=.6, weight=2/3)`, times 1.5", BINARY,
                quantity="total", reason="these numbers undo the halved focal part: the rest is the same",
            ),
            times(
                lambda _: 1.5,
                of_monai_on_probabilities(AsymmetricUnifiedFocalLoss(True, delta=0.6, weight=2 / 3)),
            ),
        ),
    )
}  # fmt: skip


def live_outcome(name: str, case: Case) -> Outcome:
    """Run the other implementation now."""
    theirs = LIVE[name][1]
    return outcome_of(lambda logits: theirs(logits, case), case.logits_at(0))
