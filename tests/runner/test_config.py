"""The study file: what it accepts, what it refuses, and in which words."""

from pathlib import Path

import pytest

from imbalance_bench.config import load_study, parse_study
from imbalance_bench.errors import UserError
from methods.dfa import DfaConfig
from methods.focal import FocalConfig
from tests.small_study import study_content, write_study

EXAMPLES = Path(__file__).parents[2] / "examples"


def refusal(tmp_path: Path, *overrides: str) -> str:
    study = write_study(tmp_path / "study.yaml", tmp_path)
    with pytest.raises(UserError) as caught:
        load_study(study, overrides)
    return str(caught.value)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("training.stepz=5", "unknown key `training.stepz`. Did you mean 'steps'?"),
        ("trainin.steps=5", "unknown key `trainin`. Did you mean 'training'?"),
        ("training.augmentation.stian_strength=1", "Did you mean 'stain_strength'?"),
        ("training.steps=0", "`training.steps` must be >= 1. Got 0."),
        ("training.crop_px=48", "`training.crop_px` must be a multiple of 32. Got 48."),
        ("training.crop_px=128", "`training.crop_px` must be <= `dataset.tile_px` (64). Got 128."),
        ("dataset.stride_px=65", "`dataset.stride_px` must be <= `dataset.tile_px` (64). Got 65."),
        ("model.heads=3", "`model.heads` must divide `model.channels` (16). Got 3."),
        ("model.decoder=tide",
         "`model.decoder` must be one of 'unet', 'sam', 'bottleneck', 'tied', 'tied_detail' or 'tied_orthonormal'."),
        ("splits.kind=random", "`splits.kind` must be one of 'published', 'grouped' or 'file'. Got 'random'."),
        ("methods=[focl]", "unknown method 'focl'. Did you mean 'focal'?"),
        ("methods=[{name: focal, gama: 1}]", "unknown key `gama` of focal. Did you mean 'gamma'?"),
        ("methods=[{name: focal, gamma: -1}]", "`gamma` of focal must be >= 0.0. Got -1."),
        ("methods=[{name: focal, steps_fraction: 0}]", "`steps_fraction` must be > 0"),
        ("methods=[{name: focal, steps_fraction: 1.5}]", "`steps_fraction` must be <= 1"),
        ("methods=[focal, focal]", "Each method needs a `label` of its own. Got 'focal' twice."),
        ("methods=[{name: focal, label: a/b}]", "must hold letters, digits"),
        ("methods=[{parts: []}]", "a composed method must hold `label` and a list `parts`."),
        ("seeds=[1, 1]", "`seeds` must differ from each other."),
        ("analysis.control=focal", "`analysis.control` must be the label of a method (cross_entropy, dfa)."),
        ("training.steps", "--set takes key=value"),
        ("name.x=1", "'name' is not a section of the study."),
    ],
)  # fmt: skip
def test_refuses_with_one_sentence(tmp_path: Path, override: str, sentence: str) -> None:
    message = refusal(tmp_path, override)
    assert sentence in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["model.decoder=tied", "model.architecture=unet"], "names a decoder of `model.architecture: class_query`."),
        (["model.decoder=sam", "model.channels=12", "model.heads=4"], "`model.heads` must divide half of"),
    ],
)
def test_refuses_what_does_not_go_together(tmp_path: Path, overrides: list[str], sentence: str) -> None:
    assert sentence in refusal(tmp_path, *overrides)


def test_what_came_later_is_no_part_of_a_study_that_leaves_it_at_its_default(tmp_path: Path) -> None:
    """Else studies of earlier versions would get other run ids."""
    dumped = parse_study(study_content(tmp_path), source="test").dump()
    assert "decoder" not in dumped["model"]
    named = parse_study(study_content(tmp_path, model={"decoder": "tied"}), source="test")
    assert named.dump()["model"]["decoder"] == "tied"
    assert parse_study(named.dump(), source="test") == named


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.yaml must exist"):
        load_study(tmp_path / "nowhere.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [")
    with pytest.raises(UserError, match=r"broken\.yaml line \d must be YAML"):
        load_study(broken)
    broken.write_text("- a list")
    with pytest.raises(UserError, match=r"must be a mapping of `key: value` lines. Got list"):
        load_study(broken)


def test_methods_in_all_forms(tmp_path: Path) -> None:
    forms = [
        "cross_entropy",
        {"name": "focal", "gamma": 1, "label": "gentle"},
        {"label": "both", "parts": [{"name": "dfa", "prior": "none"}, "focal"]},
    ]
    config = parse_study(study_content(tmp_path, methods=forms), source="test")
    assert [method.label for method in config.methods] == ["cross_entropy", "gentle", "both"]
    assert config.methods[1].parts == {"focal": FocalConfig(gamma=1)}
    assert config.methods[2].parts == {"dfa": DfaConfig(prior="none"), "focal": FocalConfig()}


def test_a_method_may_be_trained_for_a_fraction_of_the_steps(tmp_path: Path) -> None:
    forms = ["focal", {"name": "cross_entropy", "label": "quarter_steps", "steps_fraction": 0.25}]
    config = parse_study(study_content(tmp_path, methods=forms), source="test")
    assert [method.steps(600) for method in config.methods] == [600, 150]
    assert config.methods[1].steps(1) == 1
    assert "steps_fraction" not in config.methods[0].resolved()
    assert parse_study(config.dump(), source="test") == config


def test_a_dumped_study_reads_back_equal(tmp_path: Path) -> None:
    forms = ["cross_entropy", {"label": "both", "parts": [{"name": "dfa", "alpha": 0.1}, "focal"]}]
    config = parse_study(study_content(tmp_path, methods=forms), source="test")
    assert parse_study(config.dump(), source="test") == config


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_examples_are_valid(path: Path) -> None:
    assert load_study(path).methods
