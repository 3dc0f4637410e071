"""Unseen layouts become prepared data sets with one small YAML; the sampath layout with its split file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imbalance_bench.data.converters.preparation import Prepared, prepare_dataset
from imbalance_bench.data.converters.source import PrepareOptions
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.splits import published_splits
from imbalance_bench.errors import UserError
from tests.data.converters import miniature_sources as mini

COLOUR_YAML = r"""
name: kidney
mpp_um: 0.5
image: '(?P<set>[^/]+)/case-(?P<case>\d+)/he/(?P<tile>[^/]+)\.jpg'
mask: '{set}/case-{case}/labels/{tile}.seg.png'
image_id: 'c{case}_{tile}'
group: 'case {case}'
split: '{set}'
splits: {training: train, held_out: test}
classes:
  - {name: tubule, labels: ['#00ff00', '#00aa00']}
  - {name: glomerulus, labels: ['#FF0000'], colour: '#123456'}
unlabelled: ['#000000']
extra: {tile: '{tile}'}
"""
TABLE_YAML = r"""
name: liver
image: 'scans/(?P<scan>.+)_img\.png'
mask: 'scans/{scan}_lab.png'
image_id: '{scan}'
group: '{patient}'
split: '{set}'
table: {file: cases.csv, column: scan, key: '{scan}'}
classes:
  - {name: background, labels: [0]}
  - {name: portal tract, labels: [100, 101]}
"""


def write_colour_source(root: Path) -> Path:
    """Two cases with JPEG images and masks of colours, the second a palette image."""
    colours = np.array([(0, 255, 0), (0, 170, 0), (255, 0, 0), (0, 0, 0)], dtype=np.uint8)
    places = [("training", 1, "t_a"), ("training", 1, "t_b"), ("held_out", 2, "t_a")]
    for seed, (part, case, tile) in enumerate(places):
        folder = root / part / f"case-{case}"
        mini.save(folder / "he" / f"{tile}.jpg", mini.picture(seed))
        (folder / "labels").mkdir(exist_ok=True)
        mask = Image.fromarray(colours[mini.stripes((0, 1, 2, 3))])
        (mask.quantize(8) if case == 2 else mask).save(folder / "labels" / f"{tile}.seg.png")
    (root / "notes.txt").write_text("not an image")
    return root


def write_table_source(root: Path) -> Path:
    """Three scans of two patients that only a table knows; masks are 16-bit or grey RGB."""
    for seed, name in enumerate(("a", "b", "c")):
        mini.save(root / "scans" / f"{name}_img.png", mini.picture(seed))
        mask = mini.stripes((0, 100, 101))
        mini.save(root / "scans" / f"{name}_lab.png", mask.astype(np.uint16) if seed else np.stack([mask] * 3, axis=2))
    (root / "cases.csv").write_text("scan,patient,set\na,p1,train\nb,p1,train\nc,p2,test\n")
    return root


def prepare(source: Path, description: str, **options: str) -> Prepared:
    """Convert a folder with the given YAML."""
    config = source.parent / "layout.yaml"
    config.write_text(description)
    dest = source.parent / "prepared"
    return prepare_dataset("folder", source, dest, PrepareOptions(config=config, **options), workers=1)  # pyright: ignore[reportArgumentType] - only text options


def test_a_layout_with_colours_needs_no_code(tmp_path: Path) -> None:
    dataset = prepare(write_colour_source(tmp_path / "source"), COLOUR_YAML).dataset
    rows = [(e.image_id, e.group_id, e.split, e.extra["tile"]) for e in dataset.entries]
    assert rows == [
        ("c2_t_a", "case 2", "test", "t_a"),
        ("c1_t_a", "case 1", "train", "t_a"),
        ("c1_t_b", "case 1", "train", "t_b"),
    ]
    for entry in dataset.entries:
        assert (dataset.read_mask(entry.image_id)[:, 0] == [0] * 6 + [1] * 3 + [255] * 3).all()
    assert [each.colour for each in dataset.info.classes] == ["#00ff00", "#123456"]
    assert dataset.info.mpp_um == 0.5
    assert dataset.image_path("c1_t_a").suffix == ".jpg"


def test_a_layout_with_a_table_needs_no_code(tmp_path: Path) -> None:
    dataset = prepare(write_table_source(tmp_path / "source"), TABLE_YAML).dataset
    assert [(e.image_id, e.group_id, e.split) for e in dataset.entries] == [
        ("a", "p1", "train"),
        ("b", "p1", "train"),
        ("c", "p2", "test"),
    ]
    assert all((dataset.read_mask(name)[:, 0] == [0] * 4 + [1] * 8).all() for name in "abc")
    assert published_splits(dataset, validation_fraction=0, seed=0).folds[0].test == ("c",)


BINARY_YAML = r"""
name: lesions
image: '(?P<patient>Patient \d+)/(?P<slide>[^/]+)/(?P<roi>roi \d+)\.(?i:tiff?)'
mask: '{patient}/{slide}/{roi}_mask.png'
group: '{patient}'
classes:
  - {name: background, labels: [0]}
  - {name: lesion, labels: [255]}
