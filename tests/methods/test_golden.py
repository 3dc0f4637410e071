"""Golden values: every method against an oracle that shares no code with it (see golden/generate.py)."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from methods import REGISTRY
from methods.base import BuildContext, ClassFeedback, ClassStatistics
from methods.cross_entropy import CrossEntropyDice

GOLDEN = json.loads((Path(__file__).parent / "golden" / "golden.json").read_text(encoding="utf-8"))
CASES = GOLDEN["cases"]


def label(case: dict) -> str:
    options = [f"{key}={value}" for key, value in case["options"].items()]
    return "-".join([case["method"], *options, case["oracle"].split(";")[0]])


def statistics_of(case: dict) -> ClassStatistics:
    given = case.get("statistics", GOLDEN["statistics"])
    pixels = torch.tensor(given["pixels"], dtype=torch.float64)
    columns = {
        name: torch.tensor(given[name], dtype=torch.float64) if name in given else pixels
        for name in ("images", "components", "pixels_of_images_with_class")
    }
    return ClassStatistics(names=tuple(given["names"]), pixels=pixels, n_images=given.get("n_images", 1), **columns)


@pytest.mark.parametrize("case", CASES, ids=map(label, CASES))
def test_golden_values(case):
    counts = {name: torch.tensor(value) for name, value in case.get("feedback", GOLDEN["feedback"]).items()}
    feedback = ClassFeedback(step=1, epoch=0, **counts)
    config = REGISTRY[case["method"]](**case["options"])
    stage = len(config.stages()) - 1
    components = config.build(
        BuildContext(
            statistics_of(case),
            attention_layers=2,
            attention_heads=4,
            stage=stage,
            finished=(feedback,) * stage,
            steps=10,
        )
    )
    if components.on_epoch_end is not None:
        components.on_epoch_end(feedback)
    batch = GOLDEN[case["tensors"]] if "tensors" in case else GOLDEN
    logits = torch.tensor(batch["logits"])
    loss = components.loss or CrossEntropyDice()
    given = {name: torch.tensor(value) for name, value in case.get("parameters", {}).items()}
    assert not loss.load_state_dict(given, strict=False).unexpected_keys
    scales = case.get("scales", [1.0] * case.get("steps", 1))  # of the logits at each step
    outputs = [
        loss(scale * logits, torch.tensor(batch["target"]), torch.tensor(batch["valid"]), step)
        for step, scale in enumerate(scales)
    ]
    output = outputs[-1]
    assert output.parts.keys() == case["parts"].keys()
    for name, value in case["parts"].items():
        assert output.parts[name].item() == pytest.approx(value, rel=2e-6), name
    assert output.total.item() == pytest.approx(case["total"], rel=2e-6)
    if "adjusted" in case:
        assert components.adjust_logits is not None
        assert components.adjust_logits(logits)[0, :, 0, 0].tolist() == pytest.approx(case["adjusted"], rel=2e-6)
    if "decided" in case:
        assert components.adjust_logits is not None
        adjusted = components.adjust_logits(logits)
        assert adjusted.argmax(1).tolist() == case["decided"]
        assert torch.equal(adjusted.sort(1).values, logits.sort(1).values), "the values of a pixel only change places"
    if "adjusted_classifier" in case:
        assert components.adjust_classifier is not None
        adjusted = components.adjust_classifier(torch.tensor(case["classifier"]))
        torch.testing.assert_close(adjusted, torch.tensor(case["adjusted_classifier"]))
    if "tile_pixels" in case:
        assert components.sampler is not None
        components.sampler(np.array(case["tile_pixels"]), np.random.default_rng(0))
    held = components.class_parameters()
    for name, value in case["class_parameters"].items():
        assert held[name].tolist() == pytest.approx(value, rel=2e-6, abs=1e-7), name


@pytest.mark.parametrize("method", REGISTRY)
def test_every_method_has_golden_values_for_its_defaults(method):
    assert any(case["method"] == method and case["options"] == {} for case in CASES)
