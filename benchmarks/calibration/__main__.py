"""Print type I error, coverage and power of every test and interval on simulated studies, as Markdown.

    python -m benchmarks.calibration [--fast] [--only NAME] [--studies 2000] [--seed 0] [--out docs/calibration.md]

--fast simulates 200 studies per row, --only keeps procedures whose name contains NAME. Exit code 1 if a row FAILS.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.calibration import associations, comparisons, explanations, intervals
from benchmarks.calibration.check import Check, Result, markdown, run_check
from benchmarks.held_back.claim import TITLE
from benchmarks.page_section import section_of, with_section

FAST = 200


def all_checks() -> list[Check]:
    """Return every check there is, in the order of the table."""
    return [*comparisons.checks(), *intervals.checks(), *associations.checks(), *explanations.checks()]


def run_all(checks: Sequence[Check], studies: int, seed: int) -> list[Result]:
    """Run checks one after the other under a progress bar."""
    columns = (TextColumn("{task.description:<40.40}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    found = []
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=sum(min(studies, check.most or studies) for check in checks))
        for check in checks:
            progress.update(task, description=check.name)
            found.append(run_check(check, studies, seed, lambda: progress.advance(task)))
    return found


def page(results: Sequence[Result], studies: int, seed: int) -> str:
    """Return the whole page."""
    failing = [result for result in results if result.outcome == "FAILS"]
    said = f"{len(failing)} rows fail their band." if failing else "No row fails its band."
    return "\n".join(
        [
            "# Calibration\n",
            f"Printed by `python -m benchmarks.calibration --studies {studies} --seed {seed}`. {said}\n",
            INTRODUCTION,
            coverage_by_groups(results),
            markdown(results),
        ]
    )


INTRODUCTION = """Every row simulates studies whose truth is known and asks one procedure for its answer.

- Type I error: the truth is that nothing is there (for equivalence: that methods differ by exactly the margin). The
  band is where 99 % of the shares would lie if the true rate were 5 %. *Conservative*: below it, which exact tests and
  intervals that are wide on purpose may be.
  Rows on headlines, associations, slopes and reliability put whole studies through `analysis.explain`, with 499
  permutations, and claim that nothing is said that is not there; 600 studies know a rate of 5 % to +-.9 points.
- Coverage: an interval that says 95 % must hold the truth in 93 to 97 %. *Conservative*: more than that, wider than
  needed. With fewer than 20 groups it may fall *short*, which is said; below 90 % it fails there too.
- Power: the share in which a planted effect is found, against the probability that theory gives (99 % band).

Paired differences are a group effect (standard deviation 1), a seed effect (its standard deviation is in the row) and
noise of .5 per image; "4 images each" is the clustered case, one image per group the unclustered one. Interventions on
the bias are judged by the same tests and intervals as pairs of methods.
"""


def coverage_by_groups(results: Sequence[Result]) -> str:
    """Say in which range the intervals of studies with so many groups cover; empty without such rows."""
    rates: dict[int, list[float]] = {}
    for result in results:
        count, grouped, _ = result.check.setting.partition(" groups")
        if result.check.kind == "coverage" and grouped:
            rates.setdefault(int(count), []).append(result.rate)
    told = [f"{min(each):.1%} to {max(each):.1%} with {groups}" for groups, each in sorted(rates.items())]
    return f"Intervals that say 95 % hold the truth in {', '.join(told)} groups.\n" if told else ""


def main() -> None:
    """Parse the command line, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help=f"{FAST} studies per row")
    parser.add_argument("--only", default="", help="procedures whose name contains this")
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the page there as well")
    options = parser.parse_args()
    studies = FAST if options.fast else options.studies
    chosen = [check for check in all_checks() if options.only.lower() in check.name.lower()]
    if not chosen:
        known = ", ".join(sorted({check.procedure for check in all_checks()}))
        parser.error(f"no procedure contains '{options.only}'. Known: {known}")
    results = run_all(chosen, studies, options.seed)
    text = page(results, studies, options.seed)
    print(text)
    if options.out:
        before = options.out.read_text() if options.out.exists() else ""
        options.out.write_text(with_section(text, TITLE, section_of(before, TITLE)))
    sys.exit(any(result.outcome == "FAILS" for result in results))


if __name__ == "__main__":
    main()
