"""A tiny prepared data set, written by code: six images of six patients, three classes, one unlabelled corner."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

DatasetWriter = Callable[..., Path]

CLASSES = ("stroma", "tumour", "necrosis")
COLOURS = ("#00ff00", "#ff0000", "#0000ff")
SPLITS = ("train", "train", "train", "train", "test", "test")


def draw_mask(number: int, height: int = 20, width: int = 24) -> np.ndarray:
    """Stroma with a square of tumour, a smaller one of necrosis, and an unlabelled corner."""
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[2 : 8 + number, 3:9] = 1
    mask[5 : 7 + number % 3, 12:15] = 2
    mask[-3:, -3:] = 255
    return mask


@pytest.fixture
def tiny_mask() -> Callable[[int], np.ndarray]:
    """Return a function that draws the mask of image `im_<number>`."""
    return draw_mask


@pytest.fixture
def write_dataset(tmp_path: Path) -> DatasetWriter:
    """Return a function that writes a data set and gives its folder."""

    def write(
        root: Path = tmp_path / "tiny",
        masks: list[np.ndarray] | None = None,
        groups: list[str] | None = None,
        splits: tuple[str, ...] | list[str] = SPLITS,
        classes: tuple[str, ...] = CLASSES,
    ) -> Path:
        masks = masks if masks is not None else [draw_mask(number) for number in range(len(splits))]
        groups = groups or [f"patient_{number}" for number in range(len(masks))]
        (root / "images").mkdir(parents=True)
        (root / "masks").mkdir()
        colours = [*COLOURS, *(f"#0000{number:02x}" for number in range(len(classes)))]
        info = {
            "name": "tiny",
            "description": "Squares.",
            "mpp_um": 0.5,
            "unlabelled_id": 255,
            "groups_known": True,
            "classes": [{"id": k, "name": name, "colour": colours[k]} for k, name in enumerate(classes)],
            "licence": "CC0",
            "citation": "none",
        }
        (root / "dataset.yaml").write_text(yaml.safe_dump(info, sort_keys=False))
        rows = ["image_id,group_id,split,height_px,width_px,site"]
        rng = np.random.default_rng(0)
        for number, mask in enumerate(masks):
            height, width = mask.shape
            rows.append(f"im_{number},{groups[number]},{splits[number]},{height},{width},A{number % 2}")
            pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "images" / f"im_{number}.png")
            Image.fromarray(mask).save(root / "masks" / f"im_{number}.png")
        (root / "index.csv").write_text("\n".join(rows) + "\n")
        return root

    return write


@pytest.fixture
def tiny(write_dataset: DatasetWriter) -> Path:
    """Return the folder of a sound data set."""
    return write_dataset()
