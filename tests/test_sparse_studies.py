"""Data sets and studies that lack something: every command goes through, and nothing that people read is a gap."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from PIL import Image

from imbalance_bench.cli.main import main
from imbalance_bench.records import StudyRecords
from tests.data.tissue_folders import TissueFolder, write_layered_skin, write_prostate_like
from tests.small_study import write_study

SIZE_PX = 64
RGB = np.array([[235, 225, 235], [120, 90, 160], [200, 90, 130]])
GAPS = re.compile(r"(?<![\w.-])(nan|None|<NA>|[-+]?inf)(?![\w-])")


def discs(number: int, n_classes: int) -> np.ndarray:
    """Discs of every class on a background."""
    rng, mask = np.random.default_rng(number), np.zeros((SIZE_PX, SIZE_PX), np.uint8)
    rows, columns = np.mgrid[:SIZE_PX, :SIZE_PX]
    for class_id in range(1, n_classes):
        top, left = rng.integers(12, SIZE_PX - 12, size=2)
        mask[(rows - top) ** 2 + (columns - left) ** 2 < (12 - 4 * class_id) ** 2 + 20] = class_id
    return mask


def layers(number: int, n_classes: int) -> np.ndarray:
    """Layers that touch every edge, so that no instance is whole."""
    ends = SIZE_PX * (np.arange(1, n_classes) + 0.1 * (number % 3)) / n_classes
    return np.repeat(np.searchsorted(ends, np.arange(SIZE_PX)).astype(np.uint8)[:, None], SIZE_PX, axis=1)


def filled(number: int, n_classes: int) -> np.ndarray:
    """One class fills every other image; the last class is one pixel."""
    mask = np.full((SIZE_PX, SIZE_PX), number % 2, np.uint8)
    mask[5, 5] = n_classes - 1
    return mask


def write_world(
    folder: Path,
    *,
    splits: Sequence[str] = ("train", "train", "train", "val", "test", "test"),
    draw: Callable[[int, int], np.ndarray] = discs,
    n_classes: int = 3,
    mpp_um: float | None = 0.5,
    one_group: bool = False,
    absent_from_test: bool = False,
) -> Path:
    """Write a prepared data set that lacks what its options say."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    lines = ["image_id,group_id,split,height_px,width_px"]
    for number, split in enumerate(splits):
        mask = draw(number, n_classes)
        if absent_from_test and split == "test":
            mask[mask == n_classes - 1] = 0
        noise = np.random.default_rng(number).normal(0, 20, (SIZE_PX, SIZE_PX, 3))
        Image.fromarray(np.clip(RGB[mask] + noise, 0, 255).astype(np.uint8)).save(
            folder / "images" / f"im_{number}.png"
        )
        Image.fromarray(mask).save(folder / "masks" / f"im_{number}.png")
        lines.append(f"im_{number},{f'slide_{split}' if one_group else f'slide_{number}'},{split},{SIZE_PX},{SIZE_PX}")
    (folder / "index.csv").write_text("\n".join(lines) + "\n")
    classes = [{"id": k, "name": f"class {k}", "colour": f"#{40 + 60 * k:02x}8040"} for k in range(n_classes)]
    info = {"name": "sparse", "description": "d", "mpp_um": mpp_um, "unlabelled_id": 255}
    info |= {"groups_known": True, "classes": classes, "licence": "CC0", "citation": "none"}
    (folder / "dataset.yaml").write_text(yaml.safe_dump(info))
    return folder


def typed(*words: object) -> Result:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    assert not GAPS.search(result.output), GAPS.search(result.output)
    return result


