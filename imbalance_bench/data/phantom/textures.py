"""The tissues: how each texture stains and which bodies it holds, in optical density along haematoxylin and eosin."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imbalance_bench.data.phantom.blending import Terrain
from imbalance_bench.data.phantom.fields import Field, smooth_noise, smoothed, stretched_noise, voronoi_cells
from imbalance_bench.data.phantom.nuclei import Canvas, jittered_points, stamp_set
from imbalance_bench.data.phantom.spec import PhantomSpec, Texture

VISIBLE_WEIGHT = 0.01


@dataclass(frozen=True)
class Site:
    """What one texture knows about the image that it grows in.

    Attributes:
        shape: (height, width) of the window in which the texture shows.
        origin: Row and column of the window in the image.
        mpp_um: Micrometres per pixel.
        seed: Seed of the stamp library.
        rng: Source of randomness.
        terrain: Geometry of the window.
        weight: (H, W) weight of this texture.
        own: (H, W) bool, in a region (not the matrix) of the class of this texture.
        canvas: Where bodies are drawn.
    """

    shape: tuple[int, int]
    origin: tuple[int, int]
    mpp_um: float
    seed: int
    rng: np.random.Generator
    terrain: Terrain
    weight: Field
    own: NDArray[np.bool_]
    canvas: Canvas

    def noise(self, scale_um: float) -> Field:
        """Return smooth unit noise that decorrelates over `scale_um`."""
        return smooth_noise(self.rng, self.shape, scale_um / self.mpp_um)

    def points(self, spacing_um: float, jitter: float, weight: Field | None = None) -> NDArray[np.int32]:
        """Return places for bodies, thinned by the weight of the texture, (n, 2) row and column."""
        points = jittered_points(self.rng, self.shape, spacing_um / self.mpp_um, jitter).astype(np.int32)
        chance = (self.weight if weight is None else weight)[points[:, 0], points[:, 1]]
        return points[self.rng.random(len(points)) < chance]

    def draw(self, kind: str, centres: NDArray[np.int32], angles: NDArray[np.floating] | None = None) -> None:
        """Draw bodies of a kind, turned at random unless angles are given."""
        if angles is None:
            angles = self.rng.uniform(0, np.pi, len(centres))
        self.canvas.scatter(stamp_set(kind, self.mpp_um, self.seed), centres + np.array(self.origin), angles, self.rng)


def _along_level_lines(height: Field, centres: NDArray[np.int32]) -> NDArray[np.floating]:
    """Angle of the level line of `height` through each centre."""
    row, column = centres.T
    down = height[np.minimum(row + 2, height.shape[0] - 1), column] - height[np.maximum(row - 2, 0), column]
    right = height[row, np.minimum(column + 2, height.shape[1] - 1)] - height[row, np.maximum(column - 2, 0)]
    return np.arctan2(right, -down)


def _fibre_coordinates(site: Site, waviness_um: float, wave_um: float, wrap: float) -> tuple[Field, Field]:
    """Coordinates (along, across) in um of fibres that run in one direction, waver, and wrap around regions."""
    angle = site.rng.uniform(0, np.pi)
    y = np.arange(site.shape[0], dtype=np.float32)[:, None] * np.float32(site.mpp_um)
    x = np.arange(site.shape[1], dtype=np.float32)[None, :] * np.float32(site.mpp_um)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    waviness = np.float32(waviness_um)
    across = cos * y - sin * x + waviness * site.noise(wave_um) + np.float32(0.14) * waviness * site.noise(wave_um / 4)
    across += np.float32(wrap) * smoothed(np.minimum(site.terrain.outside_um, np.float32(25)), 6.0 / site.mpp_um)
    return cos * x + sin * y, across


def _fibres(site: Site, along: Field, across: Field, length_um: float, width_um: float) -> Field:
    """Unit noise stretched along the fibres."""
    offset = site.rng.integers(0, 512, 2)
    return stretched_noise(along, across, length_um, width_um, (int(offset[0]), int(offset[1])))


def stroma(site: Site) -> tuple[Field, Field]:
    """Wavy collagen bundles with pale clefts and few spindle nuclei."""
    along, across = _fibre_coordinates(site, waviness_um=6.0, wave_um=34.0, wrap=0.7)
    bundle = _fibres(site, along, across, 44.0, 3.4)
    fibril = _fibres(site, along, across, 15.0, 1.3)
    fibre = _fibres(site, along, across, 7.0, 0.8)
    loose = site.noise(22.0)
    eosin = 0.2 + 0.025 * bundle + 0.035 * fibril + 0.035 * fibre + 0.02 * loose
    cleft = np.clip(-bundle - 1.1 + 0.5 * fibril + 0.3 * fibre + 0.4 * loose, 0, 0.6)
    eosin -= 0.2 * cleft
    haematoxylin = 0.06 + 0.015 * bundle + 0.012 * fibril + 0.015 * fibre - 0.05 * cleft
    centres = site.points(13.0, 0.5, site.weight * np.float32(0.6))
    site.draw("spindle", centres, _along_level_lines(across, centres))
    return haematoxylin, eosin


def muscle(site: Site) -> tuple[Field, Field]:
    """Straight, dense, strongly eosinophilic bundles with long blunt nuclei."""
    along, across = _fibre_coordinates(site, waviness_um=3.0, wave_um=60.0, wrap=0.25)
    bundle = _fibres(site, along, across, 220.0, 6.5)
    fibril = _fibres(site, along, across, 60.0, 1.5)
    eosin = 0.34 + 0.035 * bundle + 0.045 * fibril - 0.3 * np.clip(-bundle - 1.4, 0, 0.6)
    centres = site.points(19.0, 0.45, site.weight * np.float32(0.7))
    site.draw("cigar", centres, _along_level_lines(across, centres))
    return np.full(site.shape, np.float32(0.09)), eosin


def tumour(site: Site) -> tuple[Field, Field]:
    """Sheets of crowded, large, uneven vesicular nuclei in purple cytoplasm."""
    grain = site.noise(1.8)
    sheet = site.noise(9.0)
    haematoxylin = 0.15 + 0.025 * grain + 0.025 * sheet
    eosin = 0.17 + 0.025 * grain - 0.03 * sheet
    site.draw("pleomorphic", site.points(10.0, 0.3, site.weight * np.float32(0.9)))
    return haematoxylin, eosin


def inflammatory(site: Site) -> tuple[Field, Field]:
    """Crowded small round dark nuclei on a loose pale ground."""
    ground = site.noise(3.0)
    haematoxylin = 0.06 + 0.02 * ground
    eosin = 0.09 + 0.035 * ground + 0.02 * site.noise(12.0)
    site.draw("lymphocyte", site.points(7.9, 0.34, site.weight * np.float32(0.92)))
    return haematoxylin, eosin


def necrosis(site: Site) -> tuple[Field, Field]:
    """Pink granular ground with ghosts of cells, nuclear dust and holes."""
    grain = site.noise(1.2)
    clump = site.noise(4.5)
    eosin = 0.33 + 0.06 * grain + 0.06 * clump
    eosin -= 0.25 * np.clip(site.noise(6.0) - 1.4, 0, 0.8)
    haematoxylin = 0.05 + 0.02 * grain + 0.015 * clump
    site.draw("ghost", site.points(12.0, 0.5, site.weight * np.float32(0.55)))
    dusty = np.clip(0.45 + 0.5 * site.noise(22.0), 0.06, 1)
    site.draw("debris", site.points(4.6, 0.5, site.weight * dusty * np.float32(0.6)))
    return haematoxylin, eosin


def gland(site: Site) -> tuple[Field, Field]:
    """Columnar epithelium with basal nuclei around a pale lumen, mucin in the cytoplasm."""
    acini = voronoi_cells(site.rng, site.shape, 46.0 / site.mpp_um)
    depth = np.where(site.own, site.terrain.inside_um, acini.depth * np.float32(site.mpp_um))
    radius = np.where(site.own, site.terrain.radius_um, np.float32(20.0))
    wall = np.clip(0.5 * radius, 8.0, 18.0) + 1.2 * site.noise(5.0)
    lumen = np.clip((depth - wall) / 1.5 + 0.5, 0, 1)
    mucin = np.clip(2.2 * site.noise(6.5) - 0.9, 0, 1) * np.clip((depth - 7.0) / 3.0, 0, 1)
    grain = site.noise(2.5)
    haematoxylin = 0.22 + 0.03 * grain - 0.1 * mucin
    eosin = 0.20 + 0.04 * grain - 0.13 * mucin
    secretion = 0.035 + 0.05 * np.clip(site.noise(9.0), 0, 2)
    basal = ((depth > 2.5) & (depth < 7.5)).astype(np.float32)
    centres = site.points(5.2, 0.25, site.weight * basal * 0.9)
    site.draw("columnar", centres, _along_level_lines(depth, centres) + np.pi / 2)
    return haematoxylin * (1 - lumen) + 0.3 * secretion * lumen, eosin * (1 - lumen) + secretion * lumen


def fat(site: Site) -> tuple[Field, Field]:
    """Empty vacuoles between thin membranes, a flat nucleus here and there on the membrane."""
    cells = voronoi_cells(site.rng, site.shape, 30.0 / site.mpp_um)
    depth = cells.depth * np.float32(site.mpp_um) + 0.25 * site.noise(8.0)
    membrane = np.exp(-((depth / 0.95) ** 2))
    film = np.clip(site.noise(25.0), 0, 2)
    centres = site.points(6.0, 0.5, site.weight * (depth < 0.8) * 0.4)
    site.draw("flat", centres, _along_level_lines(depth, centres))
    return 0.005 + 0.08 * membrane, 0.01 + 0.26 * membrane + 0.012 * film


def blood(site: Site) -> tuple[Field, Field]:
    """Packed erythrocytes with a pale centre, on plasma."""
    site.draw("erythrocyte", site.points(6.0, 0.3, site.weight * 0.93))
    return np.full(site.shape, np.float32(0.01)), 0.12 + 0.04 * site.noise(4.0)


TEXTURES: dict[Texture, Callable[[Site], tuple[Field, Field]]] = {
    "stroma": stroma,
    "tumour": tumour,
    "inflammatory": inflammatory,
    "necrosis": necrosis,
    "gland": gland,
    "fat": fat,
    "muscle": muscle,
    "blood": blood,
}


def _visible_window(weight: Field) -> tuple[slice, slice] | None:
    """Return the smallest window that holds all pixels where a texture shows, or None where it shows nowhere."""
    visible = weight > VISIBLE_WEIGHT
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    if len(rows) == 0:
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def grow_tissue(spec: PhantomSpec, terrain: Terrain, rng: np.random.Generator) -> tuple[Field, Field]:
    """Grow every visible texture and lay them together.

    Args:
        spec: The data set.
        terrain: Geometry and texture weights of the image.
        rng: Source of randomness.

    Returns:
        Haematoxylin and eosin, each (H, W) float32 optical density along its stain vector.
    """
    shape = (terrain.owner.shape[0], terrain.owner.shape[1])
    canvas = Canvas.blank(shape)
    haematoxylin, eosin = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    generators = rng.spawn(len(spec.classes))
    for class_id, tissue in enumerate(spec.classes):
        window = _visible_window(terrain.weights[class_id])
        if window is None:
            continue
        here = terrain.crop(window)
        site = Site(
            shape=(here.owner.shape[0], here.owner.shape[1]),
            origin=(window[0].start, window[1].start),
            mpp_um=spec.mpp_um,
            seed=spec.seed,
            rng=generators[class_id],
            terrain=here,
            weight=here.weights[class_id],
            own=(here.owner == class_id) & (here.radius_um > 0),
            canvas=canvas,
        )
        ground = TEXTURES[tissue.texture](site)
        haematoxylin[window] += site.weight * ground[0]
        eosin[window] += site.weight * ground[1]
    haematoxylin, eosin = canvas.over(haematoxylin, eosin)
    return np.maximum(haematoxylin, 0), np.maximum(eosin, 0)
