"""Folders of tissue as people have them, drawn by code, with the layout that the converter `folder` needs.

`prostate_like`: five images without resolution, masks of four colours that a drawing program has anti-aliased.
`layered_skin`: 26 tiles of one slide, whose layers run through every tile from edge to edge, so that none is whole.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter1d

from imbalance_bench.data.converters.preparation import Prepared, prepare_dataset
from imbalance_bench.data.converters.source import PrepareOptions

OVERSAMPLING = 4
PROSTATE = {"stroma": "#00ff00", "epithelium": "#ff0000", "lumen": "#0000ff", "background": "#ffffff"}
SKIN = ("background", "keratin", "epidermis", "dermis", "subcutis")

_STAINED = np.array([[228, 170, 200], [150, 90, 170], [245, 235, 240], [240, 240, 242], [205, 140, 180]])


@dataclass(frozen=True)
class TissueFolder:
    """A source for `data prepare folder`.

    Attributes:
        source: The folder.
        layout: The YAML file that describes it.
        truth: Image id -> (H, W) uint8 class ids before anything was anti-aliased.
    """

    source: Path
    layout: Path
    truth: dict[str, np.ndarray]

    def prepare(self, dest: Path, **options: Any) -> Prepared:
        """Convert it."""
        return prepare_dataset("folder", self.source, dest, PrepareOptions(config=self.layout), workers=1, **options)


def write_prostate_like(root: Path, *, n_images: int = 5, height: int = 96, width: int = 128) -> TissueFolder:
    """Draw glands with a lumen in stroma, beside the edge of the tissue, and anti-alias the masks."""
    truth: dict[str, np.ndarray] = {}
    colours = np.array([[int(code[at : at + 2], 16) for at in (1, 3, 5)] for code in PROSTATE.values()], np.uint8)
    for number in range(n_images):
        rng = np.random.default_rng(number)
        labels = _glands(rng, height * OVERSAMPLING, width * OVERSAMPLING)
        fine = Image.fromarray(colours[labels])
        mask = fine.resize((width, height), Image.Resampling.BOX)
        middle = slice(OVERSAMPLING // 2, None, OVERSAMPLING)
        name = f"Prostate {number + 1}"
        truth[name] = labels[middle, middle]
        _save(root / "images" / f"{name}.png", _stained(truth[name], rng))
        _save(root / "labels" / f"{name}.png", np.asarray(mask))
    classes = "".join(f"  - {{name: {name}, labels: ['{code}']}}\n" for name, code in PROSTATE.items())
    layout = root.parent / f"{root.name}.yaml"
    layout.write_text(
        "name: prostate_like\nnearest: true\nimage: 'images/(?P<n>[^/]+)\\.png'\nmask: 'labels/{n}.png'\n"
        f"image_id: '{{n}}'\nclasses:\n{classes}"
    )
    return TissueFolder(root, layout, truth)


def write_layered_skin(root: Path, *, n_tiles: int = 26, side: int = 64, grouped: bool = False) -> TissueFolder:
    """Cut a slide of wavy layers into tiles side by side.

    Args:
        root: Folder to write.
        n_tiles: How many.
        side: Of a tile, px.
        grouped: Whether the layout names the one slide, so that no split by group exists; else groups are unknown.
    """
    rng = np.random.default_rng(7)
    width = n_tiles * side
    heights = np.cumsum([0.15, 0.1, 0.2, 0.35]) * side
    waves = gaussian_filter1d(rng.normal(size=(len(heights), width)), side / 6, axis=1, mode="wrap")
    borders = heights[:, None] + waves / np.abs(waves).max() * 0.04 * side
    labels = (np.arange(side)[None, :, None] >= borders[:, None]).sum(axis=0).astype(np.uint8)
    image = _stained(labels, rng)
    truth = {}
    for number in range(n_tiles):
        columns = slice(number * side, (number + 1) * side)
        name = f"S1_x{columns.start}_y0"
        truth[name] = labels[:, columns]
        _save(root / "S1" / f"{name}.png", image[:, columns])
        _save(root / "S1" / f"{name}_mask.png", labels[:, columns])
    classes = "".join(f"  - {{name: {name}, labels: [{number}]}}\n" for number, name in enumerate(SKIN))
    layout = root.parent / f"{root.name}.yaml"
    layout.write_text(
        "name: layered_skin\nmpp_um: 0.5\nimage: '(?P<slide>[^/]+)/(?P<tile>S1_x\\d+_y0)\\.png'\n"
        f"mask: '{{slide}}/{{tile}}_mask.png'\nimage_id: '{{tile}}'\nclasses:\n{classes}"
        + ("group: '{slide}'\n" if grouped else "")
    )
    return TissueFolder(root, layout, truth)


def _glands(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return (H, W) uint8 of the places in PROSTATE."""
    picture = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(picture)
    for _ in range(6):
        x, y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.1, 0.2) * height
        for label, share in ((1, 1.0), (2, rng.uniform(0.4, 0.6))):
            reach = radius * share
            draw.ellipse((x - 1.3 * reach, y - reach, x + 1.3 * reach, y + reach), fill=label)
    edge = int(width * 0.88)
    draw.polygon([(edge, 0), (width, 0), (width, height), (int(width * 0.94), height)], fill=3)
    return np.asarray(picture)


def _stained(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an RGB image (H, W, 3) uint8 whose colour tells the class."""
    return np.clip(_STAINED[labels] + rng.normal(0, 8, (*labels.shape, 3)), 0, 255).astype(np.uint8)


def _save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
