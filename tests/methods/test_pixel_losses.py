"""What the pixel-difficulty losses do beyond the contract."""

import pytest
import torch

from methods import REGISTRY
from methods.step_counts import StepCounts
from tests.methods import method_cases as cases


def pixel_gradient(name: str, batch: cases.Batch, **options: float) -> torch.Tensor:
    """Norm of the pixel term's gradient at each pixel, (B, H, W)."""
    loss = cases.loss_of(cases.build(REGISTRY[name](**options)))
    logits = batch.logits.clone().requires_grad_()
    term = loss.pixel_term(logits.log_softmax(1), batch.target, batch.valid)  # pyright: ignore[reportCallIssue]
    (gradient,) = torch.autograd.grad(term, logits)
    return gradient.norm(dim=1)


def right_probability(batch: cases.Batch) -> torch.Tensor:
    return batch.logits.softmax(1).gather(1, batch.target.unsqueeze(1)).squeeze(1)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_topk_trains_on_the_hardest_share_of_the_valid_pixels(share):
    batch = cases.random_batch()
    trained = pixel_gradient("topk", batch, share=share) > 0
    n = int(batch.valid.sum())
    assert int(trained.sum()) == -int(-share * n // 1)
    hardest = right_probability(batch)[batch.valid].sort().values[: int(trained.sum())]
    assert torch.equal(right_probability(batch)[trained].sort().values, hardest)


def test_ohem_trains_on_pixels_below_the_threshold():
    batch = cases.random_batch()
    trained = pixel_gradient("ohem", batch, threshold=0.4, min_kept=0.0) > 0
    assert torch.equal(trained, batch.valid & (right_probability(batch) < 0.4))


def test_harmonising_gives_each_part_of_the_gradient_range_the_same_weight():
    batch = cases.random_batch(size_px=8)
    share = pixel_gradient("ghm_c", batch, bins=4) / pixel_gradient("focal", batch, gamma=0.0)
    part = ((1 - right_probability(batch)) * 4).long()
    weights = torch.stack([share[batch.valid & (part == b)].sum() for b in range(4)])
    torch.testing.assert_close(weights, weights.mean().expand(4))


def test_poly1_adds_to_the_gradient_of_every_pixel():
    batch = cases.random_batch()
    steeper, plain = (pixel_gradient("poly1", batch, epsilon=epsilon)[batch.valid] for epsilon in (2.0, 0.0))
    torch.testing.assert_close(steeper, plain * (1 + 2 * right_probability(batch)[batch.valid]))


def test_counts_are_handed_over_once_when_the_step_changes():
    pending = StepCounts(2)
    assert pending.hand_over(0)[0].item() is False
    pending.add(torch.tensor([1, 2]))
    pending.add(torch.tensor([1, 0]))
    assert pending.hand_over(0)[0].item() is False
    ended, counted = pending.hand_over(1)
    assert ended.item() is True
    assert counted.tolist() == [2, 2]
    ended, counted = pending.hand_over(5)
    assert ended.item() is True
    assert counted.tolist() == [0, 0]
