"""Is the image->token attention read at all? Controls on a trained model that change it, or the logits, at inference.

A class bias can act only through the weights with which image places attend to class tokens.
`table_schemas.PathControl` names what is put in their place, in every layer and head; nothing else in the model moves.

- Ceilings: where `uniform` weights change nothing, no bias can; `oracle` and `rolled` weights are right and wrong.
- Doses: the bias of one class, or as much on its output logit, which shows that the apparatus measures anything; and
  the shift of the output logit that predicts the class equally often in the image, which is all that a bias would do if
  it were logit adjustment.
"""

import numpy as np
import torch
from torch import Tensor

from imbalance_bench.data.taxonomy import UNLABELLED
from imbalance_bench.evaluation.interventions import FixedBias
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
        logits: (K, H, W) float32, K > 1.
        class_id: The class.
    """

    def __init__(self, logits: np.ndarray, class_id: int) -> None:
        others = np.delete(logits, class_id, axis=0)
        self._class_id, self._own, self._rival = class_id, logits[class_id], others.max(0)
        self._rival_id = most_likely(others)
        self._rival_id += self._rival_id >= class_id

    def predict(self, dose: float) -> np.ndarray:
        """Return the mask after adding a dose, (H, W) uint8; of equal logits the first, as `most_likely`."""
        own = self._own + np.float32(dose)
        wins = (own > self._rival) | ((self._rival_id > self._class_id) & (own == self._rival))
        return np.where(wins, np.uint8(self._class_id), self._rival_id)

    def predict_pixels(self, n_pixels: int) -> np.ndarray:
        """Return the mask after adding what makes `n_pixels` be predicted as the class, (H, W) uint8.

        Pixels that are equally near to it join it together.
        """
        if n_pixels == 0:
            return self._rival_id
        missing = self._rival - self._own
        enough = np.partition(missing, n_pixels - 1, axis=None)[n_pixels - 1]
        return np.where(missing <= enough, np.uint8(self._class_id), self._rival_id)


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
