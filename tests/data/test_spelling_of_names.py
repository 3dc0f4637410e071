"""Names that differ invisibly: no leak hides behind a space, a composed letter or a capital."""

from pathlib import Path
from unicodedata import normalize

import pytest
from click.testing import CliRunner

from imbalance_bench.cli.main import main
from imbalance_bench.config import parse_study
from imbalance_bench.data.audit import AuditOptions, audit
from imbalance_bench.data.integrity import check_folder
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.taxonomy import Taxonomy
from imbalance_bench.errors import UserError
from tests.data.conftest import DatasetWriter
from tests.small_study import study_content

NFC, NFD = "Gef\u00e4\u00df", normalize("NFD", "Gef\u00e4\u00df")

SAME = {
    "space behind": ("p 3", "p 3 "),
    "space before": ("p3", " p3"),
    "non-breaking space behind": ("p3", "p3\u00a0"),
    "non-breaking space inside": ("p 3", "p\u00a03"),
    "two spaces inside": ("p 3", "p  3"),
    "thin space": ("p 3", "p\u20093"),
    "zero-width space": ("p3", "p\u200b3"),
    "byte-order mark": ("p3", "\ufeffp3"),
    "soft hyphen": ("p3", "p\u00ad3"),
    "tabulator": ("p3", "p3\t"),
    "newline": ("p3", '"p3\n"'),
    "decomposed letter": (NFC, NFD),
}


def with_groups(write_dataset: DatasetWriter, trained: str, tested: str) -> Path:
    """Write the tiny data set with one group in training and another in test."""
    return write_dataset(groups=[trained, "g1", "g2", "g3", tested, "g5"])


@pytest.mark.parametrize("case", SAME)
def test_a_group_in_two_spellings_is_one_group(case: str, write_dataset: DatasetWriter) -> None:
    root = with_groups(write_dataset, *SAME[case])
    with pytest.raises(UserError, match=r"a group must lie in one split. .* in train .* and test"):
        PreparedDataset.open(root)
    report = audit(root, AuditOptions())
    assert report.leaks
    assert [each.counts["shared_groups"] for each in report.findings if each.check == "test_groups"] == [1]
    _, checked = check_folder(root)
    assert "group_id is read without stray spaces" in checked.remarks[0]


ALIKE = {
    "case": ("p3", "P3"),
    "sharp s": ("stra\u00dfe", "STRASSE"),
    "full width letter": ("p3", "\uff503"),
    "full width digit": ("p3", "p\uff13"),
    "dash": ("p-3", "p\u20133"),
    "zero lost by a spreadsheet": ("007", "7"),
    "decimal added by a spreadsheet": ("7", "7.0"),
}


@pytest.mark.parametrize("case", ALIKE)
def test_groups_that_look_alike_are_remarked(case: str, write_dataset: DatasetWriter) -> None:
    one, other = ALIKE[case]
    root = with_groups(write_dataset, one, other)
    PreparedDataset.open(root)
    _, checked = check_folder(root)
    assert f"count as different: '{min(one, other)}' and '{max(one, other)}'" in checked.remarks[0]
    result = CliRunner().invoke(main, ["data", "audit", str(root)])
    assert "group spelling" in result.output
    assert "1 group name is written in several ways" in " ".join(result.output.split())
    finding = next(each for each in audit(root).findings if each.check == "group_spelling")
    assert (finding.verdict, finding.counts["similar_sets_across_folds"]) == ("warning", 1)


def test_groups_that_only_resemble_each_other_are_not_remarked(write_dataset: DatasetWriter) -> None:
    root = write_dataset(groups=["p1", "p10", "p01", "p-1", "1.5", "15"])
    assert check_folder(root)[1].remarks == ()


def test_sites_and_groups_of_a_split_file_are_read_the_same_way(tmp_path: Path) -> None:
    path = tmp_path / "cv.csv"
    path.write_text("img_id,fold,group_id,site\na,1,p1,AX\nb,-1,p1\u00a0,AX \n", encoding="utf-8")
    report = audit(path)
    assert report.leaks
    assert report.n_groups == 1


def test_sites_of_an_index_are_read_without_stray_space(tiny: Path) -> None:
    index = tiny / "index.csv"
    index.write_text(index.read_text().replace(",A0\n", ",A0 \n", 1), encoding="utf-8")
    assert {entry.extra["site"] for entry in PreparedDataset.open(tiny).entries} == {"A0", "A1"}


@pytest.mark.parametrize("stray", ["im_1 ", "\u200bim_1", "im_1\u00a0", "im\t1", "im\x071"])
def test_an_image_id_with_something_invisible_is_refused(stray: str, tiny: Path) -> None:
    index = tiny / "index.csv"
    index.write_text(index.read_text().replace("im_1", stray), encoding="utf-8")
    with pytest.raises(UserError, match="row 3: image_id must be a plain file stem"):
        PreparedDataset.open(tiny)


@pytest.mark.parametrize(("in_index", "on_disk"), [(NFC, NFD), (NFD, NFC), (NFD, NFD)])
def test_a_decomposed_file_name_is_found(in_index: str, on_disk: str, tiny: Path) -> None:
    index = tiny / "index.csv"
    index.write_text(index.read_text().replace("im_1", in_index), encoding="utf-8")
    for folder in ("images", "masks"):
        (tiny / folder / "im_1.png").rename(tiny / folder / f"{on_disk}.png")
    dataset, report = check_folder(tiny)
    assert report.sound, report.problems
    assert report.remarks == ()
    assert dataset.entries[1].image_id == NFC


def in_yaml(root: Path, old: str, new: str) -> Path:
    path = root / "dataset.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return root


@pytest.mark.parametrize("stray", ["'tumour '", '"tumour\\u00a0"', '"tum\\u200bour"', '"tum\\eour"', "'a  b'", "''"])
def test_a_class_name_with_something_invisible_is_refused(stray: str, tiny: Path) -> None:
    with pytest.raises(UserError, match=r"dataset.yaml line \d+: `classes.1.name` must be a name without"):
        PreparedDataset.open(in_yaml(tiny, "name: tumour", f"name: {stray}"))


@pytest.mark.parametrize(("one", "other"), [("tumour", "Tumour"), (NFC, NFD), ("a", "\uff41")])
def test_classes_that_a_reader_cannot_tell_apart_are_refused(one: str, other: str, tiny: Path) -> None:
    in_yaml(tiny, "name: tumour", f"name: {one}")
    with pytest.raises(UserError, match="two classes must not share a name"):
        PreparedDataset.open(in_yaml(tiny, "name: necrosis", f"name: {other}"))


@pytest.mark.parametrize(("of_data", "of_study"), [(NFC, NFD), (NFD, NFC)])
def test_a_study_names_a_class_in_either_unicode_form(of_data: str, of_study: str, tiny: Path) -> None:
    info = PreparedDataset.open(in_yaml(tiny, "name: tumour", f"name: {of_data}")).info
    content = study_content(tiny)
    content["dataset"]["groups"] = {"both": [of_study, "stroma"]}
    section = parse_study(content, source="test").dataset
    assert Taxonomy(info, section.groups, section.ignore).sources == (("stroma", NFC), ("necrosis",))
