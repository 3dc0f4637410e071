"""Do the measures of difficulty know how many there are? Classes of equal distributions, from common to rare.

    python -m benchmarks.measure_drift [--draws 200] [--only context|boundary|morphology|density|reading|noise]

In every world eight classes have the same distribution and sizes that fall evenly on a log scale. Each line gives the
median value of the most common and of the rarest class, the mean rank correlation of value and size, and the share of
draws in which it is significant at .05 (exact test: .046 of draws where a measure does not know the size). `density`
takes a tenth of the draws. "Before" is the estimator of earlier versions, written out here; "after" is what the package
computes. `reading` prints what a known overlap reads by the number of pixels, `noise` how often an unbiased measure is
significant whose noise falls with its size.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import cache, partial

import numpy as np
import pandas as pd
from scipy.stats import median_abs_deviation
from skimage.draw import ellipse

from analysis.geometry.contours import fourier_descriptors, outer_contours
from analysis.geometry.instances import FEATURES, STANDARDISED, instance_shapes, whole_instances
from analysis.geometry.runs import find_runs
from analysis.measures.boundary import border_measure, outline_measures
from analysis.measures.feature_draws import CellDraw
from analysis.measures.feature_space import largest, nearest_rivals, sum_features, sum_sample
from analysis.measures.morphology import dispersion_measure, morphology_measures
from analysis.measures.scale import Scale
from analysis.measures.stains import BINS_PER_STAIN, STAIN_BINS, corrected_overlap, overlap
from analysis.measures.sums import ClassSums
from analysis.measures.survey import Survey, summarise_image
from analysis.statistics.rank_association import exact_null, rank_association
from imbalance_bench.seeding import generator

CLASSES = 8
CHANNELS = 16
TILE_CELLS = 64
TILES_PER_IMAGE = 4
IMAGES = 20
SCENES, SCENE_PX = 4, 250
TRUE_OVERLAP = 0.6
ALPHA = 0.05

Pair = tuple[np.ndarray, np.ndarray]  # values of the classes, (K,) each: before, after
World = Callable[[np.random.Generator], Pair]


def sizes(most: int, fewest: int) -> np.ndarray:
    """Return the sizes of the classes, falling evenly on a log scale, (K,)."""
    return np.geomspace(most, fewest, CLASSES).round().astype(int)


def nearest_rival(rng: np.random.Generator, shared: float, images: bool) -> Pair:
    """Draw feature cells, 64 to a tile, of which a part of the variance is shared within a tile or an image."""
    tiles = []
    for c, n in enumerate(sizes(4000, 50)):
        spots = -(-n // TILE_CELLS)
        common = rng.normal(size=(spots, CHANNELS)) * np.sqrt(shared)
        if images:
            common = common[np.arange(spots) // TILES_PER_IMAGE]
        for spot in range(spots):
            own = min(TILE_CELLS, n - spot * TILE_CELLS)
            values = common[spot] + rng.normal(size=(own, CHANNELS)) * np.sqrt(1 - shared)
            tiles.append((spot // TILES_PER_IMAGE, np.full(own, c), values))
    units = 1 + max(unit for unit, _, _ in tiles)

    def batches() -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        yield from tiles

    everything = CellDraw(
        class_id=np.concatenate([each for _, each, _ in tiles]),
        unit=np.repeat([unit for unit, _, _ in tiles], [len(each) for _, each, _ in tiles]),
        tile=np.repeat(np.arange(len(tiles)), [len(each) for _, each, _ in tiles]),
        values=np.concatenate([values for _, _, values in tiles]),
    )
    weights = np.ones((1, units))
    before = largest(sum_sample(everything, units, CLASSES, silhouettes_too=False).overlaps(weights))[0]
    features = sum_features("normal", batches, n_units=units, n_classes=CLASSES)
    return before, nearest_rivals(weights, features)[0]


def border_stains(rng: np.random.Generator, most: int, fewest: int, shared: float) -> Pair:
    """Draw stains of pixels on both sides of borders; images may share a shift of both sides' stains."""
    counts = np.zeros((IMAGES, 2, CLASSES, STAIN_BINS), np.int64)
    histograms = [_sides(shift) for shift in rng.normal(size=IMAGES) * shared]
    for c, n in enumerate(sizes(most, fewest)):
        images = min(IMAGES, -(-n // 25))
        for image, own in enumerate(np.diff(np.linspace(0, n, images + 1).round().astype(int))):
            for side in (0, 1):
                counts[image, side, c] = rng.multinomial(own, histograms[image][side])
    pooled = counts.sum(axis=0).astype(float)
    found = _survey(ClassSums.zeros(IMAGES, CLASSES), border=counts)
    after = border_measure(found).evaluate(np.ones((1, IMAGES)))
    return overlap(pooled[0], pooled[1]), after[0, 0]


def shapes(rng: np.random.Generator, shared: float) -> Pair:
    """Draw instances with skewed features, of which a part of the variance is shared within an image."""
    rows = []
    for c, n in enumerate(sizes(400, 5)):
        unit = rng.integers(0, IMAGES, n)
        common = rng.normal(size=(IMAGES, len(STANDARDISED)))[unit] * np.sqrt(shared)
        values = np.exp((common + rng.normal(size=common.shape) * np.sqrt(1 - shared)) / 2)
        rows.append(pd.DataFrame(values, columns=list(STANDARDISED)).assign(unit=unit, class_id=c))
    instances = pd.concat(rows, ignore_index=True).reindex(columns=["unit", "class_id", *FEATURES])
    found = _survey(ClassSums.zeros(IMAGES, CLASSES), instances=instances)
    after = dispersion_measure(found).evaluate(np.ones((1, IMAGES)))
    return _before(instances, "shape_dispersion").to_numpy(), after[0, 0]


def dense_scenes(rng: np.random.Generator, measure: str) -> Pair:
    """Draw ellipses that may touch, each class in images of its own: where there are many, they merge."""
    sums, kept, merged = ClassSums.zeros(SCENES, CLASSES + 1), [], []
    picture = np.full((SCENE_PX, SCENE_PX, 3), 200, np.uint8)
    for c, n in enumerate(sizes(400, 5), start=1):  # class 0 is what lies between
        for unit, own in enumerate(np.diff(np.linspace(0, n, SCENES + 1).round().astype(int))):
            mask = _ellipses(rng, own) * np.uint8(c)
            summary = summarise_image(picture, mask, CLASSES + 1, Scale(0.5, 2.0))
            sums.add(unit, summary.sums)
            kept.append(summary.instances.assign(unit=unit))
            merged.append(_components(mask))
    found = _survey(sums, instances=pd.concat(kept, ignore_index=True))
    plain = pd.concat(merged, ignore_index=True)
    measures = (outline_measures(found), dispersion_measure(found), morphology_measures(found))
    construct = next(each for each in measures if measure in each.units)
    after = construct.evaluate(np.ones((1, SCENES)))[list(construct.units).index(measure), 0, 1:]
    return _before(plain, measure).loc[1:].to_numpy(), after


def _ellipses(rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw n ellipses; a tenth of each may lie on others."""
    mask, drawn = np.zeros((SCENE_PX, SCENE_PX), np.uint8), 0
    while drawn < n:
        axis, (row, column) = rng.uniform(6, 9), rng.integers(12, SCENE_PX - 12, 2)
        own = ellipse(row, column, axis, axis * rng.uniform(0.6, 1), mask.shape, rotation=rng.uniform(0, np.pi))
        if (mask[own] > 0).mean() <= 0.1:
            mask[own] = 1
            drawn += 1
    return mask


def _components(mask: np.ndarray) -> pd.DataFrame:
    """Measure whole components, as earlier versions did, with the norm and the values of their Fourier descriptors."""
    runs = find_runs(mask)
    whole = whole_instances(runs, np.zeros(mask.shape, bool), 24)
    components = runs.image(np.where(whole, np.arange(len(whole)), 0))
    fourier = fourier_descriptors(outer_contours(components))
    return instance_shapes(runs, components, whole).join(pd.DataFrame(fourier).add_prefix("fourier_"))


def _before(plain: pd.DataFrame, measure: str) -> pd.Series:
    """Return a measure of whole components by class, as earlier versions computed it."""
    classes = plain.groupby("class_id")
    if measure == "fourier_variance":
        return classes[[name for name in plain if str(name).startswith("fourier_")]].var(ddof=0).sum(axis=1)
    if measure == "perimeter_over_disk":
        disk = 2 * np.sqrt(np.pi * plain["area_px"])
        sums = pd.DataFrame({"disk": disk, "perimeter": disk / np.sqrt(plain["compactness"])}).groupby(
            plain["class_id"]
        )
        return sums["perimeter"].sum() / sums["disk"].sum()
    spread = classes[list(STANDARDISED)].agg(median_abs_deviation) ** 2
    return (spread / spread.median()).sum(axis=1)


WORLDS: dict[str, dict[str, tuple[World, np.ndarray]]] = {
    "context": {
        "nearest_rival_overlap, 4000 to 50 independent cells": (
            lambda rng: nearest_rival(rng, 0.0, False),
            sizes(4000, 50),
        ),
        "the same, half of the variance within a tile": (lambda rng: nearest_rival(rng, 0.5, False), sizes(4000, 50)),
        "the same, half of the variance within an image": (lambda rng: nearest_rival(rng, 0.5, True), sizes(4000, 50)),
    },
    "boundary": {
        "border_stain_overlap, 40,000 to 300 pixels": (
            lambda rng: border_stains(rng, 40_000, 300, 0.0),
            sizes(40_000, 300),
        ),
        "the same, 4000 to 50 pixels": (lambda rng: border_stains(rng, 4000, 50, 0.0), sizes(4000, 50)),
        "the same, images of different stain": (lambda rng: border_stains(rng, 4000, 50, 2.0), sizes(4000, 50)),
    },
    "morphology": {
        "shape_dispersion, 400 to 5 instances": (lambda rng: shapes(rng, 0.0), sizes(400, 5)),
        "the same, half of the variance within an image": (lambda rng: shapes(rng, 0.5), sizes(400, 5)),
    },
    "density": {
        f"{name}, 400 to 5 ellipses that may touch": (partial(dense_scenes, measure=name), sizes(400, 5))
        for name in ("shape_dispersion", "perimeter_over_disk", "fourier_variance")
    },
}


def measure_drift(world: World, n: np.ndarray, draws: int, name: str) -> list[tuple[float, float, float, float]]:
    """Return, before and after: medians of the commonest and the rarest class, mean correlation, share significant."""
    values = np.array([world(generator(0, "drift", name, draw)) for draw in range(draws)])  # (draws, 2, K)
    found = []
    for version in (0, 1):
        tests = [
            rank_association(n.astype(float), value, alpha=ALPHA, permutations=0, rng=generator(0))
            for value in values[:, version]
        ]
        middle = np.nanmedian(values[:, version], axis=0)
        significant = np.mean([test.p_spearman < ALPHA for test in tests])
        found.append((middle[0], middle[-1], np.nanmean([test.spearman for test in tests]), significant))
    return found


def print_reading(draws: int) -> None:
    """Print what border stains with an overlap of .60 read, before and after, by the number of pixels on each side."""
    inside, outside = _sides(0.0)
    print(f"{'pixels on each side':28s}  before  after (5 to 95 % of draws)")
    for n in (100, 300, 1000, 3000, 10_000):
        rng = generator(0, "reading", n)
        pair = [rng.multinomial(n, each, size=draws).astype(float) for each in (inside, outside)]
        after = corrected_overlap(pair[0], pair[1])
        low, middle, high = np.quantile(after, [0.05, 0.5, 0.95])
        print(f"{n:<28d}  {np.median(overlap(*pair)):.2f}    {middle:.2f} ({low:.2f} to {high:.2f})")


def print_noise(draws: int) -> None:
    """Print how often an unbiased measure is significant, by the most data of a class over that of the rarest."""
    n, rng = sizes(4000, 50), generator(0, "noise")
    null = exact_null("spearman", n.astype(float), np.arange(CLASSES, dtype=float))
    for most in (1, 2, 4, 80):
        values = rng.normal(size=(draws, CLASSES)) / np.sqrt(np.minimum(n, most * n.min()))
        ranks = values.argsort(axis=1).argsort(axis=1) - (CLASSES - 1) / 2
        own = n.argsort().argsort() - (CLASSES - 1) / 2
        rho = ranks @ own / (own @ own)
        share = np.mean([null.p(each) < ALPHA for each in rho])
        print(f"noise of a class of at most {most:2d} times the rarest: p < .05 in {share:.3f} of {draws} draws")


def _sides(shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the stains inside and outside of a border whose overlap is TRUE_OVERLAP: two normal distributions."""
    middle, apart = 11 + shift, _distance()
    return _normal(middle - apart, middle), _normal(middle + apart, middle)


@cache
def _distance() -> float:
    """Find how far from the middle both sides must lie, in bins."""
    low, high = 0.0, 10.0
    for _ in range(50):
        apart = (low + high) / 2
        found = overlap(_normal(11 - apart, 11), _normal(11 + apart, 11))
        low, high = (apart, high) if found > TRUE_OVERLAP else (low, apart)
    return low


def _normal(haematoxylin: float, eosin: float) -> np.ndarray:
    bins = np.arange(BINS_PER_STAIN)
    parts = [np.exp(-(((bins - middle) / 3.0) ** 2) / 2) for middle in (haematoxylin, eosin)]
    joint = np.outer(*parts).ravel()
    return joint / joint.sum()


def _survey(sums: ClassSums, border: np.ndarray | None = None, instances: pd.DataFrame | None = None) -> Survey:
    """Return a survey that holds nothing else."""
    if border is not None:
        sums.border[:] = border
    units = len(sums.n_images)
    ones = np.ones(units, np.int64)
    nothing = pd.DataFrame(columns=["unit", "class_id", *FEATURES])
    return Survey(
        unit_of={str(unit): unit for unit in range(units)},
        in_fold=np.ones((1, units), bool),
        n_groups=ones,
        group_presence=sums.images,
        sums=sums,
        instances=nothing if instances is None else instances,
        scale=Scale(0.5, 2.0),
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--only", choices=[*WORLDS, "reading", "noise"])
    options = parser.parse_args()
    if options.only in (None, "reading"):
        print_reading(options.draws)
    if options.only in (None, "noise"):
        print_noise(100 * options.draws)
    if options.only in ("reading", "noise"):
        return
    head = "common -> rare    rho  p < .05"
    print(f"{'':58s}draws{'before':^32s}{'after':^32s}\n{'':63s}{head}  {head}")
    for construct, worlds in WORLDS.items():
        draws = max(options.draws // 10, 1) if construct == "density" else options.draws  # it draws and surveys images
        for name, (world, n) in worlds.items() if options.only in (None, construct) else ():
            found = measure_drift(world, n, draws, name)
            parts = [f"{a:6.2f} -> {b:5.2f}  {rho:+5.2f}     {share:.3f}" for a, b, rho, share in found]
            print(f"{name:58s}{draws:5d}{parts[0]}  {parts[1]}", flush=True)


if __name__ == "__main__":
    main()
