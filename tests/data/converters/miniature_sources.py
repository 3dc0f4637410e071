"""Published data sets in miniature: the layout, names, encodings and label codes of the originals, drawn by code."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

HEIGHT, WIDTH = 12, 16


def stripes(values: Sequence[int], height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Draw (H, W) uint8 with horizontal stripes of the given values, top to bottom, as even as may be."""
    return np.repeat(np.array([values[row * len(values) // height] for row in range(height)]), width).reshape(
        height, width
    ).astype(np.uint8)  # fmt: skip


def picture(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Draw (H, W, 3) uint8 noise."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path: Path, array: np.ndarray) -> None:
    """Save an image, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def write_bcss(root: Path) -> Path:
    """Four regions of four patients from a test, a validation and two training institutes."""
    codes = {
        "TCGA-OL-A66P-DX1_xmin1_ymin2_MPP-0.2500": (0, 1, 2, 3),
        "TCGA-BH-A0E0-DX1_xmin3_ymin4_MPP-0.2500": (1, 19, 20, 7),
        "TCGA-D8-A143-DX1_xmin5_ymin6_MPP-0.2500": (2, 4, 10, 11),
        "TCGA-AN-A0AT-DX1_xmin7_ymin8_MPP-0.2500": (5, 6, 8, 9, 12, 13, 14, 15, 16, 17, 18, 21),
    }
    for seed, (name, values) in enumerate(codes.items()):
        save(root / "rgbs_colorNormalized" / f"{name}.png", picture(seed))
        save(root / "masks" / f"{name}.png", stripes(values))
    return root


def write_crag(root: Path) -> Path:
    """Two training images and one of valid/, with gland numbers."""
    for seed, (folder, name, glands) in enumerate(
        [("train", "train_1", (0, 1, 2)), ("train", "train_2", (0, 7)), ("valid", "test_1", (3, 0))]
    ):
        save(root / folder / "Images" / f"{name}.png", picture(seed))
        save(root / folder / "Annotation" / f"{name}.png", stripes(glands))
    return root


def write_glas(root: Path, patients: Sequence[int] = (1, 2, 3)) -> Path:
    """One image of each part, and `Grade.csv` with its odd header."""
    rows = ["name, patient ID, grade (GlaS), grade (Sirinukunwattana et al. 2015)"]
    parts = [("train_1", " benign"), ("testA_1", " malignant"), ("testB_1", " benign")]
    for seed, ((name, grade), patient) in enumerate(zip(parts, patients, strict=True)):
        save(root / f"{name}.bmp", picture(seed))
        save(root / f"{name}_anno.bmp", stripes((0, 1, 2, 3)))
        rows.append(f"{name}, {patient},{grade}, moderately differentiated")
    (root / "Grade.csv").write_text("\n".join(rows) + "\n")
    return root


def write_consep(root: Path) -> Path:
    """Two training images and a test image, RGBA as published, with MATLAB labels."""
    for seed, (folder, name, types) in enumerate(
        [("Train", "train_1", (0, 1, 2, 3)), ("Train", "train_2", (0, 4, 5, 6)), ("Test", "test_1", (0, 7))]
    ):
        opaque = np.full((HEIGHT, WIDTH, 1), 255, dtype=np.uint8)
        save(root / folder / "Images" / f"{name}.png", np.concatenate([picture(seed), opaque], axis=2))
        type_map = stripes(types).astype(np.float64)
        path = root / folder / "Labels" / f"{name}.mat"
        path.parent.mkdir(parents=True, exist_ok=True)
        savemat(path, {"inst_map": type_map * 100, "type_map": type_map})
    return root


def write_bdsa(root: Path) -> Path:
    """Three tiles of two slides."""
    tiles = {"S1_0_0": (0, 31, 63), "S1_0_512": (95, 191), "S2_0_0": (127,)}
    for seed, (name, values) in enumerate(tiles.items()):
        save(root / "img" / f"{name}.png", picture(seed))
        save(root / "mask" / f"{name}.png", stripes(values))
    return root


def write_pannuke(root: Path) -> Path:
    """Two rows in each fold: an empty one, and one with a nucleus of the fold's own type and an overlap."""
    for fold in (1, 2, 3):
        masks = np.zeros((2, HEIGHT, WIDTH, 6))
        masks[1, 2:6, 2:6, fold - 1] = 5
        masks[1, 5:8, 5:8, 4] = 9  # one pixel in common
        masks[..., 5] = masks[..., :5].sum(axis=-1) == 0
        arrays = {
            "images/images.npy": np.stack([picture(fold), picture(fold + 10)]).astype(np.float64),
            "images/types.npy": np.array(["Breast", "Colon"]),
            "masks/masks.npy": masks,
        }
        for name, array in arrays.items():
            folder, file = name.split("/")
            path = root / f"Fold {fold}" / folder / f"fold{fold}" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, array)
    return root


def write_sampath(root: Path, folds: Sequence[int] = (1, 2, 0, -1)) -> Path:
    """Four patches of three patients, labels 0 (unlabelled) to 3, and the YAML that names them."""
    names = ["P1_0_0", "P1_0_790", "P2_0_0", "P3_0_0"]
    for seed, name in enumerate(names):
        save(root / "img" / f"{name}.png", picture(seed))
        save(root / "mask" / f"{name}.png", stripes((0, 1, 2, 3)))
    (root / "cv.csv").write_text("img_id,fold\n" + "".join(f"{n},{f}\n" for n, f in zip(names, folds, strict=True)))
    (root / "classes.yaml").write_text(
        "name: mini\nmpp_um: 0.25\ngroup_regex: '^(P\\d)'\nclasses:\n"
        "  - {name: tumor, labels: [1], colour: '#ff0000'}\n"
        "  - {name: stroma, labels: [2]}\n"
        "  - {name: rest, labels: [3]}\n"
    )
    return root
