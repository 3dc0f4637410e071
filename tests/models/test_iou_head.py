"""The head that estimates IoU: what it aims at, what its gradient reaches, and what it leaves as it is."""

from typing import Any

import pytest
import torch
from torch import Tensor

from imbalance_bench.config import ModelSection
from imbalance_bench.models.iou_head import iou_of_sure_pixels
from imbalance_bench.models.segmenter import Segmenter, build_segmenter
from methods.base import AttentionBias

K = 3
IMAGES = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0))
TARGET = torch.randint(0, K, (2, 64, 64), generator=torch.Generator().manual_seed(1))
VALID = torch.ones_like(TARGET, dtype=torch.bool)


class Bias(AttentionBias):
    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self.values = torch.tensor(values)

    def forward(self) -> Tensor:
        return self.values.view(1, 1, -1)


def model(weight: float = 0.5, extra_tokens: int = 0) -> Segmenter:
    section = {"encoder": "tu-test_resnet", "decoder": "sam", "channels": 16, "heads": 2, "mlp_channels": 16}
    section = ModelSection.model_validate(section | {"embedding_channels": 4, "iou_head_weight": weight})
    return build_segmenter(section, n_classes=K, seed=0, extra_tokens=extra_tokens)


def two_way_of(segmenter: Segmenter) -> Any:
    assert segmenter.class_query is not None
    return segmenter.class_query.two_way


def test_the_iou_is_of_valid_pixels_with_at_least_half_the_probability() -> None:
    big = 9.0
    logits = torch.zeros(1, 3, 1, 6)
    logits[0, :, 0] = torch.tensor([[big, 0, 0], [big, 0, 0], [0, big, 0], [0.1, 0, 0], [big, 0, 0], [0, big, 0]]).T
    target = torch.tensor([[[0, 1, 1, 0, 0, 1]]])
    valid = torch.tensor([[[True, True, True, True, False, True]]])
    # class 0: sure of pixels 0 and 1, true at 0 and 3; class 1: sure of 2 and 5, true at 1, 2 and 5; class 2: neither
    torch.testing.assert_close(iou_of_sure_pixels(logits, target, valid), torch.tensor([[1 / 3, 2 / 3, 0.0]]))


@pytest.mark.parametrize("extra_tokens", [0, 3])
def test_its_loss_is_that_of_one_training_batch_and_reaches_the_blocks(extra_tokens: int) -> None:
    segmenter = model(extra_tokens=extra_tokens)
    segmenter.train()
    logits = segmenter(IMAGES.float())
    added = segmenter.auxiliary_loss(logits, TARGET, VALID)
    added["iou"].backward()
    reached = {name for name, value in segmenter.head.named_parameters() if value.grad is not None and value.grad.any()}
    assert {"iou.layers.0.weight", "two_way.blocks.0.mlp.0.weight", "two_way.class_tokens"} <= reached
    assert ("two_way.extra" if extra_tokens else "two_way.hidden") in reached
    assert not any(name.startswith(("upscale.", "hypernetworks.")) for name in reached)  # no mask depends on it
    assert segmenter.auxiliary_loss(logits, TARGET, VALID) == {}  # used up
    segmenter.eval()
    segmenter(IMAGES.float())
    assert segmenter.auxiliary_loss(logits, TARGET, VALID) == {}


def test_its_weight_scales_its_loss() -> None:
    losses = []
    for weight in (0.5, 2.0):
        segmenter = model(weight)
        segmenter.train()
        added = segmenter.auxiliary_loss(segmenter(IMAGES.float()), TARGET, VALID)
        losses.append(float(added["iou"].detach()))
    assert losses[1] == pytest.approx(4 * losses[0])


def test_all_else_starts_equal_and_methods_share_it() -> None:
    without, own, official = model(0.0), model(), model(extra_tokens=3)
    assert without.auxiliary_loss(torch.zeros(1), TARGET, VALID) == {}
    start = without.state_dict()
    assert all(torch.equal(own.state_dict()[name], value) for name, value in start.items())
    assert {name for name in own.state_dict() if name not in start} == {
        "head.two_way.hidden",
        *(f"head.iou.layers.{number}.{kind}" for number in range(3) for kind in ("weight", "bias")),
    }
    shared, others = dict(own.shared_parameters()), dict(official.shared_parameters())
    assert two_way_of(official).hidden is None  # the first of its extra tokens is the IoU token
    assert shared.keys() == others.keys()
    assert all(torch.equal(value, others[name]) for name, value in shared.items())


@torch.inference_mode()
def test_image_tokens_attend_to_the_classes_alone() -> None:
    """With a token more in the softmax a constant added to all biases would change the logits."""
    segmenter = model().eval()
    two_way, found = two_way_of(segmenter), []
    for constant in (0.0, 5.0):
        two_way.attention_bias = Bias([constant + value for value in (-2.0, 0.0, 2.0)])
        found.append(segmenter(IMAGES.float()))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-4)
    two_way.attention_bias = Bias([2.0, 0.0, -2.0])
    assert (segmenter(IMAGES.float()) - found[0]).abs().max() > 1e-3


@torch.inference_mode()
def test_a_bias_over_pixels_still_does_nothing() -> None:
    segmenter = model().eval()
    plain = segmenter(IMAGES.float())
    two_way = two_way_of(segmenter)
    two_way.attention_bias = Bias([3.0, 0.0, -3.0])
    two_way.attention_bias.direction = "token_to_image"
    torch.testing.assert_close(segmenter(IMAGES.float()), plain, rtol=0, atol=1e-4)
