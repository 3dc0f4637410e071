"""The audit finds each kind of leakage, and nothing in data that have none."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from imbalance_bench.cli.main import main
from imbalance_bench.data.audit import AuditOptions, AuditReport, Finding, audit
from imbalance_bench.data.audit.near_duplicates import similar_pairs, thumbnail
from imbalance_bench.data.audit.tile_positions import parse_positions
from imbalance_bench.errors import UserError

TCGA = r"^(TCGA-\w\w-\w{4})"
SHARED_SPLITS = Path(__file__).parents[3] / "shared/data/splits"


def found(report: AuditReport, check: str) -> Finding:
    """Return the finding of one check."""
    return next(finding for finding in report.findings if finding.check == check)


def write_cv(path: Path, rows: dict[str, object]) -> Path:
    """Write a split file."""
    path.write_text("img_id,fold\n" + "".join(f"{name},{fold}\n" for name, fold in rows.items()))
    return path


@pytest.fixture
def leaky(tmp_path: Path) -> Path:
    """Four patients: AAAA in folds 0, 1 and 2, BBBB in 1, CCCC in 0, TTTT in test; tiles 790 px apart."""
    slide = "TCGA-A1-{}-DX1_xmin45749_ymin25055_MPP-0.2500_{}_{}"
    rows: dict[str, object] = {
        slide.format("AAAA", 0, 0): 0,
        slide.format("AAAA", 0, 790): 1,
        slide.format("AAAA", 1580, 1580): 2,
        slide.format("BBBB", 0, 0): 1,
        slide.format("CCCC", 0, 0): 0,
        slide.format("TTTT", 0, 0).replace("-A1-", "-OL-"): -1,
        slide.format("TTTT", 0, 790).replace("-A1-", "-OL-"): -1,
    }
    return write_cv(tmp_path / "cv.csv", rows)


@pytest.mark.skipif(not SHARED_SPLITS.is_dir(), reason=f"{SHARED_SPLITS} is not here")
def test_the_published_bcss_folds_leak_exactly_this_much() -> None:
    report = audit(SHARED_SPLITS / "sampath_bcss_cv.csv", AuditOptions(group_regex=TCGA))
    assert (report.n_images, report.n_groups, report.leaks) == (3129, 151, True)
    test = found(report, "test_groups")
    assert (test.verdict, test.counts) == ("clean", {"groups": 45, "images": 978, "shared_groups": 0})
    assert found(report, "groups_across_folds").counts == {"groups": 106, "groups_in_several_folds": 105}
    assert found(report, "validation_images").counts == {"images": 431, "leaking_images": 427}
    assert found(report, "site_overlap").verdict == "clean"


@pytest.mark.skipif(not SHARED_SPLITS.is_dir(), reason=f"{SHARED_SPLITS} is not here")
def test_the_command_prints_the_published_leakage_and_exits_1() -> None:
    arguments = ["data", "audit", str(SHARED_SPLITS / "sampath_bcss_cv.csv"), "--group-regex", TCGA]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    for sentence in (
        "3129 patches, 151 patients",
        "clean test set of 45 patients (978 patches)",
        "105 of 106 train/validation patients in more than one fold",
        "427 of 431 validation patches with a patient that is also trained on",
    ):
        assert sentence in result.output


def test_a_small_leaky_file_is_counted(leaky: Path, tmp_path: Path) -> None:
    report = audit(leaky, AuditOptions(group_regex=TCGA, tile_px=1024))
    assert (report.n_images, report.n_groups, report.group_noun) == (7, 4, "patient")
    assert found(report, "test_groups").counts == {"groups": 1, "images": 2, "shared_groups": 0}
    assert found(report, "groups_across_folds").counts == {"groups": 3, "groups_in_several_folds": 1}
    assert found(report, "validation_images").counts == {"images": 2, "leaking_images": 1}
    overlap = found(report, "spatial_overlap")
    assert overlap.counts == {"pairs": 1, "images": 2, "images_with_coordinates": 7}

    out = tmp_path / "audit.json"
    arguments = ["data", "audit", str(leaky), "--group-regex", TCGA, "--out", str(out)]
    assert CliRunner().invoke(main, arguments).exit_code == 1
    content = json.loads(out.read_text())
    assert content["leaks"]
    assert {each["check"]: each["verdict"] for each in content["findings"]}["validation_images"] == "leak"


def test_tiles_that_only_touch_do_not_overlap(leaky: Path) -> None:
    overlap = found(audit(leaky, AuditOptions(group_regex=TCGA, tile_px=790)), "spatial_overlap")
    assert overlap.verdict == "clean"
    assert found(audit(leaky, AuditOptions(group_regex=TCGA, tile_px=791)), "spatial_overlap").verdict == "leak"


def test_a_test_group_that_is_trained_on_is_a_leak(tmp_path: Path) -> None:
    path = write_cv(tmp_path / "cv.csv", {"p1_a": 1, "p1_b": -1, "p2_a": -1, "p3_a": 0})
    report = audit(path, AuditOptions(group_regex="^(p.)_"))
    assert found(report, "test_groups").counts == {"groups": 2, "images": 2, "shared_groups": 1}
    assert found(report, "test_groups").verdict == "leak"
    assert found(report, "groups_across_folds").verdict == "clean"
    assert report.group_noun == "group"


def test_unknown_groups_are_a_warning_and_no_acquittal(tmp_path: Path) -> None:
    path = write_cv(tmp_path / "cv.csv", {"p1_a": "train", "p1_b": "valid", "other": "test"})
    report = audit(path)
    assert not report.leaks
    assert found(report, "groups_across_folds").verdict == "not checked"
    assert found(report, "unknown_groups").counts == {"images": 3}
    result = CliRunner().invoke(main, ["data", "audit", str(path)])
    assert result.exit_code == 0
    assert "no leakage found, but groups are unknown" in result.output
    assert found(audit(path, AuditOptions(group_regex="^(p1)")), "unknown_groups").counts == {"images": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,fold\na,1\n", "must have a column 'img_id' or 'image_id'"),
        ("img_id,fold\na,1\na,2\n", "row 3: img_id must be a unique name. Got 'a' again"),
        ("img_id,fold\na,-2\n", r"row 2: fold must be -1 \(test\)"),
        ("img_id,split\na,tets\n", "Did you mean 'test'"),
        ("img_id,fold\na,1,7\n", "row 2 must have 2 fields"),
        ("img_id,fold\n", "at least one image"),
    ],
)
def test_a_wrong_split_file_is_refused_with_its_place(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "cv.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        audit(path)


@pytest.mark.parametrize("pattern", ["^(zzz)", "(p"])
def test_a_useless_group_regex_is_refused(tmp_path: Path, pattern: str) -> None:
    path = write_cv(tmp_path / "cv.csv", {"p1_a": 1})
    with pytest.raises(UserError, match="--group-regex must"):
        audit(path, AuditOptions(group_regex=pattern))


def test_numbering_is_not_taken_for_coordinates() -> None:
    assert parse_positions(["case_3_12", "case_3_13"], [None, None], tile_px=256) == [None, None]
    names = ["a_0_0", "a_0_256", "b_x512_y0", "s_xmin70_ymin900_MPP-0.25", "plain"]
    places = parse_positions(names, [None] * 5, tile_px=256)
    assert places == [("a", 0, 0), ("a", 0, 256), ("b", 512, 0), ("s", 70, 900), None]
    assert parse_positions(["a_0_0", "a_0_999"], ["p", "q"]) == [None, None]


def smooth(seed: int, size: int = 96) -> np.ndarray:
    """Draw blurred noise, like tissue at low power."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))


