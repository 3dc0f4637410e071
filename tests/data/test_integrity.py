"""Every file is looked at, all problems are listed, and the counts are those of the masks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imbalance_bench.data.integrity import check_dataset, require_sound
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


def test_oddities_are_remarks_and_stop_nothing(tiny: Path) -> None:
    Image.fromarray(np.full((20, 24), 255, dtype=np.uint8)).save(tiny / "masks/im_1.png")
    (tiny / "images/notes.txt").write_text("x")
    report = require_sound(PreparedDataset.open(tiny))
    assert any("masks/im_1.png has no labelled pixel" in remark for remark in report.remarks)
    assert any("images/notes.txt is not in index.csv" in remark for remark in report.remarks)
