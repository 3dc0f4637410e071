"""`imbalance-bench predict` on large slides: tissue, pyramids, interruption, memory."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from shapely.geometry import shape

from imbalance_bench.cli.main import main
from imbalance_bench.inference import prediction
from imbalance_bench.inference.ids_file import IdsFile
from imbalance_bench.inference.pyramid_file import write_pyramid
from imbalance_bench.inference.tissue import find_tissue
from imbalance_bench.inference.trained_model import TrainedModel
from imbalance_bench.records import StudyRecords
from tests.slides import stained, write_slide

tifffile = pytest.importorskip("tifffile")
pytest.importorskip("tiffslide")
SHARED = Path(__file__).parents[2].parent / "shared"


def run_of(study: Path) -> Path:
    planned = next(run for run in StudyRecords(study).plan()["runs"] if run["method"] == "focal")
    return StudyRecords(study).run(planned["run_id"]).path


def predict(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["predict", *map(str, arguments)])


@pytest.fixture
def slide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A slide of 600 x 900 px that counts as large."""
    monkeypatch.setattr(prediction, "LARGEST_SIMPLE_PX", 400 * 400)
    return write_slide(tmp_path / "slide.tif", 600, 900)


def mask_of(folder: Path) -> np.ndarray:
    return tifffile.imread(folder / "slide_mask.ome.tif")


@pytest.mark.parametrize("overlap", [0, 24])
def test_glass_is_skipped_and_the_rest_stays_the_same(
    finished_study: Path, slide: Path, tmp_path: Path, overlap: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(finished_study)
    done = predict(run, slide, "--out", tmp_path / "tissue", "--overlap", overlap)
    assert done.exit_code == 0, done.output
    everything = predict(run, slide, "--out", tmp_path / "all", "--no-tissue", "--overlap", overlap)
    assert everything.exit_code == 0, everything.output
    mask, whole = mask_of(tmp_path / "tissue"), mask_of(tmp_path / "all")
    glass = mask == 255
    assert np.array_equal(mask[~glass], whole[~glass])
    assert whole.max() < 3
    assert 0.3 < glass.mean() < 0.6
    assert f"slide.tif: {glass.mean():.1%} of it is glass and was skipped" in done.output
    assert "of it is glass" not in everything.output
    areas = pd.read_csv(tmp_path / "tissue" / "areas.csv")
    assert areas["pixels"].tolist() == np.bincount(mask.ravel(), minlength=256)[:3].tolist()
    assert areas["share"].sum() == pytest.approx(1)
    assert areas["predicted_share"].tolist() == pytest.approx([1 - glass.mean()] * 3)
    traced = json.loads((tmp_path / "tissue" / "slide.geojson").read_text())["features"]
    assert sum(shape(each["geometry"]).area for each in traced) == (~glass).sum()
    overlay = np.asarray(Image.open(tmp_path / "tissue" / "slide_overlay.png"))
    with tifffile.TiffFile(slide) as tiff:
        picture = tiff.series[0].asarray()
    assert np.array_equal(overlay[glass], picture[glass])
    assert not list((tmp_path / "tissue").glob(".*"))
    monkeypatch.setattr(prediction, "LARGEST_SIMPLE_PX", 10**9)
    assert predict(run, slide, "--out", tmp_path / "simple", "--overlap", overlap).exit_code == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "simple" / "slide_mask.png")), whole)
    simple, whole_outlines = (tmp_path / name / "slide.geojson" for name in ("simple", "all"))
    assert simple.read_bytes() == whole_outlines.read_bytes()