ONE_EACH = ("train", "val", "test")
NO_BOUNDARIES = {
    "evaluation": {"boundary_um": [], "surface_um": [], "trimap_um": [], "permuted_biases": 0, "dynamics_crops": 0}
}
WORLDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "no resolution": ({"mpp_um": None}, {}),
    "nothing recorded beside counts": ({}, NO_BOUNDARIES),
    "one image per split": ({"splits": ONE_EACH}, {}),
    "one group per split": ({"one_group": True}, {}),
    "two classes": ({"n_classes": 2}, {}),
    "class absent from test": ({"absent_from_test": True}, {}),
    "layers that touch every edge": ({"draw": layers}, {}),
    "one class fills an image": ({"draw": filled, "mpp_um": None}, {}),
}


@pytest.mark.parametrize("world", WORLDS)
def test_every_command_goes_through_what_a_study_lacks(world: str, tmp_path: Path, shared_cache: Path) -> None:
    lacking, sections = WORLDS[world]
    go_through(write_world(tmp_path / "data", **lacking), sections, tmp_path, shared_cache)


@pytest.mark.parametrize("write", [write_prostate_like, write_layered_skin])
def test_every_command_goes_through_a_folder_as_people_have_it(
    write: Callable[[Path], TissueFolder], tmp_path: Path, shared_cache: Path
) -> None:
    folder = write(tmp_path / "source")
    prepared = tmp_path / "data"
    typed("data", "prepare", "folder", folder.source, prepared, "--config", folder.layout, "--workers", "1")
    sections = {"splits": {"kind": "grouped", "folds": 1, "test_fraction": 0.3}}
    go_through(prepared, sections, tmp_path, shared_cache)


def test_one_slide_cannot_be_split_by_slides(tmp_path: Path, shared_cache: Path) -> None:
    dataset = tmp_path / "data"
    write_layered_skin(tmp_path / "source", grouped=True).prepare(dataset)
    study = write_study(tmp_path / "study.yaml", dataset, splits={"kind": "grouped", "folds": 1, "test_fraction": 0.3})
    result = CliRunner().invoke(main, ["run", str(study), "--out", str(tmp_path / "o"), "--cache", str(shared_cache)])
    assert result.exit_code == 2
    assert "at least 2 groups. Got 1" in result.output


def go_through(dataset: Path, sections: dict[str, Any], folder: Path, cache: Path) -> None:
    """Type every command on a study of two steps; nothing that people read may hold a gap."""
    training = {"steps": 2, "warmup_steps": 1, "validate_every": 2, "ledger_every": 1}
    sections = sections | {"training": training | sections.get("training", {})}
    study = write_study(folder / "study.yaml", dataset, methods=["cross_entropy", "dfa"], **sections)
    out = folder / "study"
    typed("data", "check", dataset)
    typed("data", "describe", dataset, "--out", folder / "cards")
    typed("run", study, "--out", out, "--cache", cache, "--engine", "serial")
    typed("analyze", out, "--cache", cache)
    typed("report", out)
    run = StudyRecords.open(out).finished()[0]
    image = next((dataset / "images").iterdir())
    typed("predict", out / "runs" / run.run_id, image, "--out", folder / "predicted")
    page = (out / "report" / "index.html").read_text()
    text = re.sub(r"<(style|script|svg)\b.*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL)
    gap = GAPS.search(text)
    assert gap is None, text[max(0, gap.start() - 200) :][:300]
    for path in [*(out / "tables").glob("*.md"), *(out / "tables").glob("*.tex")]:
        assert not GAPS.search(path.read_text()), path


def test_studies_that_lack_something_are_compared(tmp_path: Path, shared_cache: Path) -> None:
    roots: list[Path] = []
    worlds: dict[str, dict[str, Any]] = {"a": {"mpp_um": None}, "b": {"n_classes": 2}}
    for name, lacking in worlds.items():
        study = write_study(
            tmp_path / f"{name}.yaml",
            write_world(tmp_path / f"data_{name}", **lacking),
            methods=["cross_entropy", "dfa"],
        )
        roots.append(tmp_path / name)
        typed("run", study, "--out", roots[-1], "--cache", shared_cache, "--engine", "serial")
        typed("analyze", roots[-1])
    typed("compare", *roots, "--out", tmp_path / "compared")
