"""How a study divides its slides for testing: what of it the simulated studies know."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Division:
    """The test sets of a study.

    Args:
        slides: Number of independent slides or patients that are tested, all folds together.
        folds: Number of folds of cross-validation, each of which tests other slides; 1: one test set.
        repeats: Number of such divisions, or of training sets that are tested on the same slides.
    """

    slides: int
    folds: int = 1
    repeats: int = 1

    @classmethod
    def of(cls, tested: Sequence[frozenset[str]]) -> "Division":
        """Read the division off the slides that each fold tests.

        Folds in a row that test other slides each are one cross-validation; what comes after it repeats it. Where folds
        share slides in another way, each is a test set by itself, and the smallest one counts.

        Args:
            tested: Slides of each fold, in the order of the folds.
        """
        for folds in range(len(tested), 0, -1):
            divisions = [tested[start : start + folds] for start in range(0, len(tested), folds)]
            sizes = [len(frozenset().union(*division)) for division in divisions]
            apart = all(sum(map(len, each)) == size for each, size in zip(divisions, sizes, strict=True))
            alike = len({frozenset().union(*division) for division in divisions}) == 1
            if len(tested) % folds == 0 and apart and (alike or folds == 1):
                return cls(min(sizes), folds, len(divisions))
        return cls(0)

    def remarks(self) -> list[str]:
        """Say what of the division power does not model, a sentence each."""
        if self.repeats < 2:
            return []
        if self.folds > 1:
            return [f"Of {self.repeats} repeats one is counted: what repeats average out is not modelled."]
        return [
            f"Of {self.repeats} training sets one is counted: how far they differ is not modelled, and may ask for a "
            "larger difference."
        ]
