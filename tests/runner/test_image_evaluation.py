"""What evaluation leaves in the records: consistent counts, interventions, attention maps, the same bytes again."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from imbalance_bench.errors import UserError
from imbalance_bench.evaluation.counts import count_pixels
from imbalance_bench.evaluation.image_tables import BoundarySetting, ImageKeys, boundary_rows
from imbalance_bench.evaluation.interventions import FixedBias, changed_biases, permutations
from imbalance_bench.evaluation.kept_logits import KeptLogits
from imbalance_bench.evaluation.path_controls import ShiftedLogits, class_shares, dosed_bias, weights_of
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.planned_study import open_run
from imbalance_bench.planning import prepare_study
from imbalance_bench.records import RunRecord, StudyRecords
from imbalance_bench.study import build_context
from imbalance_bench.table_schemas import BoundaryMeasure, PathControl
from imbalance_bench.training import record_tables
from imbalance_bench.training.image_evaluation import ImageEvaluation, QueriedImage, block_means
from imbalance_bench.training.material import initial_segmenter, open_material, rows_by_image
from methods.base import AttentionBias
from methods.composition import compose
from tests.small_study import small_config

KEYS = ["image_id", "group_id", "split", "class_id"]


def run_of(root: Path, label: str) -> RunRecord:
    runs = StudyRecords.open(root).finished()
    return next(run for run in runs if run.manifest()["method"]["label"] == label and run.manifest()["seed"] == 0)


def table_of(run: RunRecord, name: str):
    rows = getattr(run, name)()
    assert rows is not None
    return rows


@pytest.fixture
def trained(finished_study: Path, shared_cache: Path) -> ImageEvaluation:
    """The model of the finished dfa run, from its weights, with a bias large enough to matter."""
    study, run = open_run(finished_study, run_of(finished_study, "dfa").run_id)
    components = compose(run.method.parts, build_context(study, run, stage=0, finished=()))
    segmenter = initial_segmenter(study, run.seed, 0, torch.device("cpu"))
    assert segmenter.class_query is not None
    segmenter.class_query.two_way.attention_bias = components.attention_bias
    segmenter.load_stored_state(load_file(study.records.run(run.run_id).path / "model.safetensors"))
    data = open_material(study, shared_cache, torch.device("cpu"))
    return ImageEvaluation(study, data, rows_by_image(data.tiles), segmenter, components, "float32")


def test_confusion_and_counts_tell_the_same(finished_study: Path) -> None:
    for run in StudyRecords.open(finished_study).finished():
        confusion, counts = table_of(run, "confusion"), run.counts().set_index(KEYS)
        assert (confusion.pixels > 0).all()
        image = KEYS[:3]
        right = confusion[confusion.true_id == confusion.predicted_id]
        expected = {
            "tp": right.set_index([*image, "true_id"]).pixels,
            "fn": confusion[confusion.true_id != confusion.predicted_id].groupby([*image, "true_id"]).pixels.sum(),
            "fp": confusion[confusion.true_id != confusion.predicted_id].groupby([*image, "predicted_id"]).pixels.sum(),
        }
        for name, values in expected.items():
            values.index.names = KEYS
            assert counts[name].equals(values.reindex(counts.index, fill_value=0).rename(name))
        assert confusion.groupby(image).pixels.sum().tolist() == counts.groupby(image).n_valid.first().tolist()


def test_rings_around_borders_add_up_to_the_class(finished_study: Path) -> None:
    run = run_of(finished_study, "focal")
    boundary, counts = table_of(run, "boundary"), run.counts().set_index(KEYS)
    rings = boundary[boundary.measure == BoundaryMeasure.TRIMAP].groupby(KEYS)[["numerator", "denominator"]].sum()
    occurring = counts[counts.tp + counts.fn > 0]
    assert (rings.denominator == occurring.tp + occurring.fn).all()
    assert (rings.numerator == occurring.fn).all()


def test_boundary_rows_are_those_of_the_saved_predictions(finished_study: Path) -> None:
    run = run_of(finished_study, "cdb")
    study, _ = open_run(finished_study, run.run_id)
    section = study.config.evaluation
    setting = BoundarySetting(
        mpp_um=(0.5, 0.5),  # of the small data set
        diagonal=section.boundary_diagonal,
        boundary_um=section.boundary_um,
        surface_um=section.surface_um,
        trimap_um=section.trimap_um,
    )
    recorded = table_of(run, "boundary").query("split == 'test'")
    unknown = replace(setting, mpp_um=None)
    for image_id, rows in recorded.groupby("image_id"):
        predicted = np.asarray(Image.open(run.prediction_path(str(image_id))))
        target = study.taxonomy.apply(study.dataset.read_mask(str(image_id)))
        keys = ImageKeys(str(image_id), study.dataset.entry(str(image_id)).group_id, "test")
        again = boundary_rows(keys, predicted, target, 3, setting)
        assert again.reset_index(drop=True).equals(rows.reset_index(drop=True).astype(again.dtypes))
        assert set(rows.measure) == set(BoundaryMeasure)
        relative = boundary_rows(keys, predicted, target, 3, unknown)
        assert set(relative.measure) == {BoundaryMeasure.BOUNDARY_IOU_DIAGONAL}
        assert relative.distance_um.isna().all()


def test_only_runs_with_a_bias_have_interventions(finished_study: Path) -> None:
    for run in StudyRecords.open(finished_study).finished():
        rows, label = run.interventions(), run.manifest()["method"]["label"]
        assert (rows is not None) == (label == "dfa")
        if rows is None:
            continue
        names = ["learned", "zeroed", "permuted_0", "permuted_1", "shifted_0", "shifted_1", "shifted_2"]
        assert rows.intervention.unique().tolist() == names  # three classes have two derangements
        learned = rows[rows.intervention == "learned"].drop(columns="intervention")
        assert learned.reset_index(drop=True).equals(run.counts())
        for _, each in rows.groupby("intervention"):
            assert (each.tp + each.fn).tolist() == (learned.tp + learned.fn).tolist()
        assert run.manifest()["cost"]["evaluation_seconds"]["interventions"] > 0


def test_interventions_change_the_bias_and_nothing_else(trained: ImageEvaluation, finished_study: Path) -> None:
    bias, query = trained.components.attention_bias, trained.query("im_6")
    assert bias is not None
    assert query is not None
    target, recorded = trained.target("im_6"), table_of(run_of(finished_study, "dfa"), "interventions")
    for name, changed in changed_biases(bias, 3).items():
        rows = recorded[(recorded.image_id == "im_6") & (recorded.intervention == name)]
        assert count_pixels(query.predict(changed), target, 3).tp.tolist() == rows.tp.tolist()
    assert query.decoder.two_way.attention_bias is bias  # put back
    assert (query.predict(FixedBias(bias().detach(), bias)) == query.predict()).all()
    strong = FixedBias(bias().detach() + torch.tensor([0.0, 0.0, 60.0]), bias)
    assert (query.predict(strong) != query.predict()).any()
    query.decoder.two_way.attention_bias = None
    zeroed = changed_biases(bias, 0)["zeroed"]
    assert (query.predict() == query.predict(zeroed)).all()


def test_raising_the_bias_of_a_class_raises_the_attention_it_gets_everywhere(trained: ImageEvaluation) -> None:
    query, bias = trained.query("im_6"), trained.components.attention_bias
    assert query is not None
    assert bias is not None
    before = query.attention()
    assert before.shape == (3, 4, 4)
    assert np.allclose(before.sum(0), 1, atol=1e-5)
    for class_id in range(3):
        with query._changed(changed_biases(bias, 0)[f"shifted_{class_id}"]):
            after = query.attention()
        assert (after[class_id] > before[class_id]).all()


def test_kept_attention_maps_are_read_without_torch_and_named_when_damaged(
    finished_study: Path, trained: ImageEvaluation, tmp_path: Path
) -> None:
    run, query = run_of(finished_study, "dfa"), trained.query("im_7")
    assert query is not None
    kept = run.attention("im_7")
    assert kept is not None
    assert kept.stride_px == 16
    assert kept.weights.dtype == np.float16
    assert np.allclose(kept.weights, query.attention(), atol=1e-3)
    assert run.attention("im_4") is None  # validation: not of the panel
    broken = RunRecord(tmp_path)
    broken.attention_path("a").parent.mkdir()
    broken.attention_path("a").write_bytes(b"torn")
    with pytest.raises(UserError, match=r"a\.safetensors: not readable attention maps"):
        broken.attention("a")
    assert (broken.confusion(), broken.boundary(), broken.interventions()) == (None, None, None)


def test_attention_of_tiles_lands_where_the_tiles_are() -> None:
    """Tiles of 8 px every 6 px, tokens of 4 px: the second tile's tokens lie between those of the image."""
    tiles = [SimpleNamespace(top=0, left=0), SimpleNamespace(top=0, left=6)]
    maps = torch.zeros(2, 2, 2, 2)
    maps[0, 0], maps[1, 1] = 1.0, 1.0  # the left tile attends to class 0 alone, the right one to class 1
    evaluation = SimpleNamespace(
        precision="float32",
        n_classes=2,
        rows={"a": [0, 1]},
        study=SimpleNamespace(dataset=SimpleNamespace(entry=lambda _: SimpleNamespace(height_px=8, width_px=14))),
        data=SimpleNamespace(device=torch.device("cpu"), tiles=SimpleNamespace(tiles=tiles)),
    )
    decoder = SimpleNamespace(size=SimpleNamespace(token_stride_px=4), attention_maps=lambda _: maps)
    query = QueriedImage(evaluation, "a", decoder)  # type: ignore[arg-type]
    query._kept[0, 1] = None  # type: ignore[assignment]
    # columns 0..5 left tile, 6 and 7 both, 8..13 right tile; blocks of 4 columns, the last one of 2
    expected = np.array([1.0, (2 * 1.0 + 2 * 0.5) / 4, 0.0, 0.0])
    assert np.allclose(query.attention(), [[expected] * 2, [1 - expected] * 2])


