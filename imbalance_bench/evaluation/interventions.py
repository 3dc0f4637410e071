"""What happens to a prediction when the attention bias alone is changed: nothing else in the model moves.

- `learned`: as trained;
- `zeroed`: no bias at all;
- `permuted_<i>`: each class gets the bias of another one, by the same permutations in every run;
- `shifted_<class_id>`: the class's bias raised by SHIFT, the others as trained.
"""

import torch
from torch import Tensor

from imbalance_bench.seeding import generator
from methods.base import AttentionBias

LEARNED, ZEROED, PERMUTED, SHIFTED = "learned", "zeroed", "permuted", "shifted"
SHIFT = 1.0  # the odds of attending to the class are multiplied by e


class FixedBias(AttentionBias):
    """A bias that is what it is.

    Args:
        values: (layers or 1, heads or 1, extra_tokens + K).
        like: Gives the direction and the number of extra tokens; None: image->token, no extra tokens.
    """

    values: Tensor

    def __init__(self, values: Tensor, like: AttentionBias | None) -> None:
        super().__init__()
        if like is not None:
            self.direction, self.extra_tokens = like.direction, like.extra_tokens
        self.register_buffer("values", values)

    def forward(self) -> Tensor:
        """Return the bias, (layers or 1, heads or 1, extra_tokens + K)."""
        return self.values


@torch.no_grad()
def changed_biases(bias: AttentionBias, n_permutations: int) -> dict[str, FixedBias]:
    """Return the interventions on a trained bias, without `learned`.

    Args:
        bias: As trained. The bias of class c is what acts on the token that drives class c.
        n_permutations: Permutations wanted; fewer where so few classes have no more.
    """
    values, extra = bias(), bias.extra_tokens
    n_classes = values.shape[-1] - extra
    changed = {ZEROED: torch.zeros_like(values)}
    for number, order in enumerate(permutations(n_classes, n_permutations)):
        places = list(range(extra)) + [extra + source for source in order]
        changed[f"{PERMUTED}_{number}"] = values[..., places]
    for class_id in range(n_classes):
        shifted = values.clone()
        shifted[..., extra + class_id] += SHIFT
        changed[f"{SHIFTED}_{class_id}"] = shifted
    return {name: FixedBias(values.detach().clone(), bias) for name, values in changed.items()}


def permutations(n_classes: int, wanted: int) -> list[tuple[int, ...]]:
    """Draw different permutations that leave no class in its place: class c gets what class result[c] had.

    They depend on nothing but the number of classes, so that all runs of a study share them.
    """
    rng = generator(0, "permuted attention bias", n_classes)
    chosen: list[tuple[int, ...]] = []
    while len(chosen) < min(wanted, _derangements(n_classes)):
        drawn = tuple(map(int, rng.permutation(n_classes)))
        if drawn not in chosen and all(source != place for place, source in enumerate(drawn)):
            chosen.append(drawn)
    return chosen


def _derangements(n: int) -> int:
    """Number of permutations of n things that leave none in its place."""
    before, now = 1, 0  # of 0 and of 1
    for size in range(2, n + 1):
        before, now = now, (size - 1) * (now + before)
    return now
