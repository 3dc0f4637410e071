"""Checks of everything that compares methods: units and seeds are simulated, never resampled from real results."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats

from analysis.scoring.comparisons import difference_influence
from analysis.scoring.units import Ratios, crossed_scores
from analysis.statistics.corrections import holm
from analysis.statistics.effect_size import wilcoxon_p
from analysis.statistics.equivalence import bayesian_signed_rank, tost
from analysis.statistics.friedman import block_ranks, conover_p, friedman, nemenyi_distance
from analysis.statistics.intervals import Uncertainty, multinomial_weights
from analysis.statistics.rank_stability import RankStability, rank_stability
from analysis.statistics.sign_flip import sign_flip_p
from benchmarks.calibration.check import LEVEL, Check

GROUPS = (10, 20, 40)
MANY = 20  # groups from which on an interval must hold its level
IMAGES = 4  # of one slide, where studies are clustered
RESAMPLES = 400
MARGIN = 1.0


@dataclass(frozen=True)
class Differences:
    """How paired differences come about: group + seed + image, in units of the groups' standard deviation.

    Args:
        groups: Independent groups.
        seeds: Seeds.
        seed_sd: Standard deviation between seeds.
        images: Images per group; their noise is averaged within the group.
        skewed: Groups follow a shifted gamma distribution instead of a normal one.
    """

    groups: int
    seeds: int = 1
    seed_sd: float = 0.0
    images: int = 1
    skewed: bool = False

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return (S, G, images) float64 with mean 0."""
        group = rng.gamma(4, 0.5, self.groups) - 2 if self.skewed else rng.normal(size=self.groups)
        noise = 0.5 * rng.normal(size=(self.seeds, self.groups, self.images))
        return group[None, :, None] + self.seed_sd * rng.normal(size=(self.seeds, 1, 1)) + noise

    def of_groups(self, rng: np.random.Generator) -> np.ndarray:
        """Return (S, G) float64: images averaged within their group."""
        return self.draw(rng).mean(axis=2)

    def __str__(self) -> str:
        """Say it in words."""
        words = [f"{self.groups} groups"]
        words += [f"{self.images} images each"] if self.images > 1 else []
        words += [f"{self.seeds} seeds" if self.seeds > 1 else "1 seed"]
        words += [f"seed sd {self.seed_sd:g}"] if self.seeds > 1 else []
        return ", ".join(words + (["skewed"] if self.skewed else []))


def checks() -> Iterator[Check]:
    """Yield every check of comparisons."""
    yield from _paired_tests()
    yield from _joint_tests()
    yield from _equivalence()
    yield from _many_methods()
    yield from _rank_stability()
    yield from _power()


def _paired_tests() -> Iterator[Check]:
    def flips(d: np.ndarray, rng: np.random.Generator) -> bool:
        return sign_flip_p(d, permutations=499, rng=rng) < LEVEL

    for groups in GROUPS:
        for images in (1, IMAGES):
            made = Differences(groups, 3, 0.0, images)
            yield Check(
                "sign-flip test over groups",
                str(made),
                "level",
                lambda rng, m=made: flips(m.of_groups(rng).mean(0), rng),
            )
        made = Differences(groups, 3, 0.0, IMAGES)
        yield Check(
            "Wilcoxon signed-rank test over groups",
            str(made),
            "level",
            lambda rng, m=made: wilcoxon_p(m.of_groups(rng).mean(0)) < LEVEL,
        )
    made = Differences(5, 3, 0.0, IMAGES)
    yield Check(
        "sign-flip test over images as if independent",
        str(made),
        "shown",
        lambda rng: flips(made.draw(rng).mean(0).ravel(), rng),
    )
    uncertain = Differences(20, 3, 0.5)
    yield Check(
        "sign-flip test over groups alone, seeds ignored",
        str(uncertain),
        "shown",
        lambda rng: flips(uncertain.of_groups(rng).mean(0), rng),
    )


def known(d: np.ndarray) -> Uncertainty:
    """Return what `analysis` knows of the mean of (S, G) differences: a class of one pair of methods."""
    return difference_influence(d[..., None]).uncertainty(0)


