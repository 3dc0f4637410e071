"""The authors' code for boundaries, regions, rarity in the logits and decisions; run by `official.py`."""

import types
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from benchmarks.cross_implementation.cases import IGNORED, Case
from benchmarks.cross_implementation.ours import Outcome, outcome_of, outcome_of_decision
from methods.logit_variation import noise

Runner = Callable[[Case], Outcome]


class Definitions(Protocol):
    """Gives the named definitions of a source; see `official.Checkouts.definitions`."""

    def __call__(self, source: str, names: tuple[str, ...], given: dict[str, Any]) -> dict[str, Any]:
        """Run the definitions."""
        ...


def runners(definitions: Definitions) -> dict[str, Runner]:
    """Return all runners of this module."""
    return {
        "boundary": boundary(definitions),
        "contour": contour(definitions),
        "blob": blob(definitions),
        "rmi": region_information(definitions, pool=3),
        "rmi without pooling": region_information(definitions, pool=1),
        **rarity(definitions),
        "tvmf": tvmf(definitions),
        "adaptive focal": adaptive_focal(definitions),
        "rankseg": rankseg(definitions, "dice", 0.5),
        "rankseg iou": rankseg(definitions, "iou", 0.0),
    }


def one_hot(case: Case) -> Tensor:
    """Return the labels as (B, K, H, W) float32; zeros where a pixel is ignored."""
    return F.one_hot(case.target, case.n_classes).movedim(-1, 1).float() * case.valid.unsqueeze(1)


def cross_entropy(logits: Tensor, case: Case) -> Tensor:
    """Return torch's mean over the pixels that are not ignored."""
    return F.cross_entropy(logits, case.labels, ignore_index=IGNORED)


def on_logits(loss: Callable[[Tensor, Case], Tensor]) -> Runner:
    """Evaluate a loss of whole images."""
    return lambda case: outcome_of(lambda logits: loss(logits, case), case.logits_at(0))


def boundary(definitions: Definitions) -> Runner:
    """Cross-entropy + SurfaceLoss, less what SurfaceLoss gives a perfect prediction."""
    given = {"eucl_distance": ndimage.distance_transform_edt, "one_hot": lambda *_, **__: True, "Tuple": tuple}
    distances = definitions("boundary distances", ("one_hot2dist",), given)["one_hot2dist"]
    given = {"simplex": lambda _: True, "one_hot": lambda _: False, "einsum": torch.einsum, "List": list}
    given |= {"cast": lambda _, value: value, "print": lambda *_: None}
    surface = definitions("boundary", ("SurfaceLoss",), given)["SurfaceLoss"]

    def evaluate(logits: Tensor, case: Case) -> Tensor:
        truth = one_hot(case)
        maps = np.stack([distances(image, dtype=np.float32) for image in truth.numpy()])
        loss, measured = surface(idc=list(range(case.n_classes))), torch.from_numpy(maps)
        return cross_entropy(logits, case) + loss(logits.softmax(1), measured) - loss(truth, measured)

    return on_logits(evaluate)


def contour(definitions: Definitions) -> Runner:
    """Both parts; a class 0 that is never predicted is put before the others, because the code leaves it out."""

    def erode(image: np.ndarray, kernel: np.ndarray, iterations: int) -> np.ndarray:
        del kernel, iterations  # 3 x 3, once
        return ndimage.minimum_filter(image, size=3, mode="constant", cval=255)

    names = ("GetContour_2D", "BoundaryCeLoss", "BoundaryDiceLoss")
    code = definitions("contour", names, {"cv2": types.SimpleNamespace(erode=erode)})

    def evaluate(logits: Tensor, case: Case) -> Tensor:
        volume = F.pad(logits, (0, 0, 0, 0, 1, 0), value=-1e4).movedim(0, 1).unsqueeze(0)  # (1, K + 1, B, H, W)
        target = case.target.unsqueeze(0) + 1
        contours = code["GetContour_2D"](target, num_cls=case.n_classes + 1)
        flat = contours.sum(1).clamp(max=1).squeeze(0)
        return code["BoundaryCeLoss"]()(volume, target, flat) + code["BoundaryDiceLoss"]()(volume, target, contours)

    return on_logits(evaluate)


def blob(definitions: Definitions) -> Runner:
    """Cross-entropy + half the mean over classes of the blob loss with Dice as its criterion."""
    code = definitions("blob", ("compute_blob_loss_multi",), {"vprint": lambda *_: None})["compute_blob_loss_multi"]

    def dice(prediction: Tensor, truth: Tensor) -> Tensor:
        return 1 - (2 * (prediction * truth).sum() + 1e-5) / (prediction.sum() + truth.sum() + 1e-5)

    def evaluate(logits: Tensor, case: Case) -> Tensor:
        losses = []
        for c in case.target.unique().tolist():
            labelled = [ndimage.label((image == c).numpy(), structure=np.ones((3, 3))) for image in case.target]
            blobs = torch.from_numpy(np.stack([found for found, _ in labelled])).unsqueeze(1)  # pyright: ignore[reportGeneralTypeIssues]
            losses.append(code(dice, logits.softmax(1)[:, c : c + 1], blobs))
        return cross_entropy(logits, case) + 0.5 * torch.stack(losses).mean()

    return on_logits(evaluate)