def test_an_interrupted_prediction_goes_on(
    finished_study: Path, slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(finished_study)
    assert predict(run, slide, "--out", tmp_path / "whole").exit_code == 0
    seen, inner = [], TrainedModel.device_logits

    def counted(model: TrainedModel, tiles: np.ndarray) -> object:
        if len(seen) == 12:
            raise OSError(errno.ENOSPC, "No space left on device")
        seen.append(len(tiles))
        return inner(model, tiles)

    monkeypatch.setattr(TrainedModel, "device_logits", counted)
    assert predict(run, slide, "--out", tmp_path / "out").exit_code != 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".slide.predicting"]
    stopped, before = sum(seen), json.loads((tmp_path / "out" / ".slide.predicting" / "progress.json").read_text())
    assert sum(before["pixels"]) > 0
    seen[:] = [0] * 13
    done = predict(run, slide, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "slide.tif: resumed an interrupted prediction." in done.output
    again = sum(seen)
    seen[:] = [0] * 13
    assert predict(run, slide, "--out", tmp_path / "once").exit_code == 0
    assert again < sum(seen) <= again + stopped
    for name in ("slide_mask.ome.tif", "slide.geojson", "slide_overlay.png", "areas.csv"):
        if name == "slide_mask.ome.tif":  # its OME identifier differs each time
            assert np.array_equal(mask_of(tmp_path / "out"), mask_of(tmp_path / "whole"))
        else:
            assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not list((tmp_path / "out").glob(".*"))


def test_what_another_prediction_left_is_not_used(
    finished_study: Path, slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(finished_study)
    with monkeypatch.context() as patch:
        patch.setattr(prediction, "write_overlay", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        assert predict(run, slide, "--out", tmp_path / "out", "--overlap", 8).exit_code != 0
    assert (tmp_path / "out" / ".slide.predicting" / "progress.json").exists()
    done = predict(run, slide, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "went on" not in done.output
    assert predict(run, slide, "--out", tmp_path / "clean").exit_code == 0
    assert np.array_equal(mask_of(tmp_path / "out"), mask_of(tmp_path / "clean"))


def test_the_pyramid_is_what_viewers_expect(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 3, (1100, 1500)).astype(np.uint8)
    ids[:600, :700] = 255
    with IdsFile(tmp_path / "ids", *ids.shape) as file:
        file.write(0, 0, ids[:, :800])
        file.write(0, 800, ids[:, 800:])
        write_pyramid(tmp_path / "grey.ome.tif", file, mpp_um=0.5)
        write_pyramid(tmp_path / "palette.ome.tif", file, mpp_um=None, colours=["#ff0000", "#00ff00", "#0000ff"])
    for name in ("grey", "palette"):
        with tifffile.TiffFile(tmp_path / f"{name}.ome.tif") as tiff:
            levels = tiff.series[0].levels
            assert len(levels) == 3
            assert max(levels[-1].shape) <= 512
            for number, level in enumerate(levels):
                assert np.array_equal(level.asarray(), ids[:: 2**number, :: 2**number])
            assert ('PhysicalSizeX="0.5"' in str(tiff.ome_metadata)) == (name == "grey")


def test_real_tissue_is_tissue_and_glass_is_not() -> None:
    images = [*(SHARED / "data").glob("consep/**/*.png"), *(SHARED / "data").glob("glas/**/*.bmp")]
    images = [path for path in images if "train" in path.name.lower() or "image" in str(path.parent).lower()][:20]
    if not images:
        pytest.skip("no real tissue beside the checkout (../shared/data)")
    for path in images:
        pixels = np.asarray(Image.open(path).convert("RGB"))
        if pixels.std() == 0 or (pixels[..., 0] == pixels[..., 1]).all():
            continue
        view = np.full((1500, 1500, 3), 242, np.uint8)
        view[300 : 300 + pixels.shape[0], 300 : 300 + pixels.shape[1]] = pixels
        cells = find_tissue(view[:1500, :1500], path, 1500, 1500).cells
        inside = cells[300 : 300 + pixels.shape[0], 300 : 300 + pixels.shape[1]]
        assert inside.mean() > 0.9, path
        assert cells.mean() < pixels.shape[0] * pixels.shape[1] / 1500**2 * 1.05
        assert find_tissue(pixels, path, *pixels.shape[:2]).share > 0.9, path  # no glass at all


@pytest.mark.parametrize("colour", [(240, 240, 240), (255, 255, 255), (0, 0, 0)])
def test_a_slide_without_tissue_is_said_to_be_one(
    finished_study: Path, tmp_path: Path, colour: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "LARGEST_SIMPLE_PX", 100)
    pixels = np.full((256, 256, 3), colour, np.uint8)
    tifffile.imwrite(tmp_path / "empty.tif", pixels, tile=(64, 64), photometric="rgb")
    done = predict(run_of(finished_study), tmp_path / "empty.tif", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "empty.tif must show" in done.output
    assert "--no-tissue" in done.output
    assert not list((tmp_path / "out").iterdir())


def test_ink_and_folds_are_predicted_and_padding_is_not(tmp_path: Path) -> None:
    view = stained(400, 600, 200)
    view[:40] = 0  # what no scanner saw
    view[104:124, 20:60] = 40  # grey ink on glass
    cells = find_tissue(view, tmp_path, 400, 600).cells
    assert not cells[:36].any()
    assert cells[106:122, 22:58].all()


CHILD = """
import sys
from pathlib import Path
from types import SimpleNamespace
import numpy as np, torch
from imbalance_bench.inference.prediction import PredictionOptions, predict_images
from tests.slides import write_slide

def peak_kib():  # of this program; `ru_maxrss` begins with what the process held that started it
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

folder, edge = Path(sys.argv[1]), int(sys.argv[2])
slide = write_slide(folder / f"{edge}.tif", edge, edge)
before = peak_kib()
(folder / "manifest.json").write_text("{}")

def logits(tiles):
    red, blue = (torch.from_numpy(tiles[..., k].astype(np.float32)) for k in (0, 2))
    return torch.stack([red - 200, blue - red, 0 * red], 1)

model = SimpleNamespace(
    tile_px=512, mpp_um=None, class_names=("a", "b", "c"), class_colours=("#ff0000", "#00ff00", "#0000ff"),
    config=SimpleNamespace(dataset=SimpleNamespace(stride_px=448)), licences={}, device=torch.device("cpu"),
    record=SimpleNamespace(run_id="x", path=folder), tiles_per_pass=1, device_logits=logits,
)
predict_images(model, [slide], folder / "out", PredictionOptions(), lambda *_: None)
print(before, peak_kib())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from Linux")
def test_memory_does_not_grow_with_the_slide(tmp_path: Path) -> None:
    peaks = {}
    for edge in (4352, 6912):
        (tmp_path / str(edge)).mkdir()
        command = [sys.executable, "-c", CHILD, str(tmp_path / str(edge)), str(edge)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
        assert done.returncode == 0, done.stderr
        before, peak = map(int, done.stdout.split())
        assert before < peak
        peaks[edge] = peak / 1024
    assert peaks[6912] < 1.15 * peaks[4352] + 20, peaks
    assert peaks[6912] < 2048
