"""A head that estimates how well each class is segmented: an auxiliary loss whose gradient reaches the two-way blocks.

Source: Kirillov et al. 2023 (Segment Anything, the IoU prediction head), and `losses.py` of lakmali240/DFA-Imbalance at
aba5b00, which is SAM-Path's: mean squared error to the IoU of the pixels whose probability is at least one half.
Deviation: the softmax is over K classes, without one of ignored pixels, and these count for no class.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

SURE = 0.5  # smallest probability of a pixel that counts as predicted
_EPSILON = 1e-7  # of a class with neither a true nor a predicted pixel, whose IoU is 0


class IouHead(nn.Module):
    """Three-layer perceptron on the IoU token.

    Args:
        n_classes: K.
        channels: Of the token and of the hidden layers.
        weight: Of its loss.
    """

    def __init__(self, *, n_classes: int, channels: int, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.layers = nn.ModuleList(
            [nn.Linear(channels, channels), nn.Linear(channels, channels), nn.Linear(channels, n_classes)]
        )
        self._estimate: Tensor | None = None

    def forward(self, token: Tensor) -> Tensor:
        """Estimate the IoU of each class, (B, channels) -> (B, K)."""
        for layer in self.layers[:-1]:
            token = functional.relu(layer(token))
        return self.layers[-1](token)

    def observe(self, token: Tensor) -> None:
        """Keep the estimate for the loss of this training batch."""
        self._estimate = self(token)

    def loss(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor | None:
        """Weighted squared error of the kept estimate, which is used up; None if nothing was observed.

        Args:
            logits: (B, K, H, W).
            target: (B, H, W) int64 in 0..K-1.
            valid: (B, H, W) bool.
        """
        estimate, self._estimate = self._estimate, None
        if estimate is None:
            return None
        return self.weight * functional.mse_loss(estimate.float(), iou_of_sure_pixels(logits, target, valid))


@torch.no_grad()
def iou_of_sure_pixels(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """IoU of each image and class, (B, K) float32, of pixels whose probability is at least `SURE`."""
    predicted = (logits.float().softmax(1) >= SURE) & valid.unsqueeze(1)
    classes = torch.arange(logits.shape[1], device=logits.device).view(1, -1, 1, 1)
    truth = (target.unsqueeze(1) == classes) & valid.unsqueeze(1)
    both, either = ((mask.sum((2, 3))).float() for mask in (predicted & truth, predicted | truth))
    return both / (either + _EPSILON)
