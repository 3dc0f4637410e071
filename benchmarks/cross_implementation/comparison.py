"""One comparison: which method with which options, whose implementation, where the two are known to differ and why."""

import math
from dataclasses import dataclass, field

from benchmarks.cross_implementation.cases import CASES
from benchmarks.cross_implementation.ours import Outcome, Quantity, our_outcome

AGREEMENT = 1e-5  # of a value, relative to the larger of it and 1; of a class's gradient, relative to the largest


@dataclass(frozen=True)
class Comparison:
    """A method and another implementation of it.

    Attributes:
        method: Name in the registry.
        theirs: The other implementation, as a reader would call it.
        cases: Cases on which both can be run.
        options: Of our method.
        diverges: Cases on which they differ; on the others they agree to 1e-5.
        reason: Why they differ, and why ours is what it is; or what had to be set for them to agree.
        quantity: Which part of our loss is compared.
        steps: Steps until the compared one.
    """

    method: str
    theirs: str
    cases: tuple[str, ...]
    options: dict = field(default_factory=dict)
    diverges: tuple[str, ...] = ()
    reason: str = ""
    quantity: Quantity = "without Dice"
    steps: int = 1

    @property
    def name(self) -> str:
        """What names it among all."""
        return f"{self.method} / {self.theirs}"

    def ours(self, case: str) -> Outcome:
        """Run our implementation now."""
        return our_outcome(self.method, self.options, self.quantity, CASES[case], steps=self.steps)


def agree(ours: Outcome, theirs: Outcome) -> bool:
    """Whether values and all classes' gradients agree."""
    if not math.isfinite(theirs.value):
        return False
    if abs(ours.value - theirs.value) > AGREEMENT * max(1.0, abs(theirs.value)):
        return False
    largest = max(theirs.per_class)
    pairs = zip(ours.per_class, theirs.per_class, strict=True)
    return all(abs(mine - other) <= AGREEMENT * largest for mine, other in pairs)
