"""Methods that change batches or train in stages, inside real runs: what changes, what is paired, what it costs."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from imbalance_bench.errors import UserError
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.inference.trained_model import TrainedModel
from imbalance_bench.records import RunRecord, StudyRecords
from tests.small_study import small_config, write_dataset

COMPOSED = [
    {"label": "repeat_ldam", "parts": ["repeat_factor", "ldam_drw"]},
    {"label": "crt_dfa", "parts": ["crt", "dfa"]},
    {"label": "tau_posthoc", "parts": ["tau_norm", {"name": "logit_adjustment", "mode": "post_hoc"}]},
]
METHODS = [
    "cross_entropy",
    "crt",
    "tau_norm",
    {"name": "tau_norm", "tau": 0.0, "label": "tau_zero"},
    {"name": "cross_entropy", "label": "half_steps", "steps_fraction": 0.5},
    "class_copy_paste",
]


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> dict[str, RunRecord]:
    """One run of each, by label."""
    folder = tmp_path_factory.mktemp("staged")
    config = small_config(write_dataset(folder / "discs"), methods=[*METHODS, *COMPOSED])
    execute_study(config, folder / "study", Execution(cache=shared_cache, engine="serial"))
    return {run.manifest()["method"]["label"]: run for run in StudyRecords.open(folder / "study").finished()}


def weights(run: RunRecord) -> dict[str, np.ndarray]:
    return load_file(run.path / "model.safetensors")


def test_crt_trains_the_base_then_its_classifier_alone(staged: dict[str, RunRecord]) -> None:
    base, crt = weights(staged["cross_entropy"]), weights(staged["crt"])
    changed = {name for name in base if not np.array_equal(base[name], crt[name])}
    assert changed
    assert all(name.startswith("head.hypernetworks.") for name in changed)
    stages = staged["crt"].manifest()["cost"]["stages"]
    assert [(stage["name"], stage["steps"]) for stage in stages] == [("features", 6), ("classifier", 1)]
    assert all(stage["seconds"] > 0 for stage in stages)
    assert staged["crt"].manifest()["cost"]["steps"] == 7


def test_a_method_that_joins_crt_trains_with_it_from_the_first_stage(staged: dict[str, RunRecord]) -> None:
    ledger = staged["crt_dfa"].class_parameters().query("parameter == 'attention_bias'")
    bias = {key: rows.sort_values("class_id").value.tolist() for key, rows in ledger.groupby(["stage", "step"])}
    assert bias[0, 6] != bias[0, 0]
    assert bias[1, 0] == bias[0, 6]  # handed on, not started again
    assert bias[1, 1] == bias[0, 6]  # and frozen with the features


def test_tau_normalisation_changes_predictions_and_no_weight(staged: dict[str, RunRecord]) -> None:
    base = weights(staged["cross_entropy"])
    for label in ("tau_norm", "tau_zero", "tau_posthoc"):
        assert all(np.array_equal(value, base[name]) for name, value in weights(staged[label]).items())
    counts = {label: run.counts()[["tp", "fp", "fn"]].to_numpy() for label, run in staged.items()}
    assert np.array_equal(counts["tau_zero"], counts["cross_entropy"])
    # after six steps one class wins everywhere whatever the norms, so the effect is looked for in the logits
    tile = np.random.default_rng(0).integers(0, 256, size=(1, 64, 64, 3), dtype=np.uint8)
    logits = {
        label: TrainedModel.open(staged[label].path).logits(tile) for label in ("tau_zero", "tau_norm", "tau_posthoc")
    }
    ratio = logits["tau_norm"] / logits["tau_zero"]
    assert np.allclose(ratio, ratio[:, :, :1, :1], rtol=1e-3)  # one factor for each class
    assert np.abs(ratio[0, :, 0, 0] - 1).min() > 0.05
    offset = logits["tau_posthoc"] - logits["tau_norm"]
    assert np.allclose(offset, offset[:, :, :1, :1], atol=1e-4)
    assert (offset[0, :, 0, 0] > 0.05).all()  # minus the logarithm of a share


def test_own_batches_are_declared_and_initial_weights_shared(staged: dict[str, RunRecord]) -> None:
    pairing = {label: run.manifest()["pairing"] for label, run in staged.items()}
    assert len({each["initial_weights"] for each in pairing.values()}) == 1
    own = {label for label, each in pairing.items() if each["own_sampler"]}
    assert own == {"crt", "class_copy_paste", "repeat_ldam", "crt_dfa", "half_steps"}
    shared = {each["batches"] for label, each in pairing.items() if label not in own}
    assert len(shared) == 1


def test_a_shorter_training_sees_the_first_batches_and_says_how_many(staged: dict[str, RunRecord]) -> None:
    half, whole = (staged[label].manifest() for label in ("half_steps", "cross_entropy"))
    assert (half["cost"]["steps"], whole["cost"]["steps"]) == (3, 6)
    assert half["method"]["steps_fraction"] == 0.5
    assert "steps_fraction" not in whole["method"]
    assert staged["half_steps"].status()["steps"] == 3
    losses = [
        run.epochs().query("quantity == 'loss' and step == 2").value.tolist()
        for run in (staged["half_steps"], staged["cross_entropy"])
    ]
    assert losses[0] == losses[1]  # the same weights and batches, still in the warm-up of the same rate


def test_the_ledger_holds_what_both_parts_of_a_composition_hold(staged: dict[str, RunRecord]) -> None:
    held = {label: set(run.class_parameters().parameter) for label, run in staged.items()}
    assert {"repeat_factor", "sampling_factor", "margin", "loss_weight"} <= held["repeat_ldam"]
    assert {"inference_logit_offset", "classifier_norm"} <= held["tau_posthoc"]
    assert "sampling_factor" in held["crt"]
    assert "paste_weight" in held["class_copy_paste"]


@pytest.mark.parametrize(
    ("methods", "section", "sentence"),
    [
        (["class_copy_paste"], {"training": {"batch_size": 1}}, "copies between the crops of a batch"),
        ([{"label": "x", "parts": ["crt", "repeat_factor"]}], {}, "both fill the slot `sampler`"),
        ([{"label": "x", "parts": ["crt", "two_stage_dice_weights"]}], {}, "bring stages of their own"),
        (["tau_norm"], {"model": {"decoder": "tied"}}, "all of them are 1"),
        (
            [{"name": "dfa", "prior": "given", "values": {"common": 1.0, "rare": 2.0}}],
            {},
            "Method 'dfa': `values` must hold one number for each of background, common, rare. Got common, rare.",
        ),
        (["focal_attention_gate"], {"model": {"architecture": "unet"}}, "needs `model.architecture: class_query`"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_trains(
    tmp_path: Path, dataset: Path, shared_cache: Path, methods: list, section: dict, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        execute_study(
            small_config(dataset, methods=methods, **section),
            tmp_path / "s",
            Execution(cache=shared_cache, engine="serial"),
        )
    assert not (tmp_path / "s").exists()