"""


def test_nested_folders_with_tiffs_and_binary_masks_need_no_code(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for patient, slide, ending in ((1, "A.1", "TIF"), (1, "A.2", "tiff"), (2, "B.1", "tif")):
        folder = source / f"Patient {patient}" / slide
        mini.save(folder / f"roi 7.{ending}", mini.picture(patient))
        mini.save(folder / "roi 7_mask.png", mini.stripes((0, 255)))
        (folder / "._roi 7.TIF").write_bytes(b"left by another system")
    dataset = prepare(source, BINARY_YAML).dataset
    assert [
        (entry.image_id, entry.group_id, dataset.image_path(entry.image_id).suffix) for entry in dataset.entries
    ] == [
        ("Patient 1_A.1_roi 7", "Patient 1", ".tif"),
        ("Patient 1_A.2_roi 7", "Patient 1", ".tiff"),
        ("Patient 2_B.1_roi 7", "Patient 2", ".tif"),
    ]
    for entry in dataset.entries:
        assert (dataset.read_mask(entry.image_id)[:, 0] == [0] * 6 + [1] * 6).all()


def test_a_mask_that_was_saved_as_jpeg_is_refused_with_the_reason(tmp_path: Path) -> None:
    source = write_colour_source(tmp_path / "source")
    for path in sorted(source.rglob("*.seg.png")):
        Image.open(path).convert("RGB").save(path.with_suffix(".jpg"), quality=80)
    with pytest.raises(
        UserError, match=r"seg.jpg must hold known labels .* JPEG changes labels: export the mask again"
    ):
        prepare(source, COLOUR_YAML.replace(".seg.png", ".seg.jpg"))


def test_groups_may_come_from_a_pattern_or_stay_unknown(tmp_path: Path) -> None:
    description = TABLE_YAML.replace("group: '{patient}'\n", "")
    dataset = prepare(write_table_source(tmp_path / "source"), description).dataset
    assert not dataset.info.groups_known
    other = tmp_path / "other"
    other.mkdir()
    dataset = prepare(write_table_source(other / "source"), description, group_regex="^(.)").dataset
    assert dataset.info.groups_known


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "'#FF0000'",
            "'#FF0001'",
            r"seg.png must hold known labels .*Got #ff0000 \(48 px\): 1 unknown in 25 % .* first at row 6, column 0",
        ),
        ("unlabelled:", "unlabeled:", "unknown key `unlabeled`. Did you mean 'unlabelled'"),
        ("name: tubule,", "nam: tubule,", "line 11: unknown key `classes.0.nam`. Did you mean 'name'"),
        ("{tile}.seg", "{tiel}.seg", "uses {tiel}, which nothing defines. Did you mean 'tile'"),
        (".seg.png", ".png", r"labels/t_a.png must exist, as `mask`"),
        (r"\.jpg", r"\.jpeg", "matches none of 7 files"),
        ("case-(?P", "case-(?P<", "must be a regular expression"),
        ("c{case}_{tile}", "{tile}", r"image ids must differ. Got 't_a' again"),
        ("'#00aa00'", "'#00ff00'", "must belong to one class"),
        ("'#00aa00'", "7", "must all be integers or all be colours"),
        ("held_out: test", "held_out: tests", "must be train, val, test or ''. Got 'tests'"),
        ("held_out: test", "other: test", "split 'held_out' .* is unknown"),
        ("glomerulus", "tubule", "two classes must not share a name. Got 'tubule' twice"),
        ("mpp_um: 0.5", "mpp_um: -1", "line 3: `mpp_um` must be > 0.0. Got -1"),
    ],
)
def test_a_wrong_description_is_refused_in_one_line(old: str, new: str, message: str, tmp_path: Path) -> None:
    source = write_colour_source(tmp_path / "source")
    assert old in COLOUR_YAML
    with pytest.raises(UserError, match=message):
        prepare(source, COLOUR_YAML.replace(old, new, 1))
    assert not (tmp_path / "prepared").exists()


def test_a_table_without_the_image_is_refused(tmp_path: Path) -> None:
    source = write_table_source(tmp_path / "source")
    (source / "cases.csv").write_text("scan,patient,set\na,p1,train\nb,p1,train\n")
    with pytest.raises(UserError, match=r"cases.csv must have a row for 'c'"):
        prepare(source, TABLE_YAML)
    with pytest.raises(UserError, match=r"must have a column 'scam'.*Did you mean 'scan'"):
        prepare(source, TABLE_YAML.replace("column: scan", "column: scam"))


@pytest.mark.parametrize(("name", "write"), [("folder", write_colour_source), ("sampath", mini.write_sampath)])
def test_the_example_of_the_page_works(name: str, write: Callable[[Path], Path], tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs/datasets" / f"{name}.md").read_text(encoding="utf-8")
    config = tmp_path / "layout.yaml"
    config.write_text(page.split("```yaml\n")[1].split("```")[0])
    options = PrepareOptions(config=config, group_regex="^(P.)" if name == "sampath" else None)
    dataset = prepare_dataset(name, write(tmp_path / "source"), tmp_path / "out", options, workers=1).dataset
    assert len(dataset.entries) >= 3
    assert dataset.info.groups_known


def test_a_description_is_required(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    with pytest.raises(UserError, match="'folder' needs --config FILE"):
        prepare_dataset("folder", tmp_path / "source", tmp_path / "out")


def sampath(root: Path, **options: Path) -> Prepared:
    """Convert the miniature of the sampath layout."""
    chosen = PrepareOptions(config=root / "classes.yaml", **options)  # pyright: ignore[reportArgumentType] - paths
    return prepare_dataset("sampath", root, root.parent / "prepared", chosen, workers=1)


def test_sampath_folds_become_splits_and_label_0_unlabelled(tmp_path: Path) -> None:
    prepared = sampath(mini.write_sampath(tmp_path / "source"))
    rows = [(e.image_id, e.group_id, e.split, e.extra) for e in prepared.dataset.entries]
    assert rows == [
        ("P1_0_0", "P1", "train", {"fold": "1"}),
        ("P1_0_790", "P1", "train", {"fold": "2"}),
        ("P2_0_0", "P2", "val", {"fold": "0"}),
        ("P3_0_0", "P3", "test", {"fold": "-1"}),
    ]
    assert (prepared.dataset.read_mask("P3_0_0")[:, 0] == [255] * 3 + [0] * 3 + [1] * 3 + [2] * 3).all()
    assert prepared.remarks == ()


def test_leaking_sampath_validation_becomes_training_and_stays_on_record(tmp_path: Path) -> None:
    prepared = sampath(mini.write_sampath(tmp_path / "source", folds=(1, 0, 0, -1)))
    assert [e.split for e in prepared.dataset.entries] == ["train", "train", "train", "test"]
    assert [e.extra["published_split"] for e in prepared.dataset.entries] == ["train", "val", "val", "test"]
    assert "1 groups lie in train and validation (such as 'P1')" in prepared.remarks[0]
    PreparedDataset.open(prepared.dataset.root)


def test_a_sampath_row_without_file_is_refused_and_a_file_without_row_remarked(tmp_path: Path) -> None:
    source = mini.write_sampath(tmp_path / "source")
    rows = (source / "cv.csv").read_text().splitlines()
    other = tmp_path / "other.csv"
    other.write_text("\n".join(rows[:-1]) + "\n")
    assert "1 images are not in other.csv" in sampath(source, splits=other).remarks[0]
    (source / "mask/P2_0_0.png").unlink()
    with pytest.raises(UserError, match=r"cv.csv lists 'P2_0_0', which .*mask lacks"):
        prepare_dataset("sampath", source, tmp_path / "again", PrepareOptions(config=source / "classes.yaml"))
