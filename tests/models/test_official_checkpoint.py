"""A checkpoint of the official code in our model: the same logits, and a run record of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from imbalance_bench.cli.main import main
from imbalance_bench.config import ModelSection
from imbalance_bench.errors import UserError
from imbalance_bench.inference.trained_model import TrainedModel
from imbalance_bench.models.official_checkpoint import load_official, read_official
from imbalance_bench.models.segmenter import Segmenter, build_segmenter
from imbalance_bench.records import StudyRecords
from methods.base import BuildContext, ClassStatistics
from methods.dfa import DfaConfig
from tests.models.golden.head_formula import CHANNELS, CLASSES, DIM, GRID, HEADS, MLP, SHOWN, checkpoint, features
from tests.paper_miniature import EXAMPLES, prepared, small_settings, write_source

GOLDEN = json.loads((Path(__file__).parent / "golden" / "official_head.json").read_text())
OFFICIAL_N = {"fusion_neck.0.weight": 64 + 96}  # channels of the tiny encoders


def official(**changes: list[int]) -> dict[str, Tensor]:
    return checkpoint(GOLDEN["shapes"] | changes)


def segmenter_for(n_classes: int = CLASSES, channels: int = DIM) -> Segmenter:
    section = ModelSection.model_validate(
        {
            "encoder": ["tu-test_vit", "tu-test_vit3"],
            "encoder_weights": "none",
            "encoder_features": "tokens",
            "decoder": "sam",
            "channels": channels,
            "heads": HEADS,
            "mlp_channels": MLP,
            "embedding_channels": channels // 8,
        }
    )
    pixels = torch.arange(1.0, n_classes + 1).double()
    names = tuple(f"class_{k}" for k in range(n_classes))
    statistics = ClassStatistics(names, pixels, pixels, pixels, pixels, 10)
    context = BuildContext(statistics=statistics, seed=0, attention_layers=2, attention_heads=HEADS, stage=0, steps=10)
    components = DfaConfig(token_layout="official_ignored").build(context)
    segmenter = build_segmenter(section, n_classes=n_classes, seed=0, extra_tokens=3).eval()
    segmenter.install(components)
    return segmenter


def found_of(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix("model."): value for name, value in state.items()}


@torch.no_grad()
def test_the_logits_are_those_of_the_official_code() -> None:
    segmenter = segmenter_for()
    widened = torch.zeros(DIM, 64 + 96, 1, 1)  # the golden maps have fewer channels than the encoders here
    state = official()
    widened[:, : sum(CHANNELS)] = state["model.fusion_neck.0.weight"]
    load_official(segmenter, found_of(state | {"model.fusion_neck.0.weight": widened}), "test")
    segmenter.head.double()  # the logits reach 13: single precision alone differs by more than 1e-5
    maps = torch.zeros(1, 64 + 96, GRID, GRID).double()
    maps[:, : sum(CHANNELS)] = features()
    logits = segmenter.head([maps])[0]
    wanted = torch.tensor(GOLDEN["logits"], dtype=torch.float64).view(CLASSES + 1, logits.shape[-2] // SHOWN, -1)[1:]
    torch.testing.assert_close(logits[:, ::SHOWN, ::SHOWN], wanted, rtol=0, atol=1e-5)
    assert GOLDEN["largest_bias_effect"] > 1e-3  # or the comparison would not see the bias
    attention_bias: Any = segmenter.head.two_way.attention_bias  # pyright: ignore[reportAttributeAccessIssue]
    recorded = state["model.model.mask_decoder.bias_param"][1:].tolist()
    assert attention_bias.class_bias().flatten().tolist() == pytest.approx(recorded)


@pytest.mark.parametrize(
    ("drop", "add", "sentence"),
    [
        ("model.model.mask_decoder.iou_token.weight", None, "must hold `model.model.mask_decoder.iou_token.weight`"),
        (None, "model.model.mask_decoder.transformer.layers.2.norm1.weight", "tensors that the study's model lacks"),
        (None, "model.dense_prompt_decoder.layers.0.norm1.weight", "tensors that the study's model lacks"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused(drop: str | None, add: str | None, sentence: str) -> None:
    state = official(**{"fusion_neck.0.weight": [DIM, 64 + 96, 1, 1]})
    if drop:
        del state[drop]
    if add:
        state[add] = torch.zeros(DIM)
    with pytest.raises(UserError) as caught:
        load_official(segmenter_for(), found_of(state), "some.ckpt")
    assert sentence in str(caught.value)


def test_sizes_that_differ_are_named() -> None:
    with pytest.raises(UserError, match=r"head\.neck\.0\.weight must have the shape \(16, 160, 1, 1\)"):
        load_official(segmenter_for(), found_of(official()), "some.ckpt")


def test_other_frozen_encoders_are_refused() -> None:
    segmenter = segmenter_for()
    state = official(**{"fusion_neck.0.weight": [DIM, 64 + 96, 1, 1]})
    own = segmenter.encoders[0].module.state_dict()["model.patch_embed.proj.weight"]
    key = "model.model.image_encoder.patch_embed.proj.weight"
    load_official(segmenter, found_of(state | {key: own}), "some.ckpt")
    with pytest.raises(UserError, match="was trained on other weights of tu-test_vit"):
        load_official(segmenter, found_of(state | {key: own + 0.01}), "some.ckpt")


def test_other_files_are_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"model.weight": torch.zeros(2)}}, tmp_path / "other.ckpt")
    with pytest.raises(UserError, match="official late-fusion model"):
        read_official(tmp_path / "other.ckpt")
    torch.save({"state_dict": {}, "hyper_parameters": {"cfg": Path("x")}}, tmp_path / "pickled.ckpt")
    with pytest.raises(UserError, match="Save its state_dict alone"):
        read_official(tmp_path / "pickled.ckpt")


def test_import_official_makes_a_run_record(tmp_path: Path) -> None:
    """A miniature of the BCSS study: 5 classes, 32 channels."""
    data = prepared("bcss", write_source("bcss", tmp_path / "source"), tmp_path / "data")
    overrides = small_settings("bcss", data)
    wide = {DIM: 32, MLP: 32, DIM // 2: 16, DIM // 4: 8, DIM // 8: 4}
    shapes = {}
    for name, shape in GOLDEN["shapes"].items():
        inner = re_sized(name, shape, wide)
        for copy in mask_copies(name):
            shapes[copy] = inner
    overrides.append("model.embedding_channels=4")
    torch.save({"state_dict": checkpoint(shapes), "epoch": 34, "global_step": 2520}, tmp_path / "last.ckpt")
    arguments = [str(tmp_path / "last.ckpt"), "--config", str(EXAMPLES / "paper_bcss.yaml")]
    arguments += ["--out", str(tmp_path / "study"), "--cache", str(tmp_path / "cache")]
    arguments += [part for override in overrides for part in ("--set", override)]
    order = ["stroma", "necrosis", "tumor", "inflammatory", "other"]  # not that of the data set
    for few in (order[:4], [*order[:4], "lymphocytes"]):
        refused = CliRunner().invoke(main, ["import-official", *arguments, "--class-order", ",".join(few)])
        assert refused.exit_code == 2
        assert "`class_order` must name" in refused.output
    arguments += ["--class-order", ", ".join(order)]
    result = CliRunner().invoke(main, ["import-official", *arguments])
    assert result.exit_code == 0, result.output
    assert [each["name"] for each in StudyRecords.open(tmp_path / "study").dataset()["classes"]] == order
    run_dir = Path("".join(result.output.split("run: ")[1].split("next: ")[0].split()))
    manifest = json.loads((run_dir / "manifest.json").read_text())
    assert manifest["method"]["label"] == "dfa_official"
    assert manifest["trained_elsewhere"]["file"] == "last.ckpt"
    model = TrainedModel.open(run_dir)
    assert np.isfinite(model.logits(np.zeros((1, 64, 64, 3), np.uint8))).all()
    bias = model.segmenter.class_query.two_way.attention_bias  # pyright: ignore[reportOptionalMemberAccess]
    stored = checkpoint(shapes)["model.model.mask_decoder.bias_param"]
    assert bias().flatten().tolist() == pytest.approx([0.0, *stored.tolist(), 0.0])  # pyright: ignore[reportOptionalCall]
    controls = model.record.path_controls()
    assert controls is not None
    assert {"uniform", "bias_dose"} & {str(each) for each in controls["control"]}
    head = model.segmenter.class_query.iou  # pyright: ignore[reportOptionalMemberAccess]
    last = checkpoint(shapes)["model.model.mask_decoder.iou_prediction_head.layers.2.weight"]
    assert head is not None
    assert torch.equal(head.state_dict()["layers.2.weight"], last[2:])  # not of the dropped and the ignored token
    again = CliRunner().invoke(main, ["import-official", *arguments])
    assert again.exit_code == 2
    assert "already" in again.output


def mask_copies(name: str) -> list[str]:
    """Names of a tensor in a model of five classes, where the golden one has three."""
    if ".output_hypernetworks_mlps.4." in name:
        return [name.replace("mlps.4.", f"mlps.{number}.") for number in (4, 5, 6)]
    return [name]


def re_sized(name: str, shape: list[int], wide: dict[int, int]) -> list[int]:
    """Shape of a tensor in a model of 32 channels and five classes."""
    if name == "fusion_neck.0.weight":
        return [32, 64 + 96, 1, 1]
    if name.endswith(("bias_param", "log_prior", "focal_bias")):
        return [6]
    if name.endswith("mask_tokens.weight"):
        return [7, 32]
    if ".mask_downscaling." in name:
        return shape
    if ".iou_prediction_head." in name:
        return [7 if edge == CLASSES + 2 else 32 for edge in shape]  # one output for each mask token
    if name.endswith("gaussian_matrix"):
        return [2, 16]
    return [wide.get(edge, edge) if place < 2 and edge > 1 else edge for place, edge in enumerate(shape)]
