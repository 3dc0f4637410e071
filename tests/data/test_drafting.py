"""What `init` recognises in a folder: pairs, labels, groups, resolution; and the design that it makes of it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from imbalance_bench.data.dataset_file import ClassInfo, DatasetInfo
from imbalance_bench.data.prepared import ImageEntry, PreparedDataset
from imbalance_bench.drafting.class_names import parse_names, suggested_names
from imbalance_bench.drafting.design import design_study
from imbalance_bench.drafting.draft import look_at
from imbalance_bench.drafting.groups import groups_in
from imbalance_bench.drafting.labels import find_labels
from imbalance_bench.drafting.pairs import find_pairs
from imbalance_bench.drafting.resolution import common_resolution
from imbalance_bench.errors import UserError

LARGE, SMALL = b"x" * 100, b"x" * 10  # of an image and of a mask, where only their size tells them apart


def tree(root: Path, *names: str, size: bytes = LARGE) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(size)
    return root


RECOGNISED = {
    "parallel folders": (["images/a 1.png", "images/b.png"], ["labels/a 1.png", "labels/b.png"]),
    "beside": (["S1/a.png", "S1/b.png"], ["S1/a_mask.png", "S1/b_mask.png"]),
    "GlaS": (["train_1.bmp", "testA_1.bmp"], ["train_1_anno.bmp", "testA_1_anno.bmp"]),
    "prefix": (["p/a.png", "p/b.png"], ["p/mask_a.png", "p/mask_b.png"]),
    "nnU-Net": (["imagesTr/c_001_0000.png", "imagesTs/c_2_0000.png"], ["labelsTr/c_001.png", "labelsTs/c_2.png"]),
    "CRAG": (["train/Images/a.png", "valid/Images/a.png"], ["train/Annotation/a.png", "valid/Annotation/a.png"]),
    "deep": (
        ["training/case-1/he/t_a.jpg", "held_out/case-2/he/t_a.jpg"],
        ["training/case-1/labels/t_a.seg.png", "held_out/case-2/labels/t_a.seg.png"],
    ),
    "masks within": (["a.png", "b.png"], ["masks/a.png", "masks/b.png"]),
    "folder without a word": (["slides/a.tif", "slides/b.tif"], ["gt/a.png", "gt/b.png"]),
    "split in the folder's name": (
        ["train_images/a.png", "test_images/b.png"],
        ["train_masks/a.png", "test_masks/b.png"],
    ),
    "both named": (["a_image.png", "b_image.png"], ["a_mask.png", "b_mask.png"]),
    "several endings": (["images/a.jpg", "images/b.png"], ["masks/a.png", "masks/b.png"]),
    "the same several endings": (["images/a.tif", "images/b.png"], ["masks/a.tif", "masks/b.png"]),
    "two endings in one folder": (["d/a.jpg", "d/b.jpg"], ["d/a.png", "d/b.png"]),
    "two folders without words": (["q/a.png", "q/b.png"], ["z/a.png", "z/b.png"]),
    "capitals": (["Images/a.PNG", "Images/b.PNG"], ["Masks/a.png", "Masks/b.png"]),
}


@pytest.mark.parametrize("layout", RECOGNISED)
def test_pairs_are_recognised_and_described_exactly(layout: str, tmp_path: Path) -> None:
    images, masks = RECOGNISED[layout]
    tree(tree(tmp_path, *images), *masks, size=SMALL)
    found = find_pairs(tmp_path)
    assert {(pair.image, pair.mask) for pair in found.pairs} == set(zip(images, masks, strict=True))
    for pair in found.pairs:  # the template leads from the image to its mask, apart from the case of the ending
        assert found.mask.format_map(pair.fields).lower() == pair.mask.lower()
    assert not any(re.fullmatch(found.image, mask) for mask in masks)
    assert len({found.id_of(pair) for pair in found.pairs}) == len(images)
    assert found.remarks == ()


@pytest.mark.parametrize(
    ("layout", "splits"),
    [
        ("nnU-Net", {"Tr": "train", "Ts": "test"}),
        ("CRAG", {"train": "train", "valid": "val"}),
        ("deep", {"training": "train", "held_out": "test"}),
        ("split in the folder's name", {"train_": "train", "test_": "test"}),
        ("GlaS", {}),
    ],
)
def test_splits_are_read_off_folders_only(layout: str, splits: dict[str, str], tmp_path: Path) -> None:
    images, masks = RECOGNISED[layout]
    tree(tmp_path, *images, *masks)
    assert dict(find_pairs(tmp_path).splits) == splits


def test_images_without_a_mask_are_left_out_and_named(tmp_path: Path) -> None:
    tree(tmp_path, "imagesTr/a_0000.png", "labelsTr/a.png", "imagesTs/b_0000.png")
    found = find_pairs(tmp_path)
    assert not re.fullmatch(found.image, "imagesTs/b_0000.png")
    assert found.remarks == ("1 of 3 pictures left out, each in no pair: imagesTs/b_0000.png",)
    tree(tmp_path / "s", "S/a.png", "S/a_mask.png", "S/a_overlay.png", "S/b.png", "S/b_mask.png")
    found = find_pairs(tmp_path / "s")
    assert [pair.image for pair in found.pairs] == ["S/a.png", "S/b.png"]
    assert not re.fullmatch(found.image, "S/a_overlay.png")


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a.png", "b.png"], "a mask for each image"),
        (["imagesTr/a_0000.png", "imagesTr/a_0001.png", "labelsTr/a.png"], "Got one channel of it"),
        (["notes.txt"], "must hold images and masks"),
        (["images/a.png", "masks/a.png", "S/b.png", "S/b_mask.png"], "Got 2 ways"),
        ([*(f"images/{n}.png" for n in range(60)), "masks/0.png"], "Got none for 59 of 60 images"),
    ],
)
def test_what_is_not_recognised_is_refused_in_one_line(names: list[str], told: str, tmp_path: Path) -> None:
    tree(tmp_path, *names)
    with pytest.raises(UserError, match=re.escape(told)):
        find_pairs(tmp_path)


def discs(size: int = 200) -> np.ndarray:
    """A disc of class 1 with a disc of class 2 in it."""
    rows, columns = np.mgrid[:size, :size] - size / 2
    radius = np.hypot(rows, columns)
    return (radius < size / 3).astype(np.uint8) + (radius < size / 6)


def saved(path: Path, array: np.ndarray, **options: Any) -> Path:
    Image.fromarray(array).save(path, **options)
    return path


def test_codes_are_labels_even_where_they_are_thin(tmp_path: Path) -> None:
    mask = discs()
    mask[:, 10] = 7  # a line of one pixel fills no area
    found = find_labels([saved(tmp_path / "a.png", mask)])
    assert (found.colours, found.values, found.nearest) == (False, (0, 1, 2, 7), False)
    np.testing.assert_array_equal(found.pixels, [[(mask == value).sum() for value in (0, 1, 2, 7)]])


@pytest.mark.parametrize("blended", ["no", "resampled", "jpeg"])
def test_colours_and_their_mixtures_are_told_apart(blended: str, tmp_path: Path) -> None:
    colours = np.array([[255, 255, 255], [255, 0, 0], [0, 0, 255]], np.uint8)[discs()]
    path = tmp_path / ("a.jpg" if blended == "jpeg" else "a.png")
    if blended == "resampled":
        Image.fromarray(colours).resize((150, 150), Image.Resampling.BILINEAR).save(path)
    else:
        saved(path, colours, **({"quality": 90} if blended == "jpeg" else {}))
    found = find_labels([path])
    assert found.colours
    assert found.nearest == (blended != "no")
    wanted = np.array([[255, 255, 255], [255, 0, 0], [0, 0, 255]])
    got = np.array([[value >> 16, value >> 8 & 255, value & 255] for value in found.values])
    assert len(got) == 3
    assert np.abs(got - wanted).max() <= 2  # from the most frequent one; JPEG moves a colour by one or two


def test_grey_of_an_anti_aliased_mask_becomes_colours(tmp_path: Path) -> None:
    grey = Image.fromarray((discs() > 0).astype(np.uint8) * 255).resize((150, 150), Image.Resampling.BILINEAR)
    grey.save(tmp_path / "a.png")
    found = find_labels([tmp_path / "a.png"])
    assert ([found.text(value) for value in found.values], found.nearest) == (["#000000", "#ffffff"], True)


def test_numbered_instances_are_refused(tmp_path: Path) -> None:
    numbers = np.arange(100, dtype=np.uint16).reshape(10, 10).repeat(8, 0).repeat(8, 1)
    with pytest.raises(UserError, match="number instances"):
        find_labels([saved(tmp_path / "a.png", numbers)])


def test_names_come_from_nnunet_and_255_is_no_class(tmp_path: Path) -> None:
    mask = discs()
    mask[0] = 255
    found = find_labels([saved(tmp_path / "a.png", mask)])
    assert suggested_names(found, tmp_path).class_of == {0: "class_0", 1: "class_1", 2: "class_2", 255: ""}
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "gland": 1, "lumen": 2, "ignore": 255}}')
    names = suggested_names(found, tmp_path)
    assert names.class_of == {0: "background", 1: "gland", 2: "lumen", 255: ""}
    assert parse_names("a,b,b,unlabelled", found) == {0: "a", 1: "b", 2: "b", 255: ""}
    assert parse_names("255=unlabelled, 2=c, 1=b, 0=a", found) == {0: "a", 1: "b", 2: "c", 255: ""}
    for text, told in (("a,b", "Got 2"), ("0=a,1=b,2=c", "no name for 255"), ("9=a", "Got '9'")):
        with pytest.raises(UserError, match=told):
            parse_names(text, found)


@pytest.mark.parametrize(
    ("names", "n_groups"),
    [
        (["TCGA-A1-A0SK-DX1_1", "TCGA-A1-A0SK-DX1_2", "TCGA-B2-B0SK-DX1_1"], 2),
        (["patient 1_a", "patient 1_b", "patient 02_a"], 2),
        (["x_slide-7_q", "x_slide-8_q"], 2),
        (["s1_x0_y0", "s1_x512_y0", "s2_x0_y512", "s2_x0_y0"], 2),
        (["Prostate 1", "Prostate 2", "Prostate 3"], 0),
        (["A01_3", "A01_4", "A02_1"], 0),
        (["S1_x0_y0", "S1_x64_y0"], 0),
        (["patient 1_a", "patient 1_b"], 0),
        (["case_a", "patient 1"], 0),
    ],
)
def test_groups_are_taken_where_names_are_convincing(names: list[str], n_groups: int) -> None:
    found = groups_in(names)
    groups = {re.search(found.pattern, name)[1] for name in names} if found.pattern else set()  # pyright: ignore[reportOptionalSubscript]
    assert len(groups) == n_groups


def test_one_slide_and_likely_prefixes_are_told() -> None:
    assert "all images are of one slide or patient ('S1')" in groups_in(["S1_x0_y0", "S1_x64_y0"]).why
    assert "If 'A01' and 1 other beginnings are patients" in groups_in(["A01_3", "A01_4", "A02_1"]).why


@pytest.mark.parametrize(
    ("resolutions", "unit", "mpp_um"),
    [
        ((20000, 20000), "CENTIMETER", 0.5),
        ((50800, 50800), "INCH", 0.5),
        ((72, 72), "INCH", None),  # what programs write that do not know
        ((20000, 40000), "CENTIMETER", None),  # two images of different resolution
    ],
)
def test_resolution_is_believed_where_a_microscope_could_have_it(
    resolutions: tuple[int, int], unit: str, mpp_um: float | None, tmp_path: Path
) -> None:
    files = [tmp_path / f"{n}.tif" for n in range(2)]
    for path, each in zip(files, resolutions, strict=True):
        tifffile.imwrite(path, np.zeros((8, 8, 3), np.uint8), resolution=(each, each), resolutionunit=unit)
    assert common_resolution(files)[0] == mpp_um
    assert common_resolution([*files, saved(tmp_path / "c.png", np.zeros((8, 8, 3), np.uint8))])[0] is None


def test_a_mask_of_another_size_is_named(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    saved(tmp_path / "images" / "a.png", np.zeros((8, 8, 3), np.uint8))
    saved(tmp_path / "masks" / "a.png", discs(16))
    with pytest.raises(UserError, match=r"masks/a.png must have the size .* 8 x 8 .* Got 16 x 16"):
        look_at(tmp_path)


def planned(n: int, *, size: tuple[int, int] = (64, 64), splits: str = "", per_group: int = 1) -> PreparedDataset:
    info = DatasetInfo(
        name="d",
        description="",
        mpp_um=None,
        unlabelled_id=255,
        groups_known=True,
        classes=tuple(ClassInfo(k, f"c{k}", f"#{k:06x}") for k in range(3)),
        licence="",
        citation="",
    )
    parts = splits.split(",") if splits else [""] * n
    entries = tuple(ImageEntry(f"i{k}", f"g{k // per_group}", parts[k], *size) for k in range(n))
    return PreparedDataset(Path("d"), info, entries, {}, {})


def test_few_groups_are_cross_validated_and_many_are_not() -> None:
    few = design_study(planned(10, per_group=2), np.ones((10, 3), np.int64))
    assert (few.splits, few.folds, few.tested) == ({"kind": "grouped", "folds": 4}, 4, 5)
    many = design_study(planned(40), np.ones((40, 3), np.int64))
    assert (many.splits, many.folds, many.tested) == ({"kind": "grouped"}, 1, 10)


def test_published_splits_are_kept_where_they_can_be() -> None:
    full = planned(6, splits="train,train,train,train,test,test")
    assert design_study(full, np.ones((6, 3), np.int64)).splits == {"kind": "published"}
    without_test = planned(6, splits="train,train,train,train,val,val")
    assert design_study(without_test, np.ones((6, 3), np.int64)).splits["kind"] == "grouped"


def test_a_class_that_no_split_can_hold_is_ignored() -> None:
    presence = np.ones((6, 3), np.int64)
    presence[1:, 2] = 0
    found = design_study(planned(6), presence)
    assert (found.ignored, found.folds) == (("c2",), 4)
    presence[1, 2] = 1
    found = design_study(planned(6), presence)
    assert (found.ignored, found.folds) == ((), 4)


def test_one_group_cannot_be_split() -> None:
    with pytest.raises(UserError, match="at least 2 groups"):
        design_study(planned(4, per_group=4), np.ones((4, 3), np.int64))


@pytest.mark.parametrize(
    ("size", "tile", "stride", "crop"),
    [((64, 64), 64, 64, 64), ((96, 128), 128, 128, 128), ((300, 100), 320, 320, 256), ((522, 775), 512, 256, 256)],
)
def test_tiles_are_no_larger_than_images_need(size: tuple[int, int], tile: int, stride: int, crop: int) -> None:
    found = design_study(planned(8, size=size), np.ones((8, 3), np.int64))
    assert (found.tile_px, found.stride_px, found.crop_px) == (tile, stride, crop)
