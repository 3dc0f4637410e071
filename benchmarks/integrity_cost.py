"""What it costs to check what a study rests on: caches at every opening, the data set at every analysis, checkpoints.

    python -m benchmarks.integrity_cost [--mib 512] [--images 200]

Prints the processor time of each, per GiB or per image, on files of this size that are made for it. Reading the disk
comes on top where the files are not in memory.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from imbalance_bench.data.array_store import ArrayStore, require_undamaged
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.unchanged import file_marks
from imbalance_bench.manifest import file_hash
from imbalance_bench.training.checkpoint import load_checkpoint, save_checkpoint

LEVEL = (64, 128, 128)  # one level of features of one tile, float16: 2 MiB
SIZE_PX = 512
REPEATS = 3


def seconds(action: Callable[[], object]) -> float:
    """Return the least processor time of a few tries, all threads together."""
    times = []
    for _ in range(REPEATS):
        started = time.process_time()
        action()
        times.append(time.process_time() - started)
    return min(times)


def measure_store(folder: Path, mib: int) -> None:
    """Print what opening a feature cache costs with its checksums."""
    rows = max(mib // 2, 1)
    rng = np.random.default_rng(0)

    def fill(wanted: Sequence[int]) -> Mapping[str, np.ndarray]:
        return {"level_0": rng.random((len(wanted), *LEVEL), dtype=np.float32).astype(np.float16)}

    arrays = {"level_0": (LEVEL, np.float16)}
    ArrayStore.open_or_fill(folder, arrays=arrays, rows=rows, fill=fill, chunk=8, description={})
    spent, gib = seconds(lambda: require_undamaged(folder)), 2 * rows / 1024
    print(f"cache, {gib:.2f} GiB: {spent:.2f} s at every opening, {spent / gib:.2f} s/GiB")


def measure_checkpoint(folder: Path, mib: int) -> None:
    """Print what reading a checkpoint costs with and without its checksums."""
    folder.mkdir()
    save_checkpoint(folder, {"model": {f"w{i}": torch.rand(2**18) for i in range(mib)}})
    path, device = folder / "checkpoint.pt", torch.device("cpu")
    checked = seconds(lambda: load_checkpoint(folder, device))
    plain = seconds(lambda: torch.load(path, weights_only=True))
    print(f"checkpoint, {mib / 1024:.2f} GiB: {checked:.2f} s to read checked, {plain:.2f} s unchecked")


def measure_data(folder: Path, images: int) -> None:
    """Print what the check of a data set costs: by marks, and by content."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    lines = ["image_id,group_id,split,height_px,width_px"]
    for number in range(images):
        pixels = rng.integers(0, 256, (SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png", compress_level=0)
        Image.fromarray(np.zeros((SIZE_PX, SIZE_PX), np.uint8)).save(folder / "masks" / f"{number}.png")
        lines.append(f"{number},{number},train,{SIZE_PX},{SIZE_PX}")
    (folder / "index.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "dataset.yaml").write_text(
        "name: noise\ndescription: noise\nmpp_um: 0.5\nunlabelled_id: 255\ngroups_known: true\n"
        "classes: [{id: 0, name: a, colour: '#ff0000'}]\n",
        encoding="utf-8",
    )
    dataset = PreparedDataset.open(folder)
    paths = [path(str(n)) for n in range(images) for path in (dataset.image_path, dataset.mask_path)]
    gib = sum(path.stat().st_size for path in paths) / 2**30
    marks = seconds(lambda: file_marks(PreparedDataset.open(folder)))
    content = seconds(lambda: [file_hash(path) for path in paths])
    print(
        f"data set, {images} images, {gib:.2f} GiB: {1000 * marks:.0f} ms by marks "
        f"({1e6 * marks / images:.0f} us an image), {content:.2f} s by content ({content / gib:.2f} s/GiB)"
    )


def main() -> None:
    """Measure all three."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mib", type=int, default=512)
    parser.add_argument("--images", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure_store(Path(folder) / "store", options.mib)
        measure_checkpoint(Path(folder) / "run", options.mib)
        measure_data(Path(folder) / "data", options.images)


if __name__ == "__main__":
    main()