def test_copies_are_found_turned_brightened_and_compressed_but_strangers_and_glass_are_not() -> None:
    image = smooth(0)
    noisy = np.clip(image.astype(int) * 0.9 + np.random.default_rng(1).normal(10, 4, image.shape), 0, 255)
    glass = np.full_like(image, 240)
    images = [image, np.rot90(image), noisy[:, ::-1].astype(np.uint8), *map(smooth, range(2, 30)), glass, glass + 1]
    pairs = similar_pairs(np.stack([thumbnail(np.ascontiguousarray(each)) for each in images]))
    assert pairs == [(0, 1), (0, 2), (1, 2)]


def test_a_prepared_data_set_is_audited_with_its_pixels(write_dataset: Callable[..., Path]) -> None:
    root = write_dataset(groups=[f"p{number}" for number in range(5)] + ["p0"])
    shutil.copy(root / "images/im_0.png", root / "images/im_4.png")  # train -> test
    shutil.copy(root / "images/im_1.png", root / "images/im_2.png")  # patient p1 -> p2
    for number in (4, 5):
        Image.fromarray(np.zeros((20, 24), dtype=np.uint8)).save(root / f"masks/im_{number}.png")
    report = audit(root)
    assert report.leaks
    assert found(report, "test_groups").counts["shared_groups"] == 1
    assert found(report, "near_duplicates").counts == {"pairs_across_folds": 1, "pairs_across_groups": 1}
    assert found(report, "classes_missing").examples == ("tumour in test", "necrosis in test")
    assert found(report, "site_overlap").verdict == "warning"
    assert CliRunner().invoke(main, ["data", "audit", str(root)]).exit_code == 1


def test_a_sound_data_set_passes(tiny: Path) -> None:
    report = audit(tiny)
    assert not report.leaks
    verdicts = {finding.check: finding.verdict for finding in report.findings}
    assert verdicts["near_duplicates"] == verdicts["test_groups"] == verdicts["classes_missing"] == "clean"
    assert CliRunner().invoke(main, ["data", "audit", str(tiny)]).exit_code == 0


def test_a_missing_source_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"must be a prepared data set or a CSV"):
        audit(tmp_path / "nothing")
