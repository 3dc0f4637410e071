"""`score`: predictions that were made elsewhere get exactly the numbers of a run of our own, or one clear line."""

import json
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from click.testing import Result
from PIL import Image

from analysis.pipeline import analyze_study
from analysis.report import build_report
from imbalance_bench.evaluation.counts import count_pixels
from imbalance_bench.records import StudyRecords
from tests.foreign_predictions import TESTED, guess, truth, two_methods, typed, write_foreign, write_guesses
from tests.small_study import CLASSES, COLOURS, SPLITS, write_study

COMPARED = (
    "class_scores",
    "method_scores",
    "unit_scores",
    "comparisons",
    "rankings",
    "boundary_scores",
    "image_scores",
)
ORDER = ("method", "fold", "seed", "image", "unit", "class", "aggregation", "metric", "measure", "distance_um")
PALETTE = [int(colour[i : i + 2], 16) for colour in COLOURS for i in (1, 3, 5)]


def counts_of(root: Path, method: str) -> pd.DataFrame:
    records = StudyRecords.open(root)
    (run,) = [run for run in records.plan()["runs"] if run["method"] == method]
    return records.run(run["run_id"]).counts()


def require_counts(root: Path, dataset: Path, method: str, predicted: Callable[[str], np.ndarray]) -> None:
    """Compare recorded counts with those of the arrays."""
    rows = counts_of(root, method)
    assert set(rows["image_id"]) == set(TESTED)
    for image_id in TESTED:
        expected = count_pixels(predicted(image_id), truth(dataset, image_id), len(CLASSES))
        own = rows[rows["image_id"] == image_id].sort_values("class_id")
        for name in ("tp", "fp", "fn"):
            np.testing.assert_array_equal(own[name], getattr(expected, name))
        assert (own["n_valid"] == expected.n_valid).all()


def test_predictions_exported_from_a_study_get_exactly_its_numbers(finished_study, tmp_path):
    """Counts, confusions and borders of every image, and what the analysis makes of them."""
    own = StudyRecords.open(finished_study)
    labels = list(dict.fromkeys(run["method"] for run in own.plan()["runs"]))
    for run in own.plan()["runs"]:
        folder = tmp_path / "exported" / run["method"] / f"seed_{run['seed']}"
        shutil.copytree(own.run(run["run_id"]).path / "predictions", folder)
    methods = [
        {"label": each, "predictions": str(tmp_path / "exported" / each / "seed_{seed}" / "{image_id}.png")}
        for each in labels
    ]
    file = write_foreign(tmp_path / "foreign.yaml", Path(own.dataset()["path"]), methods)
    done = typed("score", file, "--out", tmp_path / "scored")
    assert done.exit_code == 0, done.output
    scored = StudyRecords.open(tmp_path / "scored")
    assert scored.plan()["origin"] == "foreign"
    ids = {(run["method"], run["seed"]): run["run_id"] for run in scored.plan()["runs"]}
    for run in own.plan()["runs"]:
        ours, theirs = own.run(run["run_id"]), scored.run(ids[run["method"], run["seed"]])
        assert theirs.manifest()["origin"] == "foreign"
        for name in ("counts", "confusion", "boundary"):
            expected, found = getattr(ours, name)(), getattr(theirs, name)()
            expected = expected[expected["split"] == "test"].reset_index(drop=True)
            pd.testing.assert_frame_equal(found, expected, check_exact=True)
        for image_id in TESTED:
            copied, kept = theirs.prediction_path(image_id), ours.prediction_path(image_id)
            np.testing.assert_array_equal(np.array(Image.open(copied)), np.array(Image.open(kept)))
    copy = shutil.copytree(finished_study, tmp_path / "own")
    ours, theirs = (analyze_study(root).tables for root in (copy, scored.root))
    for name in COMPARED:
        order = [column for column in ORDER if column in ours[name]]
        found, expected = (
            tables[name].drop(columns="run_id", errors="ignore").sort_values(order, ignore_index=True)
            for tables in (theirs, ours)
        )
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert len(ours["image_scores"]) == len(labels) * 2 * len(TESTED) * len(CLASSES)


