"""How fast the class measures are, beside a plain loop over classes with scikit-image, and how much memory they take.

    python -m benchmarks.measures_speed DATASET [--images N] [--only speed|memory|picture|resolution]

Prints megapixels per second of one core, the ratio to the loop of `benchmarks.plain_measures` on the same images, how
far the two differ in value, the peak memory with n, 2n and 4n images and of one picture of growing size, and how alike
two resolutions rank the classes.
"""

import argparse
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.stats import spearmanr

from analysis.measures.estimates import measure_table
from analysis.measures.scale import MPP_WITHOUT_SCALE, Scale
from analysis.measures.sums import ClassSums
from analysis.measures.survey import Survey, summarise_image, survey
from benchmarks.plain_measures import largest_difference, plain_loop
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.taxonomy import Taxonomy

BAND_UM = 2.0
NOT_IN_MICROMETRES = ("pixel_share", "image_share", "group_share")  # exact at any resolution, so left out


def measure_speed(dataset: PreparedDataset, ids: list[str]) -> None:
    """Print megapixels per second of both, each image decoded beforehand, and how far their values differ."""
    taxonomy, scale = Taxonomy(dataset.info), Scale(dataset.info.mpp_um, BAND_UM)
    pixels, ours, plain, apart = 0, 0.0, 0.0, 0.0
    for image_id in ids:
        image, mask = dataset.read_image(image_id), taxonomy.apply(dataset.read_mask(image_id))
        pixels += mask.size
        start = time.process_time()
        found = summarise_image(image, mask, len(taxonomy), scale, image_id)
        between = time.process_time()
        expected = plain_loop(image, mask, len(taxonomy), scale)
        plain += time.process_time() - between
        ours += between - start
        apart = max(apart, largest_difference(expected, found))
    speed, slow = (pixels / 1e6 / seconds for seconds in (ours, plain))
    print(f"{len(ids)} images, {pixels / 1e6:.1f} megapixels, {len(taxonomy)} classes; processor time of one core")
    print(f"survey      {speed:6.2f} MP/s/core")
    print(f"plain loop  {slow:6.2f} MP/s/core")
    print(f"ratio       {speed / slow:6.1f}")
    print(f"largest relative difference of a value that both define alike: {apart:.0e}")


def measure_memory(root: Path, n: int) -> None:
    """Print the peak memory of processes that survey n, 2n and 4n images."""
    for images in (n, 2 * n, 4 * n):
        command = [sys.executable, "-m", "benchmarks.measures_speed", str(root), "--peak", str(images)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        print(f"peak memory, {images:4d} images: {done.stdout.strip()} MiB")


def print_peak(dataset: PreparedDataset, ids: list[str]) -> None:
    """Survey the images in this process and print its peak memory."""
    survey(dataset, Taxonomy(dataset.info), [ids], band_um=BAND_UM, workers=1)
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}", end="")


