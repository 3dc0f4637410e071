"""Is the image->token attention read at all? Controls on a trained model that change it, or the logits, at inference.

A class bias can act only through the weights with which image places attend to class tokens.
`table_schemas.PathControl` names what is put in their place, in every layer and head; nothing else in the model moves.

- Ceilings: where `uniform` weights change nothing, no bias can; `oracle` and `rolled` weights are right and wrong.
- Doses: the bias of one class, or as much on its output logit, which shows that the apparatus measures anything; and
  the shift of the output logit that predicts the class equally often in the image, which is all that a bias would do if
  it were logit adjustment.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from imbalance_bench.data.taxonomy import UNLABELLED
from imbalance_bench.evaluation.interventions import FixedBias
from imbalance_bench.evaluation.kept_logits import KeptLogits, nth_smallest
from imbalance_bench.evaluation.prediction import most_likely
from imbalance_bench.table_schemas import PathControl
from methods.base import AttentionBias

DOSES = (-4.0, -2.0, 2.0, 4.0)  # natural log-odds
WEIGHT_CONTROLS = (PathControl.UNIFORM, PathControl.REMOVED, PathControl.ORACLE, PathControl.ROLLED)


def class_shares(labels: np.ndarray, n_classes: int, stride_px: int) -> Tensor:
    """Return the share of each class in the labelled pixels of each image token's place.

    Args:
        labels: (n, t, t) uint8 in 0..K-1, or UNLABELLED.
        n_classes: K.
        stride_px: Edge of a place; divides t.

    Returns:
        (n, (t / stride)^2, K) float32; 1 / K where nothing is labelled.
    """
    if n_classes >= UNLABELLED:
        raise ValueError(f"A mask of 8 bits holds fewer than {UNLABELLED} classes. Got {n_classes}.")
    n, edge, _ = labels.shape
    side = edge // stride_px
    rows, columns = np.divmod(np.arange(edge * edge), edge)
    place = (rows // stride_px) * side + columns // stride_px
    places = np.arange(n)[:, None] * side**2 + place  # (n, t * t)
    valid = (flat := labels.reshape(n, -1)) != UNLABELLED
    index = places[valid] * n_classes + flat[valid]
    counts = np.bincount(index, minlength=n * side**2 * n_classes).reshape(n, side**2, n_classes).astype(np.float32)
    total = counts.sum(-1, keepdims=True)
    return torch.from_numpy(np.where(total > 0, counts / np.maximum(total, 1), np.float32(1 / n_classes)))


def weights_of(control: PathControl, shares: Tensor) -> Tensor:
    """Return the weights that a control puts in place of the attention's own.

    Args:
        control: One of WEIGHT_CONTROLS.
        shares: (n, N, K), from `class_shares`.

    Returns:
        (n, N, K).
    """
    if control is PathControl.UNIFORM:
        return torch.full_like(shares, 1 / shares.shape[-1])
    if control is PathControl.REMOVED:
        return torch.zeros_like(shares)
    return shares.roll(1, -1) if control is PathControl.ROLLED else shares


class ShiftedLogits:
    """What is predicted when something is added to the logits of one class.

    Args:
        logits: Of an image, K > 1.
        class_id: The class.
    """

    def __init__(self, logits: KeptLogits, class_id: int) -> None:
        self._logits, self._class_id = logits, class_id
        self._compared = [self._compare(band) for band in logits] if logits.in_memory else None

    def predict(self, dose: float) -> np.ndarray:
        """Return the mask after adding a dose, (H, W) uint8; of equal logits the first, as `most_likely`."""
        return np.concatenate([self._predict_band(band, np.float32(dose)) for band in self._bands()])

    def predict_pixels(self, n_pixels: int) -> np.ndarray:
        """Return the mask after adding what makes `n_pixels` be predicted as the class, (H, W) uint8.

        Pixels that are equally near to it join it together.
        """
        if n_pixels == 0:
            return np.concatenate([band.rival_id for band in self._bands()])
        if self._compared is None:
            enough = nth_smallest(lambda: (band.missing for band in self._bands()), n_pixels)
        else:
            missing = np.concatenate([band.missing.ravel() for band in self._compared])
            enough = np.partition(missing, n_pixels - 1)[n_pixels - 1]
        return np.concatenate(
            [np.where(band.missing <= enough, np.uint8(self._class_id), band.rival_id) for band in self._bands()]
        )

    def _bands(self) -> Iterator["_Compared"]:
        yield from self._compared if self._compared is not None else map(self._compare, self._logits)

    def _compare(self, logits: np.ndarray) -> "_Compared":
        others = np.delete(logits, self._class_id, axis=0)
        rival_id = most_likely(others)
        rival_id += rival_id >= self._class_id
        return _Compared(logits[self._class_id], others.max(0), rival_id)

    def _predict_band(self, band: "_Compared", dose: np.float32) -> np.ndarray:
        own = band.own + dose
        wins = (own > band.rival) | ((band.rival_id > self._class_id) & (own == band.rival))
        return np.where(wins, np.uint8(self._class_id), band.rival_id)


@dataclass(frozen=True)
class _Compared:
    """A class beside its rivals, in a band of h rows.

    Attributes:
        own: (h, W) float32, logits of the class.
        rival: (h, W) float32, the largest logit of another class.
        rival_id: (h, W) uint8, which class that is.
    """

    own: np.ndarray
    rival: np.ndarray
    rival_id: np.ndarray

    @property
    def missing(self) -> np.ndarray:
        """What the class's logit lacks to be the largest, (h, W) float32."""
        return self.rival - self.own


@torch.no_grad()
def dosed_bias(bias: AttentionBias | None, class_id: int, dose: float, *, n_classes: int) -> FixedBias:
    """Return a trained bias, or none, with a dose added to one class.

    Args:
        bias: As trained, or None.
        class_id: Whose bias; of a layout with extra tokens, the token that drives the class.
        dose: What is added.
        n_classes: K.
    """
    values = torch.zeros(1, 1, n_classes) if bias is None else bias().detach().clone()
    extra = 0 if bias is None else bias.extra_tokens
    values[..., extra + class_id] += dose
    return FixedBias(values, bias)
