"""Power of comparisons: which differences a study can show after correction, and what would be cheapest to add.

Studies are simulated and judged by the functions that judge real ones (`scoring.comparisons`). One method differs from
the control by a known amount, the others do not differ. The noise of a study is drawn once and shifted, so that power
increases with the difference in every simulation.

Under cross-validation every fold tests its share of the slides, and verdicts rest on the interval of Nadeau and Bengio
2003, as in `analyze`. What training sets add to the differences between folds is `fold_sd`; 0 supposes that folds
differ by their slides alone. It is drawn as that interval supposes: folds share training units, so that what training
sets do to a difference correlates by 1 / F between F folds. Seeds are supposed to act on all folds alike.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from analysis.scoring.comparisons import PairedScores, PairTest, Rules, judged_rows, pair_tests
from analysis.scoring.image_rows import Folds
from analysis.statistics.intervals import Uncertainty, fold_error
from analysis.verdicts import Word
from imbalance_bench.seeding import generator

TARGET = 0.8  # desired power
SIMULATIONS = 400  # standard error of a probability of .8: .02
MOST_SEEDS, MOST_SLIDES, MOST_FOLDS = 30, 400, 20
WORDS = (Word.BETTER, Word.WORSE, Word.EQUIVALENT, Word.UNDECIDED, Word.NOT_TESTABLE)
OnStudy = Callable[[], object]


@dataclass(frozen=True)
class ComparisonDesign:
    """A study that compares methods with a control.

    Args:
        slides: Number of independent slides or patients that are tested, all folds together.
        seeds: Number of seeds per method.
        methods: Number of methods that are compared with their control, over all models: the family of Holm's
            correction.
        slide_sd: Standard deviation over slides of the true difference between a method and the control, Dice; under
            cross-validation within a fold.
        seed_sd: Standard deviation over seeds of the difference, all slides together, Dice.
        noise_sd: Standard deviation of the interaction of seed and slide, Dice.
        alpha: Level of the family.
        margin: Half width of the region of practical equivalence, Dice.
        models: Number of models; each has its own control.
        folds: Number of folds of cross-validation, each of which tests other slides; 1: one test set.
        fold_sd: Standard deviation over folds of the difference, beyond what slides and seeds make of it, Dice: what
            training sets add. Of no effect with one fold.
        repeats: Number of times that all folds are trained, on other divisions or other training sets. They count as
            trainings; what they average out or add is not modelled.
    """

    slides: int
    seeds: int
    methods: int
    slide_sd: float
    seed_sd: float
    noise_sd: float = 0.0
    alpha: float = 0.05
    margin: float = 0.01
    models: int = 1
    folds: int = 1
    fold_sd: float = 0.0
    repeats: int = 1

    @property
    def trainings(self) -> int:
        """Number of trainings of the whole study, controls included."""
        return (self.methods + self.models) * self.seeds * self.folds * self.repeats

    @property
    def division(self) -> Folds | None:
        """The fold that tests each slide, folds as equal as they can be; None with one fold."""
        slides = np.arange(self.slides)
        return Folds.of(slides, slides % self.folds)

    @property
    def rules(self) -> Rules:
        """The rules by which comparisons are judged."""
        return Rules(self.alpha, self.margin)


@dataclass(frozen=True)
class Threshold:
    """The smallest observed difference that makes a method better, if every error is as large as expected.

    Args:
        by_slides: Contribution of the slides, Dice; infinite with one slide.
        by_seeds: Contribution of the seeds, Dice; 0 with one seed, as the result then concerns that one training.
        together: The larger of slides and folds, and the seeds, added like standard errors.
        by_folds: Contribution of the folds, Dice, in which slides and training sets differ; 0 with one fold.
    """

    by_slides: float
    by_seeds: float
    together: float
    by_folds: float = 0.0


def threshold(design: ComparisonDesign) -> Threshold:
    """Return the difference that passes the first step of Holm's correction (alpha / methods)."""
    level = 1 - design.alpha / design.methods
    slides = Uncertainty(0.0, design.slide_sd / np.sqrt(design.slides), np.ones(1), np.array([design.slides - 1.0]))
    seeds = replace(slides, unit_error=0.0, seed_error=_expected_seed_error(design), n_seeds=design.seeds)
    folds = replace(slides, unit_error=0.0, fold_error=_expected_fold_error(design), n_folds=design.folds)
    together = replace(seeds, unit_error=slides.unit_error, fold_error=folds.fold_error, n_folds=design.folds)
    if design.slides < 2:
        return Threshold(float("inf"), seeds.half_width(level), float("inf"))
    return Threshold(*(part.half_width(level) for part in (slides, seeds, together, folds)))


def _expected_seed_error(design: ComparisonDesign) -> float:
    return float(np.hypot(design.seed_sd, design.noise_sd / np.sqrt(design.slides)) / np.sqrt(design.seeds))


def _expected_fold_error(design: ComparisonDesign) -> float:
    """Return the error that `analyze` gives to folds which are as far apart as is expected; 0 with one fold."""
    division = design.division
    if division is None:
        return 0.0
    of_slide = design.slide_sd**2 + design.noise_sd**2 / design.seeds
    variance = design.fold_sd**2 + of_slide * np.mean(1 / np.bincount(division.fold))
    apart = np.arange(design.folds)
    return fold_error(apart / apart.std(ddof=1) * np.sqrt(variance), division.test_to_train)


