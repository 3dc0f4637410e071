"""`predict` of a synthetic slide against a plain loop over all of its tiles.

    python -m benchmarks.slide_prediction RUN_DIR [--edge-px 16384] [--overlap 0] [--folder FOLDER]

RUN_DIR is a finished run. The slide is a tiled JPEG TIFF made by `tests.slides`, 60 % of it glass. The loop is what
a user writes with tiffslide and a model: read a tile, predict it, put the classes into an array, save that; it writes
neither overlay nor outlines, `predict` both. Each side runs in a process of its own, on the GPU or on all
cores (OMP_NUM_THREADS).
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
import torch

from imbalance_bench.data.region_image import open_region_image
from imbalance_bench.data.tiling import tile_image
from imbalance_bench.inference.prediction import PredictionOptions, predict_images
from imbalance_bench.inference.trained_model import TrainedModel
from tests.slides import write_slide


def plain_loop(model: TrainedModel, slide: Path, out: Path, overlap_px: int) -> None:
    """Predict every tile, one after the other, into an array of the whole slide."""
    tile_px, stride_px = model.tile_px, model.tile_px - overlap_px
    with open_region_image(slide) as image:
        height, width = image.height_px, image.width_px
        n_classes = len(model.class_names)
        logits = np.zeros((n_classes, height, width), np.float32) if overlap_px else None
        mask = np.zeros((height, width), np.uint8)
        for top, left in tile_image(height, width, tile_px, stride_px):
            found = model.logits(image.read(top, left, tile_px, tile_px)[None])[0]
            if logits is None:
                mask[top : top + tile_px, left : left + tile_px] = found.argmax(0)
            else:
                logits[:, top : top + tile_px, left : left + tile_px] += found
        tifffile.imwrite(out / "mask.tif", mask if logits is None else logits.argmax(0).astype(np.uint8))


def measure(side: str, run_dir: Path, slide: Path, out: Path, overlap_px: int) -> dict[str, float]:
    """Run one side in this process; return seconds, mebibytes and, of `predict`, the share that was predicted."""
    model = TrainedModel.open(run_dir)
    out.mkdir()
    started, cpu = time.perf_counter(), time.process_time()
    share = 1.0
    if side == "loop":
        plain_loop(model, slide, out, overlap_px)
    else:
        options = PredictionOptions(overlap_px=overlap_px, tissue=side == "predict")
        done = predict_images(model, [slide], out, options, lambda *_: None)
        share = float(done.areas["predicted_share"].iloc[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "cpu_seconds": time.process_time() - cpu, "peak_mib": peak, "share": share}


def main() -> None:
    """Parse the command line; make the slide, measure each side in a process, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--edge-px", type=int, nargs="+", default=[16384])
    parser.add_argument("--overlap", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="Where slides and results go.  [default: a temporary folder]")
    parser.add_argument("--sides", nargs="+", default=["predict", "loop"], choices=["predict", "no_tissue", "loop"])
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        side, slide, out = options.one
        print(json.dumps(measure(side, options.run_dir, Path(slide), Path(out), options.overlap)))
        return
    device = TrainedModel.open(options.run_dir).device
    print(f"{device}, {torch.get_num_threads()} threads, overlap {options.overlap} px\n")
    print("| slide | side | predicted | s | CPU s | MPx/s | peak MiB |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for edge in options.edge_px:
            slide = write_slide(Path(folder) / f"{edge}.tif", edge, edge, compression="jpeg")
            for side in options.sides:
                command = [sys.executable, "-m", "benchmarks.slide_prediction", str(options.run_dir)]
                command += ["--overlap", str(options.overlap), "--one", side, str(slide), f"{folder}/{edge}_{side}"]
                row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                speed = edge**2 / 1e6 / row["seconds"]
                cells = f"{row['share']:.0%} | {row['seconds']:.1f} | {row['cpu_seconds']:.0f} | {speed:.2f}"
                print(f"| {edge} px | {side} | {cells} | {row['peak_mib']:.0f} |", flush=True)


if __name__ == "__main__":
    main()
