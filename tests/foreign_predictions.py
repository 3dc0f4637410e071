"""Predictions as another tool leaves them, of the small data set, and the file for `score` that names them."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from click.testing import CliRunner, Result
from PIL import Image

from imbalance_bench.cli.main import main
from tests.small_study import CLASSES, SPLITS

TESTED = [f"im_{number}" for number, split in enumerate(SPLITS) if split == "test"]


def typed(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def truth(dataset: Path, image_id: str) -> np.ndarray:
    return np.array(Image.open(dataset / "masks" / f"{image_id}.png"))


def guess(dataset: Path, image_id: str, seed: int) -> np.ndarray:
    """Return a mask with some errors, different for every seed and not symmetric."""
    mask = truth(dataset, image_id)
    mask[mask == 255] = 0
    wrong = np.random.default_rng(seed).random(mask.shape) < 0.2
    return np.where(wrong, (mask + 1) % len(CLASSES), mask).astype(np.uint8)


def write_guesses(folder: Path, dataset: Path, seed: int, images: list[str] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for image_id in TESTED if images is None else images:
        Image.fromarray(guess(dataset, image_id, seed)).save(folder / f"{image_id}.png")
    return folder


def write_foreign(path: Path, dataset: Path, methods: list[dict[str, Any]], **keys: Any) -> Path:
    path.write_text(yaml.safe_dump({"name": "foreign", "dataset": {"path": str(dataset)}, "methods": methods} | keys))
    return path


def two_methods(folder: Path, dataset: Path, **keys: Any) -> Path:
    """Write predictions of two methods and the file that names them."""
    methods = []
    for seed, label in enumerate(("first", "second")):
        write_guesses(folder / label, dataset, seed)
        methods.append({"label": label, "predictions": str(folder / label / "{image_id}.png")})
    return write_foreign(folder / "foreign.yaml", dataset, methods, **keys)