@dataclass(frozen=True)
class SimulatedStudies:
    """Studies in which no method differs from the control.

    Args:
        design: The design of all studies.
        studies: Tests of each study, one per method.
    """

    design: ComparisonDesign
    studies: tuple[tuple[PairTest, ...], ...]

    @classmethod
    def draw(
        cls, design: ComparisonDesign, seed: int, n: int = SIMULATIONS, on_study: OnStudy = lambda: None
    ) -> "SimulatedStudies":
        """Simulate studies; methods of a model share its control, so that their differences correlate by one half.

        Args:
            design: The design.
            seed: Seed of the simulation.
            n: Number of studies.
            on_study: Called after each study.
        """
        rng = generator(seed, "power", f"{design.slides}x{design.seeds}")
        studies = []
        for _ in range(n):
            studies.append(tuple(_tests(design, rng)))
            on_study()
        return cls(design, tuple(studies))

    def probabilities(self, difference: float) -> dict[Word, float]:
        """Return the probability of each word for the one method that differs from the control by `difference`."""
        words = [self._word(study, difference) for study in self.studies]
        return {word: words.count(word) / len(words) for word in WORDS}

    def smallest_difference(self, power: float = TARGET) -> float:
        """Return the smallest true difference that is judged better with this probability; infinite if none is."""
        design = self.design
        high = 4 * threshold(design).together
        if not np.isfinite(high) or self.probabilities(high)[Word.BETTER] < power:
            return float("inf")
        low = 0.0
        for _ in range(10):
            middle = (low + high) / 2
            if self.probabilities(middle)[Word.BETTER] >= power:
                high = middle
            else:
                low = middle
        return high

    def _word(self, study: tuple[PairTest, ...], difference: float) -> Word:
        rules = self.design.rules
        first = study[0]
        uncertainty = replace(first.uncertainty, estimate=first.uncertainty.estimate + difference)
        shifted = replace(
            first, uncertainty=uncertainty, p=uncertainty.p_of_zero(), p_tost=uncertainty.p_of_relevance(rules.margin)
        )  # fmt: skip
        return judged_rows((shifted, *study[1:]), rules, influence=False)[0]["word"]


def _tests(design: ComparisonDesign, rng: np.random.Generator) -> Iterator[PairTest]:
    """Simulate one study and test every method of it."""
    shape = (design.models + design.methods, design.seeds, design.slides)  # controls first
    runs = design.slide_sd * rng.normal(size=(shape[0], 1, shape[2])) + design.seed_sd * rng.normal(
        size=(*shape[:2], 1)
    )
    runs = runs + design.noise_sd * rng.normal(size=shape)
    division = design.division
    if division is not None and design.fold_sd > 0:
        shared = np.sqrt(division.test_to_train) * rng.normal(size=(shape[0], 1, 1))
        runs = runs + design.fold_sd * (shared + rng.normal(size=(shape[0], 1, design.folds))[..., division.fold])
    runs = runs / np.sqrt(2)  # of a difference, as the design states it
    units = tuple(map(str, range(design.slides)))
    for method, scores in enumerate(runs[design.models :]):
        pairs = PairedScores(scores[..., None], runs[method % design.models][..., None], units, division)
        yield from pair_tests(pairs, ("a",), design.rules, {"method": method}, only="a")


@dataclass(frozen=True)
class Way:
    """One way to reach the desired power.

    Args:
        changes: What is added.
        seeds: Number of seeds per method after the addition.
        slides: Number of test slides after it.
        folds: Number of folds after it.
        runs: Number of trainings of the whole study after it, controls included.
        enough: Whether the power is reached; if not, the numbers are the largest that were tried.
    """

    changes: str
    seeds: int
    slides: int
    folds: int
    runs: int
    enough: bool


def ways(
    design: ComparisonDesign, difference: float, seed: int, *, n: int = SIMULATIONS, on_study: OnStudy = lambda: None
) -> list[Way]:
    """Find how many seeds, slides, or both in proportion, are needed to show a difference with a power of .8.

    Under cross-validation also how many folds.

    Args:
        design: The design to start from.
        difference: True difference, Dice.
        seed: Seed of the simulation.
        n: Number of simulated studies for each size.
        on_study: Called after each study.
    """

    def enough(changed: ComparisonDesign) -> bool:
        simulated = SimulatedStudies.draw(changed, seed, n, on_study)
        return simulated.probabilities(difference)[Word.BETTER] >= TARGET

    def more_seeds(step: int) -> ComparisonDesign:
        return replace(design, seeds=design.seeds + step)

    def more_slides(step: int) -> ComparisonDesign:
        return replace(design, slides=design.slides + step)

    def more_of_both(step: int) -> ComparisonDesign:
        slides = round(design.slides * (design.seeds + step) / design.seeds)
        return replace(design, seeds=design.seeds + step, slides=slides)

    def more_folds(step: int) -> ComparisonDesign:
        return replace(design, folds=design.folds + step)

    results = []
    steps = max(MOST_SEEDS - design.seeds, 0), max(MOST_SLIDES - design.slides, 0)
    additions = [
        ("more seeds", more_seeds, steps[0]),
        ("more slides", more_slides, steps[1]),
        ("more seeds and slides", more_of_both, steps[0]),
    ]
    if design.folds > 1:
        additions.append(("more folds", more_folds, max(min(MOST_FOLDS, design.slides) - design.folds, 0)))
    for changes, changed, largest in additions:
        step = _smallest(largest, lambda value, changed=changed: enough(changed(value)))
        extended = changed(largest if step is None else step)
        sizes = extended.seeds, extended.slides, extended.folds
        results.append(Way(changes, *sizes, extended.trainings, step is not None))
    return results


def _smallest(largest: int, suffices: Callable[[int], bool]) -> int | None:
    """Return the smallest number from 0 to `largest` that suffices, None if `largest` does not, by bisection."""
    if suffices(0):
        return 0
    if largest < 1 or not suffices(largest):
        return None
    low, high = 0, largest
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high
