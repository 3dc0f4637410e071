"""Checks of every interval over units, seeds and folds, in mild worlds and in those that real slides may be."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from analysis.schema.names import MACRO
from analysis.scoring.comparisons import difference_influence
from analysis.scoring.estimates import interval_rows
from analysis.scoring.image_rows import Folds
from analysis.scoring.units import Ratios
from analysis.statistics.intervals import multinomial_weights
from benchmarks.calibration.check import Check
from benchmarks.calibration.comparisons import GROUPS, IMAGES, MANY, RESAMPLES, Differences, known

LEAST_WITH_FEW_SLIDES = 0.88  # where two to seven slides carry a pooled score; a verdict then names them
TRUTH_SLIDES = 2_000_000  # slides from which the truth of a pooled score is taken
FOLDS = 5
DIVISIONS = {"in 5 folds, twice": 2, "in 5 folds, three times": 3, "in each of 5 folds that train apart": 0}
Draw = Callable[[int, np.random.Generator], np.ndarray]


def checks() -> Iterator[Check]:
    """Yield every check of intervals."""
    yield from _paired()
    yield from _heavy_tails()
    yield from _pooled()
    yield from _unequal_slides()
    yield from _folds()


def covers(d: np.ndarray) -> bool:
    """Return whether the 95 % interval of (S, G) differences holds the truth, 0."""
    low, high = known(d).interval(0.95)
    return low <= 0 <= high


def _paired() -> Iterator[Check]:
    for groups in GROUPS:
        for seeds, seed_sd in ((1, 0.0), (3, 0.0), (3, 0.2), (3, 0.5), (6, 0.2), (6, 0.5)):
            made = Differences(groups, seeds, seed_sd, IMAGES)
            yield _paired_check(made)
        yield _paired_check(Differences(groups, 3, 0.2, skewed=True))
    uncertain = Differences(20, 3, 0.5)
    yield Check(
        "crossed bootstrap of seeds and groups (percentile)",
        str(uncertain),
        "shown",
        lambda rng: crossed_covers(uncertain, rng),
    )


def _paired_check(made: Differences) -> Check:
    return Check(
        "interval of a paired difference",
        str(made),
        "coverage",
        lambda rng: covers(made.of_groups(rng)),
        few=made.groups < MANY,
    )


def crossed_covers(made: Differences, rng: np.random.Generator) -> bool:
    """Return whether the percentile interval of the crossed bootstrap holds 0."""
    d = made.of_groups(rng)
    unit = multinomial_weights(made.groups, RESAMPLES, rng)
    seed = multinomial_weights(made.seeds, RESAMPLES, rng)
    means = np.einsum("bg,bs,sg->b", unit, seed, d, optimize=True) / d.size
    low, high = np.quantile(means, [0.025, 0.975])
    return low <= 0 <= high


HEAVY: dict[str, Draw] = {
    "symmetric, lognormal scale": lambda n, rng: np.exp(rng.normal(size=n)) * rng.normal(size=n),
    "one group in five with 5 times the spread": lambda n, rng: (
        rng.normal(size=n) * np.where(np.arange(n) < round(n / 5), 5, 1)
    ),
    "Student's t with 2.5 degrees of freedom": lambda n, rng: rng.standard_t(2.5, size=n),
    "exponential, shifted to mean 0": lambda n, rng: rng.exponential(size=n) - 1,
}


SKEWED = ("exponential, shifted to mean 0",)  # a t interval of a mean falls short there, and verdicts say so
LEAST_WITH_SKEW = 0.9


def _heavy_tails() -> Iterator[Check]:
    def of_seeds(draw: Draw, groups: int, seeds: int, rng: np.random.Generator) -> np.ndarray:
        spread = 0.3 if seeds > 1 else 0.0
        noise = spread * (rng.normal(size=(seeds, 1)) + rng.normal(size=(seeds, groups)))
        return draw(groups, rng)[None] + noise

    for name, draw in HEAVY.items():
        for groups in (14, 40):
            for seeds in (1, 3):
                yield Check(
                    "interval of a paired difference",
                    f"{groups} groups, {seeds} seed{'s' if seeds > 1 else ''}, {name}",
                    "coverage",
                    lambda rng, d=draw, g=groups, s=seeds: covers(of_seeds(d, g, s, rng)),
                    few=groups < MANY,
                    least=LEAST_WITH_SKEW if name in SKEWED else None,
                )


def _pooled() -> Iterator[Check]:
    for groups in GROUPS:
        yield Check(
            "interval of pooled Dice",
            f"{groups} groups of unequal size, 3 seeds",
            "coverage",
            lambda rng, g=groups: pooled_covers(g, rng),
            few=groups < MANY,
        )


def pooled_covers(groups: int, rng: np.random.Generator) -> bool:
    """Return whether the interval of a ratio of sums holds it: Dice .7 on average, groups of unequal size."""
    size = rng.gamma(2, 500, size=(1, groups, 1))
    dice = 0.7 + 0.1 * rng.normal(size=(1, groups, 1)) + 0.02 * rng.normal(size=(3, groups, 1))
    parts = Ratios(size * (dice + 0.005 * rng.normal(size=(3, 1, 1))), size * np.ones((3, 1, 1)), np.ones((groups, 1)))
    return _holds(parts, ("a",), "a", 0.7)


@dataclass(frozen=True)
class UnequalSlides:
    """Slides of very unequal size on which Dice depends on the size; a common class, and one in 40 % of the slides.

    Args:
        slope: How much the logit of Dice gains per standard deviation of log area.
        sd_log_area: Standard deviation of the logarithm of a slide's labelled area.
        rare_in: Share of slides with the rare class.
    """

    slope: float = 0.8
    sd_log_area: float = 1.5
    rare_in: float = 0.4

    def draw(self, slides: int, seeds: int, rng: np.random.Generator) -> Ratios:
        """Return pooled Dice of two classes as ratios."""
        size = rng.normal(size=(slides, 1))
        occurs = np.column_stack([np.ones(slides, dtype=bool), rng.random(slides) < self.rare_in])
        occurs[0, 1] = True  # a class that no slide holds has no score
        logit = np.array([1.4, 0.2]) + self.slope * size + 0.5 * rng.normal(size=(slides, 2))
        noise = 0.1 * rng.normal(size=(seeds, slides, 2)) + 0.05 * rng.normal(size=(seeds, 1, 1))
        area = np.exp(self.sd_log_area * size + 0.5 * rng.normal(size=(slides, 2))) * [0.3, 0.05] * occurs
        below = np.broadcast_to(2e3 * area, (seeds, slides, 2))
        return Ratios(below * special.expit(logit + noise), below, occurs.astype(np.int64))

    def truth(self) -> tuple[float, float]:
        """Return pooled Dice of the two classes over all slides that there are."""
        everything = self.draw(TRUTH_SLIDES, 1, np.random.default_rng(0))
        common, rare = (everything.numerator.sum(axis=1) / everything.denominator.sum(axis=1))[0]
        return float(common), float(rare)


def _unequal_slides() -> Iterator[Check]:
    world, names = UnequalSlides(), ("common", "rare")
    truth: dict[str, float] = {}

    def covered(slides: int, name: str, rng: np.random.Generator) -> bool:
        if not truth:
            truth.update(zip(names, world.truth(), strict=True))
            truth[MACRO] = sum(truth.values()) / 2
        parts = world.draw(slides, 3, rng)
        return _holds(parts, names, name, truth[name])

    for slides in (14, 40):
        for name in (*names, MACRO):
            yield Check(
                "interval of pooled Dice",
                f"{slides} groups, Dice tied to their size (SD of log area 1.5), rare class in 40 %: {name}",
                "coverage",
                lambda rng, s=slides, n=name: covered(s, n, rng),
                least=LEAST_WITH_FEW_SLIDES,
            )


def _holds(parts: Ratios, names: Sequence[str], name: str, truth: float) -> bool:
    row = next(each for each in interval_rows(parts, names) if each["class"] == name)
    low, high = float(str(row["low"])), float(str(row["high"]))
    return not low > truth and not high < truth  # no interval at all (one slide) claims nothing


def _folds() -> Iterator[Check]:
    def covered(groups: int, training_sd: float, corrected: bool, rng: np.random.Generator) -> bool:
        fold = np.arange(groups) % FOLDS
        lesson = training_sd * rng.normal(size=FOLDS)  # what a fold's training set happens to teach, for all its slides
        d = lesson[fold] + rng.normal(size=(3, groups)) * 0.3 + rng.normal(size=groups)
        folds = Folds.of(np.arange(groups), fold) if corrected else None
        found = difference_influence(d[..., None]).over(folds).uncertainty(0)
        low, high = found.interval(0.95)
        return low <= 0 <= high

    for groups in (20, 40):
        for training_sd in (0.0, 0.5):
            setting = f"{groups} groups in {FOLDS} folds, 3 seeds, training sets differ by sd {training_sd:g}"
            yield Check(
                "interval of a paired difference over folds (Nadeau and Bengio)",
                setting,
                "coverage",
                lambda rng, g=groups, sd=training_sd: covered(g, sd, True, rng),
            )
            yield Check(
                "interval of a paired difference over folds, their training sets ignored",
                setting,
                "shown",
                lambda rng, g=groups, sd=training_sd: covered(g, sd, False, rng),
            )
            for design, repeats in DIVISIONS.items():
                setting = f"{groups} groups {design}, 3 seeds, training sets differ by sd {training_sd:g}"
                yield Check(
                    "interval of a paired difference over folds that share groups",
                    setting,
                    "coverage",
                    lambda rng, g=groups, r=repeats, sd=training_sd: shared_covered(g, r, sd, True, rng),
                )
                yield Check(
                    "interval of a paired difference over folds that share groups, their training sets ignored",
                    setting,
                    "shown",
                    lambda rng, g=groups, r=repeats, sd=training_sd: shared_covered(g, r, sd, False, rng),
                )


def shared_covered(groups: int, repeats: int, training_sd: float, corrected: bool, rng: np.random.Generator) -> bool:
    """Return whether the interval holds the truth, 0, where several folds test a group.

    Args:
        groups: Groups.
        repeats: Divisions of the groups into folds, one after the other; 0: every fold tests all groups.
        training_sd: Standard deviation of what the training set of a fold happens to teach.
        corrected: Whether the interval knows of the folds.
        rng: Random numbers.
    """
    if repeats:
        folds = np.stack([FOLDS * repeat + rng.permutation(groups) % FOLDS for repeat in range(repeats)], axis=1)
    else:
        folds = np.tile(np.arange(FOLDS), (groups, 1))
    tests = Folds(np.repeat(np.arange(groups), folds.shape[1]), folds.ravel())
    lesson = training_sd * rng.normal(size=folds.max() + 1)
    d = lesson[tests.fold] + rng.normal(size=(3, len(tests.fold))) * 0.3 + rng.normal(size=groups)[tests.unit]
    of_groups = difference_influence(d.reshape(3, *folds.shape).mean(axis=2)[..., None])
    if corrected:
        of_groups = of_groups.over(tests, difference_influence(d[..., None]))
    low, high = of_groups.uncertainty(0).interval(0.95)
    return low <= 0 <= high
