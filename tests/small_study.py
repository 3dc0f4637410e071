"""A study small enough for tests: a few 64 px images made by code, a tiny decoder, a handful of steps."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from imbalance_bench.config import StudyConfig, parse_study

CLASSES = ("background", "common", "rare")
COLOURS = ("#eeeeee", "#1f77b4", "#d62728")
SPLITS = ("train", "train", "train", "train", "val", "val", "test", "test")
RGB = np.array([[235, 225, 235], [120, 90, 160], [200, 90, 130]])


def write_dataset(folder: Path, *, size_px: int = 64, unlabelled: bool = True) -> Path:
    """Write a prepared data set of discs on a background; every image holds every class."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[:size_px, :size_px]
    lines = ["image_id,group_id,split,height_px,width_px"]
    for number, split in enumerate(SPLITS):
        mask = np.zeros((size_px, size_px), np.uint8)
        for class_id, radius in ((1, size_px // 4), (1, size_px // 5), (2, size_px // 8)):
            top, left = rng.integers(radius, size_px - radius, size=2)
            mask[(rows - top) ** 2 + (columns - left) ** 2 < radius**2] = class_id
        image = np.clip(RGB[mask] + rng.normal(0, 20, (size_px, size_px, 3)), 0, 255).astype(np.uint8)
        if unlabelled:
            mask[:4] = 255
        Image.fromarray(image).save(folder / "images" / f"im_{number}.png")
        Image.fromarray(mask).save(folder / "masks" / f"im_{number}.png")
        lines.append(f"im_{number},slide_{number},{split},{size_px},{size_px}")
    (folder / "index.csv").write_text("\n".join(lines) + "\n")
    info = {"name": "discs", "description": "discs", "mpp_um": 0.5, "unlabelled_id": 255, "groups_known": True}
    classes = [{"id": k, "name": n, "colour": c} for k, (n, c) in enumerate(zip(CLASSES, COLOURS, strict=True))]
    text = yaml.safe_dump(info | {"classes": classes, "licence": "CC0", "citation": "none"})
    (folder / "dataset.yaml").write_text(text)
    return folder


def study_content(folder: Path, **sections: Any) -> dict[str, Any]:
    """Return the content of a study file; keyword arguments replace or extend its sections."""
    content: dict[str, Any] = {
        "name": "small",
        "dataset": {"path": str(folder), "tile_px": 64, "stride_px": 64},
        "model": {
            "encoder": "tu-test_resnet",
            "encoder_weights": "none",
            "channels": 16,
            "heads": 2,
            "mlp_channels": 16,
            "pixel_channels": [16, 8, 8],
            "embedding_channels": 8,
        },
        "training": {
            "steps": 6,
            "batch_size": 2,
            "crop_px": 32,
            "warmup_steps": 2,
            "validate_every": 3,
            "ledger_every": 2,
            "checkpoint_every": 2,
            "augmentation": {"cached_views": 2},
        },
        "methods": ["cross_entropy", "dfa"],
        "seeds": [0],
    }
    for key, value in sections.items():
        content[key] = content[key] | value if isinstance(content.get(key), dict) else value
    return content


def small_config(folder: Path, **sections: Any) -> StudyConfig:
    """Return a validated small study."""
    return parse_study(study_content(folder, **sections), source="test")


def write_study(path: Path, folder: Path, **sections: Any) -> Path:
    """Write a small study file."""
    path.write_text(yaml.safe_dump(study_content(folder, **sections)))
    return path
