"""Each converter turns the published layout into the expected ids, groups, splits and labels, and refuses the rest."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from imbalance_bench.data.audit.images import read_split_file
from imbalance_bench.data.converters import bcss
from imbalance_bench.data.converters.preparation import Prepared, prepare_dataset
from imbalance_bench.data.converters.source import PrepareOptions
from imbalance_bench.data.integrity import require_sound
from imbalance_bench.errors import UserError
from tests.data.converters import miniature_sources as mini

SHARED_SPLITS = Path(__file__).parents[4] / "shared/data/splits"


@dataclass(frozen=True)
class Expected:
    """What a miniature becomes: image id -> (group, split, mask values from top to bottom)."""

    write: Callable[[Path], Path]
    images: dict[str, tuple[str, str, tuple[int, ...]]]
    classes: tuple[str, ...]
    groups_known: bool
    instances: bool = False


CASES = {
    "bcss": Expected(
        mini.write_bcss,
        {
            "TCGA-AN-A0AT-DX1_xmin7_ymin8_MPP-0.2500": ("TCGA-AN-A0AT", "train", (4,)),
            "TCGA-BH-A0E0-DX1_xmin3_ymin4_MPP-0.2500": ("TCGA-BH-A0E0", "val", (0, 255)),
            "TCGA-D8-A143-DX1_xmin5_ymin6_MPP-0.2500": ("TCGA-D8-A143", "train", (1, 3, 2)),
            "TCGA-OL-A66P-DX1_xmin1_ymin2_MPP-0.2500": ("TCGA-OL-A66P", "test", (255, 0, 1, 2)),
        },
        ("tumor", "stroma", "inflammatory", "necrosis", "other"),
        groups_known=True,
    ),
    "crag": Expected(
        mini.write_crag,
        {
            "train_1": ("train_1", "train", (0, 1)),
            "train_2": ("train_2", "train", (0, 1)),
            "test_1": ("test_1", "test", (1, 0)),
        },
        ("background", "gland"),
        groups_known=False,
        instances=True,
    ),
    "glas": Expected(
        mini.write_glas,
        {
            "testA_1": ("2", "test", (0, 2)),
            "testB_1": ("3", "test", (0, 1)),
            "train_1": ("1", "train", (0, 1)),
        },
        ("background", "benign_gland", "malignant_gland"),
        groups_known=True,
        instances=True,
    ),
    "consep": Expected(
        mini.write_consep,
        {
            "train_1": ("train_1", "train", (0, 1, 2, 3)),
            "train_2": ("train_2", "train", (0, 4, 5, 6)),
            "test_1": ("test_1", "test", (0, 7)),
        },
        (
            "background",
            "other",
            "inflammatory",
            "healthy_epithelial",
            "malignant_epithelial",
            "fibroblast",
            "muscle",
            "endothelial",
        ),
        groups_known=False,
        instances=True,
    ),
    "bdsa": Expected(
        mini.write_bdsa,
        {"S1_0_0": ("S1", "", (0, 1, 2)), "S1_0_512": ("S1", "", (3, 255)), "S2_0_0": ("S2", "", (4,))},
        ("background", "grey_matter", "white_matter", "leptomeninges", "superficial"),
        groups_known=True,
    ),
}


def prepare(name: str, tmp_path: Path, options: PrepareOptions | None = None) -> Prepared:
    """Convert the source that lies in `tmp_path / "source"`, in this process."""
    return prepare_dataset(name, tmp_path / "source", tmp_path / name, options, workers=1)


def runs(mask: np.ndarray) -> tuple[int, ...]:
    """Return the values of a striped mask from top to bottom."""
    column = mask[:, 0].tolist()
    assert (mask == mask[:, :1]).all()
    return tuple(value for row, value in enumerate(column) if row == 0 or value != column[row - 1])


@pytest.mark.parametrize("name", CASES)
def test_a_miniature_becomes_what_it_should(name: str, tmp_path: Path) -> None:
    expected = CASES[name]
    expected.write(tmp_path / "source")
    dataset = prepare(name, tmp_path).dataset
    assert require_sound(dataset).problems == ()
    assert tuple(each.name for each in dataset.info.classes) == expected.classes
    assert dataset.info.groups_known is expected.groups_known
    found = {
        entry.image_id: (entry.group_id, entry.split, runs(dataset.read_mask(entry.image_id)))
        for entry in dataset.entries
    }
    assert found == expected.images
    instances = {path.stem for path in (dataset.root / "instances").glob("*.png")}
    assert instances == (set(expected.images) if expected.instances else set())


@pytest.mark.parametrize("name", [name for name in CASES if name != "bdsa"])
def test_an_incomplete_download_is_remarked_upon(name: str, tmp_path: Path) -> None:
    CASES[name].write(tmp_path / "source")
    assert any("Not the whole published data set" in remark for remark in prepare(name, tmp_path).remarks)


def test_pixels_are_those_of_the_source(tmp_path: Path) -> None:
    mini.write_consep(tmp_path / "source")
    dataset = prepare("consep", tmp_path).dataset
    assert (dataset.read_image("train_1") == mini.picture(0)).all()
    with Image.open(dataset.root / "instances/train_2.png") as file:
        assert sorted(set(np.asarray(file).ravel())) == [0, 400, 500, 600]


def test_files_that_are_fit_are_taken_over_byte_by_byte(tmp_path: Path) -> None:
    source = mini.write_crag(tmp_path / "source")
    dataset = prepare("crag", tmp_path).dataset
    assert dataset.image_path("train_1").read_bytes() == (source / "train/Images/train_1.png").read_bytes()


def test_either_name_of_the_crag_test_folder_is_read(tmp_path: Path) -> None:
    source = mini.write_crag(tmp_path / "source")
    (source / "valid").rename(source / "test")
    assert [entry.split for entry in prepare("crag", tmp_path).dataset.entries] == ["train", "train", "test"]


def test_every_bcss_code_has_exactly_one_destination() -> None:
    assert sorted(bcss.TABLE.ids) == sorted(bcss.CODES) == list(range(22))
    assert sorted(code for codes in bcss.MEMBERS.values() for code in codes) == [*range(1, 7), *range(8, 22)]


@pytest.mark.skipif(not SHARED_SPLITS.is_dir(), reason=f"{SHARED_SPLITS} is not here")
def test_the_bcss_split_by_institute_has_the_published_sizes_and_test_set() -> None:
    parts: dict[str, set[str]] = {"train": set(), "val": set(), "test": set()}
    for row in read_split_file(SHARED_SPLITS / "sampath_bcss_cv.csv"):
        ours = bcss.split_of(row.image_id[5:7])
        parts[ours].add(row.image_id[:12])
        assert (ours == "test") == (row.part == "test")
    assert {part: len(patients) for part, patients in parts.items()} == bcss.REGIONS


def test_bcss_regions_know_their_site(tmp_path: Path) -> None:
    mini.write_bcss(tmp_path / "source")
    assert [entry.extra["site"] for entry in prepare("bcss", tmp_path).dataset.entries] == ["AN", "BH", "D8", "OL"]


@pytest.mark.parametrize(
    ("name", "file", "value", "message"),
    [
        ("bcss", "masks/TCGA-BH-A0E0-DX1_xmin3_ymin4_MPP-0.2500.png", 22, r"MPP-0.2500.png must .* Got 22 .* first at"),
        ("bdsa", "mask/S2_0_0.png", 64, r"S2_0_0.png must hold known labels \(0, 31, 63, 95, 127, 191\). Got 64"),
    ],
)
def test_an_unknown_code_stops_with_its_file(name: str, file: str, value: int, message: str, tmp_path: Path) -> None:
    CASES[name].write(tmp_path / "source")
    mask = np.array(Image.open(tmp_path / "source" / file))
    mask[3, 5] = value
    mini.save(tmp_path / "source" / file, mask)
    with pytest.raises(UserError, match=message) as failure:
        prepare(name, tmp_path)
    assert "row 3, column 5" in str(failure.value)
    assert not (tmp_path / name).exists()


def test_an_unknown_consep_type_and_a_broken_file_are_refused(tmp_path: Path) -> None:
    path = mini.write_consep(tmp_path / "source") / "Test/Labels/test_1.mat"
    maps = np.full((mini.HEIGHT, mini.WIDTH), 8.0)
    savemat(path, {"inst_map": maps, "type_map": maps})
    with pytest.raises(UserError, match=r"test_1.mat must hold known labels .* Got 8"):
        prepare("consep", tmp_path)
    savemat(path, {"inst_map": maps})
    with pytest.raises(UserError, match=r"test_1.mat must hold type_map"):
        prepare("consep", tmp_path)
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(UserError, match=r"test_1.mat must be a complete MATLAB file"):
        prepare("consep", tmp_path)


def test_a_mask_without_image_and_a_mask_of_another_size_are_refused(tmp_path: Path) -> None:
    source = mini.write_crag(tmp_path / "source")
    mini.save(source / "train/Annotation/train_2.png", mini.stripes((0, 1), height=5))
    with pytest.raises(UserError, match=r"Annotation/train_2.png must have the size of .* 12 x 16 px .* Got 5 x 16"):
        prepare("crag", tmp_path)
    (source / "train/Images/train_2.png").unlink()
    with pytest.raises(UserError, match=r"Annotation/train_2.png must have an image of the same name"):
        prepare("crag", tmp_path)


def test_glas_patients_in_test_and_training_void_the_published_split(tmp_path: Path) -> None:
    mini.write_glas(tmp_path / "source", patients=(1, 1, 2))
    prepared = prepare("glas", tmp_path)
    assert [entry.split for entry in prepared.dataset.entries] == ["", "", ""]
    assert [entry.extra["published_split"] for entry in prepared.dataset.entries] == ["test", "test", "train"]
    assert any("published split leaks" in remark for remark in prepared.remarks)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (" benign", " borderline", "row 2 must hold a patient and benign or malignant. Got '1' and 'borderline'"),
        ("patient ID", "patient", "must have a column 'patient ID'"),
        ("train_1,", "train_9,", r"train_1.bmp must have a row in .*Grade.csv"),
    ],
)
def test_a_wrong_grade_table_is_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = mini.write_glas(tmp_path / "source") / "Grade.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        prepare("glas", tmp_path)


def test_bdsa_slides_come_from_names_or_from_a_pattern_or_are_unknown(tmp_path: Path) -> None:
    source = mini.write_bdsa(tmp_path / "source")
    for folder in ("img", "mask"):
        (source / folder / "S2_0_0.png").rename(source / folder / "S2.png")
    prepared = prepare("bdsa", tmp_path)
    assert not prepared.dataset.info.groups_known
    assert "Give --group-regex" in prepared.remarks[0]
    by_name = PrepareOptions(group_regex="^(S.)")
    dataset = prepare_dataset("bdsa", source, tmp_path / "known", by_name, workers=1).dataset
    assert [entry.group_id for entry in dataset.entries] == ["S1", "S1", "S2"]


def test_pannuke_rows_become_images(tmp_path: Path) -> None:
    mini.write_pannuke(tmp_path / "source")
    dataset = prepare("pannuke", tmp_path).dataset
    assert [(entry.image_id, entry.split, entry.extra["tissue"]) for entry in dataset.entries] == [
        ("fold1_0000", "train", "Breast"),
        ("fold1_0001", "train", "Colon"),
        ("fold2_0000", "val", "Breast"),
        ("fold2_0001", "val", "Colon"),
        ("fold3_0000", "test", "Breast"),
        ("fold3_0001", "test", "Colon"),
    ]
    mask = dataset.read_mask("fold2_0001")
    assert np.bincount(mask.ravel(), minlength=256)[[0, 2, 5, 255]].tolist() == [192 - 24, 15, 8, 1]
    assert (dataset.read_image("fold2_0001") == mini.picture(12)).all()
    assert not dataset.read_mask("fold1_0000").any()


def test_a_truncated_pannuke_array_is_refused(tmp_path: Path) -> None:
    path = mini.write_pannuke(tmp_path / "source") / "Fold 2/masks/fold2/masks.npy"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"masks.npy must be a complete NumPy array"):
        prepare("pannuke", tmp_path)
