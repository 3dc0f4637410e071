"""Masks that are read by the indices of a palette: one meaning of an index in all files, or one line."""

import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from imbalance_bench.data.converters.preparation import prepare_dataset
from imbalance_bench.data.converters.source import PrepareOptions, SourceError
from imbalance_bench.data.integrity import check_dataset
from imbalance_bench.data.pictures import Palette, read_colours, read_labels, read_palette
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.drafting.draft import Answers, draft_folder, look_at
from imbalance_bench.drafting.labels import find_labels
from imbalance_bench.errors import UserError

BLACK, RED, BLUE, GREEN = 0x000000, 0xFF0000, 0x0000FF, 0x00FF00
GREY, WHITE = 0x7F7F7F, 0xFFFFFF
RAMP = [grey * 0x010101 for grey in range(256)]
SHAPE = (12, 20)
LAYOUT = r"""
name: any
image: 'images/(?P<n>.+)\.png'
mask: 'masks/{n}.png'
image_id: '{n}'
classes: [{name: background, labels: [0]}, {name: lesion, labels: [1]}]
"""
BY_COLOUR = LAYOUT.replace("[0]", "['#000000']").replace("[1]", "['#ff0000']")


def stripes(*indices: int) -> np.ndarray:
    """Each index fills the same share of the columns, in this order."""
    return np.repeat(np.array(indices, np.uint8), -(-SHAPE[1] // len(indices)))[: SHAPE[1]] * np.ones(SHAPE, np.uint8)


def save(path: Path, indices: np.ndarray, colours: Sequence[int] | None) -> Path:
    """Write a mask of a palette; None: a grey one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif" and colours is not None:
        table = np.zeros((3, 256), np.uint16)
        table[:, : len(colours)] = np.array([[c >> 16, c >> 8 & 255, c & 255] for c in colours]).T * 257
        tifffile.imwrite(path, indices, photometric="palette", colormap=table)
        return path
    image = Image.fromarray(indices)
    if colours is not None:
        image = Image.frombytes("P", (SHAPE[1], SHAPE[0]), indices.tobytes())
        image.putpalette([part for c in colours for part in (c >> 16, c >> 8 & 255, c & 255)])
    image.save(path)
    return path


Mask = tuple[np.ndarray, Sequence[int] | None]
ALIKE: dict[str, list[Mask]] = {
    "one palette": [(stripes(0, 1), [BLACK, RED]), (stripes(1, 0), [BLACK, RED, BLUE])],
    "other colours at indices that are not used": [(stripes(0, 1), [BLACK, RED, BLUE]), (stripes(0), [BLACK, BLUE])],
    "grey": [(stripes(0, 1), None), (stripes(1, 0), None)],
    "grey beside a palette": [(stripes(0, 1), None), (stripes(1, 0), [BLACK, RED])],
    "a ramp of grey beside a palette": [(stripes(0, 1), RAMP), (stripes(1, 0), [BLUE, RED])],
}
APART: dict[str, tuple[list[Mask], str]] = {
    "the same colours in another order": (
        [(stripes(0, 1), [BLACK, RED]), (stripes(1, 0), [RED, BLACK])],
        r"b\.png must give index 0 of its palette the colour that it has in .*a\.png, #000000\. Got #ff0000\.",
    ),
    "another colour": (
        [(stripes(0, 1), [BLACK, RED]), (stripes(0, 1), [BLACK, BLUE])],
        r"b\.png must give index 1 of its palette the colour that it has in .*a\.png, #ff0000\. Got #0000ff\.",
    ),
    "one of a single colour": (
        [(stripes(0, 1), [BLACK, RED]), (stripes(0), [RED])],
        r"b\.png must give index 0 of its palette",
    ),
    "one that does not use the colours": (
        [(stripes(0), [BLACK, RED]), (stripes(0, 1), [RED, BLACK])],
        r"b\.png must give index 0 of its palette",
    ),
}


WIDE = LAYOUT.replace("labels: [1]}]", "labels: [1, 2]}, {name: vessel, labels: [3]}]\nunlabelled: [4, 5]")
SAME_CLASSES: dict[str, list[Mask]] = {
    "another colour of what is unlabelled": [
        (stripes(0, 1, 4), [BLACK, RED, BLACK, BLACK, GREY]),
        (stripes(0, 1, 4), [BLACK, RED, BLACK, BLACK, WHITE]),
    ],
    "padding at what is unlabelled": [
        (stripes(0, 1, 4), [BLACK, RED, GREEN, BLUE, GREY]),
        (stripes(0, 1, 4), [BLACK, RED, GREEN, BLUE, BLACK]),
        (stripes(0, 1, 4), [BLACK, RED, GREEN, BLUE, GREY]),
    ],
    "colours changed among what is unlabelled": [
        (stripes(0, 4, 5), [BLACK, RED, RED, RED, GREY, WHITE]),
        (stripes(0, 4, 5), [BLACK, RED, RED, RED, WHITE, GREY]),
    ],
    "colours changed within a class": [
        (stripes(0, 1, 2), [BLACK, RED, BLUE]),
        (stripes(0, 1, 2), [BLACK, BLUE, RED]),
    ],
    "colours changed within a class, of which one is not used": [
        (stripes(0, 1), [BLACK, RED, BLUE]),
        (stripes(0, 1), [BLACK, BLUE, RED]),
    ],
}
OTHER_CLASSES: dict[str, tuple[list[Mask], str]] = {
    "a class where others have what is unlabelled": (
        [(stripes(0, 1, 4), [BLACK, RED, GREEN, BLUE, GREY]), (stripes(0, 4), [BLACK, GREY, GREEN, BLUE, RED])],
        r"b\.png must have #ff0000 at index 1 of its palette, as .*a\.png has\. Got index 4\.",
    ),
    "what is unlabelled where others have a class": (
        [(stripes(0, 4), [BLACK, GREY, GREEN, BLUE, RED]), (stripes(0, 1), [BLACK, RED, GREEN, BLUE, GREY])],
        r"b\.png must have #ff0000 at index 4 of its palette, as .*a\.png has\. Got index 1\.",
    ),
    "an index that the mask before lacks": (
        [(stripes(0, 1), [BLACK, BLUE]), (stripes(0, 3), [BLACK, RED, GREEN, BLUE])],
        r"b\.png must have #0000ff at index 1 of its palette, as .*a\.png has\. Got index 3\.",
    ),
    "the colour of another class within a class": (
        [(stripes(0, 1, 3), [BLACK, RED, GREEN, BLUE]), (stripes(0, 1), [BLACK, BLUE, GREEN, RED])],
        r"b\.png must give index 1 of its palette the colour that it has in .*a\.png, #ff0000\. Got #0000ff\.",
    ),
    "an unknown colour within a class": (
        [(stripes(0, 1, 2), [BLACK, RED, GREEN]), (stripes(0, 1), [BLACK, WHITE, GREEN])],
        r"b\.png must give index 1 of its palette the colour that it has in .*a\.png, #ff0000\. Got #ffffff\.",
    ),
}


def source(root: Path, masks: Sequence[Mask], suffix: str = ".png") -> Path:
    rng = np.random.default_rng(0)
    for name, (indices, colours) in zip("abcdef", masks, strict=False):
        save(root / "masks" / f"{name}{suffix}", indices, colours)
        (root / "images").mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*SHAPE, 3), dtype=np.uint8)).save(root / "images" / f"{name}.png")
    return root


def prepare(root: Path, layout: str = LAYOUT, workers: int = 1) -> PreparedDataset:
    config = root.parent / "layout.yaml"
    config.write_text(layout)
    options = PrepareOptions(config=config)
    return prepare_dataset("folder", root, root.parent / "out", options, workers=workers).dataset


@pytest.mark.parametrize("kind", ALIKE)
def test_masks_that_agree_are_read_by_index(kind: str, tmp_path: Path) -> None:
    dataset = prepare(source(tmp_path / "in", ALIKE[kind]))
    for name, (indices, _) in zip("ab", ALIKE[kind], strict=True):
        np.testing.assert_array_equal(dataset.read_mask(name), indices)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
@pytest.mark.parametrize("kind", APART)
def test_an_index_of_two_colours_is_refused(kind: str, suffix: str, tmp_path: Path) -> None:
    masks, told = APART[kind]
    layout = LAYOUT.replace("masks/{n}.png", f"masks/{{n}}{suffix}")
    with pytest.raises(SourceError, match=told.replace(".png", suffix)) as caught:
        prepare(source(tmp_path / "in", masks, suffix), layout)
    assert "save them in one palette or in grey, or let the labels of a layout be colours" in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", SAME_CLASSES)
def test_palettes_that_change_no_class_are_read(kind: str, tmp_path: Path) -> None:
    dataset = prepare(source(tmp_path / "in", SAME_CLASSES[kind]), WIDE)
    ids = np.array([0, 1, 1, 2, 255, 255], np.uint8)
    for name, (indices, _) in zip("abc", SAME_CLASSES[kind], strict=False):
        np.testing.assert_array_equal(dataset.read_mask(name), ids[indices])


@pytest.mark.parametrize("kind", OTHER_CLASSES)
def test_palettes_that_change_a_class_are_refused(kind: str, tmp_path: Path) -> None:
    masks, told = OTHER_CLASSES[kind]
    with pytest.raises(SourceError, match=told):
        prepare(source(tmp_path / "in", masks), WIDE)


def test_every_mask_with_another_palette_is_counted_by_several_processes(tmp_path: Path) -> None:
    masks, _ = APART["another colour"]
    with pytest.raises(SourceError, match="3 masks with other palettes") as caught:
        prepare(source(tmp_path / "in", [*masks, masks[1], masks[1]]), workers=2)
    assert {problem.line.partition(" ")[0][-5:] for problem in caught.value.problems} == {"b.png", "c.png", "d.png"}


def test_labels_that_are_colours_know_no_order(tmp_path: Path) -> None:
    masks, _ = APART["the same colours in another order"]
    dataset = prepare(source(tmp_path / "in", masks), BY_COLOUR)
    for name in "ab":
        np.testing.assert_array_equal(dataset.read_mask(name), stripes(0, 1))


def test_a_draft_takes_the_colours_where_palettes_differ_in_their_order(tmp_path: Path) -> None:
    masks = [(stripes(0, 1, 2), [BLACK, RED, BLUE]), (stripes(1, 0, 2), [RED, BLACK, BLUE])] * 3
    found = look_at(source(tmp_path / "in", masks))
    assert {found.labels.text(value) for value in found.labels.values} == {"#000000", "#ff0000", "#0000ff"}
    layout = draft_folder(found, Answers(), tmp_path / "draft").files[tmp_path / "draft" / "layout.yaml"]
    assert "palettes of the masks differ in their order: labels are colours" in layout
    dataset = prepare(tmp_path / "in", layout)
    for name in "bcdef":
        np.testing.assert_array_equal(dataset.read_mask(name), dataset.read_mask("a"))


def test_a_draft_lets_what_is_unlabelled_have_any_colour(tmp_path: Path) -> None:
    paths = [
        save(tmp_path / f"{void:06x}.png", stripes(0, 1, 255), [BLACK, RED, *[BLACK] * 253, void])
        for void in (GREY, WHITE)
    ]
    found = find_labels(paths)
    assert (found.colours, found.values) == (False, (0, 1, 255))


@pytest.mark.parametrize("kind", ALIKE)
def test_a_draft_keeps_the_indices_where_palettes_agree(kind: str, tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{name}.png", *mask) for name, mask in zip("ab", ALIKE[kind], strict=True)]
    found = find_labels(paths)
    assert (found.colours, found.values, found.reordered) == (False, (0, 1), False)


UNDECIDED: dict[str, list[Mask]] = {
    "no colour comes back": [(stripes(0, 1), [BLACK, RED]), (stripes(0, 1), [BLACK, BLUE])],
    "a mask without colours": [(stripes(0, 1), [BLACK, RED]), (stripes(1, 0), [RED, BLACK]), (stripes(0, 1), None)],
    "greys scaled to the labels of each mask": [
        (stripes(0, 1), [BLACK, WHITE]),
        (stripes(0, 1, 2), [BLACK, GREY, WHITE]),
    ],
    "greys that are reversed": [(stripes(0, 1), [BLACK, WHITE]), (stripes(0, 1), [WHITE, BLACK])],
    "colours scaled to the labels of each mask": [
        (stripes(0, 1), [BLUE, RED]),
        (stripes(0, 1, 2), [BLUE, GREEN, RED]),
    ],
    "colours scaled to labels of which one is not used": [
        (stripes(0, 1), [BLUE, RED]),
        (stripes(0, 2), [BLUE, GREEN, RED]),
    ],
    "two indices of one colour": [(stripes(0, 1, 2), [BLACK, RED, RED]), (stripes(1, 0), [RED, BLACK])],
}


@pytest.mark.parametrize("kind", UNDECIDED)
def test_a_draft_is_refused_where_neither_indices_nor_colours_are_sure(kind: str, tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{name}.png", *mask) for name, mask in zip("abc", UNDECIDED[kind], strict=False)]
    with pytest.raises(UserError, match=r"b\.png must .* of its palette.* write the layout by hand"):
        find_labels(paths)


def test_prepared_masks_of_other_palettes_are_unsound(tiny: Path) -> None:
    for number, colours in ((1, [GREEN, RED, BLUE]), (2, [GREEN, BLUE, RED])):
        path = tiny / "masks" / f"im_{number}.png"
        indices = np.array(Image.open(path))
        image = Image.frombytes("P", indices.shape[::-1], indices.tobytes())
        image.putpalette(
            [part for c in colours for part in (c >> 16, c >> 8 & 255, c & 255)] + [0] * (765 - 9) + [9] * 3
        )
        image.save(path)
    report = check_dataset(PreparedDataset.open(tiny))
    assert len(report.problems) == 1
    assert "im_2.png must give index 1 of its palette the colour that it has in" in report.problems[0]
    assert [
        remark for remark in report.remarks if "im_2.png shows id 1 in the colour that dataset.yaml gives 2" in remark
    ]
    assert not [remark for remark in report.remarks if "im_1.png" in remark]


def test_prepared_masks_may_differ_in_the_colour_of_what_is_unlabelled(tiny: Path) -> None:
    for number, void in ((1, 9), (2, 99)):
        path = tiny / "masks" / f"im_{number}.png"
        indices = np.array(Image.open(path))
        indices[0] = 255
        image = Image.frombytes("P", indices.shape[::-1], indices.tobytes())
        image.putpalette([*[0, 255, 0], *[255, 0, 0], *[0, 0, 255], *[0] * (765 - 9), *[void] * 3])
        image.save(path)
    assert check_dataset(PreparedDataset.open(tiny)).problems == ()


def test_a_palette_is_read_within_a_few_bytes_a_pixel(tmp_path: Path) -> None:
    indices = np.zeros((3000, 4000), np.uint8)
    indices[:1000] = 1
    path = tmp_path / "a.png"
    image = Image.fromarray(indices).convert("P")
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.save(path)
    tracemalloc.start()
    found = read_palette(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found is not None
    assert found.used == (0, 1)
    assert peak < 5 * indices.size


def test_a_palette_that_is_missing_is_one_line_for_colours_and_nothing_for_codes(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stripes(0, 1), photometric="minisblack")
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags["PhotometricInterpretation"].overwrite(3)
    assert read_palette(path) is None
    np.testing.assert_array_equal(read_labels(path), stripes(0, 1))
    with pytest.raises(UserError, match=r"a\.tif must be a complete image file\. Got: its palette is missing"):
        read_colours(path)


def test_a_palette_is_its_colours_and_the_indices_in_use(tmp_path: Path) -> None:
    expected = Palette((BLACK, RED, BLUE), (0, 2))
    for name in ("a.png", "a.bmp"):
        found = read_palette(save(tmp_path / name, stripes(0, 2), [BLACK, RED, BLUE]))
        assert found is not None
        assert (found.colours[:3], found.used) == (expected.colours, expected.used)
    assert read_palette(save(tmp_path / "ramp.png", stripes(0, 2), RAMP)) is None
    assert read_palette(save(tmp_path / "grey.png", stripes(0, 2), None)) is None
    assert read_palette(tmp_path / "no picture") is None
