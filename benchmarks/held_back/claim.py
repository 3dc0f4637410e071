"""A claim about one world: how often something was said, and how often it may be said."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

TITLE = "Independent generators"  # section of docs/calibration.md
CERTAINTY = 0.99  # with which a rate must be beyond its limit to fail
Outcome = Literal["holds", "within chance", "FAILS", "shown"]


@dataclass(frozen=True)
class Claim:
    """What is counted over the studies of a world.

    Args:
        name: What is counted.
        said: Whether one study says it.
        most: It may be said in at most this share; None: no upper limit.
        least: It must be said in at least this share; None: no lower limit. Without either it is shown, not judged.
    """

    name: str
    said: Callable[[Any], bool]
    most: float | None = None
    least: float | None = None

    @property
    def limit(self) -> str:
        """The limits in words."""
        low = f">= {self.least:g}" if self.least is not None else ""
        high = f"<= {self.most:g}" if self.most is not None else ""
        return " and ".join(each for each in (low, high) if each) or "-"

    def outcome(self, hits: int, studies: int) -> Outcome:
        """Judge a count: FAILS where the rate is beyond a limit with 99 % certainty (exact binomial)."""
        rate, fails, beyond = hits / studies, [], []
        if self.most is not None:
            beyond.append(rate > self.most)
            fails.append(stats.binom.sf(hits - 1, studies, self.most) < 1 - CERTAINTY)
        if self.least is not None:
            beyond.append(rate < self.least)
            fails.append(stats.binom.cdf(hits, studies, self.least) < 1 - CERTAINTY)
        if not beyond:
            return "shown"
        return "FAILS" if any(fails) else "within chance" if any(beyond) else "holds"


@dataclass(frozen=True)
class World:
    """One kind of study, and what is counted in it.

    Args:
        name: What the studies are like.
        judged: Draws a study and lets the public function judge it; the seed is that of its random procedures.
        claims: What is counted.
        own: Not a row of the table that the software was asked to survive, but one that was thought up here.
    """

    name: str
    judged: Callable[[np.random.Generator, int], Any]
    claims: tuple[Claim, ...]
    own: bool = False
