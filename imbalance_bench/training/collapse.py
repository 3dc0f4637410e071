"""A class that a model learned and lost again while it trained: one rule, live and in the report. No torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEARNED = 0.2  # validation Dice from which a class counts as learned
LOST = 0.25  # share of its best Dice below which it counts as lost
LOST_FOR = 2  # validations in a row, so that one bad moment is no alarm
RULE = (
    f"validation Dice of the class, pooled over images, reached at least {LEARNED:g}, and was below {LOST:g} of its "
    f"best in the last {LOST_FOR} validations"
)


@dataclass(frozen=True)
class Collapse:
    """A class that rose and died.

    Args:
        best: Place of its best validation.
        best_dice: Dice then.
        last_dice: Dice in the last validation.
    """

    best: int
    best_dice: float
    last_dice: float


def collapse(dice: Sequence[float]) -> Collapse | None:
    """Say whether a class rose and died, by `RULE`; None where it did not, or was validated too rarely to tell.

    Args:
        dice: Dice of the class in each validation so far, in order; NaN where the class does not occur.
    """
    scored = [(place, value) for place, value in enumerate(dice) if not math.isnan(value)]
    if len(scored) <= LOST_FOR:
        return None
    best, best_dice = max(scored[:-LOST_FOR], key=lambda pair: pair[1])
    if best_dice < LEARNED or any(value >= LOST * best_dice for _, value in scored[-LOST_FOR:]):
        return None
    return Collapse(best, best_dice, scored[-1][1])
