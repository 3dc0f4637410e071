"""Masks whose colours are almost labels: the right class, or refused with the colours and their counts."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from scipy.ndimage import maximum_filter

from imbalance_bench.data.converters.nearest_colour import NearestLabels
from imbalance_bench.data.converters.pixel_files import LabelTable
from imbalance_bench.data.converters.preparation import Prepared, prepare_dataset
from imbalance_bench.data.converters.source import PrepareOptions, SourceError
from imbalance_bench.errors import UserError
from tests.data.converters import miniature_sources as mini
from tests.data.tissue_folders import write_prostate_like

GREY = np.array([[0, 0, 0], [255, 255, 255], [120, 120, 120]], np.uint8)  # the third lies between the others
LAYOUT = """name: greys
image: 'img/(?P<n>.+)\\.png'
mask: 'msk/{n}.png'
image_id: '{n}'
classes:
- {name: black, labels: ['#000000']}
- {name: white, labels: ['#ffffff']}
- {name: grey, labels: ['#787878']}
"""


def codes_of(colours: np.ndarray) -> np.ndarray:
    """Return (H, W) int32 codes of (H, W, 3) colours."""
    wide = colours.astype(np.int32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def table(colours: np.ndarray) -> LabelTable:
    return LabelTable({int(code): place for place, code in enumerate(codes_of(colours))}, colours=True)


def prepare(root: Path, masks: list[np.ndarray], more: str) -> Prepared:
    """Prepare a folder with these masks of colours."""
    for number, mask in enumerate(masks):
        mini.save(root / "img" / f"i{number}.png", mini.picture(number, *mask.shape[:2]))
        mini.save(root / "msk" / f"i{number}.png", mask)
    layout = root.parent / "layout.yaml"
    layout.write_text(LAYOUT + more)
    return prepare_dataset("folder", root, root.parent / "out", PrepareOptions(config=layout), workers=1)


def test_an_anti_aliased_mask_is_right_to_the_border(tmp_path: Path) -> None:
    folder = write_prostate_like(tmp_path / "source")
    dataset = folder.prepare(tmp_path / "out").dataset
    wrong = 0
    for name, truth in folder.truth.items():
        mask = dataset.read_mask(name)
        for label in range(4):
            near = np.asarray(maximum_filter(truth == label, size=5), dtype=bool)
            assert not ((mask == label) & ~near).any()  # no class appears where it is not
        wrong += (mask != truth).sum()
    assert wrong / sum(each.size for each in folder.truth.values()) < 0.01


def test_what_was_changed_is_said_and_written(tmp_path: Path) -> None:
    folder = write_prostate_like(tmp_path / "source")
    prepared = folder.prepare(tmp_path / "out")
    codes = {path: codes_of(np.array(Image.open(path))) for path in (folder.source / "labels").iterdir()}
    labels = [int(code, 16) for code in ("00ff00", "ff0000", "0000ff", "ffffff")]
    changed = sum(int((~np.isin(each, labels)).sum()) for each in codes.values())
    pixels = sum(each.size for each in codes.values())
    written = yaml.safe_load((tmp_path / "out/dataset.yaml").read_text())["nearest_colours"]
    assert written["changed_pixels"] == changed
    assert written["changed_share"] == pytest.approx(changed / pixels, abs=1e-6)
    assert written["largest_distance"] < written["tolerance"] == pytest.approx(360.62 * 0.375**0.5 + 1, abs=0.01)
    assert prepared.dataset.info.nearest_colours is not None
    assert "in 5 of 5 masks" in prepared.remarks[0]


def test_a_border_makes_no_line_of_a_third_class() -> None:
    """Black fades into white through the grey of a third class; only a two-pixel rim is mixed, and none of it grey."""
    ramp = np.array([0] * 8 + [85, 170] + [255] * 8, np.uint8)
    codes = codes_of(np.broadcast_to(ramp[None, :, None], (10, 18, 3)))
    mask, change = NearestLabels(table(GREY)).apply(codes, Path("m.png"))
    assert (mask[0] == [0] * 9 + [1] * 9).all()
    assert (change.changed_pixels, change.largest_distance) == (20, pytest.approx(85 * 3**0.5))


def test_a_thin_line_of_a_close_colour_stays_what_it_is() -> None:
    """Two columns of almost green between red and blue: no mixture of the two, so they are the green class."""
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    truth = np.repeat([0, 1, 2], [8, 2, 8])[None].repeat(9, axis=0)
    shifted = np.array([[255, 0, 0], [14, 240, 22], [0, 0, 255]], np.uint8)[truth]
    mask, _ = NearestLabels(table(colours)).apply(codes_of(shifted), Path("m.png"))
    assert (mask == truth).all()


def test_noise_finds_its_label_even_beside_another() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(3), 12)[:, None].repeat(20, axis=1)
    noisy = np.clip(GREY[truth].astype(int) + rng.integers(-40, 41, (*truth.shape, 3)), 0, 255).astype(np.uint8)
    mask, change = NearestLabels(table(GREY)).apply(codes_of(noisy), Path("m.png"))
    assert (mask == truth).all()
    assert change.changed_pixels > 0.9 * truth.size


def test_an_exact_mask_is_not_changed(tmp_path: Path) -> None:
    prepared = prepare(tmp_path / "source", [GREY[mini.stripes((0, 1, 2))]] * 2, "nearest: true\n")
    assert prepared.dataset.info.nearest_colours is not None
    assert prepared.dataset.info.nearest_colours.changed_pixels == 0
    assert (prepared.dataset.read_mask("i0") == mini.stripes((0, 1, 2))).all()


def test_the_same_without_nearest_is_refused_with_a_count_per_colour(tmp_path: Path) -> None:
    mask = GREY[mini.stripes((0, 1, 2))]
    mask[0, :5], mask[3, 7] = (1, 2, 3), (254, 255, 255)
    with pytest.raises(UserError) as caught:
        prepare(tmp_path / "source", [mask], "")
    line = str(caught.value)
    assert "Got #010203 (5 px), #feffff (1 px): 2 unknown in 3.1 % of the pixels, first at row 0, column 0" in line
    assert "`nearest: true` takes the nearest label" in line


def test_a_forgotten_class_is_refused_though_it_is_within_the_tolerance(tmp_path: Path) -> None:
    mask = GREY[mini.stripes((0, 1, 2))].copy()
    mask[1:5, 2:8] = (200, 60, 60)  # an area of a colour of its own
    mask[9, 9] = (60, 60, 60)  # a mixture
    with pytest.raises(UserError, match=r"Got #c83c3c \(24 px\): 1 unknown.* that fills areas, is no mixture"):
        prepare(tmp_path / "source", [mask], "nearest: true\n")


def test_a_shifted_colour_may_fill_areas(tmp_path: Path) -> None:
    mask = GREY[mini.stripes((0, 1, 2))].copy()
    mask[mini.stripes((0, 1, 2)) == 1] = (252, 250, 251)  # white after a colour profile
    dataset = prepare(tmp_path / "source", [mask], "nearest: true\n").dataset
    assert (dataset.read_mask("i0") == mini.stripes((0, 1, 2))).all()


def test_a_stated_tolerance_holds(tmp_path: Path) -> None:
    mask = GREY[mini.stripes((0, 1, 2))].copy()
    mask[0, 0], mask[0, 1] = (20, 0, 0), (0, 0, 21)
    with pytest.raises(UserError, match=r"Got #000015 \(1 px\): .* farther than the tolerance 20 "):
        prepare(tmp_path / "source", [mask], "nearest: true\ntolerance: 20\n")
    prepared = prepare(tmp_path / "source", [mask], "nearest: true\ntolerance: 21\n")
    assert prepared.dataset.info.nearest_colours is not None
    assert prepared.dataset.info.nearest_colours.largest_distance == 21


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("tolerance: 20\n", "`tolerance` has no effect without `nearest: true`"),
        ("nearest: true\ntolerance: -1\n", "`tolerance` must be >= 0.0. Got -1"),
        ("nearest: perhaps\n", "`nearest`: .*valid boolean"),
    ],
)
def test_wrong_keys_are_refused(more: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        prepare(tmp_path / "source", [GREY[mini.stripes((0, 1, 2))]], more)


def test_nearest_is_for_colours(tmp_path: Path) -> None:
    text = (
        "name: a\nimage: 'x'\nmask: 'y'\nnearest: true\nclasses:\n- {name: a, labels: [0]}\n- {name: b, labels: [1]}\n"
    )
    (tmp_path / "layout.yaml").write_text(text)
    with pytest.raises(UserError, match="`nearest` is for labels that are colours"):
        prepare_dataset("folder", tmp_path, tmp_path / "out", PrepareOptions(config=tmp_path / "layout.yaml"))


def test_every_mask_with_unknown_colours_is_listed(tmp_path: Path) -> None:
    wrong = GREY[mini.stripes((0, 1, 2))].copy()
    wrong[2, 2] = (255, 0, 0)
    with pytest.raises(
        SourceError, match="2 problems, and nothing was converted: 2 masks with unknown labels"
    ) as caught:
        prepare(tmp_path / "source", [wrong, GREY[mini.stripes((0, 1))], wrong], "")
    assert [problem.line.split(" must")[0][-6:] for problem in caught.value.problems] == ["i0.png", "i2.png"]
