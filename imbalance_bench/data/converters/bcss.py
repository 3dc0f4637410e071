"""BCSS: 151 regions of breast cancer slides from TCGA, 21 labels grouped into five classes."""

import re
from pathlib import Path

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
from imbalance_bench.data.pictures import read_labels, read_rgb
from imbalance_bench.errors import UserError

CODES = {
    0: "outside_roi",
    1: "tumor",
    2: "stroma",
    3: "lymphocytic_infiltrate",
    4: "necrosis_or_debris",
    5: "glandular_secretions",
    6: "blood",
    7: "exclude",
    8: "metaplasia_NOS",
    9: "fat",
    10: "plasma_cells",
    11: "other_immune_infiltrate",
    12: "mucoid_material",
    13: "normal_acinus_or_duct",
    14: "lymphatics",
    15: "undetermined",
    16: "nerve",
    17: "skin_adnexa",
    18: "blood_vessel",
    19: "angioinvasion",
    20: "dcis",
    21: "other",
}
MEMBERS = {
    "tumor": (1, 19, 20),
    "stroma": (2,),
    "inflammatory": (3, 10, 11),
    "necrosis": (4,),
    "other": (5, 6, 8, 9, 12, 13, 14, 15, 16, 17, 18, 21),
}
TABLE = LabelTable(
    {code: number for number, codes in enumerate(MEMBERS.values()) for code in codes}
    | {0: UNLABELLED_ID, 7: UNLABELLED_ID}
)
TEST_SITES = frozenset({"OL", "LL", "E2", "EW", "GM", "S3"})
VALIDATION_SITES = frozenset({"BH", "C8", "A8", "A1", "E9"})
REGIONS = {"train": 76, "val": 30, "test": 45}
INFO = DatasetInfo(
    name="bcss",
    description="Breast cancer regions of 151 TCGA slides, annotated by crowdsourcing",
    mpp_um=0.25,
    unlabelled_id=UNLABELLED_ID,
    groups_known=True,
    classes=classes_of(
        {
            "tumor": "#d62728",
            "stroma": "#2ca02c",
            "inflammatory": "#1f77b4",
            "necrosis": "#bcbd22",
            "other": "#9467bd",
        }
    ),
    licence="CC0 1.0",
    citation="Amgad et al., Structured crowdsourcing enables convolutional segmentation of histology images, "
    "Bioinformatics 35 (2019) 3461-3467",
)

_NAME = re.compile(r"(TCGA-(\w\w)-\w{4})-")


def split_of(site: str) -> str:
    """Return the published split of an institute."""
    if site in TEST_SITES:
        return "test"
    return "val" if site in VALIDATION_SITES else "train"


def plan(source: Path, _options: PrepareOptions) -> Plan:
    """List the regions; the patient and the institute are in their names."""
    pairs = pair_files(list_folder(source / "rgbs_colorNormalized"), list_folder(source / "masks", (".png",)))
    images = []
    for name, image, mask in pairs:
        match = _NAME.match(name)
        if match is None:
            raise UserError(f"{image} must begin with a TCGA barcode such as TCGA-A1-A0SK-. Got '{name}'. Restore it.")
        patient, site = match.groups()
        images.append(SourceImage(name, patient, image, mask, split=split_of(site), extra={"site": site}))
    return Plan(
        INFO, tuple(images), read_region, count_remarks(images, REGIONS, "regions"), index_classes=TABLE.classes
    )


def read_region(source: SourceImage) -> Pixels:
    """Read one region; regions are up to about 8000 px wide, so only as many as there are processes are in memory."""
    return Pixels(read_rgb(source.image), TABLE.apply(read_labels(source.mask), source.mask))


CONVERTER = Converter("breast cancer, 151 TCGA regions, five classes, published split by institute", plan)
