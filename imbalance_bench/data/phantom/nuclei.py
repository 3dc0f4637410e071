"""Nuclei and other small bodies: a library of rendered stamps, scattered over a canvas without a Python loop."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imbalance_bench.data.phantom.fields import Field

N_ANGLES = 24
N_VARIANTS = 10
MAX_STAMP_PX = 96


@dataclass(frozen=True)
class NucleusKind:
    """How a family of bodies looks. Lengths in um, stains in optical density along the stain vector.

    Attributes:
        length_um: Mean long axis.
        aspect: Long over short axis.
        size_cv: Coefficient of variation of the size.
        irregularity: Amplitude of the outline's harmonics, relative to the radius.
        haematoxylin: Haematoxylin inside.
        eosin: Eosin inside.
        rim: Extra haematoxylin on the membrane (negative: a pale rim).
        chromatin: Amplitude of the grain.
        nucleoli: Mean number of nucleoli.
        hollow: Share by which the centre is paler than the edge.
        opacity: How much of the tissue beneath is hidden.
    """

    length_um: float
    aspect: float = 1.15
    size_cv: float = 0.1
    irregularity: float = 0.04
    haematoxylin: float = 0.7
    eosin: float = 0.06
    rim: float = 0.1
    chromatin: float = 0.1
    nucleoli: float = 0.0
    hollow: float = 0.0
    opacity: float = 1.0


KINDS: dict[str, NucleusKind] = {
    "spindle": NucleusKind(12.0, aspect=4.2, size_cv=0.25, irregularity=0.05, haematoxylin=0.42, rim=0.08),
    "cigar": NucleusKind(17.0, aspect=5.5, size_cv=0.15, irregularity=0.03, haematoxylin=0.45, rim=0.08),
    "pleomorphic": NucleusKind(
        12.0, aspect=1.4, size_cv=0.2, irregularity=0.035, haematoxylin=0.3, rim=0.3, chromatin=0.13, nucleoli=1.5
    ),
    "lymphocyte": NucleusKind(
        6.6, aspect=1.12, size_cv=0.1, irregularity=0.02, haematoxylin=0.66, rim=0.08, chromatin=0.18
    ),
    "debris": NucleusKind(2.4, aspect=1.4, size_cv=0.4, irregularity=0.1, haematoxylin=0.7, chromatin=0.05),
    "ghost": NucleusKind(
        9.0, aspect=1.25, size_cv=0.2, irregularity=0.08, haematoxylin=0.12, eosin=0.3, chromatin=0.05, opacity=0.7
    ),
    "columnar": NucleusKind(
        10.5, aspect=2.1, size_cv=0.12, irregularity=0.03, haematoxylin=0.45, rim=0.16, chromatin=0.1, nucleoli=0.4
    ),
    "flat": NucleusKind(9.0, aspect=3.8, size_cv=0.2, haematoxylin=0.6),
    "erythrocyte": NucleusKind(
        6.6,
        aspect=1.12,
        size_cv=0.08,
        irregularity=0.02,
        haematoxylin=0.0,
        eosin=0.5,
        rim=0.0,
        chromatin=0.01,
        hollow=0.4,
    ),
}


@dataclass(frozen=True)
class StampSet:
    """Rendered bodies of one kind, (angles * variants, side, side): opacity, haematoxylin, eosin."""

    opacity: Field
    haematoxylin: Field
    eosin: Field

    @property
    def side_px(self) -> int:
        """Side of a stamp, odd."""
        return self.opacity.shape[1]


@lru_cache(maxsize=64)
def stamp_set(name: str, mpp_um: float, seed: int) -> StampSet:
    """Render the stamps of one kind: every variant at every angle.

    Args:
        name: Key of `KINDS`.
        mpp_um: Micrometres per pixel.
        seed: Seed of the shapes and the grain.
    """
    kind = KINDS[name]
    rng = np.random.default_rng([seed, sorted(KINDS).index(name)])
    n = N_ANGLES * N_VARIANTS
    reach = kind.length_um * (1 + 2.2 * kind.size_cv) * (1 + 2 * kind.irregularity) / 2 / mpp_um
    half = min(int(reach) + 2, MAX_STAMP_PX)
    axis = np.arange(-half, half + 1, dtype=np.float32) * np.float32(mpp_um)
    scale = kind.length_um / 2 * (1 + kind.size_cv * rng.uniform(-1.7, 1.7, n)).astype(np.float32)[:, None, None]
    aspect = np.maximum(kind.aspect * (1 + 0.15 * rng.uniform(-1.7, 1.7, n)), 1.0).astype(np.float32)[:, None, None]
    angle = (np.arange(n) % N_ANGLES * (np.pi / N_ANGLES)).astype(np.float32)[:, None, None]
    u = np.cos(angle) * axis[None, None, :] + np.sin(angle) * axis[None, :, None]
    v = -np.sin(angle) * axis[None, None, :] + np.cos(angle) * axis[None, :, None]
    radius = np.hypot(u / scale, v * aspect / scale)
    theta = np.arctan2(v * aspect, u)
    outline = np.ones_like(radius)
    for order in (2, 3, 5):
        phase = rng.uniform(0, 2 * np.pi, n).astype(np.float32)[:, None, None]
        outline += kind.irregularity * np.cos(order * theta + phase)
    radius /= outline
    short_um = scale / np.sqrt(aspect)
    edge_um = (1 - radius) * short_um
    grain = ndimage.gaussian_filter(
        rng.standard_normal(radius.shape, dtype=np.float32), (0, 0.5 / mpp_um, 0.5 / mpp_um)
    )
    grain /= grain.std() + 1e-6
    body = kind.haematoxylin + kind.rim * np.exp(-((edge_um / 0.7) ** 2)) + kind.chromatin * grain
    body += _nucleoli(rng, kind, u, v, short_um)
    opacity = np.clip(edge_um / (1.3 * mpp_um) + 0.5, 0, 1)
    eosin = kind.eosin * (1 - kind.hollow * np.exp(-((radius / 0.55) ** 2)))
    return StampSet(
        opacity=(kind.opacity * opacity).astype(np.float32),
        haematoxylin=np.maximum(body, 0).astype(np.float32),
        eosin=eosin.astype(np.float32),
    )


def _nucleoli(rng: np.random.Generator, kind: NucleusKind, u: Field, v: Field, short_um: Field) -> Field | float:
    """Haematoxylin of up to two round nucleoli near the centre of each stamp."""
    if kind.nucleoli == 0:
        return 0.0
    total = np.zeros_like(u)
    for rank in (0, 1):
        present = rng.random(u.shape[0]) < kind.nucleoli - rank
        place = rng.uniform(-0.4, 0.4, (2, u.shape[0])).astype(np.float32)[:, :, None, None] * short_um
        spot = np.exp(-((u - place[0]) ** 2 + (v - place[1]) ** 2) / 0.9)
        total += 0.45 * present[:, None, None] * spot
    return total


@dataclass
class Canvas:
    """Bodies drawn so far: opacity and stains, with a margin so that a stamp may hang over the edge."""

    margin_px: int
    opacity: Field
    haematoxylin: Field
    eosin: Field

    @classmethod
    def blank(cls, shape: tuple[int, int], margin_px: int = MAX_STAMP_PX) -> "Canvas":
        """Return an empty canvas for an image of `shape`."""
        padded = (shape[0] + 2 * margin_px, shape[1] + 2 * margin_px)
        return cls(margin_px, *(np.zeros(padded, np.float32) for _ in range(3)))

    def scatter(
        self,
        stamps: StampSet,
        centres: NDArray[np.integer],
        angles: NDArray[np.floating],
        rng: np.random.Generator,
        strength_cv: float = 0.12,
    ) -> None:
        """Draw one stamp at every centre; where stamps overlap, the later one lies on top.

        Args:
            stamps: The kind to draw.
            centres: (n, 2) row and column in pixels of the image.
            angles: (n,) orientation of the long axis in radians.
            rng: Chooses the variants and the strength of the stain.
            strength_cv: Coefficient of variation of the stain over the bodies.
        """
        n = len(centres)
        if n == 0:
            return
        angle_bin = np.round(angles * (N_ANGLES / np.pi)).astype(np.int64) % N_ANGLES
        chosen = angle_bin + N_ANGLES * rng.integers(0, N_VARIANTS, n)
        strength = np.clip(1 + strength_cv * rng.standard_normal(n), 0.6, 1.5).astype(np.float32)
        half = stamps.side_px // 2
        offset = np.arange(-half, half + 1)
        rows = centres[:, 0, None] + offset + self.margin_px
        columns = centres[:, 1, None] + offset + self.margin_px
        index = rows[:, :, None] * self.opacity.shape[1] + columns[:, None, :]
        opacity = stamps.opacity[chosen]
        drawn = opacity > 0.02
        index, opacity = index[drawn], opacity[drawn]
        self.opacity.ravel()[index] = opacity
        self.haematoxylin.ravel()[index] = (stamps.haematoxylin[chosen] * strength[:, None, None])[drawn]
        self.eosin.ravel()[index] = stamps.eosin[chosen][drawn]

    def over(self, haematoxylin: Field, eosin: Field) -> tuple[Field, Field]:
        """Lay the bodies over the tissue and return the two stain maps of the image."""
        m = self.margin_px
        inside = (slice(m, m + haematoxylin.shape[0]), slice(m, m + haematoxylin.shape[1]))
        opacity = self.opacity[inside]
        return (
            haematoxylin + opacity * (self.haematoxylin[inside] - haematoxylin),
            eosin + opacity * (self.eosin[inside] - eosin),
        )


def jittered_points(
    rng: np.random.Generator, shape: tuple[int, int], spacing_px: float, jitter: float
) -> NDArray[np.float32]:
    """Return points on a hexagonal grid of `spacing_px`, displaced by up to `jitter` spacings, (n, 2) row, column."""
    row_step = spacing_px * 0.866
    rows = np.arange(-1, int(shape[0] / row_step) + 2)
    columns = np.arange(-1, int(shape[1] / spacing_px) + 2)
    y, x = np.meshgrid(rows * row_step, columns * spacing_px, indexing="ij")
    x = x + (rows % 2)[:, None] * (spacing_px / 2)
    points = np.stack([y, x], axis=-1).reshape(-1, 2) + rng.uniform(0, spacing_px, 2)
    points += rng.uniform(-jitter, jitter, points.shape) * spacing_px
    inside = ((points >= 0) & (points <= np.array(shape) - 1)).all(axis=1)
    return points[inside].astype(np.float32)
