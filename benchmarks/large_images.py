"""Peak memory of preparing, describing and evaluating data sets with one large image.

    python -m benchmarks.large_images [--edge-px 8192 16384] [--kinds png tiff] [--folder FOLDER] [--steps NAME ...]

The image and its mask are phantom tissue of 1,024 px, repeated, with noise of its own in every place; small images
of the same tissue are trained on, the large one is the test set. Each command runs in a process of its own, with one
worker, and its largest resident memory is what the system counted, that of processes it started included.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
import yaml
from PIL import Image

from benchmarks.faults.small_study import SMALL
from imbalance_bench.data.phantom import PRESETS, generate_phantom
from imbalance_bench.data.prepared import PreparedDataset

TISSUE_PX, SMALL_PX, TILE_PX = 1024, 512, 512
STEPS = ("prepare", "describe", "evaluate")
_COMMAND = [sys.executable, "-m", "imbalance_bench.cli"]


def tissue(folder: Path) -> tuple[PreparedDataset, np.ndarray, np.ndarray]:
    """Make a phantom; return its data set, its first image, (t, t, 3) uint8, and mask, (t, t) uint8."""
    spec = PRESETS["tissue"]
    groups = spec.groups.model_copy(update={"train": 1, "val": 1, "test": 1})
    changed = {"size_px": TISSUE_PX, "images_per_group": 1, "groups": groups, "unlabelled_share": 0.0}
    generate_phantom(spec.model_copy(update=changed), folder)
    dataset = PreparedDataset.open(folder)
    name = dataset.entries[0].image_id
    return dataset, dataset.read_image(name), dataset.read_mask(name)


def bands(image: np.ndarray, edge_px: int) -> Iterator[np.ndarray]:
    """Yield rows of tiles of a large image, (t, edge_px, 3) uint8, with noise so that no place is like another."""
    rng = np.random.default_rng(0)
    for _ in range(edge_px // TISSUE_PX):
        row = np.tile(image, (1, edge_px // TISSUE_PX, 1))
        noise = rng.integers(-4, 5, size=row.shape, dtype=np.int8)
        yield np.clip(row.astype(np.int16) + noise, 0, 255).astype(np.uint8)


def write_source(folder: Path, edge_px: int, kind: str) -> None:
    """Write the pictures and the description that `data prepare folder` reads."""
    dataset, image, mask = tissue(folder / "phantom")
    for name in ("images", "masks"):
        (folder / "source" / name).mkdir(parents=True)
    for number, split in enumerate(("train", "train", "val")):
        part = slice(number * 128, number * 128 + SMALL_PX)
        name = f"{split}_{number}.png"
        Image.fromarray(image[part, part]).save(folder / "source" / "images" / name)
        Image.fromarray(mask[part, part]).save(folder / "source" / "masks" / name)
    large = folder / "source" / "images" / f"test_9.{'png' if kind == 'png' else 'tif'}"
    if kind == "png":
        Image.fromarray(np.concatenate([*bands(image, edge_px)])).save(large, compress_level=1)
    else:
        tiles = (
            np.ascontiguousarray(row[top : top + TILE_PX, left : left + TILE_PX])
            for row in bands(image, edge_px)
            for top in range(0, TISSUE_PX, TILE_PX)
            for left in range(0, edge_px, TILE_PX)
        )
        shape = (edge_px, edge_px, 3)
        tifffile.imwrite(
            large, tiles, shape=shape, dtype=np.uint8, tile=(TILE_PX, TILE_PX), photometric="rgb", compression="deflate"
        )
    repeats = edge_px // TISSUE_PX
    Image.fromarray(np.tile(mask, (repeats, repeats))).save(
        folder / "source" / "masks" / "test_9.png", compress_level=1
    )
    description = {
        "name": "large",
        "image": r"images/(?P<split>\w+)_(?P<number>\d)\.(png|tif)",
        "mask": "masks/{split}_{number}.png",
        "image_id": "{split}_{number}",
        "group": "{number}",
        "split": "{split}",
        "mpp_um": dataset.info.mpp_um,
        "classes": [{"name": class_.name, "labels": [class_.id]} for class_ in dataset.info.classes],
    }
    (folder / "source.yaml").write_text(yaml.safe_dump(description, sort_keys=False))


def write_study(folder: Path) -> None:
    """Write a study of one run that trains for a moment and is tested on the large image."""
    content = {
        "name": "large",
        "dataset": {"path": str(folder / "data"), "tile_px": TILE_PX, "stride_px": TILE_PX},
        "splits": {"kind": "published"},
        "model": SMALL["model"],
        "training": {
            "steps": 2,
            "batch_size": 1,
            "crop_px": 256,
            "warmup_steps": 1,
            "augmentation": {"cached_views": 1},
        },
        "evaluation": {"path_controls": 0, "permuted_biases": 0},
        "methods": ["cross_entropy"],
        "seeds": [0],
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(content))


def words_of(step: str, folder: Path) -> list[str]:
    """Return the command of a step."""
    if step == "prepare":
        return [*_COMMAND, "data", "prepare", "folder", str(folder / "source"), str(folder / "data"),
                "--config", str(folder / "source.yaml"), "--workers", "1"]  # fmt: skip
    if step == "describe":
        return [*_COMMAND, "data", "describe", str(folder / "data"), "--out", str(folder / "cards"), "--workers", "1"]
    return [*_COMMAND, "run", str(folder / "study.yaml"), "--out", str(folder / "study"), "--cache",
            str(folder / "cache"), "--engine", "serial", "--workers", "1"]  # fmt: skip


def measure(words: list[str], log: Path) -> tuple[float, float, int]:
    """Run a command; return its largest memory in GiB, its processor time in s, and its exit code."""
    with log.open("w") as file:
        process = subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_maxrss / 2**20, used.ru_utime + used.ru_stime, process.returncode


def main() -> None:
    """Parse the command line; make the pictures, run each command, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edge-px", type=int, nargs="+", default=[8192, 16384])
    parser.add_argument("--kinds", nargs="+", default=["png", "tiff"], choices=["png", "tiff"])
    parser.add_argument("--steps", nargs="+", default=list(STEPS), choices=STEPS)
    parser.add_argument("--folder", type=Path, help="Where everything goes; kept.  [default: a temporary folder]")
    options = parser.parse_args()
    print("| image | command | peak GiB | CPU s | wall s | exit |\n|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        for edge_px in options.edge_px:
            for kind in options.kinds:
                folder = (options.folder or Path(temporary)) / f"{edge_px}_{kind}"
                if not folder.exists():
                    folder.mkdir(parents=True)
                    write_source(folder, edge_px, kind)
                    write_study(folder)
                for step in options.steps:
                    started = time.perf_counter()
                    peak, cpu, code = measure(words_of(step, folder), folder / f"{step}.log")
                    wall = time.perf_counter() - started
                    print(
                        f"| {edge_px} px, {kind} | {step} | {peak:.2f} | {cpu:.0f} | {wall:.0f} | {code} |", flush=True
                    )


if __name__ == "__main__":
    main()
