"""Power of comparisons: which differences a study can show after correction, and what would be cheapest to add.

Studies are simulated and judged by the functions that judge real ones (`scoring.comparisons`). One method differs from
the control by a known amount, the others by nothing. The noise of a study is drawn once and shifted, so that power
rises with the difference in every simulation.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from analysis.scoring.comparisons import PairedScores, PairTest, Rules, judged_rows, pair_tests
from analysis.verdicts import Word
from imbalance_bench.seeding import generator

TARGET = 0.8  # power that is asked for
SIMULATIONS = 400  # standard error of a probability of .8: .02
MOST_SEEDS, MOST_SLIDES = 30, 400
WORDS = (Word.BETTER, Word.WORSE, Word.EQUIVALENT, Word.UNDECIDED, Word.NOT_TESTABLE)
OnStudy = Callable[[], object]


@dataclass(frozen=True)
class ComparisonDesign:
    """A study that compares methods with one control.

    Args:
        slides: Independent test slides or patients.
        seeds: Seeds per method.
        methods: Methods that are compared with the control.
        slide_sd: Standard deviation over slides of the true difference between a method and the control, Dice.
        seed_sd: Standard deviation of the same difference over seeds, all slides together, Dice.
        noise_sd: Standard deviation of what seed and slide do together, Dice.
        alpha: Level of the family.
        margin: Half width of the region of practical equivalence, Dice.
    """

    slides: int
    seeds: int
    methods: int
    slide_sd: float
    seed_sd: float
    noise_sd: float = 0.0
    alpha: float = 0.05
    margin: float = 0.01

    @property
    def rules(self) -> Rules:
        """What decides."""
        return Rules(self.alpha, self.margin)


@dataclass(frozen=True)
class Threshold:
    """The observed difference from which on a method is better, where every error is as large as expected.

    Args:
        by_slides: Part of the slides alone, Dice; infinite with one slide.
        by_seeds: Part of the seeds alone, Dice; 0 with one seed, which then speaks of that one training.
        together: Both, added like standard errors.
    """

    by_slides: float
    by_seeds: float
    together: float


def threshold(design: ComparisonDesign) -> Threshold:
    """Return the difference that stands the first step of Holm's correction (alpha / methods)."""
    tail = 1 - design.alpha / design.methods / 2
    over_slides = design.slide_sd / np.sqrt(design.slides)
    over_seeds = np.hypot(design.seed_sd, design.noise_sd / np.sqrt(design.slides)) / np.sqrt(design.seeds)
    by_slides = float(over_slides * special.stdtrit(design.slides - 1, tail)) if design.slides > 1 else float("inf")
    if design.seeds < 2:
        return Threshold(by_slides, 0.0, by_slides)
    by_seeds = float(over_seeds * special.stdtrit(design.seeds - 1, tail))
    return Threshold(by_slides, by_seeds, float(np.hypot(by_slides, by_seeds)))


@dataclass(frozen=True)
class SimulatedStudies:
    """Studies in which no method differs from the control.

    Args:
        design: Of all of them.
        studies: Tests of each study, one per method.
    """

    design: ComparisonDesign
    studies: tuple[tuple[PairTest, ...], ...]

    @classmethod
    def draw(
        cls, design: ComparisonDesign, seed: int, n: int = SIMULATIONS, on_study: OnStudy = lambda: None
    ) -> "SimulatedStudies":
        """Simulate studies; methods share the control, so that their differences correlate by one half.

        Args:
            design: The design.
            seed: Of the simulation.
            n: Studies.
            on_study: Called after each.
        """
        rng = generator(seed, "power", f"{design.slides}x{design.seeds}")
        studies = []
        for _ in range(n):
            studies.append(tuple(_tests(design, rng)))
            on_study()
        return cls(design, tuple(studies))

    def probabilities(self, difference: float) -> dict[Word, float]:
        """Return how often each word is given to the one method that differs from the control by `difference`."""
        words = [self._word(study, difference) for study in self.studies]
        return {word: words.count(word) / len(words) for word in WORDS}

    def smallest_difference(self, power: float = TARGET) -> float:
        """Return the smallest true difference that is called better with this probability; infinite if none is."""
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
        known = replace(first.uncertainty, estimate=first.uncertainty.estimate + difference)
        moved = replace(
            first, uncertainty=known, p=known.p_of_zero(), p_tost=known.p_of_relevance(rules.margin)
        )  # fmt: skip
        return judged_rows((moved, *study[1:]), rules, influence=False)[0]["word"]


def _tests(design: ComparisonDesign, rng: np.random.Generator) -> Iterator[PairTest]:
    """Simulate one study and test every method of it."""
    shape = (design.methods + 1, design.seeds, design.slides)
    runs = design.slide_sd * rng.normal(size=(shape[0], 1, shape[2])) + design.seed_sd * rng.normal(
        size=(*shape[:2], 1)
    )
    runs = (runs + design.noise_sd * rng.normal(size=shape)) / np.sqrt(2)  # of a difference, as the design states it
    units = tuple(map(str, range(design.slides)))
    for method, scores in enumerate(runs[1:]):
        pairs = PairedScores(scores[..., None], runs[0][..., None], units)
        yield from pair_tests(pairs, ("a",), design.rules, {"method": method}, only="a")


@dataclass(frozen=True)
class Way:
    """One way to reach the power that is asked for.

    Args:
        changes: What is added.
        seeds: Seeds per method then.
        slides: Test slides then.
        runs: Trainings of the whole study then, control included.
        enough: The power is reached; False: these are the most that were tried.
    """

    changes: str
    seeds: int
    slides: int
    runs: int
    enough: bool


def ways(
    design: ComparisonDesign, difference: float, seed: int, *, n: int = SIMULATIONS, on_study: OnStudy = lambda: None
) -> list[Way]:
    """Find how many seeds, slides, or both in proportion, show a difference with a probability of .8.

    Args:
        design: The design to start from.
        difference: True difference, Dice.
        seed: Of the simulation.
        n: Simulated studies for each size tried.
        on_study: Called after each study.
    """

    def enough(changed: ComparisonDesign) -> bool:
        drawn = SimulatedStudies.draw(changed, seed, n, on_study)
        return drawn.probabilities(difference)[Word.BETTER] >= TARGET

    def more_seeds(step: int) -> ComparisonDesign:
        return replace(design, seeds=design.seeds + step)

    def more_slides(step: int) -> ComparisonDesign:
        return replace(design, slides=design.slides + step)

    def more_of_both(step: int) -> ComparisonDesign:
        slides = round(design.slides * (design.seeds + step) / design.seeds)
        return replace(design, seeds=design.seeds + step, slides=slides)

    found = []
    steps = max(MOST_SEEDS - design.seeds, 0), max(MOST_SLIDES - design.slides, 0)
    for changes, changed, most in (
        ("more seeds", more_seeds, steps[0]),
        ("more slides", more_slides, steps[1]),
        ("more seeds and slides", more_of_both, steps[0]),
    ):
        step = _smallest(most, lambda value, changed=changed: enough(changed(value)))
        reached = changed(most if step is None else step)
        runs = (reached.methods + 1) * reached.seeds
        found.append(Way(changes, reached.seeds, reached.slides, runs, step is not None))
    return found


def _smallest(most: int, enough: Callable[[int], bool]) -> int | None:
    """Return the smallest number from 0 on that is enough, None if `most` is not; more is never less."""
    if enough(0):
        return 0
    if most < 1 or not enough(most):
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
