"""One check: a simulated study, the answer of one procedure, and the band in which its rate must lie."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from imbalance_bench.seeding import generator

LEVEL = 0.05
COVERAGE = (0.93, 0.97)
LEAST_WITH_FEW = 0.90  # coverage that an interval over fewer than 20 groups must reach
CERTAINTY = 0.99  # of the binomial band
Kind = Literal["level", "coverage", "power", "shown"]
Outcome = Literal["holds", "conservative", "short", "FAILS", "shown"]
Study = Callable[[np.random.Generator], bool]


@dataclass(frozen=True)
class Check:
    """A procedure on one kind of study.

    Args:
        procedure: What is checked; checks of one name stand together.
        setting: The studies, such as "10 groups, 3 seeds".
        kind: level: how often a true null is rejected; coverage: how often the interval holds the truth; power: how
            often a planted effect is found, against `expected`; shown: what goes wrong otherwise, never judged.
        study: Simulates one study and says whether it was rejected, covered or found.
        expected: Of power, the probability that theory gives.
        few: Of coverage, that there are fewer than 20 groups: the interval may then fall short, down to 90 %.
        least: Of coverage, another lower limit, for worlds in which no interval is known to hold 93 %; below 93 % is
            then *short*, and said.
        stream: Name of the random numbers; checks of one name look at the same studies.
        most: Studies at most, where one takes long; 0: as many as are asked for.
    """

    procedure: str
    setting: str
    kind: Kind
    study: Study
    expected: float = LEVEL
    few: bool = False
    least: float | None = None
    stream: str = ""
    most: int = 0

    @property
    def name(self) -> str:
        """Procedure and setting."""
        return f"{self.procedure}, {self.setting}"


@dataclass(frozen=True)
class Result:
    """What a check gave.

    Args:
        check: The check.
        rate: Share of studies.
        studies: Simulated studies.
        low: Lower end of the band.
        high: Upper end.
        outcome: holds: inside; conservative: a test that rejects less, or an interval that holds the truth more often;
            short: an interval over few groups that holds it less often than in 93 %; FAILS: it errs more often than it
            says.
    """

    check: Check
    rate: float
    studies: int
    low: float
    high: float
    outcome: Outcome


def binomial_band(rate: float, studies: int) -> tuple[float, float]:
    """Return the central 99 % of the share that a true rate gives in so many studies."""
    tail = (1 - CERTAINTY) / 2
    low, high = stats.binom.ppf([tail, 1 - tail], studies, rate) / studies
    return float(low), float(high)


def run_check(check: Check, studies: int, seed: int, on_study: Callable[[], object] = lambda: None) -> Result:
    """Simulate the studies of one check; same seed, same rate, whatever else runs."""
    rng = generator(seed, "calibration", check.stream or check.name)
    studies = min(studies, check.most or studies)
    hits = 0
    for _ in range(studies):
        hits += bool(check.study(rng))
        on_study()
    return judge(check, hits / studies, studies)


def judge(check: Check, rate: float, studies: int) -> Result:
    """Compare a rate with the band of its check."""
    low, high = COVERAGE if check.kind == "coverage" else binomial_band(check.expected, studies)
    least = check.least if check.least is not None else LEAST_WITH_FEW if check.few else low
    if check.kind == "shown":
        return Result(check, rate, studies, low, high, "shown")
    outcome: Outcome = "holds"
    if check.kind == "coverage":
        outcome = "conservative" if rate > high else "holds" if rate >= low else "short" if rate >= least else "FAILS"
    elif check.kind == "level":
        outcome = "FAILS" if rate > high else "conservative" if rate < low else "holds"
    elif not low <= rate <= high:
        outcome = "FAILS"
    return Result(check, rate, studies, low, high, outcome)


def markdown(results: Iterable[Result]) -> str:
    """Return one table per kind."""
    titles = {
        "level": "Type I error at 5 %",
        "coverage": "Coverage of 95 % intervals",
        "power": "Power against theory",
        "shown": "What happens otherwise (for comparison, not judged)",
    }
    kinds = {kind: [result for result in results if result.check.kind == kind] for kind in titles}
    parts = []
    for kind, members in kinds.items():
        if members:
            rows = [
                f"| {member.check.procedure} | {member.check.setting} | {member.rate:.1%} "
                f"| {member.low:.1%} to {member.high:.1%} | {member.studies} | {member.outcome} |"
                for member in members
            ]
            head = "| procedure | simulated studies | rate | band | studies | |\n|---|---|---|---|---|---|"
            parts.append("\n".join([f"## {titles[kind]}\n", head, *rows]))
    return "\n\n".join(parts) + "\n"