def test_an_nnunet_folder_needs_its_dataset_json_alone(dataset, tmp_path):
    """NIfTI per fold with probabilities; every image is tested once."""
    nibabel = pytest.importorskip("nibabel")
    content = {
        "channel_names": {"0": "R"},
        "labels": {"background": 0, "common": 1, "rare": 2},
        "file_ending": ".nii.gz",
    }
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    splits = {"kind": "grouped", "folds": 2, "seed": 3}
    for image_id in (f"im_{number}" for number in range(len(SPLITS))):
        for fold in (0, 1):
            folder = tmp_path / f"fold_{fold}" / "validation"
            folder.mkdir(parents=True, exist_ok=True)
            mask = guess(dataset, image_id, fold)
            likely = np.full((3, 1, *mask.shape), 0.1, np.float16)
            np.put_along_axis(likely, mask[None, None].astype(int), np.float16(0.8), axis=0)
            nibabel.save(nibabel.Nifti1Image(mask.T[..., None], np.eye(4)), folder / f"{image_id}.nii.gz")
            np.savez_compressed(folder / f"{image_id}.npz", probabilities=likely)
    folder = tmp_path / "fold_{fold}" / "validation"
    methods = [{"label": "nnunet", "predictions": str(folder / "{image_id}.nii.gz")}]
    methods[0] |= {"probabilities": str(folder / "{image_id}.npz")}
    file = write_foreign(tmp_path / "f.yaml", dataset, methods, splits=splits, labels=str(tmp_path / "dataset.json"))
    done = typed("score", file, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "extra predictions" in done.output
    records = StudyRecords.open(tmp_path / "out")
    folds = json.loads((tmp_path / "out" / "splits.json").read_text())["folds"]
    for run in records.plan()["runs"]:
        record = records.run(run["run_id"])
        rows = record.counts().set_index(["image_id", "class_id"])
        assert set(rows.index.get_level_values(0)) == set(folds[run["fold"]]["test"])
        for image_id in folds[run["fold"]]["test"]:
            expected = count_pixels(guess(dataset, image_id, run["fold"]), truth(dataset, image_id), 3)
            np.testing.assert_array_equal(rows.loc[image_id, "tp"], expected.tp)
            np.testing.assert_array_equal(rows.loc[image_id, "fp"], expected.fp)
        likely = record.probabilities()
        assert likely is not None
        assert set(likely["class_id"]) == {0, 1, 2}
        known = sum(int((truth(dataset, each) != 255).sum()) for each in folds[run["fold"]]["test"])
        assert likely.groupby("class_id")["pixels"].sum().tolist() == [known] * 3
        chosen = likely[likely["predicted"]]
        assert np.allclose(chosen["p_millionths"] / chosen["pixels"], 800_000, atol=1000)
    result = analyze_study(tmp_path / "out")
    assert len(result.tables["calibration"])


def grey(path: Path, mask: np.ndarray) -> None:
    Image.fromarray(mask).save(path.with_suffix(".png"))


def palette(path: Path, mask: np.ndarray) -> None:
    image = Image.fromarray(mask, mode="P")
    image.putpalette(PALETTE)
    image.save(path.with_suffix(".png"))


def sixteen_bits(path: Path, mask: np.ndarray) -> None:
    tifffile.imwrite(path.with_suffix(".png"), mask.astype(np.uint16))


def colours(path: Path, mask: np.ndarray) -> None:
    Image.fromarray(np.array(PALETTE, np.uint8).reshape(-1, 3)[mask]).save(path.with_suffix(".png"))


def tens(path: Path, mask: np.ndarray) -> None:
    grey(path, mask * 10)


def score_masks(
    write: Callable[[Path, np.ndarray], None], labels: dict[str, Any] | None, dataset: Path, tmp_path: Path
) -> Result:
    """Score one method whose masks are written in some way."""
    (tmp_path / "masks").mkdir()
    for image_id in TESTED:
        write(tmp_path / "masks" / image_id, guess(dataset, image_id, 1))
    method = {"label": "tool", "predictions": str(tmp_path / "masks" / "{image_id}.png"), "labels": labels}
    file = write_foreign(tmp_path / "f.yaml", dataset, [{k: v for k, v in method.items() if v}])
    return typed("score", file, "--out", tmp_path / "out")


@pytest.mark.parametrize(
    ("write", "labels"),
    [
        (grey, None),
        (palette, None),
        (sixteen_bits, None),
        (colours, dict(zip(CLASSES, COLOURS, strict=True))),
        (tens, {"background": 0, "common": [10], "rare": [20, 30]}),
    ],
)
def test_masks_as_tools_write_them(write, labels, dataset, tmp_path):
    done = score_masks(write, labels, dataset, tmp_path)
    assert done.exit_code == 0, done.output
    require_counts(tmp_path / "out", dataset, "tool", lambda image_id: guess(dataset, image_id, 1))


def coloured(
    order: list[int], colours: Sequence[str] = COLOURS, *, other: bool = False
) -> Callable[[Path, np.ndarray], None]:
    """Write the same pixels with class k at index order[k], in colours[k] of the class; `other`: of im_7 alone."""

    def write(path: Path, mask: np.ndarray) -> None:
        own = list(range(len(order))) if other and path.name != "im_7" else order
        image = Image.fromarray(np.array(own, np.uint8)[mask], mode="P")
        table = np.zeros((len(own), 3), np.uint8)
        table[own] = [list(bytes.fromhex(colour[1:])) for colour in colours]
        image.putpalette(table.ravel().tolist())
        image.save(path.with_suffix(".png"))

    return write


BY_VALUE, BY_COLOUR = dict(zip(CLASSES, range(3), strict=True)), dict(zip(CLASSES, COLOURS, strict=True))
OTHERS = ["#102030", "#405060", "#708090"]


@pytest.mark.parametrize(
    ("write", "labels", "told"),
    [
        (coloured([0, 1, 2]), None, None),
        (coloured([0, 1, 2], OTHERS), None, None),
        (coloured([0, 2, 1]), None, r"no `labels` are given. Got index \d in #\w+, the colour of class \d"),
        (coloured([0, 2, 1]), {"background": 0, "common": 2, "rare": 1}, None),
        (coloured([0, 2, 1]), BY_COLOUR, None),
        (coloured([0, 2, 1], other=True), BY_COLOUR, None),
        (coloured([0, 2, 1], other=True), BY_VALUE, r"im_7.png must give index 1 of its palette the colour .*im_6.png"),
        (coloured([0, 2, 1], OTHERS, other=True), None, r"im_7.png must give index 1 of its palette the colour"),
    ],
)
def test_palettes_say_one_thing_or_are_refused(write, labels, told, dataset, tmp_path):
    done = score_masks(write, labels, dataset, tmp_path)
    if told:
        assert done.exit_code == 2
        assert re.search(told, " ".join(done.output.split()))
        assert not (tmp_path / "out").exists()
    else:
        assert done.exit_code == 0, done.output
        require_counts(tmp_path / "out", dataset, "tool", lambda image_id: guess(dataset, image_id, 1))


@pytest.mark.parametrize(("colour", "told"), [("#ffffff", None), (COLOURS[2], r"im_7.png must have #\w+ at index 2")])
def test_what_is_no_class_may_have_any_colour_but_that_of_a_class(colour, told, dataset, tmp_path):
    (tmp_path / "masks").mkdir()
    for image_id in TESTED:
        mask = guess(dataset, image_id, 1)
        other = image_id == "im_7"
        if other:
            mask[mask == 2] = 3
        mask[0] = 3
        colours = [*COLOURS[:2], *(["#123456", colour] if other else [COLOURS[2], "#808080"])]
        coloured([0, 1, 2, 3], colours)(tmp_path / "masks" / image_id, mask)
    labels = {"labels": BY_VALUE, "no_class": [3]}
    method = {"label": "tool", "predictions": str(tmp_path / "masks" / "{image_id}.png"), **labels}
    done = typed("score", write_foreign(tmp_path / "f.yaml", dataset, [method]), "--out", tmp_path / "out")
    assert done.exit_code == (2 if told else 0), done.output
    assert re.search(told or "", " ".join(done.output.split()))


def test_a_palette_that_contradicts_that_of_the_truth_is_refused(dataset, tmp_path):
    data = shutil.copytree(dataset, tmp_path / "data")
    for path in sorted((data / "masks").iterdir()):
        image = Image.fromarray(np.array(Image.open(path)), mode="P")
        image.putpalette([9] * 768)
        image.putpalette([part for colour in OTHERS for part in bytes.fromhex(colour[1:])] + [9] * 759)
        image.save(path)
    (tmp_path / "masks").mkdir()
    for image_id in TESTED:
        coloured([0, 2, 1], OTHERS)(tmp_path / "masks" / image_id, guess(data, image_id, 1))
    method = {"label": "tool", "predictions": str(tmp_path / "masks" / "{image_id}.png")}
    found = typed("score", write_foreign(tmp_path / "f.yaml", data, [method]), "--out", tmp_path / "out")
    assert found.exit_code == 2
    assert "Got index 1 in #708090, the colour of class 2 ('rare')" in " ".join(found.output.split())


def test_a_prediction_with_an_orientation_tag_that_its_image_lacks_is_refused(dataset, tmp_path):
    file = two_methods(tmp_path, dataset)
    path, exif = tmp_path / "first" / "im_7.png", Image.Exif()
    exif[274] = 3
    Image.open(path).save(path, exif=exif.tobytes())
    found = typed("score", file, "--out", tmp_path / "out")
    assert found.exit_code == 2
    assert re.search(
        r"im_7.png must have the orientation tag of .*im_7.png, 1 .* Got 3", " ".join(found.output.split())
    )


def test_everything_wrong_is_named_at_once_and_nothing_written(dataset, tmp_path):
    file = two_methods(tmp_path, dataset)
    (tmp_path / "first" / "im_6.png").unlink()
    Image.fromarray(np.zeros((10, 20), np.uint8)).save(tmp_path / "first" / "im_7.png")
    mask = guess(dataset, "im_6", 1)
    mask[:2, :5] = 9
    Image.fromarray(mask).save(tmp_path / "second" / "im_6.png")
    (tmp_path / "second" / "im_7.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    write_guesses(tmp_path / "second", dataset, 0, ["im_0", "im_1"])
    Image.fromarray(mask).save(tmp_path / "second" / "other.png")
    found = typed("score", file, "--out", tmp_path / "out")
    assert found.exit_code == 2
    for part in (
        "first fold 0 seed 0: 1 of 2 test images have no predictions (im_6)",
        "images/im_7.png, 64 x 64 px (height x width). Got 10 x 20",
        "9 (10 px)",
        "im_7.png must be a complete image file",
        "2 extra predictions, of images, folds or seeds that are not tested, are not scored (im_0, im_1)",
        "1 extra predictions, of other images than the data set's, are not scored (other)",
        "4 problems, and nothing was written",
    ):
        assert part in " ".join(found.output.split()), part
    assert not (tmp_path / "out").exists()


def test_resumes_and_scores_changed_files_again(dataset, tmp_path):
    file, out = two_methods(tmp_path, dataset), tmp_path / "out"
    assert "2 scored now, 0 before" in typed("score", file, "--out", out).output
    before = {run["method"]: run["run_id"] for run in StudyRecords.open(out).plan()["runs"]}
    assert "0 scored now, 2 before" in typed("score", file, "--out", out).output
    (out / "runs" / before["second"] / "status.json").unlink()  # as if it had been killed
    assert "1 scored now, 1 before" in typed("score", file, "--out", out).output
    write_guesses(tmp_path / "second", dataset, 5)
    again = typed("score", file, "--out", out)
    assert "1 scored now, 1 before" in again.output
    assert "second fold 0 seed 0: its files or labels changed" in again.output
    after = {run["method"]: run["run_id"] for run in StudyRecords.open(out).plan()["runs"]}
    assert after["first"] == before["first"]
    assert after["second"] != before["second"]
    require_counts(out, dataset, "second", lambda image_id: guess(dataset, image_id, 5))
    assert typed("status", out).exit_code == 0


def test_predicted_as_no_class_is_a_miss_and_nobody_s_false_positive(dataset, tmp_path):
    for image_id in TESTED:
        mask = truth(dataset, image_id)
        mask[mask == 2] = 7
        Image.fromarray(mask).save(tmp_path / f"{image_id}.png")
    labels = {"background": 0, "common": 1, "rare": 2}
    method = {"label": "tool", "predictions": str(tmp_path / "{image_id}.png"), "labels": labels, "no_class": [7, 255]}
    done = typed("score", write_foreign(tmp_path / "f.yaml", dataset, [method]), "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    rows = counts_of(tmp_path / "out", "tool").groupby("class_id")[["tp", "fp", "fn"]].sum()
    pixels = np.sum([np.bincount(truth(dataset, each).ravel(), minlength=256) for each in TESTED], axis=0)
    assert rows["tp"].tolist() == [pixels[0], pixels[1], 0]
    assert rows["fp"].tolist() == [0, 0, 0]
    assert rows["fn"].tolist() == [0, 0, pixels[2]]
    tables = analyze_study(tmp_path / "out").tables
    shares = tables["confusion"].set_index(["true", "predicted"])["share"]
    assert shares["rare"].sum() == 0
    assert shares["common", "common"] == 1


def test_merged_classes_take_values_of_their_sources(dataset, tmp_path):
    two_methods(tmp_path, dataset)
    masks = str(tmp_path / "first" / "{image_id}.png")
    named = {"label": "names", "predictions": masks, "labels": {"background": 0, "tissue": 1, "rare": 2}}
    file = write_foreign(tmp_path / "f.yaml", dataset, [{"label": "ids", "predictions": masks}, named])
    content = yaml.safe_load(file.read_text())
    content["dataset"]["groups"] = {"tissue": ["common", "rare"]}
    file.write_text(yaml.safe_dump(content))
    assert typed("score", file, "--out", tmp_path / "out").exit_code == 0
    first, second = (counts_of(tmp_path / "out", each) for each in ("ids", "names"))
    pd.testing.assert_frame_equal(first, second)
    assert set(first["class_id"]) == {0, 1}


def test_nifti_with_swapped_axes_is_refused_unless_said(dataset, tmp_path):
    nibabel = pytest.importorskip("nibabel")
    for image_id in TESTED:
        nibabel.save(nibabel.Nifti1Image(guess(dataset, image_id, 0), np.eye(4)), tmp_path / f"{image_id}.nii")
    method: dict[str, Any] = {"label": "tool", "predictions": str(tmp_path / "{image_id}.nii")}
    refused = typed("score", write_foreign(tmp_path / "f.yaml", dataset, [method]), "--out", tmp_path / "out")
    assert refused.exit_code == 2
    assert "with its axes swapped. Set `nifti_axes: yx`" in refused.output
    file = write_foreign(tmp_path / "f.yaml", dataset, [method | {"nifti_axes": "yx"}])
    assert typed("score", file, "--out", tmp_path / "out").exit_code == 0
    require_counts(tmp_path / "out", dataset, "tool", lambda image_id: guess(dataset, image_id, 0))


def test_nifti_without_nibabel_is_one_line(dataset, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nibabel", None)
    for image_id in TESTED:
        (tmp_path / f"{image_id}.nii.gz").write_bytes(b"any")
    method = {"label": "tool", "predictions": str(tmp_path / "{image_id}.nii.gz")}
    found = typed("score", write_foreign(tmp_path / "f.yaml", dataset, [method]), "--out", tmp_path / "out")
    assert found.exit_code == 2
    assert "needs nibabel. Install it: pip install 'imbalance-bench[nifti]'" in found.output


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path, _nib: path.write_bytes(path.read_bytes()[:-40]), "must be a complete NIfTI file"),
        (lambda path, _nib: path.write_bytes(b"no NIfTI"), "must be a NIfTI file"),
        (lambda path, nib: nib.save(nib.Nifti1Image(np.zeros((64, 64, 3), np.uint8), np.eye(4)), path), "one picture"),
        (lambda path, nib: nib.save(nib.Nifti1Image(np.full((64, 64), 0.5), np.eye(4)), path), "whole numbers"),
    ],
)
def test_damaged_nifti_is_one_line(damage, said, dataset, tmp_path):
    nibabel = pytest.importorskip("nibabel")
    for image_id in TESTED:
        nibabel.save(nibabel.Nifti1Image(guess(dataset, image_id, 0).T, np.eye(4)), tmp_path / f"{image_id}.nii.gz")
    damage(tmp_path / "im_6.nii.gz", nibabel)
    method = {"label": "tool", "predictions": str(tmp_path / "{image_id}.nii.gz")}
    found = typed("score", write_foreign(tmp_path / "f.yaml", dataset, [method]), "--out", tmp_path / "out")
    assert found.exit_code == 2
    assert said in found.output
    assert "im_6.nii.gz" in found.output
    assert "Traceback" not in found.output


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY"])
def test_damaged_probabilities_are_one_line(content, dataset, tmp_path):
    file = two_methods(tmp_path, dataset)
    for image_id in TESTED:
        (tmp_path / f"{image_id}.npz").write_bytes(content)
    text = yaml.safe_load(file.read_text())
    text["methods"][0]["probabilities"] = str(tmp_path / "{image_id}.npz")
    file.write_text(yaml.safe_dump(text))
    found = typed("score", file, "--out", tmp_path / "out")
    assert found.exit_code == 2
    assert "must be a NumPy file of probabilities" in found.output


@pytest.mark.parametrize(
    ("probabilities", "said"),
    [
        (lambda likely: likely * 3, "must hold probabilities, which sum to 1 over channels. Got 3"),
        (lambda likely: likely.swapaxes(1, 2), "The most likely class is another in"),
        (lambda likely: likely[:, :32], "must hold fractions of shape (channels, 64, 64)"),
        (lambda likely: np.concatenate([likely, likely * 0]), "channel i must be the probability of value i"),
    ],
)
def test_wrong_probabilities_are_refused(probabilities, said, dataset, tmp_path):
    file = two_methods(tmp_path, dataset)
    for image_id in TESTED:
        likely = np.eye(3, dtype=np.float32)[guess(dataset, image_id, 0)].transpose(2, 0, 1)
        np.savez(tmp_path / f"{image_id}.npz", probabilities=probabilities(likely))
    content = yaml.safe_load(file.read_text())
    content["methods"][0]["probabilities"] = str(tmp_path / "{image_id}.npz")
    file.write_text(yaml.safe_dump(content))
    found = typed("score", file, "--out", tmp_path / "out")
    assert found.exit_code == 2
    assert said in found.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"predictions": "masks/{image}.png"}, "must use {image_id}, {fold} and {seed} alone. Got '{image}'"),
        ({"predictions": "masks/all.png"}, "must hold {image_id}"),
        ({"predictions": "nowhere/{image_id}.png"}, "no file matches nowhere/{image_id}.png"),
        ({"labels": {"stroma": 0}}, "`labels` must name classes of discs. Got 'stroma'."),
        ({"labels": {"common": 0, "rare": 0}}, "a label must belong to one class. Got 0 twice"),
        ({"labels": {"common": 0, "rare": "#ff0000"}}, "labels must all be values or all be colours"),
        ({"labels": "gone.json"}, "gone.json must exist"),
        ({"no_class": [4]}, "`no_class` goes with a mapping `labels`"),
        ({"seeds": [0, 1]}, "must hold {seed}, since it has several `seeds`"),
        ({"seeds": [4]}, "'first' must share a seed with the control 'second'. Got seeds 4 and 0."),
        ({"colour": 1}, "unknown key"),
    ],
)
def test_a_wrong_file_is_one_line(change, said, dataset, tmp_path):
    file = two_methods(tmp_path, dataset, analysis={"control": "second"})
    content = yaml.safe_load(file.read_text())
    content["methods"][0] |= change
    file.write_text(yaml.safe_dump(content))
    found = typed("score", file, "--out", tmp_path / "out")
    assert found.exit_code == 2, found.output
    assert said in " ".join(found.output.split())
    assert "Traceback" not in found.output
    assert not (tmp_path / "out").exists()


