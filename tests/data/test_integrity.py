"""Every file is looked at, all problems are listed, and the counts are those of the masks."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image

from imbalance_bench.cli.main import main
from imbalance_bench.data import integrity
from imbalance_bench.data.integrity import check_dataset, check_folder, require_sound
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.errors import UserError


def test_counts_are_those_of_the_masks(tiny: Path, tiny_mask: Callable[[int], np.ndarray]) -> None:
    seen: list[tuple[int, int]] = []
    report = check_dataset(PreparedDataset.open(tiny), workers=2, on_progress=lambda *step: seen.append(step))
    masks = np.stack([tiny_mask(number) for number in range(6)])
    assert report.sound
    assert report.names == ("stroma", "tumour", "necrosis")
    assert report.pixels.tolist() == [int((masks == k).sum()) for k in range(3)]
    assert report.unlabelled_pixels == int((masks == 255).sum())
    assert seen == [(done, 6) for done in range(1, 7)]


def test_all_problems_are_listed_and_the_first_is_raised(tiny: Path) -> None:
    for name in ("images/im_1.png", "masks/im_1.png", "masks/im_3.png"):
        path = tiny / name
        path.write_bytes(path.read_bytes()[:-40])
    dataset = PreparedDataset.open(tiny)
    report = check_dataset(dataset)
    assert [problem.split(" must")[0] for problem in report.problems] == [
        str(tiny / "images/im_1.png"),
        str(tiny / "masks/im_1.png"),
        str(tiny / "masks/im_3.png"),
    ]
    with pytest.raises(UserError, match=r"im_1.png must.*\(and 2 more; imbalance-bench data check .*tiny lists them\)"):
        require_sound(dataset)


def test_every_damage_of_a_copy_is_named(write_dataset: Callable[..., Path]) -> None:
    root = write_dataset(splits=["train"] * 12)
    (root / "images/im_0.png").unlink()
    (root / "images/im_1.png").unlink()
    (root / "masks/im_1.png").unlink()
    (root / "masks/im_2.png").unlink()
    path = root / "images/im_3.png"
    path.write_bytes(path.read_bytes()[:-40])
    (root / "masks/im_3.png").write_bytes(b"")
    Image.new("RGB", (24, 21)).save(root / "images/im_4.png")
    Image.new("L", (24, 20)).save(root / "images/im_5.png")
    Image.new("RGB", (24, 20)).save(root / "masks/im_6.png")
    Image.new("L", (24, 20), 7).save(root / "masks/im_7.png")
    Image.new("RGB", (24, 20)).save(root / "images/im_8.webp")
    rows = (root / "index.csv").read_text().splitlines()
    rows[10] = rows[10].replace("train", "trian")  # im_9
    (root / "index.csv").write_text("\n".join(rows[:11] + rows[12:]) + "\n")  # without im_10
    _, report = check_folder(root)
    expected = [
        r"index.csv row 11: split must be train, .* Got 'trian'",
        r"images/im_0\.\* must exist",
        r"images/im_1\.\* must exist",
        r"masks/im_1.png must exist",
        r"masks/im_2.png must exist",
        r"images/im_3.png must be a complete image",
        r"masks/im_3.png must be a complete image",
        r"images/im_4.png must be 20 x 24 px .* Got 21 x 24",
        r"images/im_5.png must be an upright 8-bit RGB image. Got PNG, 8-bit grey",
        r"masks/im_6.png must be one upright channel of 8-bit class ids. Got PNG, 8-bit RGB",
        r"masks/im_7.png must hold declared class ids 0..2 .* Got 7",
        r"images: an image id must have one file. Got im_8.png, im_8.webp",
        r"index.csv must have a row for 'im_10', which has an image and a mask",
        r"index.csv must have a row for 'im_9'",
    ]
    assert len(report.problems) == len(expected), report.problems
    for problem, pattern in zip(report.problems, expected, strict=True):
        assert re.search(pattern, problem), problem
    with pytest.raises(UserError, match="Got 'trian'"):
        PreparedDataset.open(root)


def test_a_tiled_tiff_is_checked_in_bands(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integrity, "_BAND_PX", 7)
    rng = np.random.default_rng(0)
    for name in ("im_1", "im_2", "im_3"):
        (tiny / f"images/{name}.png").unlink()
        pixels = rng.integers(0, 256, (20 + (name == "im_3"), 24, 3), dtype=np.uint8)
        tifffile.imwrite(tiny / f"images/{name}.tif", pixels, tile=(16, 16), photometric="rgb", compression="zlib")
    path = tiny / "images/im_2.tif"
    path.write_bytes(path.read_bytes()[:-300])
    problems = check_folder(tiny)[1].problems
    assert [problem.split(" must")[0] for problem in problems] == [str(path), str(tiny / "images/im_3.tif")]
    assert "must be 20 x 24 px" in problems[1]


def test_the_command_names_damage_and_exits_1(tiny: Path) -> None:
    sound = CliRunner().invoke(main, ["data", "check", str(tiny)])
    assert (sound.exit_code, "nothing wrong" in sound.output) == (0, True)
    for name in ("im_1", "im_4"):
        (tiny / f"masks/{name}.png").unlink()
    damaged = CliRunner().invoke(main, ["data", "check", str(tiny)])
    assert damaged.exit_code == 1
    assert "masks/im_1.png must exist" in damaged.output
    assert "masks/im_4.png must exist" in damaged.output
    assert "2 problems" in damaged.output


def test_oddities_are_remarks_and_stop_nothing(tiny: Path) -> None:
    Image.fromarray(np.full((20, 24), 255, dtype=np.uint8)).save(tiny / "masks/im_1.png")
    (tiny / "images/notes.txt").write_text("x")
    report = require_sound(PreparedDataset.open(tiny))
    assert any("masks/im_1.png has no labelled pixel" in remark for remark in report.remarks)
    assert any("images/notes.txt is not in index.csv" in remark for remark in report.remarks)


def test_what_systems_leave_behind_is_no_remark_and_endings_may_be_capitals(tiny: Path) -> None:
    for folder in ("images", "masks"):
        for name in ("._im_0.png", ".DS_Store", "Thumbs.db"):
            (tiny / folder / name).write_bytes(b"\0\5")
        (tiny / folder / "im_1.png").rename(tiny / folder / "im_1.PNG")
    _, report = check_folder(tiny)
    assert report.sound, report.problems
    assert report.remarks == ()
