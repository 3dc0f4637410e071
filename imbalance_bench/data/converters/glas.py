"""GlaS (Warwick QU): 165 images of colorectal glands, benign or malignant by the grade of the image."""

from functools import partial
from pathlib import Path

import numpy as np

from imbalance_bench.csv_files import read_csv
from imbalance_bench.data.converters.pixel_files import UNLABELLED_ID
from imbalance_bench.data.converters.source import (
    Converter,
    Pixels,
    Plan,
    PrepareOptions,
    SourceImage,
    classes_of,
    count_remarks,
    list_folder,
    pair_files,
    without_leaking_splits,
)
from imbalance_bench.data.dataset_file import DatasetInfo
from imbalance_bench.data.pictures import read_labels, read_rgb
from imbalance_bench.errors import UserError
from imbalance_bench.names import canonical

COLUMNS = ("name", "patient ID", "grade (GlaS)")
CLASS_OF_GRADE = {"benign": 1, "malignant": 2}
SPLIT_OF_PART = {"train": "train", "testA": "test", "testB": "test"}
IMAGES = {"train": 85, "test": 80}
_SUFFIX = "_anno"
INFO = DatasetInfo(
    name="glas",
    description="Colorectal glands of the MICCAI 2015 GlaS challenge (Warwick QU), 165 images at 20x",
    mpp_um=0.62,
    unlabelled_id=UNLABELLED_ID,
    groups_known=True,
    classes=classes_of({"background": "#ffffff", "benign_gland": "#2ca02c", "malignant_gland": "#d62728"}),
    licence="terms of the page of the challenge (not seen at the source)",
    citation="Sirinukunwattana et al., Gland segmentation in colon histology images: The GlaS challenge contest, "
    "Medical Image Analysis 35 (2017) 489-502",
)


def plan(source: Path, _options: PrepareOptions) -> Plan:
    """List the images of `Grade.csv`, which also names patients and grades."""
    files = list_folder(source, (".bmp",))
    annotations = {name.removesuffix(_SUFFIX): path for name, path in files.items() if name.endswith(_SUFFIX)}
    pictures = {name: path for name, path in files.items() if not name.endswith(_SUFFIX)}
    grades = _read_grades(source / "Grade.csv")
    images = []
    for name, image, mask in pair_files(pictures, annotations):
        part = name.split("_")[0]
        if name not in grades or part not in SPLIT_OF_PART:
            raise UserError(f"{image} must have a row in {source / 'Grade.csv'} and begin with train, testA or testB.")
        patient, grade = grades[name]
        extra = {"part": part, "grade": grade}
        images.append(SourceImage(name, patient, image, mask, split=SPLIT_OF_PART[part], extra=extra))
    counted = count_remarks(images, IMAGES)
    images, leaks = without_leaking_splits(images)
    gland_classes = {image.image_id: CLASS_OF_GRADE[grades[image.image_id][1]] for image in images}
    return Plan(INFO, tuple(images), partial(read_image, gland_classes=gland_classes), (*counted, *leaks))


def read_image(source: SourceImage, *, gland_classes: dict[str, int]) -> Pixels:
    """Read one image; all its glands are of one class."""
    instances = read_labels(source.mask)
    mask = np.where(instances > 0, gland_classes[source.image_id], 0).astype(np.uint8)
    return Pixels(read_rgb(source.image), mask, instances)


def _read_grades(path: Path) -> dict[str, tuple[str, str]]:
    """Return name -> (patient, benign or malignant)."""
    table = read_csv(path, "It is published with the images.").whole()
    table.require_columns(COLUMNS)
    grades = {}
    for row in table.rows:
        name, patient, grade = (canonical(row.fields[column]) for column in COLUMNS)
        if grade not in CLASS_OF_GRADE or not patient:
            raise UserError(
                f"{path} row {row.number} must hold a patient and benign or malignant. Got '{patient}' and '{grade}'."
            )
        if name in grades:
            raise UserError(f"{path} row {row.number}: each image must have one row. Got '{name}' again. Remove one.")
        grades[name] = (patient, grade)
    return grades


CONVERTER = Converter("colorectal glands, 165 images, benign and malignant glands, instances kept", plan)