def test_regions_of_nnunet_are_refused_and_its_background_may_be_no_class(dataset, tmp_path):
    file = two_methods(tmp_path, dataset, labels=str(tmp_path / "dataset.json"))
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "whole": [1, 2]}}))
    assert "Got regions (lists of values)" in typed("score", file, "--out", tmp_path / "out").output
    text = (dataset / "dataset.yaml").read_text().replace("background", "stroma")
    (dataset / "dataset.yaml").write_text(text)
    (tmp_path / "dataset.json").write_text(
        json.dumps({"labels": {"background": 0, "Common": 1, "rare": 2, "ignore": 3}})
    )
    done = typed("score", file, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "no label stands for stroma" in done.output
    rows = counts_of(tmp_path / "out", "first")
    assert rows.loc[rows["class_id"] == 0, ["tp", "fp"]].to_numpy().sum() == 0


def test_directories_of_run_and_score_are_kept_apart(dataset, tmp_path):
    file, out = two_methods(tmp_path, dataset), tmp_path / "out"
    assert typed("score", file, "--out", out).exit_code == 0
    refused = typed("run", write_study(tmp_path / "study.yaml", dataset), "--out", out)
    assert refused.exit_code == 2
    assert "scores of predictions that were made elsewhere" in refused.output
    run_id = StudyRecords.open(out).plan()["runs"][0]["run_id"]
    predicted = typed("predict", out / "runs" / run_id, dataset / "images" / "im_0.png", "--out", tmp_path / "p")
    assert predicted.exit_code == 2
    assert "Traceback" not in predicted.output
    assert "was scored, not trained" in predicted.output
    other = two_methods(tmp_path, dataset, evaluation={"boundary_um": [3]})
    found = typed("score", other, "--out", out)
    assert found.exit_code == 2
    assert "holds a study with `evaluation.boundary_um`" in found.output


def test_verdicts_say_that_training_was_not_paired(dataset, tmp_path):
    out = tmp_path / "out"
    assert typed("score", two_methods(tmp_path, dataset), "--out", out).exit_code == 0
    result = analyze_study(out)
    (origin,) = [each for each in result.verdicts if each.aspect == "origin"]
    assert origin.word == "limited"
    assert "first, second were made elsewhere" in origin.sentence
    assert "training was not paired" in origin.sentence
    answer = next(each for each in result.verdicts if (each.topic, each.aspect) == ("answer", "method"))
    macro = next(each for each in result.verdicts if each.topic == "comparison" and each.class_name == "macro")
    assert answer.sentence.endswith("Their training was not paired.")
    assert macro.sentence.endswith("Their training was not paired.")
    unmeasured = " ".join(each.sentence for each in result.verdicts if each.topic == "data")
    assert "came without them" in unmeasured  # probabilities
    assert "earlier versions" not in unmeasured
    page = build_report(out).read_text(encoding="utf-8")
    assert "imbalance-bench score out/foreign.yaml --out out" in page
    assert typed("score", out / "foreign.yaml", "--out", out).exit_code == 0  # the copy works from anywhere


def test_a_dry_run_writes_nothing(dataset, tmp_path):
    done = typed("score", two_methods(tmp_path, dataset), "--out", tmp_path / "out", "--dry-run")
    assert done.exit_code == 0, done.output
    assert not (tmp_path / "out").exists()
