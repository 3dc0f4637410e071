"""Print how often `ib.explain` and `ib.compare` err in worlds that the calibration does not share, as Markdown.

    python -m benchmarks.held_back [--only TEXT] [--studies 400] [--seed 0] [--rows ROWS.jsonl] [--out PAGE.md]

--only keeps worlds whose name contains TEXT, --rows keeps what was counted, so that a run that was cut goes on where it
stopped, --out replaces the section "Independent generators" of a page. Exit code 1 if a row FAILS.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import track

from benchmarks.held_back import classes, scores
from benchmarks.held_back.claim import TITLE, World
from benchmarks.page_section import with_section
from imbalance_bench.seeding import generator


def all_worlds() -> list[World]:
    """Return every world there is."""
    return [*classes.worlds(), *scores.worlds()]


def counted(world: World, studies: int, seed: int) -> list[dict[str, Any]]:
    """Simulate the studies of one world; one row per claim."""
    rng, hits = generator(seed, "held_back", world.name), [0] * len(world.claims)
    for _ in track(range(studies), description=world.name[:50], transient=True):
        found = world.judged(rng, int(rng.integers(2**31)))
        hits = [before + bool(claim.said(found)) for before, claim in zip(hits, world.claims, strict=True)]
    return [
        {"world": world.name, "own": world.own, "claim": claim.name, "hits": n, "studies": studies, "seed": seed}
        | {"limit": claim.limit, "outcome": claim.outcome(n, studies)}
        for claim, n in zip(world.claims, hits, strict=True)
    ]


def section(rows: Sequence[dict[str, Any]], command: str) -> str:
    """Return the section of the page."""
    failing = sum(row["outcome"] == "FAILS" for row in rows)
    parts = [
        f"## {TITLE}\n",
        f"Printed by `{command}`. {failing or 'No'} row{'s fail' if failing > 1 else ' fails'}.\n",
    ]
    parts.append(INTRODUCTION)
    for title, own in (
        ("Worlds that the software was asked to survive", False),
        ("Worlds thought up to break it", True),
    ):
        chosen = [row for row in rows if row["own"] == own]
        if chosen:
            parts += [f"### {title}\n", "| world | counted | rate | limit | studies | |", "|---|---|---|---|---|---|"]
            parts += [
                f"| {row['world']} | {row['claim']} | {row['hits'] / row['studies']:.1%} | {row['limit']} "
                f"| {row['studies']} | {row['outcome']} |"
                for row in chosen
            ]
            parts.append("")
    return "\n".join(parts)


INTRODUCTION = """These worlds share no code with those above, and every study goes through `ib.explain` or
`ib.compare` as a user would call them. Effects of classes are Laplace, measures see what they measure through a bent
scale, families are unequal. A row FAILS if its rate is beyond the limit with 99 % certainty; *within chance*: beyond
it, but by no more than chance would do. Rows without a limit show what a table does not tell (families, patients),
what a rare failure hides, and what is not corrected: associations and slopes are one family within a method and
quantity, so that four methods have four chances; headlines are one family over all of them.
"""


def main() -> None:
    """Parse the command line, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="worlds whose name contains this")
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=Path, help="JSON lines of what was counted; worlds that it holds are not redone")
    parser.add_argument("--out", type=Path, help="page whose section is replaced")
    options = parser.parse_args()
    known = _read(options.rows)
    rows = []
    for world in all_worlds():
        if options.only.lower() not in world.name.lower():
            continue
        found = [each for each in known if (each["world"], each["seed"]) == (world.name, options.seed)]
        if not found:
            found = counted(world, options.studies, options.seed)
            if options.rows:
                with options.rows.open("a") as file:
                    file.writelines(json.dumps(row) + "\n" for row in found)
        rows += found
    text = section(rows, f"python -m benchmarks.held_back --studies {options.studies} --seed {options.seed}")
    print(text)
    if options.out:
        options.out.write_text(with_section(options.out.read_text(), TITLE, text))
    sys.exit(any(row["outcome"] == "FAILS" for row in rows))


def _read(path: Path | None) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path and path.exists() else []


if __name__ == "__main__":
    main()
