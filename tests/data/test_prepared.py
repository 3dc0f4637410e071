"""Reading a prepared data set, and one clear line for each thing that can be wrong with it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.errors import UserError


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def in_index(old: str, new: str) -> Callable[[Path], None]:
    return lambda root: replace(root / "index.csv", old, new)


def in_yaml(old: str, new: str) -> Callable[[Path], None]:
    return lambda root: replace(root / "dataset.yaml", old, new)


def test_reads_what_was_written(tiny: Path, tiny_mask: Callable[[int], np.ndarray]) -> None:
    dataset = PreparedDataset.open(tiny)
    assert [each.name for each in dataset.info.classes] == ["stroma", "tumour", "necrosis"]
    assert dataset.info.mpp_um == 0.5
    assert dataset.info.groups_known
    entry = dataset.entry("im_1")
    assert (entry.group_id, entry.split, entry.height_px, entry.width_px) == ("patient_1", "train", 20, 24)
    assert entry.extra == {"site": "A1"}
    assert dataset.read_image("im_1").shape == (20, 24, 3)
    assert dataset.read_image("im_1").dtype == np.uint8
    np.testing.assert_array_equal(dataset.read_mask("im_1"), tiny_mask(1))


def test_palette_masks_are_read_as_indices(tiny: Path, tiny_mask: Callable[[int], np.ndarray]) -> None:
    palette = Image.fromarray(tiny_mask(1)).convert("P")
    palette.putdata(tiny_mask(1).ravel().tolist())
    palette.putpalette([7] * 768)
    palette.save(tiny / "masks" / "im_1.png")
    np.testing.assert_array_equal(PreparedDataset.open(tiny).read_mask("im_1"), tiny_mask(1))


# what is wrong -> what the message must say; none of these needs a pixel
REFUSED_AT_OPEN = {
    "no such folder": (shutil.rmtree, ["must be a folder", "data prepare"]),
    "no dataset.yaml": (lambda root: (root / "dataset.yaml").unlink(), ["dataset.yaml must exist"]),
    "undecodable yaml": (lambda root: (root / "dataset.yaml").write_text("name: [\n"), ["dataset.yaml", "YAML"]),
    "binary yaml": (lambda root: (root / "dataset.yaml").write_bytes(b"\xff\xfe\x00"), ["dataset.yaml", "UTF-8"]),
    "yaml without keys": (lambda root: (root / "dataset.yaml").write_text("tiny\n"), ["mapping", "Got str"]),
    "missing key": (in_yaml("unlabelled_id: 255\n", ""), ["`unlabelled_id` is required", "Use 255"]),
    "missing class key": (in_yaml("  colour: '#ff0000'\n", ""), ["line 10", "`classes.1.colour` is required"]),
    "unknown key": (in_yaml("mpp_um", "mpp"), ["unknown key `mpp`", "Did you mean 'mpp_um'?"]),
    "bad resolution": (in_yaml("mpp_um: 0.5", "mpp_um: -1"), ["`mpp_um` must be > 0", "Got -1"]),
    "infinite resolution": (in_yaml("mpp_um: 0.5", "mpp_um: .inf"), ["`mpp_um`", "Got inf"]),
    "bad boolean": (in_yaml("groups_known: true", "groups_known: perhaps"), ["`groups_known`", "'perhaps'"]),
    "bad unlabelled": (in_yaml("unlabelled_id: 255", "unlabelled_id: 300"), ["`unlabelled_id`", "300"]),
    "unlabelled is a class": (in_yaml("unlabelled_id: 255", "unlabelled_id: 2"), ["`unlabelled_id`", "'necrosis'"]),
    "gap in class ids": (in_yaml("- id: 2", "- id: 3"), ["0..2", "[0, 1, 3]"]),
    "class name twice": (in_yaml("name: tumour", "name: stroma"), ["share a name", "'stroma'"]),
    "colour twice": (in_yaml("#ff0000", "#00FF00"), ["share a colour", "'#00ff00'"]),
    "bad colour": (in_yaml("'#ff0000'", "red"), ["`classes.1.colour` must be '#rrggbb'", "'red'"]),
    "no index": (lambda root: (root / "index.csv").unlink(), ["index.csv must exist"]),
    "index without rows": (
        lambda root: (root / "index.csv").write_text("image_id,group_id,split,height_px,width_px\n"),
        ["at least one image"],
    ),
    "empty index": (lambda root: (root / "index.csv").write_text(""), ["column 'image_id'"]),
    "missing column": (in_index("group_id", "grp_id"), ["column 'group_id'", "Did you mean 'grp_id'?"]),
    "short row": (in_index("im_1,patient_1", "im_1"), ["row 3", "6 fields", "Got 5"]),
    "duplicate image id": (in_index("im_1,", "im_0,"), ["row 3", "unique", "'im_0'"]),
    "separator in an id": (in_index("im_1,", "a/im_1,"), ["row 3", "plain file stem", "'a/im_1'"]),
    "backslash in an id": (in_index("im_1,", "a\\im_1,"), ["row 3", "plain file stem"]),
    "parent in an id": (in_index("im_1,", "..,"), ["row 3", "plain file stem", "'..'"]),
    "parent inside an id": (in_index("im_1,", "a..b,"), ["row 3", "plain file stem", "'a..b'"]),
    "absolute id": (in_index("im_1,", "/etc/passwd,"), ["row 3", "plain file stem", "'/etc/passwd'"]),
    "empty id": (in_index("im_1,", ","), ["row 3", "plain file stem"]),
    "empty group": (in_index("patient_1", ""), ["row 3", "group_id", "groups_known"]),
    "unknown split": (in_index("patient_1,train", "patient_1,trian"), ["row 3", "'trian'", "Did you mean 'train'?"]),
    "size that is no integer": (in_index("train,20", "train,20.0"), ["row 2", "height_px", "'20.0'"]),
    "group in two splits": (in_index("patient_4", "patient_1"), ["'patient_1'", "'im_1'", "'im_4'", "train", "test"]),
    "missing image": (lambda root: (root / "images/im_1.png").unlink(), ["im_1.*", "must exist"]),
    "missing mask": (lambda root: (root / "masks/im_1.png").unlink(), ["im_1.png", "no mask for image 'im_1'"]),
    "two images of one id": (
        lambda root: shutil.copy(root / "images/im_1.png", root / "images/im_1.TIF"),
        ["one file", "im_1.TIF", "im_1.png"],
    ),
}


@pytest.mark.parametrize("case", REFUSED_AT_OPEN)
def test_open_refuses(tiny: Path, case: str) -> None:
    damage, expected = REFUSED_AT_OPEN[case]
    damage(tiny)
    with pytest.raises(UserError) as caught:
        PreparedDataset.open(tiny)
    message = str(caught.value)
    assert "\n" not in message
    assert str(tiny) in message
    for part in expected:
        assert part in message


def test_the_audit_may_open_a_leaking_dataset(tiny: Path) -> None:
    replace(tiny / "index.csv", "patient_4", "patient_1")
    assert PreparedDataset.open(tiny, allow_leakage=True).entry("im_4").group_id == "patient_1"


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def spoil_mask(root: Path) -> None:
    Image.fromarray(np.full((20, 24), 9, dtype=np.uint8)).save(root / "masks/im_1.png")


def save_as(folder: str, mode: str, size: tuple[int, int] = (24, 20)) -> Callable[[Path], None]:
    return lambda root: Image.new(mode, size).save(root / folder / "im_1.png")


REFUSED_AT_READ = {
    "truncated image": (lambda root: truncate(root / "images/im_1.png"), "images/im_1.png", "complete"),
    "image that is none": (lambda root: (root / "images/im_1.png").write_text("x"), "images/im_1.png", "complete"),
    "image of another size": (save_as("images", "RGB", (25, 20)), "images/im_1.png", "20 x 25"),
    "grey image": (save_as("images", "L"), "images/im_1.png", "Got PNG, 8-bit grey"),
    "truncated mask": (lambda root: truncate(root / "masks/im_1.png"), "masks/im_1.png", "complete"),
    "mask of another size": (save_as("masks", "L", (24, 21)), "masks/im_1.png", "21 x 24"),
    "colour mask": (save_as("masks", "RGB"), "masks/im_1.png", "Got PNG, 8-bit RGB"),
    "16-bit mask": (save_as("masks", "I;16"), "masks/im_1.png", "Got PNG, 16-bit grey"),
    "undeclared class id": (spoil_mask, "masks/im_1.png", "Got 9."),
}


@pytest.mark.parametrize("case", REFUSED_AT_READ)
def test_read_refuses(tiny: Path, case: str) -> None:
    damage, file, expected = REFUSED_AT_READ[case]
    damage(tiny)
    dataset = PreparedDataset.open(tiny)
    read = dataset.read_image if file.startswith("images") else dataset.read_mask
    with pytest.raises(UserError, match=f"{file} must") as caught:
        read("im_1")
    assert expected in str(caught.value)


def test_unknown_image_is_named_with_the_nearest(tiny: Path) -> None:
    with pytest.raises(UserError, match=r"'img_1' is not in the index. Did you mean 'im_1'"):
        PreparedDataset.open(tiny).read_image("img_1")


def test_hash_ignores_the_place_and_the_prose(tiny: Path, tmp_path: Path) -> None:
    before = PreparedDataset.open(tiny).content_hash()
    shutil.move(tiny, tmp_path / "elsewhere")
    replace(tmp_path / "elsewhere/dataset.yaml", "Squares.", "Rectangles.")
    assert PreparedDataset.open(tmp_path / "elsewhere").content_hash() == before


@pytest.mark.parametrize(
    "change",
    [
        in_yaml("mpp_um: 0.5", "mpp_um: 0.25"),
        in_yaml("name: tumour", "name: tumor"),
        in_index("patient_1", "patient_9"),
        in_index("im_1,patient_1,train", "im_1,patient_1,val"),
        save_as("masks", "L"),
        save_as("images", "RGB"),
    ],
)
def test_hash_sees_what_changes_results(tiny: Path, change: Callable[[Path], None]) -> None:
    before = PreparedDataset.open(tiny).content_hash()
    change(tiny)
    assert PreparedDataset.open(tiny).content_hash() != before
