"""CoNSeP: 41 images of colorectal adenocarcinoma with nuclei of seven types."""

from pathlib import Path

import numpy as np

from imbalance_bench.data.converters.matlab_file import read_maps
from imbalance_bench.data.converters.pixel_files import UNLABELLED_ID, LabelTable
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
)
from imbalance_bench.data.dataset_file import DatasetInfo
from imbalance_bench.data.pictures import read_rgb
from imbalance_bench.errors import UserError

SPLIT_OF_FOLDER = {"Train": "train", "Test": "test"}
IMAGES = {"train": 27, "test": 14}
INFO = DatasetInfo(
    name="consep",
    description="Colorectal adenocarcinoma at 40x, 41 images of 1000 x 1000 px with nuclei of seven types",
    mpp_um=0.25,
    unlabelled_id=UNLABELLED_ID,
    groups_known=False,
    classes=classes_of(
        {
            "background": "#ffffff",
            "other": "#7f7f7f",
            "inflammatory": "#1f77b4",
            "healthy_epithelial": "#2ca02c",
            "malignant_epithelial": "#d62728",
            "fibroblast": "#ff7f0e",
            "muscle": "#9467bd",
            "endothelial": "#8c564b",
        }
    ),
    licence="Apache-2.0 (reported by the MONAI project, issue 5412; not seen at the source)",
    citation="Graham et al., HoVer-Net: Simultaneous segmentation and classification of nuclei in multi-tissue "
    "histology images, Medical Image Analysis 58 (2019) 101563",
)
TABLE = LabelTable({number: number for number in range(len(INFO.classes))})  # type 0 is background


def plan(source: Path, _options: PrepareOptions) -> Plan:
    """List the images; which of the 16 patients they come from is not published."""
    images = [
        SourceImage(name, name, image, mask, split=split)
        for folder, split in SPLIT_OF_FOLDER.items()
        for name, image, mask in pair_files(
            list_folder(source / folder / "Images", (".png",)), list_folder(source / folder / "Labels", (".mat",))
        )
    ]
    return Plan(INFO, tuple(images), read_image, count_remarks(images, IMAGES))


def read_image(source: SourceImage) -> Pixels:
    """Read one image with `type_map` and `inst_map` of its label file."""
    types, instances = read_maps(source.mask, "type_map", "inst_map")
    if types.ndim != 2 or instances.shape != types.shape:
        raise UserError(f"{source.mask} must hold two maps of one size. Got {types.shape} and {instances.shape}.")
    return Pixels(read_rgb(source.image), TABLE.apply(types, source.mask), np.asarray(instances, dtype=np.int64))


CONVERTER = Converter("colorectal nuclei of seven types, 41 images, from the official .mat files", plan)
