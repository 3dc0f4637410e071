"""Tables as spreadsheets write them: read right, or refused in one line that names the separator or the count."""

import codecs
from collections.abc import Callable
from pathlib import Path

import pytest

from imbalance_bench.data.audit.images import read_split_file
from imbalance_bench.data.converters.preparation import prepare_dataset
from imbalance_bench.data.converters.source import PrepareOptions
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.errors import UserError
from tests.data.converters import miniature_sources as mini

LAYOUT = r"""
name: liver
image: 'img/(?P<scan>.+)\.png'
mask: 'msk/{scan}.png'
image_id: '{scan}'
group: '{patient}'
table: {file: cases.csv, column: scan, key: '{scan}'}
classes:
  - {name: background, labels: [0]}
  - {name: tract, labels: [1]}
"""
SOUND = "scan,patient\na,p1\nb,p2\n"


def write_folder(root: Path, table: bytes, names: str = "ab") -> tuple[Path, Path]:
    """Write two images, their masks, a table and the layout; return source and layout."""
    for seed, name in enumerate(names):
        mini.save(root / "img" / f"{name}.png", mini.picture(seed))
        mini.save(root / "msk" / f"{name}.png", mini.stripes((0, 1)))
    (root / "cases.csv").write_bytes(table)
    layout = root.parent / "layout.yaml"
    layout.write_text(LAYOUT, encoding="utf-8")
    return root, layout


def groups_by_table(root: Path, table: bytes) -> list[str]:
    """Prepare the folder and return the groups that the table gave."""
    source, layout = write_folder(root, table)
    dest = root.parent / "prepared"
    dataset = prepare_dataset("folder", source, dest, PrepareOptions(config=layout), workers=1).dataset
    return [entry.group_id for entry in dataset.entries]


READ_RIGHT = {
    "plain": SOUND.encode(),
    "CR line ends": SOUND.replace("\n", "\r").encode(),
    "CR LF line ends": SOUND.replace("\n", "\r\n").encode(),
    "BOM": codecs.BOM_UTF8 + SOUND.encode(),
    "UTF-16": SOUND.encode("utf-16"),
    "UTF-16 big endian": codecs.BOM_UTF16_BE + SOUND.encode("utf-16-be"),
    "blank rows": b"scan,patient\n\na,p1\n,\nb,p2\n\n",
    "spaces in header and fields": b"scan , patient\na, p1 \n b,p2\n",
    "non-breaking space": "scan,patient\na,p1\u00a0\nb,\u200bp2\n".encode(),
    "quoted newline elsewhere": b'scan,patient,note\na,p1,"two\nlines"\nb,p2,x\n',
}


@pytest.mark.parametrize("case", READ_RIGHT)
def test_a_table_is_read_right(case: str, tmp_path: Path) -> None:
    assert groups_by_table(tmp_path / "source", READ_RIGHT[case]) == ["p1", "p2"]