def test_means_of_blocks_use_what_lies_within_the_image() -> None:
    values = np.arange(2 * 5 * 3, dtype=np.float32).reshape(2, 5, 3)
    found = block_means(values, 2)
    assert found.shape == (2, 3, 2)
    assert found[1, 0, 0] == values[1, :2, :2].mean()
    assert found[1, 0, 1] == values[1, :2, 2].mean()
    assert found[0, 2, 1] == values[0, 4, 2]


class _ThreeTokens(AttentionBias):
    extra_tokens = 2

    def forward(self) -> torch.Tensor:
        return torch.tensor([[[9.0, 8.0, 1.0, 2.0, 3.0]]])


def test_biases_are_changed_where_they_drive_a_class() -> None:
    changed = {name: bias().flatten().tolist() for name, bias in changed_biases(_ThreeTokens(), 5).items()}
    assert changed["zeroed"] == [0.0] * 5
    assert changed["shifted_1"] == [9.0, 8.0, 1.0, 3.0, 3.0]
    permuted = {tuple(changed[f"permuted_{i}"]) for i in range(2)}
    assert permuted == {(9.0, 8.0, 2.0, 3.0, 1.0), (9.0, 8.0, 3.0, 1.0, 2.0)}
    assert len(changed) == 1 + 2 + 3