def measure_picture(root: Path) -> None:
    """Print the peak memory of processes that reduce one picture of 1, 4 and 16 times the area of the first image."""
    for times in (1, 2, 4):
        command = [sys.executable, "-m", "benchmarks.measures_speed", str(root), "--mosaic", str(times)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        print(f"peak memory, one picture of {done.stdout.strip()} MiB")


def print_mosaic(dataset: PreparedDataset, image_id: str, times: int) -> None:
    """Reduce one image laid out `times` by `times` in this process and print its size and the peak memory."""
    taxonomy, scale = Taxonomy(dataset.info), Scale(dataset.info.mpp_um, BAND_UM)
    image = np.tile(dataset.read_image(image_id), (times, times, 1))
    mask = np.tile(taxonomy.apply(dataset.read_mask(image_id)), (times, times))
    summarise_image(image, mask, len(taxonomy), scale)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{mask.shape[0]} x {mask.shape[1]} px: {peak:.0f}", end="")


def compare_resolutions(dataset: PreparedDataset, ids: list[str]) -> None:
    """Print how alike the images as they are and at half the resolution rank the classes, per measure.

    Beside it, how alike two halves of the images rank them at one resolution: no measure can do better than its sample.
    """
    taxonomy, mpp = Taxonomy(dataset.info), dataset.info.mpp_um or MPP_WITHOUT_SCALE
    fine, coarse = (_survey_at(dataset, ids, taxonomy, factor) for factor in (1, 2))
    every = np.ones(len(ids), dtype=bool)
    even = np.arange(len(ids)) % 2 == 0
    own, half_size, one, other = (
        _values(found, taxonomy, units)
        for found, units in ((fine, every), (coarse, every), (fine, even), (fine, ~even))
    )
    print(f"\n{len(ids)} images, {len(taxonomy)} classes; rank correlation (classes that have a value in both)")
    print(f"{'':28s} {mpp:g} and {2 * mpp:g} um per pixel   two halves of the images")
    for measure in own.index:
        if measure not in NOT_IN_MICROMETRES and own.loc[measure].notna().sum() > 2:
            print(f"{measure:28s} {_alike(own, half_size, measure):^26s} {_alike(one, other, measure):^26s}".rstrip())


def _alike(one: pd.DataFrame, other: pd.DataFrame, measure: str) -> str:
    """Write the rank correlation over the classes known to both."""
    pair = pd.concat([one.loc[measure], other.loc[measure]], axis=1).dropna().to_numpy(dtype=float)
    return f"{spearmanr(pair[:, 0], pair[:, 1])[0]:5.2f} ({len(pair)})" if len(pair) > 2 else "-"


def _survey_at(dataset: PreparedDataset, ids: list[str], taxonomy: Taxonomy, factor: int) -> Survey:
    """Survey the images, shrunk by 1 or 2, each a unit."""
    scale, k, units = Scale((dataset.info.mpp_um or MPP_WITHOUT_SCALE) * factor, BAND_UM), len(taxonomy), len(ids)
    sums, parts = ClassSums.zeros(units, k), []
    for unit, image_id in enumerate(ids):
        image, mask = dataset.read_image(image_id), taxonomy.apply(dataset.read_mask(image_id))
        if factor > 1:
            size = (image.shape[1] // factor, image.shape[0] // factor)
            image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))
            mask = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
        summary = summarise_image(image, mask, k, scale, image_id)
        sums.add(unit, summary.sums)
        parts.append(summary.instances.assign(unit=unit))
    return Survey(
        unit_of={image_id: unit for unit, image_id in enumerate(ids)},
        in_fold=np.ones((1, units), dtype=bool),
        n_groups=np.ones(units, np.int64),
        group_presence=sums.images,
        sums=sums,
        instances=pd.concat(parts, ignore_index=True),
        scale=scale,
    )


def _values(found: Survey, taxonomy: Taxonomy, units: np.ndarray) -> pd.DataFrame:
    """Return the values of some of the units, measure x class."""
    found = replace(found, in_fold=units[None])
    return measure_table(found, taxonomy.names, resamples=2, seed=0).pivot(
        index="measure", columns="class_id", values="value"
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--mosaic", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--only", choices=["speed", "memory", "picture", "resolution"])
    options = parser.parse_args()
    dataset = PreparedDataset.open(options.dataset)
    ids = [entry.image_id for entry in dataset.entries][: options.images]
    if options.peak:
        print_peak(dataset, [entry.image_id for entry in dataset.entries][: options.peak])
        return
    if options.mosaic:
        print_mosaic(dataset, ids[0], options.mosaic)
        return
    if options.only in (None, "speed"):
        measure_speed(dataset, ids)
    if options.only in (None, "memory"):
        measure_memory(options.dataset, options.images)
    if options.only in (None, "picture"):
        measure_picture(options.dataset)
    if options.only in (None, "resolution"):
        compare_resolutions(dataset, ids)


if __name__ == "__main__":
    main()