REFUSED = {
    "semicolons": (SOUND.replace(",", ";").encode(), r"by commas. Got semicolons \(';'\) in its header 'scan;patient'"),
    "semicolons and decimal commas": (b"scan;patient;ki67\na;p1;12,5\nb;p2;3,5\n", r"Got semicolons"),
    "tabs": (SOUND.replace(",", "\t").encode(), r"Got tabs"),
    "line of Excel": (b"sep=;\nscan;patient\na;p1\n", r"Got 'sep=;'|Got semicolons"),
    "decimal commas": (b"scan,patient,ki67\na,p1,12,5\nb,p2,3\n", r"row 2 must have 3 fields, as its header. Got 4"),
    "row too long": (b"scan,patient\na,p1\nb,p2,x\n", r"row 3 must have 2 fields, as its header. Got 3"),
    "row too short": (b"scan,patient\na\nb,p2\n", r"row 2 must have 2 fields, as its header. Got 1"),
    "Latin-1": ("scan,patient\na,M\u00fcller\nb,p2\n".encode("latin-1"), r"byte 0xfc in line 2"),
    "column twice": (b"scan,patient,patient\na,p1,p2\nb,p2,p1\n", r"each column once. Got 'patient' twice"),
    "column without a name": (b"scan,patient,\na,p1,\nb,p2,\n", r"Got none for column 3 of 3"),
    "open quotation mark": (
        b'scan,patient\na,"p1\nb,p2\n',
        r"must be a CSV file. Got: unexpected end of data, in line",
    ),
    "row twice": (b"scan,patient\na,p1\na,p2\n", r"row 3: 'scan' must be unique. Got 'a' again"),
    "empty": (b"", r"must have a column 'scan'"),
    "NUL": (b"scan,patient\na,p\0\nb,p2\n", r"NUL character in line 2"),
    "group of spaces": ("scan,patient\na,\u00a0\nb,p2\n".encode(), r"`group` of img/a.png must name one"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_table_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    table, message = REFUSED[case]
    with pytest.raises(UserError, match=message) as caught:
        groups_by_table(tmp_path / "source", table)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["NA", "nan", "null", "01", "1e3", "None", "-", "#N/A", "TRUE"])
def test_a_name_stays_a_name(name: str, tmp_path: Path) -> None:
    source, layout = write_folder(tmp_path / "source", f"scan,patient\na,{name}\nb,p2\n".encode())
    text = LAYOUT.replace("name: tract", f"name: '{name}'")
    layout.write_text(text)
    dataset = prepare_dataset("folder", source, tmp_path / "out", PrepareOptions(config=layout), workers=1).dataset
    again = PreparedDataset.open(dataset.root)
    assert again.entry("a").group_id == name
    assert again.info.classes[1].name == name


def rewrite(root: Path, change: Callable[[str], str]) -> None:
    index = root / "index.csv"
    index.write_text(change(index.read_text()), encoding="utf-8")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(",", ";"),
        lambda text: text.replace("im_1,patient_1,train,20", "im_1,patient_1,train,20,5"),
        lambda text: text.replace("height_px,", "height_px,,"),
    ],
    ids=["semicolons", "decimal comma", "unnamed column"],
)
def test_an_index_is_refused_in_one_line(change: Callable[[str], str], tiny: Path) -> None:
    rewrite(tiny, change)
    with pytest.raises(UserError, match=r"index.csv (must|row 3 must have 6 fields)") as caught:
        PreparedDataset.open(tiny)
    assert "\n" not in str(caught.value)


def test_an_index_of_utf_16_with_cr_is_read(tiny: Path) -> None:
    before = PreparedDataset.open(tiny).entries
    text = (tiny / "index.csv").read_text()
    (tiny / "index.csv").write_bytes(text.replace("\n", "\r").encode("utf-16"))
    assert PreparedDataset.open(tiny).entries == before


def test_a_split_file_keeps_names_and_names_its_separator(tmp_path: Path) -> None:
    path = tmp_path / "cv.csv"
    path.write_text("img_id,fold,group_id\nNA,0,01\nnan,1,null \n")
    assert [(row.image_id, row.group) for row in read_split_file(path)] == [("NA", "01"), ("nan", "null")]
    path.write_text("img_id;fold\na;0\n")
    with pytest.raises(UserError, match="Got semicolons"):
        read_split_file(path)


def test_the_grades_of_glas_are_read_with_any_line_ends_and_refused_twice(tmp_path: Path) -> None:
    source = mini.write_glas(tmp_path / "source")
    grades = source / "Grade.csv"
    text = grades.read_text()
    grades.write_bytes(text.replace("\n", "\r").encode("utf-8-sig"))
    assert len(prepare_dataset("glas", source, tmp_path / "out", workers=1).dataset.entries) == 3
    grades.write_text(text + text.splitlines()[1] + "\n")
    with pytest.raises(UserError, match=r"row 5: each image must have one row. Got 'train_1' again"):
        prepare_dataset("glas", source, tmp_path / "again", workers=1)
