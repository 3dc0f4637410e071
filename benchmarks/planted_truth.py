"""How often the verdicts find a truth that was planted in simulated studies, as a Markdown table.

    python -m benchmarks.planted_truth [--studies 200] [--seed 0] [--only TEXT]

Each simulated study has biases that are a known mixture of log frequency, boundary ambiguity and their start, plus
noise of the class and of the seed; four measures per class, two of which mean nothing; and goes through
`analysis.explain`, as every study does. The slopes are in units of the spread of a measure, as is the noise.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.progress import track

from analysis.explain import Explained, explain
from analysis.study.runs import AnalysisPlan
from analysis.verdicts import Topic, Word
from benchmarks.calibration.worlds import World, draw

THREE_STARTS = ("prior", "cold", "inverted")


@dataclass(frozen=True)
class Truth:
    """What is planted.

    Args:
        name: In words.
        world: How.
        expected: The verdict that is right, and what it says the bias follows.
        topic: Whose verdict is asked for.
        hypotheses: Of the plan.
    """

    name: str
    world: World
    expected: str
    topic: Topic = Topic.EXPLANATION
    hypotheses: tuple[str, ...] = ()


FREQUENCY, DIFFICULTY, BOTH = (1, 0, 0, 0), (0, 1, 0, 0), (1, 1, 0, 0)
TWENTY, SIXTEEN = (10, 10), (5, 5, 6)
RARE, HARD = "supported: frequency", "supported: difficulty"
EXPLANATIONS = (
    Truth("nothing", World(TWENTY, class_noise=1.0), "not_supported"),
    Truth("frequency only", World(TWENTY, slopes=FREQUENCY), RARE),
    Truth("difficulty only", World(TWENTY, slopes=DIFFICULTY), HARD),
    Truth("both", World(TWENTY, slopes=BOTH), "supported: frequency+difficulty"),
    Truth("frequency only, correlated .6", World(TWENTY, slopes=FREQUENCY, correlation=0.6), RARE),
    Truth("difficulty only, correlated .6", World(TWENTY, slopes=DIFFICULTY, correlation=0.6), HARD),
    Truth("frequency only, correlated .98", World(TWENTY, slopes=FREQUENCY, correlation=0.98), "not_separable"),
    Truth("difficulty only, correlated .98", World(TWENTY, slopes=DIFFICULTY, correlation=0.98), "not_separable"),
    Truth("difficulty only, reliability .6", World(TWENTY, slopes=DIFFICULTY, reliability=0.6), HARD),
    Truth("frequency only, correlated .6, reliability .6",
          World(TWENTY, slopes=FREQUENCY, correlation=0.6, reliability=0.6), RARE),
    Truth("frequency only, ten names in both", World(TWENTY, slopes=FREQUENCY, same_names=True), RARE),
    Truth("seeds disagree", World(TWENTY, class_noise=0.0, seed_noise=1.0), "unreliable"),
    Truth("nothing", World(SIXTEEN, class_noise=1.0), "not_supported"),
    Truth("frequency only", World(SIXTEEN, slopes=FREQUENCY), RARE),
    Truth("difficulty only", World(SIXTEEN, slopes=DIFFICULTY), HARD),
    Truth("both", World(SIXTEEN, slopes=BOTH), "supported: frequency+difficulty"),
    Truth("frequency only", World((5,), slopes=FREQUENCY), "not_testable"),
    Truth("frequency only, the primary hypothesis", World((5,), slopes=FREQUENCY), "supported: pixel_share",
          hypotheses=("frequency",)),
    Truth("difficulty only", World((3,), slopes=DIFFICULTY), "not_testable"),
    Truth("difficulty only, one start", World(TWENTY, slopes=DIFFICULTY, start=1, kept=0.3), "not_separable"),
    Truth("difficulty only, three starts", World(TWENTY, slopes=DIFFICULTY, start=1, kept=0.3, starts=THREE_STARTS),
          HARD),
    Truth("the prior decays", World((12,), start=1, kept=0.4, class_noise=0.1, seed_noise=0.1), "decay"),
)  # fmt: skip
INERTIA = (
    Truth("the final bias is the prior", World((5,), class_noise=0.1, seed_noise=0.05, start=1), "inertia",
          Topic.INERTIA),
    Truth("the prior is forgotten", World((5,), slopes=DIFFICULTY, kept=0.1, start=1), "not_supported", Topic.INERTIA),
    Truth("the prior decays", World((5,), class_noise=0.1, seed_noise=0.05, kept=0.3, start=1), "decay",
          Topic.INERTIA),
    Truth("cold start", World((5,), slopes=DIFFICULTY), "not_testable", Topic.INERTIA),
    Truth("starts stay", World((5,), slopes=DIFFICULTY, start=1, kept=0.9, starts=THREE_STARTS), "inertia",
          Topic.INERTIA),
    Truth("starts are forgotten", World((5,), slopes=FREQUENCY, start=1, kept=0.1, starts=THREE_STARTS),
          "not_supported", Topic.INERTIA),
)  # fmt: skip


def plan(seed: int, hypotheses: tuple[str, ...] = ()) -> AnalysisPlan:
    """Return the default plan with few permutations and resamples."""
    return AnalysisPlan.default(resamples=50, permutations=999, seed=seed, hypotheses=hypotheses)


def explained(truth: Truth, seed: int) -> Explained:
    """Simulate and explain one study."""
    return explain(*draw(truth.world, np.random.default_rng(seed)), plan(seed, truth.hypotheses))


def answer(truth: Truth, seed: int) -> str:
    """Simulate one study and return its verdict; with several starts, that on all of them together."""
    verdict = [each for each in explained(truth, seed).verdicts if each.topic == truth.topic][
        0 if truth.topic == Topic.EXPLANATION else -1
    ]
    supported = verdict.word == Word.SUPPORTED
    return f"{verdict.word}: {verdict.numbers['follows']}" if supported else str(verdict.word)


def rates(truth: Truth, studies: int, seed: int) -> Counter[str]:
    """Count the verdicts over simulated studies."""
    return Counter(answer(truth, seed * 100_000 + number) for number in range(studies))


def _table(truths: Sequence[Truth], studies: int, seed: int, console: Console) -> list[str]:
    lines = ["| planted | classes | right verdict | rate | other verdicts |", "|---|---|---|---|---|"]
    for truth in track(truths, "planted truths", console=console, transient=True):
        counted = rates(truth, studies, seed)
        others = ", ".join(f"{word} {n / studies:.3f}" for word, n in counted.most_common() if word != truth.expected)
        sizes = " + ".join(map(str, truth.world.classes))
        lines.append(
            f"| {truth.name} | {sizes} | {truth.expected} | {counted[truth.expected] / studies:.3f} | {others} |"
        )
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--studies", type=int, default=200, help="simulated studies per row")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="rows whose name holds this text")
    options = parser.parse_args()
    chosen = [truth for truth in (*EXPLANATIONS, *INERTIA) if options.only in truth.name]
    print("\n".join(_table(chosen, options.studies, options.seed, Console(stderr=True))))


if __name__ == "__main__":
    main()
