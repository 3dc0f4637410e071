"""Factorial designs: series of phantom data sets in which frequency and difficulty are set independently.

Within one data set five classes are too few to tell frequency from difficulty. Over a design every class carries every
level of every factor, and the factors are as uncorrelated, by rank over all (data set, class) pairs, as a search finds.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from imbalance_bench.data.phantom.plan import stream
from imbalance_bench.data.phantom.presets import PRESETS
from imbalance_bench.data.phantom.spec import PhantomSpec
from imbalance_bench.errors import UserError, nearest

DESIGN_STREAM = 3
SEARCH_TRIALS = 400
FACTORS = ("share", "ambiguity", "morphology", "context")


@dataclass(frozen=True)
class Design:
    """A series of data sets built on one preset.

    Attributes:
        preset: Key of `PRESETS` that gives classes, textures, scale and slides.
        datasets: Number of data sets in the series.
        shares: The frequencies dealt out to the classes of each data set; they sum to 1.
        levels: The lowest and the highest level of ambiguity, morphology and context.
        crossed: Two levels of each of these, every combination with every share (a full factorial), instead of K
            levels in Latin squares.
        region_um: Instead of the preset's: smaller regions give a rare class more of them.
    """

    preset: str
    datasets: int
    shares: tuple[float, ...]
    levels: tuple[float, float] = (0.0, 1.0)
    crossed: bool = False
    region_um: float | None = None


DESIGNS: dict[str, Design] = {
    "latin": Design(preset="tissue", datasets=5, shares=(0.44, 0.27, 0.16, 0.09, 0.04)),
    "wide": Design(preset="tissue", datasets=10, shares=(0.40, 0.26, 0.17, 0.11, 0.06)),
    "steep": Design(preset="tissue", datasets=5, shares=(0.70, 0.20, 0.07, 0.02, 0.01), region_um=32.0),
    "factorial": Design(preset="tissue", datasets=40, shares=(0.40, 0.26, 0.17, 0.11, 0.06), crossed=True),
}


def factorial_design(name: str, seed: int) -> list[PhantomSpec]:
    """Return the data sets of a design.

    In every data set each factor takes K equally spaced levels, one per class; over each run of K data sets every class
    meets every level of every factor once (a Latin square per factor). In a crossed design every class meets every
    combination of share and two levels of each other factor exactly once, so all correlations are 0.

    Args:
        name: Key of `DESIGNS`.
        seed: Seed of the assignment and, offset by the position in the series, of the images.

    Raises:
        UserError: No design is called `name`.
    """
    if name not in DESIGNS:
        raise UserError(f"No phantom design is called '{name}'.{nearest(name, DESIGNS)}")
    design = DESIGNS[name]
    base = PRESETS[design.preset]
    drawn_from = base.model_copy(update={"seed": seed})
    ranks = _crossed_ranks(drawn_from) if design.crossed else _least_correlated_ranks(drawn_from, design.datasets)
    return [_build(base, design, ranks[d], f"{base.name}-{name}-{d:02d}", seed + d) for d in range(design.datasets)]


def largest_rank_correlation(specs: list[PhantomSpec]) -> float:
    """Return the largest absolute Spearman correlation between two factors over all (data set, class) pairs."""
    return float(np.abs(rank_correlations(specs) - np.eye(len(FACTORS))).max())


def rank_correlations(specs: list[PhantomSpec]) -> NDArray[np.float64]:
    """Return Spearman's correlations of FACTORS over all (data set, class) pairs, (4, 4)."""
    values = np.array([[getattr(c, f) for f in FACTORS] for s in specs for c in s.classes])
    return np.corrcoef(stats.rankdata(values, axis=0), rowvar=False)


def _largest_correlation(columns: NDArray[np.floating]) -> float:
    """Return the largest absolute Pearson correlation between two columns."""
    return float(np.abs(np.corrcoef(columns, rowvar=False) - np.eye(columns.shape[1])).max())


def _least_correlated_ranks(spec: PhantomSpec, datasets: int) -> NDArray[np.int64]:
    """Return factor ranks (datasets, K classes, 4), the best of many random stacks of Latin squares."""
    rng = stream(spec, DESIGN_STREAM)
    k = len(spec.classes)
    best, best_score = np.empty(0, np.int64), np.inf
    for _ in range(SEARCH_TRIALS):
        ranks = np.stack([_latin_rows(rng, k, datasets) for _ in FACTORS], axis=-1)
        score = _largest_correlation(ranks.reshape(-1, len(FACTORS)).astype(float))
        if score < best_score:
            best, best_score = ranks, score
    return best


def _crossed_ranks(spec: PhantomSpec) -> NDArray[np.int64]:
    """Return factor ranks (8 K, K classes, 4): each class meets each share with each of the 8 combinations once.

    Within a data set the shares go round the classes, and so do the combinations.
    """
    rng = stream(spec, DESIGN_STREAM)
    k = len(spec.classes)
    order, combinations = rng.permutation(k), rng.permutation(8)
    ranks = []
    for turn in range(k):
        for shift in range(8):
            combination = combinations[(order + shift) % 8]
            bits = [combination >> bit & 1 for bit in range(3)]
            ranks.append(np.stack([(np.arange(k) + turn) % k, *bits], axis=-1))
    return np.stack(ranks)


def _latin_rows(rng: np.random.Generator, k: int, rows: int) -> NDArray[np.int64]:
    """Return (rows, k) ranks: every row a permutation, every run of k rows a Latin square."""
    squares = []
    for _ in range(-(-rows // k)):
        cyclic = (np.arange(k)[:, None] + np.arange(k)[None, :]) % k
        squares.append(rng.permutation(k)[cyclic[rng.permutation(k)][:, rng.permutation(k)]])
    return np.concatenate(squares)[:rows]


def _build(base: PhantomSpec, design: Design, ranks: NDArray[np.int64], name: str, seed: int) -> PhantomSpec:
    """Build one data set from the ranks (K, 4) of its classes' factors."""
    k = len(base.classes)
    shares = sorted(design.shares)
    levels = [round(float(level), 6) for level in np.linspace(*design.levels, 2 if design.crossed else k)]
    classes = []
    for i, tissue in enumerate(base.classes):
        share, ambiguity, morphology, context = (int(r) for r in ranks[i])
        planted = {
            "share": shares[share],
            "ambiguity": levels[ambiguity],
            "morphology": levels[morphology],
            "context": levels[context],
            "rival": tissue.rival or base.classes[(i + 1) % k].name,
        }
        classes.append(tissue.model_dump() | planted)
    own = {"name": name, "seed": seed, "classes": classes, "region_um": design.region_um or base.region_um}
    return PhantomSpec.model_validate(base.model_dump() | own)
