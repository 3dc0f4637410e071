"""Folders as people have them: links, hidden files, capitals, odd Unicode - and every problem told at once."""

import os
import shutil
from pathlib import Path
from unicodedata import normalize

import pytest
from click.testing import CliRunner

from imbalance_bench.cli.main import main
from imbalance_bench.data.converters.preparation import Prepared, prepare_dataset
from imbalance_bench.data.converters.source import PrepareOptions, SourceError
from imbalance_bench.errors import UserError
from tests.data.converters import miniature_sources as mini

LAYOUT = r"""
name: cases
image: '(?P<case>[^/]+)/(?P<n>[^/]+)_he\.png'
mask: '{case}/{n}_seg.png'
group: '{case}'
classes:
  - {name: background, labels: [0]}
  - {name: tract, labels: [1]}
"""


def write_case(folder: Path, names: str = "ab", ending: str = "png") -> Path:
    """Write pairs of image and mask into a folder."""
    for name in names:
        mini.save(folder / f"{name}_he.{ending}", mini.picture(ord(name)))
        mini.save(folder / f"{name}_seg.{ending}", mini.stripes((0, 1)))
    return folder


def layout_of(root: Path, text: str = LAYOUT) -> Path:
    path = root.parent / "layout.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def prepare(root: Path, text: str = LAYOUT, dest: str = "out") -> Prepared:
    options = PrepareOptions(config=layout_of(root, text))
    return prepare_dataset("folder", root, root.parent / dest, options, workers=1)


def ids(prepared: Prepared) -> list[str]:
    return [entry.image_id for entry in prepared.dataset.entries]


