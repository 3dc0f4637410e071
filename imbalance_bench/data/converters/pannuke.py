"""PanNuke: 7901 images of 256 x 256 px from 19 tissues, nuclei of five types, in three folds of NumPy arrays."""

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
)
from imbalance_bench.data.dataset_file import DatasetInfo
from imbalance_bench.decoding import DECODER_ERRORS
from imbalance_bench.errors import UserError

SPLIT_OF_FOLD = {1: "train", 2: "val", 3: "test"}  # the first of the three published rotations
IMAGES = {"train": 2656, "val": 2523, "test": 2722}
CHANNELS = ("neoplastic", "inflammatory", "connective", "dead", "epithelial")  # and a sixth, their complement
INFO = DatasetInfo(
    name="pannuke",
    description="Nuclei of five types in 7901 images of 19 tissues at 40x",
    mpp_um=0.25,
    unlabelled_id=UNLABELLED_ID,
    groups_known=False,
    classes=classes_of(
        {
            "background": "#ffffff",
            "neoplastic": "#d62728",
            "inflammatory": "#1f77b4",
            "connective": "#2ca02c",
            "dead": "#bcbd22",
            "epithelial": "#ff7f0e",
        }
    ),
    licence="CC BY-NC-SA 4.0, for research",
    citation="Gamper et al., PanNuke: An open pan-cancer histology dataset for nuclei instance segmentation and "
    "classification, ECDP 2019; PanNuke dataset extension, insights and baselines, arXiv:2003.10778",
)


def plan(source: Path, _options: PrepareOptions) -> Plan:
    """List the rows of the three folds."""
    images = []
    for fold, split in SPLIT_OF_FOLD.items():
        root = source / f"Fold {fold}"
        files = {
            "images": root / "images" / f"fold{fold}" / "images.npy",
            "types": root / "images" / f"fold{fold}" / "types.npy",
            "masks": root / "masks" / f"fold{fold}" / "masks.npy",
        }
        images_of_fold, masks = _open_pixels(files["images"], 3), _open_pixels(files["masks"], len(CHANNELS) + 1)
        types = _open(files["types"])
        if masks.shape[:3] != images_of_fold.shape[:3] or types.shape != masks.shape[:1]:
            shapes = f"images {images_of_fold.shape}, masks {masks.shape}, types {types.shape}"
            raise UserError(f"{root} must hold arrays of one length and images as large as their masks. Got {shapes}.")
        for row, tissue in enumerate(types.tolist()):
            name = f"fold{fold}_{row:04d}"
            extra = {"fold": str(fold), "tissue": str(tissue)}
            images.append(SourceImage(name, name, files["images"], files["masks"], split=split, row=row, extra=extra))
    return Plan(INFO, tuple(images), read_row, count_remarks(images, IMAGES))


def read_row(source: SourceImage) -> Pixels:
    """Read one row; a pixel that two types claim is unlabelled, one that none claims is background."""
    image = np.array(_open_pixels(source.image, 3)[source.row])
    claims = np.array(_open_pixels(source.mask, len(CHANNELS) + 1)[source.row, :, :, : len(CHANNELS)]) > 0  # (H, W, 5)
    if image.min() < 0 or image.max() > 255:
        raise UserError(f"{source.image} row {source.row} must hold 0..255. Got {image.min()}..{image.max()}.")
    mask = np.where(claims.any(axis=-1), claims.argmax(axis=-1) + 1, 0).astype(np.uint8)
    mask[claims.sum(axis=-1) > 1] = UNLABELLED_ID
    return Pixels(image.astype(np.uint8), mask)


def _open_pixels(path: Path, channels: int) -> np.ndarray:
    """Map (N, H, W, channels) numbers."""
    array = _open(path)
    if array.ndim != 4 or array.shape[-1] != channels or array.size == 0 or array.dtype.kind not in "buif":
        raise UserError(
            f"{path} must hold numbers of shape (images, height, width, {channels}). Got {array.dtype} of shape "
            f"{array.shape}. Download it again."
        )
    return array


def _open(path: Path) -> np.ndarray:
    """Map an array: a fold is larger than the memory of many machines."""
    try:
        with np.errstate(over="ignore"):  # a damaged header may name any shape
            return np.load(path, mmap_mode="r", allow_pickle=False)
    except DECODER_ERRORS as error:
        raise UserError(f"{path} must be a complete NumPy array, as published. Got: {error}.") from None


CONVERTER = Converter("pan-cancer nuclei of five types, 7901 images, from the published arrays", plan)