def differs(d: np.ndarray) -> float:
    """Return the p that decides better or worse."""
    return known(d).p_of_zero()


def _joint_tests() -> Iterator[Check]:
    for groups in GROUPS:
        for seeds, seed_sd in ((3, 0.0), (3, 0.5), (6, 0.5)):
            made = Differences(groups, seeds, seed_sd, IMAGES)
            yield Check(
                "better or worse (units and seeds together)",
                str(made),
                "level",
                lambda rng, m=made: differs(m.of_groups(rng)) < LEVEL,
            )
    for groups, methods, seeds, seed_sd in ((20, 4, 3, 0.3), (20, 4, 6, 0.3), (40, 8, 3, 0.7)):
        setting = f"{groups} groups, {seeds} seeds, seed sd {seed_sd:g}, one control"
        yield Check(
            f"any of {methods} methods better or worse, Holm",
            setting,
            "level",
            lambda rng, g=groups, m=methods, s=seeds, sd=seed_sd: bool(
                (holm(np.array([differs(d) for d in _against_control(g, m, s, sd, rng)])) < LEVEL).any()
            ),
        )


def _against_control(
    groups: int, methods: int, seeds: int, seed_sd: float, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield (S, G) differences of equal methods from a control that they share."""
    runs = rng.normal(size=(methods + 1, 1, groups)) + 0.5 * rng.normal(size=(methods + 1, seeds, groups))
    runs += seed_sd * rng.normal(size=(methods + 1, seeds, 1))
    yield from runs[1:] - runs[0]


def _equivalence() -> Iterator[Check]:
    def claims(made: Differences, rng: np.random.Generator) -> bool:
        return known(made.of_groups(rng) + MARGIN).p_of_relevance(MARGIN) < LEVEL

    for groups in GROUPS:
        for seeds, seed_sd in ((3, 0.0), (3, 0.2), (6, 0.2)):
            made = Differences(groups, seeds, seed_sd, IMAGES)
            yield Check(
                "equivalent (two one-sided tests, units and seeds) at a difference of the margin",
                str(made),
                "level",
                lambda rng, m=made: claims(m, rng),
            )
        made = Differences(groups, 3, 0.0, IMAGES)
        yield Check(
            "two one-sided t tests over groups at a difference of the margin",
            str(made),
            "level",
            lambda rng, m=made: tost(m.of_groups(rng).mean(0) + MARGIN, MARGIN).p < LEVEL,
        )
        yield Check(
            "Bayesian signed rank: posterior of the region above .95 at a difference of the margin",
            str(made),
            "shown",
            lambda rng, m=made: (
                bayesian_signed_rank(m.of_groups(rng).mean(0) + MARGIN, MARGIN, draws=400, rng=rng).equivalent > 0.95
            ),
        )


def _many_methods() -> Iterator[Check]:
    methods = 5

    def scores(rng: np.random.Generator, n: int) -> np.ndarray:
        return rng.normal(size=(n, 1)) + rng.normal(size=(n, methods))

    for n in (5, 10, 20):
        setting = f"{n} data sets, {methods} equal methods"
        distance = nemenyi_distance(n, methods, LEVEL)
        yield Check(
            "Friedman test (Iman-Davenport)", setting, "level", lambda rng, n=n: friedman(scores(rng, n)).p < LEVEL
        )
        yield Check(
            "any pair apart by Nemenyi's critical difference",
            setting,
            "level",
            lambda rng, n=n, d=distance: bool(np.ptp(block_ranks(scores(rng, n)).mean(axis=0)) > d),
        )
        yield Check(
            "any pair apart by Conover's test with Holm",
            setting,
            "level",
            lambda rng, n=n: bool((holm(conover_p(scores(rng, n))) < LEVEL).any()),
        )


def _rank_stability() -> Iterator[Check]:
    for groups, methods, seeds in ((10, 2, 3), (20, 2, 3), (20, 5, 3), (40, 2, 6)):
        yield Check(
            "first of equal methods shown ahead of every other (all pairs corrected)",
            f"{groups} groups, {seeds} seeds, {methods} methods",
            "level",
            lambda rng, g=groups, m=methods, s=seeds: _shown_ahead(_runs(g, m, s, rng)),
        )
    for groups, seeds in ((20, 3), (40, 6)):
        yield Check(
            "first of equal methods stays first in 97.5 % of resamples",
            f"{groups} groups, {seeds} seeds, 2 methods",
            "shown",
            lambda rng, g=groups, s=seeds: float(_stability(_runs(g, 2, s, rng), rng).p_best.max()) >= 0.975,
        )
        yield Check(
            "95 % rank interval of the truly second of 4 methods, .5 apart",
            f"{groups} groups, {seeds} seeds",
            "shown",
            lambda rng, g=groups, s=seeds: _rank_covered(_runs(g, 4, s, rng), rng),
        )


def _runs(groups: int, methods: int, seeds: int, rng: np.random.Generator) -> np.ndarray:
    """Return (M, S, G) scores of equal methods on the same groups."""
    shared, own = rng.normal(size=groups), rng.normal(size=(methods, 1, groups))
    seed = 0.3 * rng.normal(size=(methods, seeds, 1))
    return shared + own + seed + 0.5 * rng.normal(size=(methods, seeds, groups))


def _shown_ahead(runs: np.ndarray) -> bool:
    first = int(runs.mean(axis=(1, 2)).argmax())
    pairs = len(runs) * (len(runs) - 1) // 2
    others = [each for each in range(len(runs)) if each != first]
    return all(differs(runs[first] - runs[other]) * pairs < LEVEL for other in others)


def _stability(runs: np.ndarray, rng: np.random.Generator) -> RankStability:
    _, seeds, groups = runs.shape
    unit, seed = (multinomial_weights(n, RESAMPLES, rng) for n in (groups, seeds))
    occurs = np.ones((groups, 1), dtype=np.int64)
    parts = [Ratios(run[..., None], np.ones((1, groups, 1)), occurs) for run in runs]
    resampled = np.column_stack([crossed_scores(part, unit, seed)[:, 0] for part in parts])
    return rank_stability(runs.mean(axis=(1, 2)), resampled)


def _rank_covered(runs: np.ndarray, rng: np.random.Generator) -> bool:
    effects = -0.5 * np.arange(len(runs))
    found = _stability(runs + effects[:, None, None], rng)
    return bool(found.low[1] <= 2 <= found.high[1])


def _power() -> Iterator[Check]:
    for groups in (10, 20):
        error = np.sqrt((1 + 0.25 / 3) / groups)
        effect = 2.8 * error
        expected = _power_of_t(effect / error, groups)
        made = Differences(groups, 3)
        yield Check(
            "two one-sided t tests, power against Student's t",
            f"{made}, no difference, margin 2.8 standard errors",
            "power",
            lambda rng, m=made, e=effect: tost(m.of_groups(rng).mean(0), e).p < LEVEL,
            expected=_power_of_tost(2.8, groups),
        )
        yield Check(
            "sign-flip test, power against Student's t (which it may miss by a little)",
            f"{made}, difference 2.8 standard errors",
            "power",
            lambda rng, m=made, e=effect: sign_flip_p(m.of_groups(rng).mean(0) + e, permutations=499, rng=rng) < LEVEL,
            expected=expected,
        )


def _power_of_t(noncentrality: float, n: int) -> float:
    reach = stats.t.ppf(1 - LEVEL / 2, n - 1)
    return float(stats.nct.sf(reach, n - 1, noncentrality) + stats.nct.cdf(-reach, n - 1, noncentrality))


def _power_of_tost(margin: float, n: int) -> float:
    """Integrate over the variance: both tests reject where |mean| < margin - t s, all in standard errors."""
    ratio = np.sqrt(stats.chi2.ppf((np.arange(4000) + 0.5) / 4000, n - 1) / (n - 1))
    reach = np.maximum(margin - stats.t.ppf(1 - LEVEL, n - 1) * ratio, 0)
    return float(np.mean(2 * stats.norm.cdf(reach) - 1))
