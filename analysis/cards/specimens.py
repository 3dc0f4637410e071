"""Pictures of each class, chosen by a seeded rule: tiles around random pixels, and shapes over the range of sizes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from analysis.geometry.contours import outer_contours
from analysis.geometry.instances import smallest_instance_px, whole_instances
from analysis.geometry.runs import find_runs
from analysis.measures.scale import MPP_WITHOUT_SCALE
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.taxonomy import UNLABELLED, Taxonomy
from imbalance_bench.seeding import generator

TILES = 6
TILE_UM = 64.0
SHAPES = 28
SHAPE_RANKS = (0.05, 0.95)  # quantiles of area: a giant instance would dwarf all others
MOST_IMAGES = 60  # searched for pictures
RULE = (
    "Tiles lie around pixels of the class drawn at random (seed {seed}), one per image while images last; shapes are "
    "whole instances, evenly spaced by rank of area from the 5th to the 95th percentile."
)
_SHAPES_PER_IMAGE = 200


@dataclass(frozen=True)
class Specimens:
    """Pictures of one class.

    Args:
        tiles: Up to TILES of (t, t, 3) uint8, with the outline of the class.
        shapes: Up to SHAPES outer contours, (V, 2) float, x and y in px, by area.
    """

    tiles: Sequence[np.ndarray]
    shapes: Sequence[np.ndarray]


def collect_specimens(
    dataset: PreparedDataset,
    taxonomy: Taxonomy,
    image_ids: Sequence[str],
    *,
    seed: int,
    most_images: int = MOST_IMAGES,
) -> list[Specimens]:
    """Draw tiles and shapes of every class.

    Args:
        dataset: The data set.
        taxonomy: Its classes.
        image_ids: Images to draw from.
        seed: Seed of the draw.
        most_images: Largest number of images to search; of more, a random sample is used.
    """
    order = [str(image_id) for image_id in generator(seed, "cards").permutation(list(image_ids))][:most_images]
    px_per_um = 1 / (dataset.info.mpp_um or MPP_WITHOUT_SCALE)
    tile_px, smallest_px = round(TILE_UM * px_per_um), smallest_instance_px(px_per_um)
    tiles: list[list[np.ndarray]] = [[] for _ in taxonomy.names]
    spare: list[list[np.ndarray]] = [[] for _ in taxonomy.names]  # second tiles of an image
    shapes: list[list[tuple[float, np.ndarray]]] = [[] for _ in taxonomy.names]
    for image_id in order:
        mask, rng = taxonomy.apply(dataset.read_mask(image_id)), generator(seed, "cards", image_id)
        _gather_shapes(mask, smallest_px, shapes, rng)
        present = [c for c in range(len(taxonomy)) if len(tiles[c]) < TILES and (mask == c).any()]
        image = dataset.read_image(image_id) if present else None
        for c in present:
            pixels = np.flatnonzero(mask == c)
            for number, pixel in enumerate(rng.choice(pixels, TILES)):
                tile = _tile(image, mask == c, divmod(int(pixel), mask.shape[1]), tile_px)
                (spare if number else tiles)[c].append(tile)
            spare[c] = spare[c][: 2 * TILES]
    return [Specimens((tiles[c] + spare[c])[:TILES], _along_the_range(shapes[c])) for c in range(len(taxonomy))]


def _tile(image: np.ndarray | None, class_mask: np.ndarray, centre: tuple[int, int], tile_px: int) -> np.ndarray:
    """Cut a tile, shifted to lie in the image, with the class outlined in white on black."""
    window = []
    for middle, length in zip(centre, class_mask.shape, strict=True):
        start = int(np.clip(middle - tile_px // 2, 0, max(length - tile_px, 0)))
        window.append(slice(start, min(start + tile_px, length)))
    assert image is not None
    tile, inside = image[tuple(window)].copy(), class_mask[tuple(window)]
    ring = ndimage.binary_dilation(inside, iterations=2) & ~inside
    inner = ndimage.binary_dilation(inside) & ~inside
    tile[ring], tile[inner] = 0, 255
    return tile


def _gather_shapes(
    mask: np.ndarray, smallest_px: float, shapes: list[list[tuple[float, np.ndarray]]], rng: np.random.Generator
) -> None:
    """Add the contours of whole instances of one image to those of their classes."""
    runs = find_runs(mask)
    class_of = runs.class_of
    area = np.bincount(runs.component, weights=runs.length, minlength=len(class_of))
    whole = np.flatnonzero(whole_instances(runs, mask == UNLABELLED, smallest_px))
    chosen = np.zeros(len(class_of), dtype=bool)
    for c in np.unique(class_of[whole]):
        chosen[rng.permutation(whole[class_of[whole] == c])[:_SHAPES_PER_IMAGE]] = True
    contours = outer_contours(runs.image(np.where(chosen, np.arange(len(chosen), dtype=np.int32), 0)))
    for number, first, last in zip(contours.component, contours.starts, contours.ends, strict=True):
        polygon = np.stack([contours.x[first:last], contours.y[first:last]], axis=1)
        shapes[class_of[number]].append((float(area[number]), polygon))


def _along_the_range(shapes: list[tuple[float, np.ndarray]]) -> list[np.ndarray]:
    ordered = [polygon for _, polygon in sorted(shapes, key=lambda shape: shape[0])]
    if len(ordered) <= SHAPES:
        return ordered
    first, last = (share * (len(ordered) - 1) for share in SHAPE_RANKS)
    return [ordered[round(rank)] for rank in np.linspace(first, last, SHAPES)]