def test_linked_folders_and_files_are_read_like_others(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_case(source / "case1")
    elsewhere = write_case(tmp_path / "elsewhere" / "x")
    (source / "case2").symlink_to(elsewhere)
    (source / "case3").mkdir()
    for kind in ("he", "seg"):
        file = elsewhere.parent / f"c_{kind}.png"
        shutil.copy(elsewhere / f"a_{kind}.png", file)
        (source / "case3" / f"c_{kind}.png").symlink_to(file)
    prepared = prepare(source)
    assert ids(prepared) == ["case1_a_he", "case1_b_he", "case2_a_he", "case2_b_he", "case3_c_he"]
    assert prepared.remarks == ()


def test_links_in_circles_are_left_out_and_named(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_case(source / "case1")
    (source / "case1" / "again").symlink_to(source)
    (source / "self").symlink_to(source)
    far = tmp_path / "far"
    far.mkdir()
    (far / "back").symlink_to(source)  # a circle over another place
    (source / "far").symlink_to(far)
    prepared = prepare(source)
    assert ids(prepared) == ["case1_a_he", "case1_b_he"]
    assert prepared.remarks == ("3 links to a folder around them are left out: case1/again, far/back, self",)


def test_one_file_under_two_names_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_case(source / "case1", "a")
    (source / "case2").symlink_to(source / "case1")
    with pytest.raises(UserError, match=r"case2/a_he.png must be another file than .*case1/a_he.png. Got links to one"):
        prepare(source)


@pytest.mark.parametrize("mask", ["{case}/x_seg.png", "{case}/../{case}/x_seg.png"])
def test_one_mask_of_several_images_is_refused(mask: str, tmp_path: Path) -> None:
    case = write_case(tmp_path / "source" / "case1", "xy")
    with pytest.raises(UserError, match=r"x_seg\.png must be the mask of one image\. Got .*x_he\.png and .*y_he\.png"):
        prepare(tmp_path / "source", LAYOUT.replace("{case}/{n}_seg.png", mask))
    assert not (tmp_path / "out").exists()
    assert case.is_dir()


def test_an_image_in_two_formats_with_one_mask_is_refused(tmp_path: Path) -> None:
    case = write_case(tmp_path / "source" / "case1")
    shutil.copy(case / "a_he.png", case / "a_he.bmp")
    layout = LAYOUT.replace("_he\\.png'", "_he\\.(?P<kind>png|bmp)'").replace(
        "group:", "image_id: '{n}_{kind}'\ngroup:"
    )
    with pytest.raises(UserError, match=r"a_seg\.png must be the mask of one image"):
        prepare(tmp_path / "source", layout)


def test_links_to_one_mask_say_that_it_is_meant_for_each_image(tmp_path: Path) -> None:
    case = write_case(tmp_path / "source" / "case1")
    (case / "b_seg.png").unlink()
    (case / "b_seg.png").symlink_to(case / "a_seg.png")
    assert len(prepare(tmp_path / "source").dataset.entries) == 2


def test_a_link_to_nothing_is_a_problem_where_an_image_was_meant(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_case(source / "case1", "a")
    (source / "case1" / "notes.txt").symlink_to(tmp_path / "gone")
    prepare(source)
    (source / "case1" / "b_he.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(UserError, match=r"case1/b_he.png must lead to a file. Got a broken link"):
        prepare(source, dest="again")


def test_what_systems_leave_behind_is_skipped(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_case(source / "case1")
    for name in ("._a_he.png", "._a_seg.png", ".DS_Store", "Thumbs.db", "desktop.ini", ".b_he.png"):
        (source / "case1" / name).write_bytes(b"\0\5\x16\7")
    for folder in (".git", "__MACOSX", ".ipynb_checkpoints"):
        (source / folder).mkdir()
        shutil.copy(source / "case1" / "a_he.png", source / folder / "a_he.png")
    prepared = prepare(source)
    assert ids(prepared) == ["case1_a_he", "case1_b_he"]
    assert prepared.remarks == ()


@pytest.mark.parametrize("ending", ["PNG", "Png"])
def test_endings_in_capitals_are_read_like_others(ending: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_case(source / "case1", "ab")
    write_case(source / "case2", "cd", ending)
    assert ids(prepare(source)) == ["case1_a_he", "case1_b_he", "case2_c_he", "case2_d_he"]


def test_a_layout_in_capitals_finds_small_endings(tmp_path: Path) -> None:
    source = write_case(tmp_path / "source" / "case1").parent
    assert len(ids(prepare(source, LAYOUT.replace("png", "PNG")))) == 2


def test_decomposed_names_meet_composed_ones(tmp_path: Path) -> None:
    """A disk of a Mac decomposes letters; the layout and the table do not."""
    source, case = tmp_path / "source", "Gef\u00e4\u00df"
    write_case(source / normalize("NFD", case), "a")
    (source / "cases.csv").write_text(f"name,patient\n{case},{case} \n", encoding="utf-8")
    table = "table: {file: cases.csv, column: name, key: '{case}'}\n"
    text = LAYOUT.replace("(?P<case>[^/]+)", f"(?P<case>{case})").replace("group: '{case}'", "group: '{patient}'")
    entry = prepare(source, text + table).dataset.entries[0]
    assert (entry.image_id, entry.group_id) == (f"{case}_a_he", case)


def test_masks_without_images_and_other_pictures_are_counted_and_named(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_case(source / "case1")
    for name in "xy":
        mini.save(source / "case1" / f"{name}_seg.PNG", mini.stripes((0, 1)))
    mini.save(source / "case1" / "c-he.jpg", mini.picture(1))
    assert prepare(source).remarks == (
        "2 masks have no image and are left out: case1/x_seg.PNG, case1/y_seg.PNG",
        "1 other picture is left out: case1/c-he.jpg",
    )


def test_every_problem_is_told_at_once_before_anything_is_converted(tmp_path: Path) -> None:
    source = write_case(tmp_path / "source" / "case1", "abcdefgh").parent
    case = source / "case1"
    for name in "bc":
        (case / f"{name}_seg.png").unlink()
    mini.save(case / "d_seg.png", mini.stripes((0, 7)))
    mini.save(case / "e_seg.png", mini.stripes((0, 1), height=5))
    (case / "f_he.png").write_bytes((case / "f_he.png").read_bytes()[:60])
    mini.save(case / "y_seg.png", mini.stripes((0, 1)))
    with pytest.raises(SourceError) as caught:
        prepare(source)
    counts = (
        "5 problems, and nothing was converted: 2 images without a mask, 1 masks with unknown labels, "
        "1 masks of another size or orientation than their image, 1 pairs that cannot be read."
    )
    assert counts in str(caught.value)
    assert len(caught.value.problems) == 5
    assert {path.name for path in tmp_path.iterdir()} == {"source", "layout.yaml"}
    words = ["data", "prepare", "folder", str(source), str(tmp_path / "out"), "--config", str(tmp_path / "layout.yaml")]
    result = CliRunner().invoke(main, [*words, "--workers", "1"])
    assert result.exit_code == 2
    lines = result.output.splitlines()
    assert lines[-1].startswith(f"Error: {source} has 5 problems")
    for name in ("b_seg", "c_seg", "d_seg", "e_seg", "f_he"):
        assert sum(f"  {case / name}.png must" in line for line in lines) == 1
    assert "1 mask has no image and is left out: case1/y_seg.png" in result.output


def test_many_problems_are_counted_and_the_first_of_each_kind_shown(tmp_path: Path) -> None:
    source = write_case(tmp_path / "source" / "case1", "".join(chr(0x100 + n) for n in range(30))).parent
    for path in source.glob("*/*_seg.png"):
        path.unlink()
    words = ["data", "prepare", "folder", str(source), str(tmp_path / "out"), "--config", str(layout_of(source))]
    result = CliRunner().invoke(main, words)
    assert "30 images without a mask" in result.output
    assert "and 10 more" in result.output


def test_ids_that_are_one_file_where_case_is_ignored_are_refused(tmp_path: Path) -> None:
    source = write_case(tmp_path / "source" / "case1", "aA").parent
    with pytest.raises(
        UserError, match=r"image ids must differ. Got 'case1_a_he' and 'case1_A_he', one file where case"
    ):
        prepare(source)


def test_groups_that_look_alike_are_remarked(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for case in ("P1", "p1 x"):
        write_case(source / case, "a")
    text = LAYOUT.replace("group: '{case}'", "group_regex: '^([Pp]1)'")
    assert "groups that differ only by case" in prepare(source, text).remarks[-1]


def test_images_that_a_group_pattern_misses_are_counted_and_named(tmp_path: Path) -> None:
    source = write_case(tmp_path / "source" / "case1", "abc").parent
    with pytest.raises(UserError, match=r"which misses 'case1_b_he', 'case1_c_he' \(2 of 3\)"):
        prepare(source, LAYOUT.replace("group: '{case}'", "group_regex: '_a_'"))


def test_rows_without_files_are_counted_by_sampath(tmp_path: Path) -> None:
    source = mini.write_sampath(tmp_path / "source")
    (source / "img/P1_0_0.png").unlink()
    for name in ("P1_0_790", "P3_0_0"):
        (source / "mask" / f"{name}.png").rename(source / "mask" / f"._{name}.png")
    options = PrepareOptions(config=source / "classes.yaml")
    with pytest.raises(
        SourceError, match=r"3 problems.*: 1 rows without a file in img/, 2 rows without a file in mask/"
    ):
        prepare_dataset("sampath", source, tmp_path / "out", options, workers=1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    source = write_case(tmp_path / "source" / "case1").parent
    (source / "locked").mkdir(mode=0)
    with pytest.raises(UserError, match="locked must be a readable folder"):
        prepare(source)


def test_masks_and_images_without_each_other_are_counted_by_the_published_converters(tmp_path: Path) -> None:
    source = mini.write_crag(tmp_path / "source")
    (source / "train/Annotation/train_2.png").unlink()
    mini.save(source / "train/Annotation/train_9.PNG", mini.stripes((0, 1)))
    (source / "train/Annotation/._train_1.png").write_bytes(b"\0\5")
    with pytest.raises(UserError, match=r"2 files \(1 without a mask, 1 without an image\): train_2.png, train_9.PNG"):
        prepare_dataset("crag", source, tmp_path / "out")