def region_information(definitions: Definitions, *, pool: int) -> Runner:
    """Cross-entropy + the lower bound for softmax probabilities, less that for the labels themselves."""
    as_now = types.SimpleNamespace(**vars(torch))
    as_now.cholesky = torch.linalg.cholesky
    pairs = definitions("rmi pairs", ("map_get_pairs", "log_det_by_cholesky"), {"torch": as_now})
    as_now.cuda = types.SimpleNamespace(DoubleTensor=torch.DoubleTensor)
    given = {"torch": as_now, "rmi_utils": types.SimpleNamespace(**pairs), "_POS_ALPHA": 5e-4, "_IS_SUM": 1}
    loss = definitions("rmi", ("RMILoss",), given)["RMILoss"]

    def evaluate(logits: Tensor, case: Case) -> Tensor:
        truth = one_hot(case)
        probability = logits.softmax(1) * case.valid.unsqueeze(1) + 1e-6
        bound = loss(case.n_classes, rmi_pool_size=pool, rmi_pool_stride=pool).rmi_lower_bound
        return cross_entropy(logits, case) + bound(truth, probability) - bound(truth, truth)

    return on_logits(evaluate)


def rarity(definitions: Definitions) -> dict[str, Runner]:
    """Losses that see the valid pixels as samples and know the counts of the classes."""
    vs = definitions("vs", ("VSLoss",), {})["VSLoss"]
    given = {"normal": torch.distributions.normal, "weight_reduce_loss": lambda loss, **_: loss.mean()}
    blv = definitions("blv", ("BlvLoss",), given)["BlvLoss"]
    asymmetric = definitions("asymmetric", ("mCrossentropyND",), {})["mCrossentropyND"]

    def of_blv(logits: Tensor, case: Case) -> Tensor:
        loss = blv(list(case.counts.float()))
        loss.sampler = types.SimpleNamespace(sample=lambda shape: noise(shape, 0, 0, 4.0))
        return loss(logits, case.target, None, IGNORED)

    def of_asymmetric(gamma: float, margin: float) -> Runner:
        def evaluate(logits: Tensor, case: Case) -> Tensor:
            three = F.pad(logits, (0, 0, 0, 0, 0, 1), value=-1e4)  # a third class that nothing has: it knows three
            return asymmetric(asy=1, gama=gamma, margin=margin, weights=1.0)(three, case.target)[0]

        return on_logits(evaluate)

    def rows(case: Case, logits: Tensor) -> tuple[Tensor, Tensor]:
        return logits.movedim(1, -1)[case.valid], case.target[case.valid]

    return {
        "vs": on_logits(lambda z, case: vs(case.counts.numpy())(*rows(case, z))),
        "cdt": on_logits(lambda z, case: vs(case.counts.numpy(), tau=0)(*rows(case, z))),
        "blv": on_logits(of_blv),
        "asymmetric focal": of_asymmetric(4.0, 0.0),
        "asymmetric margin": of_asymmetric(0.0, 1.0),
    }


def tvmf(definitions: Definitions) -> Runner:
    """The adaptive loss with 32 times the validation Dice."""
    loss = definitions("tvmf", ("Adaptive_tvMF_DiceLoss",), {})["Adaptive_tvMF_DiceLoss"]
    return on_logits(
        lambda z, case: loss(case.n_classes)(z, case.target, (32 * case.feedback.dice).float())
    )  # fmt: skip


def adaptive_focal(definitions: Definitions) -> Runner:
    """Exponent 5 below .2, 3 below .5, and 3 above."""
    given = {"gamma_dic": {0.2: 5.0, 0.5: 3.0}}
    loss = definitions("adaptive focal", ("FocalLossAdaptive",), given)["FocalLossAdaptive"]
    return on_logits(
        lambda z, case: loss(gamma=3.0, size_average=True)(z.movedim(1, -1)[case.valid], case.target[case.valid])
    )


def rankseg(definitions: Definitions, metric: str, pruning: float) -> Runner:
    """Labels of each image."""
    decide = definitions("rankseg", ("rankseg_rma",), {})["rankseg_rma"]

    def run(case: Case) -> Outcome:
        labels = decide(case.logits_at(0).softmax(1), metric=metric, pruning_prob=pruning)
        return outcome_of_decision(labels, case.n_classes)

    return run