@pytest.mark.parametrize(("n_classes", "possible"), [(2, 1), (3, 2), (4, 9), (8, 20)])
def test_permutations_leave_no_class_in_its_place_and_never_repeat(n_classes: int, possible: int) -> None:
    drawn = permutations(n_classes, 20)
    assert len(drawn) == len(set(drawn)) == possible
    assert all(sorted(order) == list(range(n_classes)) for order in drawn)
    assert not any(source == place for order in drawn for place, source in enumerate(order))
    assert permutations(n_classes, 1) == drawn[:1]


def test_an_evaluation_that_was_stopped_is_repeated_to_the_byte(
    tmp_path: Path, dataset: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config(dataset, methods=["dfa"])
    execution = Execution(cache=shared_cache, engine="serial")
    execute_study(config, tmp_path / "whole", execution)
    calls = []

    def stopped(*arguments: object, **options: object):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return boundary_rows(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(record_tables, "boundary_rows", stopped)
    with pytest.raises(KeyboardInterrupt):
        execute_study(config, tmp_path / "stopped", execution)
    run = next(StudyRecords.open(tmp_path / "stopped").runs())
    assert not run.is_done()
    monkeypatch.undo()
    execute_study(config, tmp_path / "stopped", execution)
    assert run.is_done()
    files = [path for path in sorted((tmp_path / "whole" / "runs").rglob("*")) if path.is_file()]
    kept = {path.name for path in files}
    tables = {f"{name}.parquet" for name in ("boundary", "confusion", "interventions", "probabilities")}
    assert tables | {"im_6.safetensors", "im_6.png"} <= kept
    for path in files:
        if path.name not in ("manifest.json", "status.json", "progress.jsonl"):  # which hold times
            assert (tmp_path / "stopped" / path.relative_to(tmp_path / "whole")).read_bytes() == path.read_bytes()


def test_one_directory_never_mixes_distances(tmp_path: Path, dataset: Path) -> None:
    prepare_study(small_config(dataset), tmp_path / "s", lambda *_: None)
    with pytest.raises(UserError, match=r"`evaluation\.boundary_um` \[1\.0, 2\.0, 4\.0\] instead of \[3\.0\]"):
        prepare_study(small_config(dataset, evaluation={"boundary_um": [3.0]}), tmp_path / "s", lambda *_: None)
    with pytest.raises(UserError, match=r"`evaluation\.trimap_um` must grow"):
        small_config(dataset, evaluation={"trimap_um": [2.0, 1.0]})


CONTROLS = ["learned", "uniform", "removed", "oracle", "rolled", "bias_dose", "logit_dose", "logit_matched"]


def test_every_run_with_class_tokens_has_path_controls(finished_study: Path) -> None:
    for run in StudyRecords.open(finished_study).finished():
        rows = table_of(run, "path_controls")
        assert list(dict.fromkeys(rows.control)) == CONTROLS
        assert set(rows.image_id) == {"im_6", "im_7"}  # the test images
        learned = rows[rows.control == "learned"][run.counts().columns].reset_index(drop=True)
        assert learned.equals(run.counts().query("split == 'test'").reset_index(drop=True))
        doses = rows[rows.control.isin(CONTROLS[-3:])]
        assert doses.groupby(["image_id", "control", "target_id", "dose"]).ngroups == 2 * 3 * 3 * 4
        assert set(doses.dose) == {-4.0, -2.0, 2.0, 4.0}
        assert (rows[~rows.control.isin(CONTROLS[-3:])][["target_id", "dose"]] == [-1, 0]).all(axis=None)
        for _, each in rows.groupby(["control", "target_id", "dose"]):
            assert (each.tp + each.fn).tolist() == (learned.tp + learned.fn).tolist()
        assert run.manifest()["cost"]["evaluation_seconds"]["path_controls"] > 0


def test_a_dosed_logit_takes_and_gives_pixels_of_its_class_alone(finished_study: Path) -> None:
    rows = table_of(run_of(finished_study, "focal"), "path_controls")
    rows = rows.assign(predicted=rows.tp + rows.fp)
    learned = rows[rows.control == "learned"].groupby("class_id").predicted.sum()
    for class_id in range(3):
        dosed = rows[(rows.control == "logit_dose") & (rows.target_id == class_id)]
        shares = dosed.groupby(["dose", "class_id"]).predicted.sum().unstack()
        own = [shares[class_id][-4.0], shares[class_id][-2.0], learned[class_id], *shares[class_id][[2.0, 4.0]]]
        assert own == sorted(own)
        assert own[0] < own[-1]
        for other in set(range(3)) - {class_id}:
            assert shares[other][4.0] <= learned[other] <= shares[other][-4.0]


def test_doses_run_on_some_images_and_controls_can_be_left_out(
    tmp_path: Path, dataset: Path, shared_cache: Path
) -> None:
    for number in (0, 1):
        config = small_config(dataset, methods=["cross_entropy"], evaluation={"path_controls": number})
        execute_study(config, tmp_path / str(number), Execution(cache=shared_cache, engine="serial"))
    without, one = (next(StudyRecords.open(tmp_path / str(n)).runs()) for n in (0, 1))
    assert without.path_controls() is None
    assert without.run_id == one.run_id  # what is counted is no part of a run's identity
    rows = table_of(one, "path_controls")
    assert rows.groupby("control").image_id.nunique().to_dict() == {
        control: 2 if control in CONTROLS[:5] else 1 for control in CONTROLS
    }


def test_given_weights_are_used_once_and_taken_out_again(trained: ImageEvaluation) -> None:
    query = trained.query("im_6")
    assert query is not None
    before = np.concatenate(list(query.logit_bands()), axis=1)
    removed = query.logit_bands(weights=lambda rows: weights_of(PathControl.REMOVED, query.class_shares(rows)))
    assert np.abs(np.concatenate(list(removed), axis=1) - before).max() > 1e-6
    assert query.decoder.two_way.given_weights is None
    assert np.array_equal(np.concatenate(list(query.logit_bands()), axis=1), before)


def test_shares_of_classes_are_counted_where_the_tokens_are() -> None:
    labels = np.array([[[0, 0, 1, 1], [0, 2, 1, 255], [255, 255, 2, 2], [255, 255, 2, 0]]], np.uint8)
    found = class_shares(labels, 3, 2)
    expected = [[3 / 4, 0, 1 / 4], [0, 1, 0], [1 / 3, 1 / 3, 1 / 3], [1 / 4, 0, 3 / 4]]
    assert torch.allclose(found, torch.tensor([expected]))
    rolled = weights_of(PathControl.ROLLED, found)[0, 1]
    assert rolled.tolist() == [0, 0, 1]  # the share of class 1 goes to class 2
    assert torch.allclose(weights_of(PathControl.UNIFORM, found).sum(-1), torch.ones(1, 4))
    assert weights_of(PathControl.REMOVED, found).abs().sum() == 0


def kept(logits: np.ndarray) -> KeptLogits:
    whole = KeptLogits(Path())
    whole.append(logits)
    return whole


def test_a_shifted_logit_is_predicted_as_if_all_logits_were_compared_again() -> None:
    logits = np.random.default_rng(0).integers(-3, 4, (4, 20, 20)).astype(np.float32)  # with ties
    for class_id in range(4):
        shifted = ShiftedLogits(kept(logits), class_id)
        for dose in (-4.0, -1.0, 0.0, 2.0):
            expected = (logits + dose * (np.arange(4) == class_id)[:, None, None]).argmax(0)
            assert (shifted.predict(dose) == expected).all()


def test_a_matched_shift_predicts_the_class_where_it_was_nearest_and_as_often() -> None:
    logits = np.random.default_rng(0).normal(size=(4, 20, 20)).astype(np.float32)
    for class_id in range(4):
        shifted = ShiftedLogits(kept(logits), class_id)
        for dose in (-40.0, -1.0, 0.0, 0.7, 40.0):
            predicted = shifted.predict(dose)
            matched = shifted.predict_pixels(int((predicted == class_id).sum()))
            assert (matched == predicted).all()


def test_a_dose_lands_on_the_token_that_drives_its_class() -> None:
    assert dosed_bias(_ThreeTokens(), 1, -2.0, n_classes=3)().flatten().tolist() == [9.0, 8.0, 1.0, 0.0, 3.0]
    none = dosed_bias(None, 2, 4.0, n_classes=3)
    assert none().flatten().tolist() == [0.0, 0.0, 4.0]
    assert (none.direction, none.extra_tokens) == ("image_to_token", 0)


def test_an_earlier_plan_says_nothing_of_what_could_not_be_counted_yet(tmp_path: Path, dataset: Path) -> None:
    prepare_study(small_config(dataset), tmp_path / "s", lambda *_: None)
    plan = json.loads((tmp_path / "s" / "plan.json").read_text())
    del plan["evaluation"]["path_controls"]
    (tmp_path / "s" / "plan.json").write_text(json.dumps(plan))
    prepare_study(small_config(dataset), tmp_path / "s", lambda *_: None)
    with pytest.raises(UserError, match=r"`evaluation\.path_controls` 2 instead of 5"):
        prepare_study(small_config(dataset, evaluation={"path_controls": 5}), tmp_path / "s", lambda *_: None)
