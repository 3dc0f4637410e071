"""A contact sheet: phantom tissue above, tiles of CoNSeP below, at the same scale.

    python -m benchmarks.phantom_sheet CONSEP [--out docs/figures/phantom_beside_consep.jpg]

CONSEP is the prepared CoNSeP data set (Graham et al. 2019). Both rows are at 0.5 um per pixel.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from imbalance_bench.data.phantom import PRESETS
from imbalance_bench.data.phantom.plan import plan_images
from imbalance_bench.data.phantom.writer import draw_image
from imbalance_bench.data.prepared import PreparedDataset

TILE_PX, GAP_PX, MPP_UM = 384, 8, 0.5
COLUMNS = 3
CONSEP_MPP_UM = 0.25
CONSEP_TILES = (2, 12, 30)  # positions in the index: debris, epithelium, a gland in muscle


def phantom_tiles(seed: int) -> list[np.ndarray]:
    """Return the images of the `organ` preset that hold the most classes, (t, t, 3) uint8 each."""
    spec = PRESETS["organ"].model_copy(update={"size_px": TILE_PX, "mpp_um": MPP_UM, "seed": seed})
    plans = sorted(plan_images(spec), key=lambda plan: -len({region.class_id for region in plan.regions}))
    return [draw_image(spec, plan)[0] for plan in plans[:COLUMNS]]


def consep_tiles(folder: Path) -> list[np.ndarray]:
    """Return the upper left corners of a few images, reduced to the scale of the sheet."""
    dataset = PreparedDataset.open(folder)
    reach = round(TILE_PX * MPP_UM / CONSEP_MPP_UM)
    tiles = []
    for place in CONSEP_TILES:
        corner = dataset.read_image(dataset.entries[place].image_id)[:reach, :reach]
        tiles.append(np.asarray(Image.fromarray(corner).resize((TILE_PX, TILE_PX), Image.Resampling.BOX)))
    return tiles


def lay_out_rows(rows: list[list[np.ndarray]]) -> np.ndarray:
    """Put rows of tiles below each other, with white gaps."""
    step = TILE_PX + GAP_PX
    sheet = np.full((step * len(rows) - GAP_PX, step * COLUMNS - GAP_PX, 3), 255, np.uint8)
    for y, row in enumerate(rows):
        for x, tile in enumerate(row):
            sheet[y * step : y * step + TILE_PX, x * step : x * step + TILE_PX] = tile
    return sheet


def main() -> None:
    """Parse the command line, draw, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("consep", type=Path)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("docs/figures/phantom_beside_consep.jpg"))
    options = parser.parse_args()
    sheet = lay_out_rows([phantom_tiles(options.seed), consep_tiles(options.consep)])
    Image.fromarray(sheet).save(options.out, quality=85)
    print(options.out)


if __name__ == "__main__":
    main()
