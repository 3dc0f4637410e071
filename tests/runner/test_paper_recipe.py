"""The recipe of the DFA paper: what its study files say, what they ask for, and a miniature of each, end to end."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from imbalance_bench.cli.main import main
from imbalance_bench.config import StudyConfig, load_study
from imbalance_bench.errors import UserError
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.inference.trained_model import TrainedModel
from imbalance_bench.models.segmenter import build_segmenter
from imbalance_bench.planning import prepare_study
from imbalance_bench.records import StudyRecords
from imbalance_bench.training.optimisation import schedule
from methods.dfa import DfaConfig
from methods.weighted_sum import CompoundConfig
from tests.paper_miniature import EXAMPLES, MINIATURES, prepared, small_settings, write_source

every_data_set = pytest.mark.parametrize("name", MINIATURES)


def recipe(name: str, *overrides: str) -> StudyConfig:
    return load_study(EXAMPLES / f"paper_{name}.yaml", overrides)


def dfa_of(config: StudyConfig, label: str) -> DfaConfig:
    part = next(method for method in config.methods if method.label == label).parts["dfa"]
    assert isinstance(part, DfaConfig)
    return part


@pytest.mark.parametrize(
    ("name", "decays", "focal", "dice", "iou", "bias"),
    [  # steps after which the rate falls; DFA.md and the configurations at aba5b00
        ("bcss", (1800, 2088), 0.25, 0.75, 0.0625, (0.5, 20.0, 0.0, "learned")),
        ("crag", (), 0.125, 0.875, 0.0, (0.1, 100.0, 1e-4, "anchored")),
        ("bdsa", (1800, 2088), 0.25, 0.75, 0.0625, (0.1, 20.0, 0.0, "anchored")),
    ],
)
def test_the_numbers_are_those_of_the_official_configuration(
    name: str, decays: tuple[int, ...], focal: float, dice: float, iou: float, bias: tuple[float, float, float, str]
) -> None:
    config = recipe(name)
    assert config.model.iou_head_weight == iou
    jitter = config.training.augmentation
    assert (jitter.colour_strength, jitter.hue_strength, jitter.resized_crop) == (0.1, 0.1, (0.08, 1))
    factors = [schedule(config.training)(step) for step in range(config.training.steps)]
    after_warmup = range(config.training.warmup_steps, config.training.steps)
    assert tuple(step for step in after_warmup if factors[step] < 0.5 * factors[step - 1]) == decays
    for method in config.methods:
        loss = method.parts["compound"]
        assert isinstance(loss, CompoundConfig)
        assert (loss.sigmoid_focal, loss.dice, loss.ce, loss.gamma) == (focal, dice, 0, 2)
    for label in ("dfa", "dfa_official"):
        dfa = dfa_of(config, label)
        assert (dfa.alpha, dfa.lr_multiplier, dfa.l2, dfa.mode) == bias
        assert dfa.grad_clip == 0.5


@pytest.mark.parametrize(
    ("name", "frequencies"),
    [
        ("bcss", {"inflammatory": 0.078, "tumor": 0.398, "stroma": 0.347, "other": 0.097, "necrosis": 0.080}),
        ("crag", {"background": 0.46, "gland": 0.39}),
        (
            "bdsa",
            {"grey_matter": 0.334, "white_matter": 0.106, "leptomeninges": 0.064, "superficial": 0.03}
            | {"background": 0.466},
        ),
    ],
)
def test_the_official_priors_are_those_of_the_stated_frequencies(name: str, frequencies: dict[str, float]) -> None:
    values = dfa_of(recipe(name), "dfa_official").values
    assert values == pytest.approx({each: 2 * np.log(1 - f) for each, f in frequencies.items()}, abs=6e-6)


@every_data_set
def test_a_dry_run_without_data_and_weights_lists_what_to_put_where(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["run", str(EXAMPLES / f"paper_{name}.yaml"), "--dry-run"])
    assert result.exit_code == 2
    listed = [line for line in result.output.splitlines() if line.startswith("missing: ")]
    assert [line.split(": ")[1] for line in listed] == [
        f"data/{name}_official/",
        "weights/sam_vit_b_01ec64.pth",
        "weights/vit256_small_dino.pth",
    ]
    assert f"data prepare sampath SOURCE data/{name}_official --config examples/paper/{name}_classes.yaml" in listed[0]
    assert "github.com/facebookresearch/segment-anything" in listed[1]
    assert f"Error: Study paper_{name} needs 3 files or folders" in result.output
    assert not list(tmp_path.iterdir())


@every_data_set
def test_a_miniature_runs_end_to_end(name: str, tmp_path: Path) -> None:
    data = prepared(name, write_source(name, tmp_path / "source"), tmp_path / "data")
    config = recipe(name, *small_settings(name, data))
    execute_study(config, tmp_path / "study", Execution(cache=tmp_path / "cache", engine="serial"))
    runs = {run.manifest()["method"]["label"]: run for run in StudyRecords.open(tmp_path / "study").finished()}
    assert runs.keys() == {"no_bias", "dfa", "dfa_official"}
    assert len({run.manifest()["pairing"]["batches"] for run in runs.values()}) == 1
    assert len({run.manifest()["pairing"]["initial_weights"] for run in runs.values()}) == 1
    size, k = MINIATURES[name].size_px, MINIATURES[name].classes
    for run in runs.values():
        assert ("iou" in set(run.epochs()["quantity"])) == (name != "crag")
        logits = TrainedModel.open(run.path).logits(np.zeros((1, size, size, 3), np.uint8))
        assert logits.shape == (1, k, size, size)
        assert run.path_controls() is not None
    held = runs["dfa_official"].class_parameters().query("step == 2").pivot(
        index="class_id", columns="parameter", values="value"
    )  # fmt: skip
    bias, driving = held["attention_bias"].to_numpy(), held["attention_bias_driving"].to_numpy()
    assert driving.tolist() == [*bias[1:].tolist(), 0.0]  # class c is driven by the bias of class c + 1


@every_data_set
def test_official_and_group_aware_splits_lie_side_by_side(name: str, tmp_path: Path) -> None:
    mini, source = MINIATURES[name], write_source(name, tmp_path / "source")
    studies = {}
    for kind in ("official", "by_group"):
        data = prepared(name, source, tmp_path / kind, by_group=kind == "by_group")
        drawn = ["splits.kind=grouped"] if kind == "by_group" and (mini.tests_leak or mini.group_regex is None) else []
        config = recipe(name, *small_settings(name, data), *drawn)
        studies[kind] = prepare_study(config, tmp_path / "study", lambda *_: None, write=False)
    official = studies["official"].splits.folds[0]
    assert [len(part) for part in (official.train, official.val, official.test)] == [4, 2, 2]
    if mini.group_regex is None:
        return  # the slides of CRAG are not published
    grouped = studies["by_group"]
    groups = [
        {grouped.dataset.entry(image).group_id for image in part}
        for part in (grouped.splits.folds[0].train, grouped.splits.folds[0].val, grouped.splits.folds[0].test)
    ]
    assert not groups[0] & groups[1]
    assert not (groups[0] | groups[1]) & groups[2]
    if not mini.tests_leak:
        assert grouped.splits.folds[0].test == official.test


def test_tokens_reach_the_neck_as_the_encoders_give_them() -> None:
    config = recipe("bcss", *small_settings("bcss", Path("none")))
    segmenter = build_segmenter(config.model, n_classes=5, seed=0)
    assert not list(segmenter.neck.parameters())
    assert segmenter.head.neck[0].weight.shape == (32, 64 + 96, 1, 1)  # pyright: ignore[reportIndexIssue, reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["model.decoder=unet", "model.iou_head_weight=0"], "`model.encoder_features: tokens` makes no pyramid"),
        (
            ["model.decoder=bottleneck", "model.encoder_features=last"],
            "`model.iou_head_weight` is for `model.decoder: s",
        ),
        (["training.augmentation.hue_strength=0.6"], "`training.augmentation.hue_strength`"),
        (["model.encoder_features=last", "model.token_stride_px=24"], "`model.token_stride_px: 24` needs"),
        (["training.augmentation.cached_views=2"], "`training.augmentation.resized_crop` needs images"),
        (["training.augmentation.resized_crop=[0.5, 0.1]"], "must grow from one to the next"),
    ],
)
def test_what_does_not_go_together_is_refused(overrides: list[str], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        recipe("bcss", *overrides)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["model.token_stride_px=8"], "needs `model.token_stride_px` 16, the image pixels per token of tu-test_vit"),
        (["model.encoder=[tu-test_vit, resnet18]"], "is for plain transformers. Got resnet18"),
    ],
)
def test_tokens_of_another_stride_are_refused(overrides: list[str], sentence: str) -> None:
    config = recipe("bcss", *small_settings("bcss", Path("none")), *overrides)
    with pytest.raises(UserError) as caught:
        build_segmenter(config.model, n_classes=5, seed=0)
    assert sentence in str(caught.value)
