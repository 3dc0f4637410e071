"""CRAG: 213 images of colorectal adenocarcinoma, with gland instances."""

from pathlib import Path

import numpy as np

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
)
from imbalance_bench.data.dataset_file import DatasetInfo
from imbalance_bench.data.pictures import read_labels, read_rgb

TEST_FOLDERS = ("valid", "test")  # by version; its 40 images are the test set of the paper
IMAGES = {"train": 173, "test": 40}
INFO = DatasetInfo(
    name="crag",
    description="Colorectal adenocarcinoma glands, 213 images of about 1512 x 1516 px at 20x",
    mpp_um=0.5,
    unlabelled_id=UNLABELLED_ID,
    groups_known=False,
    classes=classes_of({"background": "#ffffff", "gland": "#d62728"}),
    licence="terms of the page of MILD-Net (not seen at the source)",
    citation="Graham et al., MILD-Net: Minimal information loss dilated network for gland instance segmentation in "
    "colon histology images, Medical Image Analysis 52 (2019) 199-211",
)


def plan(source: Path, _options: PrepareOptions) -> Plan:
    """List the images; which slide they come from is not published."""
    test = next((name for name in TEST_FOLDERS if (source / name).is_dir()), TEST_FOLDERS[0])
    images = [
        SourceImage(name, name, image, mask, split=split)
        for folder, split in (("train", "train"), (test, "test"))
        for name, image, mask in pair_files(
            list_folder(source / folder / "Images"), list_folder(source / folder / "Annotation")
        )
    ]
    return Plan(INFO, tuple(images), read_image, count_remarks(images, IMAGES))


def read_image(source: SourceImage) -> Pixels:
    """Read one image; every positive number of its annotation is a gland."""
    instances = read_labels(source.mask)
    return Pixels(read_rgb(source.image), (instances > 0).astype(np.uint8), instances)


CONVERTER = Converter("colorectal glands, 213 images, background and gland, instances kept", plan)
