"""`imbalance-bench predict` on the images of a finished study, where the right answer is on record."""

import json
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from shapely.geometry import Polygon, shape

from imbalance_bench.cli.main import main
from imbalance_bench.inference.prediction import PredictionOptions, predict_images
from imbalance_bench.inference.trained_model import TrainedModel
from imbalance_bench.records import RunRecord, StudyRecords
from tests.small_study import CLASSES, COLOURS


def run_of(study: Path, method: str) -> RunRecord:
    planned = next(run for run in StudyRecords(study).plan()["runs"] if run["method"] == method)
    return StudyRecords(study).run(planned["run_id"])


def images_of(study: Path) -> Path:
    return Path(StudyRecords(study).dataset()["path"]) / "images"


def predict(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["predict", *map(str, arguments)])


@pytest.mark.parametrize("method", ["cross_entropy", "cdb", "dfa"])
def test_masks_are_those_of_the_run(finished_study: Path, tmp_path: Path, method: str) -> None:
    record = run_of(finished_study, method)
    images = [images_of(finished_study) / f"im_{number}.png" for number in (6, 7)]
    done = predict(record.path, *images, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    for image in images:
        kept = np.asarray(Image.open(record.prediction_path(image.stem)))
        with (
            Image.open(tmp_path / f"{image.stem}_mask.png") as mask,
            Image.open(record.prediction_path(image.stem)) as own,
        ):
            assert mask.mode == own.mode == "L"
            assert np.array_equal(np.asarray(mask), kept)
        assert np.asarray(Image.open(tmp_path / f"{image.stem}_overlay.png")).shape == (*kept.shape, 3)
    areas = pd.read_csv(tmp_path / "areas.csv")
    kept = np.asarray(Image.open(record.prediction_path("im_6")))
    first = areas[areas["image"] == "im_6.png"]
    assert first["pixels"].tolist() == np.bincount(kept.ravel(), minlength=3).tolist()
    assert first["area_um2"].tolist() == (first["pixels"] * 0.25).tolist()  # 0.5 um per pixel
    assert set(areas["resolution"]) == {"assumed"}


def assert_valid_geojson(content: dict) -> None:
    """RFC 7946, sections 3.1.6, 3.2, 3.3: structure, closed rings, exteriors counter-clockwise, holes clockwise."""
    assert content["type"] == "FeatureCollection"
    for feature in content["features"]:
        assert feature["type"] == "Feature"
        assert feature["geometry"]["type"] == "Polygon"
        polygon = shape(feature["geometry"])
        assert isinstance(polygon, Polygon)
        assert polygon.is_valid
        assert polygon.exterior.is_ccw
        assert not any(hole.is_ccw for hole in polygon.interiors)
        for ring in feature["geometry"]["coordinates"]:
            assert ring[0] == ring[-1]
            assert len(ring) >= 4


def test_outlines_are_annotations_with_the_areas_of_the_mask(finished_study: Path, tmp_path: Path) -> None:
    record = run_of(finished_study, "focal")
    assert predict(record.path, images_of(finished_study) / "im_6.png", "--out", tmp_path).exit_code == 0
    content = json.loads((tmp_path / "im_6.geojson").read_text())
    assert_valid_geojson(content)
    kept = np.asarray(Image.open(record.prediction_path("im_6")))
    traced = dict.fromkeys(CLASSES, 0.0)
    for feature in content["features"]:
        properties = feature["properties"]
        assert properties["objectType"] == "annotation"
        name = properties["classification"]["name"]
        traced[name] += shape(feature["geometry"]).area
        assert properties["classification"]["color"] == list(bytes.fromhex(COLOURS[CLASSES.index(name)][1:]))
        assert properties["isLocked"] is True
    assert list(traced.values()) == np.bincount(kept.ravel(), minlength=3).tolist()
    ids = [feature["id"] for feature in content["features"]]
    assert len({uuid.UUID(each) for each in ids}) == len(ids)
    arguments = [images_of(finished_study) / "im_6.png", "--out", tmp_path / "again", "--palette"]
    assert predict(record.path, *arguments).exit_code == 0
    assert (tmp_path / "again" / "im_6.geojson").read_bytes() == (tmp_path / "im_6.geojson").read_bytes()
    coloured = Image.open(tmp_path / "again" / "im_6_mask.png")
    assert coloured.mode == "P"
    assert np.array_equal(np.asarray(coloured), kept)


def test_a_picture_of_another_resolution_is_resampled_and_outlined_in_its_own_pixels(
    finished_study: Path, tmp_path: Path
) -> None:
    record = run_of(finished_study, "focal")
    whole = Image.open(images_of(finished_study) / "im_6.png")
    whole.resize((128, 128), Image.Resampling.BICUBIC).save(tmp_path / "fine.png")
    done = predict(record.path, tmp_path / "fine.png", "--out", tmp_path / "out", "--mpp", 0.25)
    assert done.exit_code == 0, done.output
    mask = np.asarray(Image.open(tmp_path / "out" / "fine_mask.png"))
    assert mask.shape == (128, 128)
    areas = pd.read_csv(tmp_path / "out" / "areas.csv")
    assert areas["area_um2"].sum() == 128 * 128 * 0.0625
    content = json.loads((tmp_path / "out" / "fine.geojson").read_text())
    assert sum(shape(each["geometry"]).area for each in content["features"]) == 128 * 128
    kept = np.asarray(Image.open(record.prediction_path("im_6")))
    assert (mask[::2, ::2] == kept).mean() > 0.9  # seen at 0.5 um per pixel, as in training


def test_mistakes_are_one_line(finished_study: Path, tmp_path: Path) -> None:
    record, image = run_of(finished_study, "focal"), images_of(finished_study) / "im_6.png"
    (tmp_path / "text.png").write_text("no image")
    cases: Sequence[tuple[tuple[object, ...], str]] = [
        ((finished_study, image), "is a study. Give one of its finished runs"),
        ((tmp_path, image), "must be a finished run"),
        ((record.path, tmp_path / "gone.png"), "no such file"),
        ((record.path, image, image), "must differ in their names"),
        ((record.path, image, "--overlap", 64), "--overlap must be 0 to 63"),
        ((record.path, tmp_path / "text.png"), "text.png"),
    ]
    for arguments, message in cases:
        done = predict(*arguments, "--out", tmp_path / "out")
        assert done.exit_code == 2, done.output
        assert message in done.output
        assert "Traceback" not in done.output


def test_a_slide_is_seen_at_the_models_resolution(finished_study: Path, tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    pytest.importorskip("tiffslide")
    fine = Image.open(images_of(finished_study) / "im_6.png").resize((256, 256), Image.Resampling.BICUBIC)
    resolution = {"resolution": (1e4 / 0.125, 1e4 / 0.125), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(tmp_path / "slide.tiff") as writer:
        writer.write(np.asarray(fine), tile=(64, 64), photometric="rgb", **resolution)
    model = TrainedModel.open(run_of(finished_study, "focal").path)
    options = PredictionOptions()
    areas = predict_images(model, [tmp_path / "slide.tiff"], tmp_path / "out", options, lambda *_: None).areas
    assert areas["pixels"].sum() == 64 * 64
    assert areas["mpp_um"].iloc[0] == pytest.approx(0.5)
    assert set(areas["resolution"]) == {"file"}
    content = json.loads((tmp_path / "out" / "slide.geojson").read_text())
    assert sum(shape(each["geometry"]).area for each in content["features"]) == 256 * 256  # of the finest level


def test_the_resolution_that_counts_is_said_once(finished_study: Path, tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    pytest.importorskip("tiffslide")
    record = run_of(finished_study, "focal")
    pixels = np.asarray(Image.open(images_of(finished_study) / "im_6.png"))
    tiled = {"tile": (64, 64), "photometric": "rgb"}
    oblong = {"resolution": (20000, 10000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(tmp_path / "dpi.tif", pixels, resolution=(72, 72), resolutionunit="INCH", **tiled)
    tifffile.imwrite(tmp_path / "oblong.tif", pixels, **oblong, **tiled)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif.tobytes())
    images = [tmp_path / name for name in ("dpi.tif", "oblong.tif", "a.png", "turned.png")]
    done = predict(record.path, *images, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert sum("dpi.tif: the file says 352.8 um per pixel, outside 0.05 to 20 um" in line for line in lines) == 1
    assert sum("3 images do not state a resolution; 0.5 um per pixel, the model's, is assumed" in x for x in lines) == 1
    assert sum("turned.png: turned upright, as its orientation tag 6 says." in line for line in lines) == 1
    areas = pd.read_csv(tmp_path / "out" / "areas.csv").groupby("image")[["pixels", "area_um2"]].sum()
    sums = {str(name): row.to_list() for name, row in areas.iterrows()}
    assert sums["oblong.tif"] == [64 * 128, 64 * 0.5 * 64 * 1.0]
    assert sums["dpi.tif"] == [64 * 64, 64 * 64 * 0.25]
    mask, turned = (np.asarray(Image.open(tmp_path / "out" / f"{name}_mask.png")) for name in ("a", "turned"))
    assert (np.rot90(mask, -1) != mask).any()
    assert turned.shape == mask.shape
    content = json.loads((tmp_path / "out" / "oblong.geojson").read_text())
    assert sum(shape(each["geometry"]).area for each in content["features"]) == 64 * 64  # pixels of the file

    done = predict(record.path, tmp_path / "oblong.tif", "--out", tmp_path / "given", "--mpp", 1)
    assert "oblong.tif: the file says 0.5 x 1 um per pixel; --mpp was used instead." in done.output
    areas = pd.read_csv(tmp_path / "given" / "areas.csv")
    assert set(areas["resolution"]) == {"given"}
    assert areas["area_um2"].sum() == 64 * 64 * 1.0


@pytest.mark.parametrize("mpp", ["inf", "nan", "1e300", "0", "-1"])
def test_a_resolution_that_no_microscope_has_is_refused(finished_study: Path, tmp_path: Path, mpp: str) -> None:
    done = predict(run_of(finished_study, "focal").path, images_of(finished_study) / "im_6.png", "--out",
                   tmp_path / "out", "--mpp", mpp)  # fmt: skip
    assert done.exit_code == 2, done.output
    assert "--mpp must be 0.05 to 20 um per pixel" in done.output
    assert not (tmp_path / "out").exists()


def test_images_that_cannot_be_right_are_refused_before_anything_is_written(
    finished_study: Path, tmp_path: Path
) -> None:
    tifffile = pytest.importorskip("tifffile")
    pytest.importorskip("tiffslide")
    sound = images_of(finished_study) / "im_6.png"
    pixels = np.asarray(Image.open(sound))
    tiled = {"photometric": "rgb", "tile": (64, 64)}
    planes = np.ascontiguousarray(np.moveaxis(pixels, 2, 0))
    tifffile.imwrite(tmp_path / "planar.tif", planes, planarconfig="separate", **tiled)
    tifffile.imwrite(tmp_path / "deep.tif", pixels.astype(np.uint16) * 16, photometric="rgb")
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([pixels, pixels]), photometric="rgb")
    messages = {"planar": "stored apart", "deep": "16-bit RGB", "stack": "2 pictures of 8-bit RGB"}
    for name, message in messages.items():
        done = predict(run_of(finished_study, "focal").path, sound, tmp_path / f"{name}.tif", "--out", tmp_path / "out")
        assert done.exit_code == 2, done.output
        assert message in " ".join(done.output.split())
        assert not (tmp_path / "out").exists()
