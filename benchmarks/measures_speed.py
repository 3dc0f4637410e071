"""How fast the class measures are, beside a plain loop over classes with scikit-image, and how much memory they take.

    python -m benchmarks.measures_speed DATASET [--images N]

Prints megapixels per second of one core, the ratio to the loop on the same images (which computes part of the measures
only, see `plain_loop`), the peak memory with n, 2n and 4n images, and how alike two resolutions rank the classes.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.ndimage import distance_transform_edt, gaussian_gradient_magnitude
from scipy.stats import spearmanr
from skimage.color import rgb2hed
from skimage.measure import label, perimeter_crofton, regionprops

from analysis.measures.estimates import measure_table
from analysis.measures.scale import Scale
from analysis.measures.sums import ClassSums
from analysis.measures.survey import Survey, summarise_image, survey
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.taxonomy import Taxonomy

BAND_UM = 2.0
NOT_IN_MICROMETRES = ("pixel_share", "image_share", "group_share")  # exact at any resolution, so left out


def plain_loop(image: np.ndarray, mask: np.ndarray, n_classes: int, band_px: float) -> list[tuple[float, ...]]:
    """Compute per class, on full frames: shapes, perimeters, Hu's moments, stains in bands and profile, edge strength.

    Fourier descriptors, box counts and adjacency are left out, in favour of the loop.
    """
    stains = rgb2hed(image)
    edges = [gaussian_gradient_magnitude(stains[..., each], 4) for each in (0, 1)]
    found = []
    for c in range(n_classes):
        own = mask == c
        if not own.any():
            continue
        inside, outside = (np.asarray(distance_transform_edt(each)) for each in (own, ~own))
        bands = [own & (inside <= band_px), ~own & (outside <= band_px)]
        for band in (*bands, own):
            found.append(tuple(np.histogram2d(stains[band][:, 0], stains[band][:, 1], bins=24)[0].ravel()[:1]))
        signed = np.where(own, inside, -outside)
        near = np.abs(signed) <= 40
        steps = np.floor(signed[near] / 4).astype(int) + 11
        found.append(tuple(np.bincount(steps, stains[near][:, 0]) + np.bincount(steps, stains[near][:, 1]))[:1])
        found.append(tuple(float(edge[bands[0]].mean()) for edge in edges))
        for region in regionprops(np.asarray(label(own, connectivity=2))):
            shape = (region.area, region.eccentricity, region.solidity, perimeter_crofton(region.image))
            found.append((*shape, *region.moments_hu))
    return found


def measure_speed(dataset: PreparedDataset, ids: list[str]) -> None:
    """Print megapixels per second of both, each image decoded beforehand."""
    taxonomy, scale = Taxonomy(dataset.info), Scale(dataset.info.mpp_um, BAND_UM)
    pixels, ours, plain = 0, 0.0, 0.0
    for image_id in ids:
        image, mask = dataset.read_image(image_id), taxonomy.apply(dataset.read_mask(image_id))
        pixels += mask.size
        start = time.process_time()
        summarise_image(image, mask, len(taxonomy), scale, image_id)
        ours += time.process_time() - start
        start = time.process_time()
        plain_loop(image, mask, len(taxonomy), scale.band_px)
        plain += time.process_time() - start
    speed, slow = (pixels / 1e6 / seconds for seconds in (ours, plain))
    print(f"{len(ids)} images, {pixels / 1e6:.1f} megapixels, {len(taxonomy)} classes; processor time of one core")
    print(f"survey      {speed:6.2f} MP/s/core")
    print(f"plain loop  {slow:6.2f} MP/s/core")
    print(f"ratio       {speed / slow:6.1f}")


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


def compare_resolutions(dataset: PreparedDataset, ids: list[str]) -> None:
    """Print how alike the images as they are and at half the resolution rank the classes, per measure."""
    taxonomy, mpp = Taxonomy(dataset.info), dataset.info.mpp_um or 0.25
    tables = []
    for factor in (1, 2):
        scale, k = Scale(mpp * factor, BAND_UM), len(taxonomy)
        sums, parts = ClassSums.zeros(len(ids), k), []
        for unit, image_id in enumerate(ids):
            image, mask = dataset.read_image(image_id), taxonomy.apply(dataset.read_mask(image_id))
            if factor == 2:
                size = (image.shape[1] // 2, image.shape[0] // 2)
                image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))
                mask = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
            summary = summarise_image(image, mask, k, scale, image_id)
            sums.add(unit, summary.sums)
            parts.append(summary.instances.assign(unit=unit))
        tables.append(_values(sums, parts, scale, taxonomy))
    print(
        f"\nrank correlation over {len(taxonomy)} classes, {mpp:g} against {2 * mpp:g} um per pixel, {len(ids)} images"
    )
    for measure in tables[0].index:
        one, two = (each.loc[measure].to_numpy(dtype=float) for each in tables)
        known = np.isfinite(one) & np.isfinite(two)
        if measure not in NOT_IN_MICROMETRES and known.sum() > 2:
            print(f"{measure:28s} {spearmanr(one[known], two[known])[0]:6.2f}  ({known.sum()} classes)")


def _values(sums: ClassSums, parts: list[pd.DataFrame], scale: Scale, taxonomy: Taxonomy) -> pd.DataFrame:
    units = len(parts)
    found = Survey(
        unit_of={str(unit): unit for unit in range(units)},
        in_fold=np.ones((1, units), dtype=bool),
        n_groups=np.ones(units, np.int64),
        group_presence=sums.images,
        sums=sums,
        instances=pd.concat(parts, ignore_index=True),
        scale=scale,
    )
    return measure_table(found, taxonomy.names, resamples=2, seed=0).pivot(
        index="measure", columns="class_id", values="value"
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--only", choices=["speed", "memory", "resolution"])
    options = parser.parse_args()
    dataset = PreparedDataset.open(options.dataset)
    ids = [entry.image_id for entry in dataset.entries][: options.images]
    if options.peak:
        print_peak(dataset, [entry.image_id for entry in dataset.entries][: options.peak])
        return
    if options.only in (None, "speed"):
        measure_speed(dataset, ids)
    if options.only in (None, "memory"):
        measure_memory(options.dataset, options.images)
    if options.only in (None, "resolution"):
        compare_resolutions(dataset, ids)


if __name__ == "__main__":
    main()
