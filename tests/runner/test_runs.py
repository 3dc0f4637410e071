"""Runs on a small data set: what they leave behind, how they pair, how they resume."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.errors import UserError
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.planned_study import open_run
from imbalance_bench.records import StudyRecords
from imbalance_bench.training import loop
from imbalance_bench.training.run import execute_run
from tests.small_study import small_config


def by_label(root: Path, seed: int = 0) -> dict[str, dict]:
    manifests = [run.manifest() for run in StudyRecords.open(root).finished()]
    return {m["method"]["label"]: m for m in manifests if m["seed"] == seed}


def train(root: Path, cache: Path, dataset: Path, **sections: object) -> StudyRecords:
    execute_study(small_config(dataset, **sections), root, Execution(cache=cache, engine="serial"))
    return StudyRecords.open(root)


def test_every_run_finishes_with_every_record(finished_study: Path) -> None:
    records = StudyRecords.open(finished_study)
    assert len(records.finished()) == 10
    for run in records.finished():
        names = {path.name for path in run.path.iterdir()}
        assert {"manifest.json", "status.json", "model.safetensors", "predictions"} <= names
        assert "checkpoint.pt" not in names
        assert not run.counts().empty
        assert not run.epochs().empty
        assert not run.class_parameters().empty


def test_counts_add_up_to_the_labelled_pixels(finished_study: Path) -> None:
    dataset = PreparedDataset.open(Path(StudyRecords.open(finished_study).dataset()["path"]))
    for run in StudyRecords.open(finished_study).finished():
        for image_id, rows in run.counts().groupby("image_id"):
            mask = dataset.read_mask(str(image_id))
            labelled = [int((mask == k).sum()) for k in range(3)]
            assert (rows.tp + rows.fn).tolist() == labelled
            assert (rows.n_valid == sum(labelled)).all()
            assert rows.fp.sum() == rows.fn.sum()  # every wrong pixel is one class's miss and another's false alarm


def test_counts_agree_with_the_saved_predictions(finished_study: Path) -> None:
    from PIL import Image

    run = StudyRecords.open(finished_study).finished()[0]
    study, _ = open_run(finished_study, run.run_id)
    test = run.counts().query("split == 'test'")
    for image_id in test.image_id.unique():
        predicted = np.asarray(Image.open(run.prediction_path(image_id)))
        truth = study.dataset.read_mask(image_id)
        rows = test[test.image_id == image_id]
        expected = [int(((predicted == k) & (truth == k)).sum()) for k in range(3)]
        assert rows.tp.tolist() == expected


def test_methods_of_a_seed_are_paired(finished_study: Path) -> None:
    for seed in (0, 1):
        pairings = [manifest["pairing"] for manifest in by_label(finished_study, seed).values()]
        assert len(pairings) == 5
        assert len({p["initial_weights"] for p in pairings}) == 1
        assert len({p["batches"] for p in pairings}) == 1
    first, second = (by_label(finished_study, seed)["focal"]["pairing"] for seed in (0, 1))
    assert first["initial_weights"] != second["initial_weights"]
    assert first["batches"] != second["batches"]


def test_the_official_token_layout_keeps_the_shared_weights(tmp_path: Path, dataset: Path, shared_cache: Path) -> None:
    official = {"name": "dfa", "token_layout": "official"}
    train(tmp_path / "s", shared_cache, dataset, methods=["cross_entropy", official])
    pairings = [manifest["pairing"]["initial_weights"] for manifest in by_label(tmp_path / "s").values()]
    assert pairings[0] == pairings[1]


def test_another_data_order_changes_the_batch_digest_alone(
    tmp_path: Path, dataset: Path, shared_cache: Path, finished_study: Path
) -> None:
    train(tmp_path / "s", shared_cache, dataset, training={"data_order_seed": 7})
    before = by_label(finished_study)["cross_entropy"]["pairing"]
    after = by_label(tmp_path / "s")["cross_entropy"]["pairing"]
    assert after["initial_weights"] == before["initial_weights"]
    assert after["batches"] != before["batches"]


def test_every_method_has_a_ledger_on_one_schema(finished_study: Path) -> None:
    for run in StudyRecords.open(finished_study).finished():
        ledger = run.class_parameters()
        held = set(ledger.parameter)
        label = run.manifest()["method"]["label"]
        assert {"effective_offset", "attention_mass", "logit_gradient_norm"} <= held
        assert ("attention_bias" in held) == (label == "dfa")
        assert ("loss_weight" in held) == (label in ("inverse_sqrt", "cdb"))
        offsets = ledger[ledger.parameter == "effective_offset"]
        assert sorted(offsets.step.unique()) == [0, 2, 4, 6]
        assert offsets.groupby("step").value.sum().abs().max() < 1e-5
        mass = ledger[ledger.parameter == "attention_mass"]
        assert np.allclose(mass.groupby("step").value.sum(), 1)


def test_cdb_is_told_validation_counts(finished_study: Path) -> None:
    run = next(r for r in StudyRecords.open(finished_study).finished() if r.manifest()["method"]["label"] == "cdb")
    validation = (
        run.epochs().query("split == 'val' and step == 6").pivot(index="class_id", columns="quantity", values="value")
    )
    difficulty = run.class_parameters().query("parameter == 'difficulty' and step == 6").set_index("class_id").value
    assert np.allclose(difficulty, 1 - validation.tp / (validation.tp + validation.fn))


def test_a_finished_run_is_never_trained_again(tmp_path: Path, dataset: Path, shared_cache: Path) -> None:
    root = tmp_path / "s"
    records = train(root, shared_cache, dataset)
    before = {run.run_id: (run.path / "manifest.json").read_bytes() for run in records.finished()}
    train(root, shared_cache, dataset, methods=["cross_entropy", "dfa", "focal"])
    after = {run.run_id: (run.path / "manifest.json").read_bytes() for run in records.finished()}
    assert len(after) == 3
    assert {run_id: after[run_id] for run_id in before} == before


@pytest.mark.parametrize(
    "method",
    [
        "cdb",
        {"name": "dfa", "prior": "difficulty", "label": "two_stage"},
        {"name": "crt", "share": 0.7},
        {"label": "mixed", "parts": ["class_copy_paste", "learned_difficulty", "focal_attention_gate"]},
    ],
    ids=["cdb", "two_stage", "crt", "mixed"],
)
def test_a_run_that_dies_resumes_to_the_same_bytes(
    tmp_path: Path, dataset: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch, method: object
) -> None:
    expected = train(tmp_path / "straight", shared_cache, dataset, methods=[method]).finished()[0]
    straight_steps = loop.StageTrainer._take_step
    taken = Counter()

    def die_at_times(self: loop.StageTrainer, *, with_gradient_norms: bool) -> None:
        taken["steps"] += 1
        if taken["steps"] % 4 == 0:
            raise RuntimeError("killed")
        straight_steps(self, with_gradient_norms=with_gradient_norms)

    monkeypatch.setattr(loop.StageTrainer, "_take_step", die_at_times)
    deaths = 0
    for _ in range(12):
        try:
            train(tmp_path / "torn", shared_cache, dataset, methods=[method])
            break
        except UserError as error:
            assert "killed" in str(error)  # noqa: PT017 - the last attempt must not raise
            deaths += 1
    assert deaths >= 2
    found = StudyRecords.open(tmp_path / "torn").finished()[0]
    tables = ("counts", "epochs", "class_parameters", "dynamics", "probabilities")
    for name in (*(f"{table}.parquet" for table in tables), "model.safetensors"):
        assert (found.path / name).read_bytes() == (expected.path / name).read_bytes(), name
    assert found.manifest()["pairing"] == expected.manifest()["pairing"]


def test_two_stages_record_both_and_start_from_the_same_weights(
    tmp_path: Path, dataset: Path, shared_cache: Path
) -> None:
    two_stage = {"name": "dfa", "prior": "difficulty"}
    run = train(tmp_path / "s", shared_cache, dataset, methods=["cross_entropy", two_stage])
    manifests = by_label(tmp_path / "s")
    assert manifests["dfa"]["cost"]["steps"] == 12
    record = next(r for r in run.finished() if r.manifest()["method"]["label"] == "dfa")
    assert sorted(record.epochs().stage.unique()) == [0, 1]
    baseline = record.epochs().query("stage == 0 and split == 'val' and step == 6")
    counts = baseline.pivot(index="class_id", columns="quantity", values="value")
    dice = (2 * counts.tp / (2 * counts.tp + counts.fp + counts.fn)).clip(0, 1 - 1e-3)
    prior = record.class_parameters().query("stage == 1 and step == 0 and parameter == 'attention_bias_prior'")
    assert np.allclose(prior.sort_values("class_id").value, 2 * np.log(1 - dice), atol=1e-4)
    plain = next(r for r in run.finished() if r.manifest()["method"]["label"] == "cross_entropy")
    assert baseline.value.tolist() == plain.epochs().query("split == 'val' and step == 6").value.tolist()


def test_features_are_encoded_once(tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from imbalance_bench.training import feature_cache

    encoded = Counter()
    encode = feature_cache._encode

    def counting(segmenter, tiles, wanted, *rest):
        encoded.update(wanted)
        return encode(segmenter, tiles, wanted, *rest)

    monkeypatch.setattr(feature_cache, "_encode", counting)
    train(tmp_path / "s", tmp_path / "cache", dataset, methods=["cross_entropy", "focal"], seeds=[0, 1])
    assert set(encoded.values()) == {1}
    assert len(encoded) == 8 + 4 * 1  # every tile as it is, and one more view of each training tile


@pytest.mark.parametrize("section", [{"encoder_frozen": False}, {"architecture": "unet", "encoder_frozen": False}])
def test_trains_the_encoder_too(tmp_path: Path, dataset: Path, shared_cache: Path, section: dict) -> None:
    records = train(
        tmp_path / "s", shared_cache, dataset, methods=["cross_entropy"], model=section, training={"accumulate": 2}
    )
    from safetensors.numpy import load_file

    saved = load_file(records.finished()[0].path / "model.safetensors")
    assert any(name.startswith("encoder.") for name in saved)


def test_fresh_views_of_a_frozen_encoder(tmp_path: Path, dataset: Path, shared_cache: Path) -> None:
    section = {"augmentation": {"cached_views": 0}}
    assert len(train(tmp_path / "s", shared_cache, dataset, training=section).finished()) == 2


def test_a_run_that_fails_says_so_and_the_others_go_on(tmp_path: Path, dataset: Path, shared_cache: Path) -> None:
    methods = [{"name": "dfa", "lr_multiplier": 1e300}, "cross_entropy"]
    with pytest.raises(UserError, match=r"1 of 2 runs failed\. First: dfa fold 0 seed 0: RuntimeError"):
        train(tmp_path / "s", shared_cache, dataset, methods=methods)
    records = StudyRecords.open(tmp_path / "s")
    states = Counter(run.status()["state"] for run in records.runs())
    assert states == {"failed": 1, "done": 1}


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path, dataset: Path, shared_cache: Path) -> None:
    section = {"learning_rate": 1e30, "warmup_steps": 0}
    with pytest.raises(UserError, match=r"at step \d+\. Lower `training\.learning_rate`"):
        train(tmp_path / "s", shared_cache, dataset, methods=["cross_entropy"], training=section)


def test_another_recipe_in_the_same_directory_is_refused(tmp_path: Path, finished_study: Path, dataset: Path) -> None:
    plan = (finished_study / "plan.json").read_bytes()
    with pytest.raises(UserError, match=r"holds a study with `training\.steps` 6 instead of 7"):
        execute_study(small_config(dataset, training={"steps": 7}), finished_study, Execution(cache=tmp_path))
    config = small_config(dataset, methods=["cross_entropy", {"name": "dfa", "alpha": 0.1}])
    with pytest.raises(UserError, match="holds runs of 'dfa' with other options"):
        execute_study(config, finished_study, Execution(cache=tmp_path))
    assert (finished_study / "plan.json").read_bytes() == plan


def test_other_data_in_the_same_directory_is_refused(tmp_path: Path, dataset: Path, shared_cache: Path) -> None:
    root = tmp_path / "s"
    train(root, shared_cache, dataset, methods=["cross_entropy"])
    mask = dataset / "masks" / "im_0.png"
    mask.write_bytes((dataset / "masks" / "im_1.png").read_bytes())
    with pytest.raises(UserError, match="holds a study whose data differ"):
        train(root, shared_cache, dataset, methods=["cross_entropy"])


def test_a_plan_only_grows(tmp_path: Path, dataset: Path, shared_cache: Path) -> None:
    root = tmp_path / "s"
    train(root, shared_cache, dataset, methods=["cross_entropy"])
    records = train(root, shared_cache, dataset, methods=["focal"])
    assert [run["method"] for run in records.plan()["runs"]] == ["cross_entropy", "focal"]


def test_a_run_in_use_is_left_alone(
    tmp_path: Path, dataset: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    from imbalance_bench import run_lock

    monkeypatch.setattr(run_lock, "LOCK_PATIENCE_S", 0.0)
    execute_study(small_config(dataset), tmp_path / "s", Execution(cache=shared_cache, dry_run=False, engine="serial"))
    study, first = open_run(tmp_path / "s", StudyRecords.open(tmp_path / "s").finished()[0].run_id)
    status = study.records.run(first.run_id).path / "status.json"
    before = json.loads(status.read_text())
    with (status.parent / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process works on this run"):
            execute_run(study, first, shared_cache, lambda *_: None)
    assert json.loads(status.read_text()) == before


def test_the_process_engine_gives_the_bytes_of_the_serial_one(
    tmp_path: Path, dataset: Path, shared_cache: Path, finished_study: Path
) -> None:
    execute_study(small_config(dataset), tmp_path / "s", Execution(cache=shared_cache, engine="process", workers=2))
    serial = {run.run_id: run for run in StudyRecords.open(finished_study).finished()}
    for run in StudyRecords.open(tmp_path / "s").finished():
        for name in ("counts.parquet", "class_parameters.parquet"):
            assert (run.path / name).read_bytes() == (serial[run.run_id].path / name).read_bytes()


def test_gradient_norms_belong_to_the_recorded_step(finished_study: Path) -> None:
    run = StudyRecords.open(finished_study).finished()[0]
    norms = run.class_parameters().query("parameter == 'logit_gradient_norm'")
    assert sorted(norms.step.unique()) == [0, 2, 4]
    assert (norms.value > 0).all()
    assert isinstance(norms, pd.DataFrame)
    assert torch.get_num_threads() == 1
