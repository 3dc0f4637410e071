"""What an area of faults is and what came of it; areas are kept in a file, so that a stopped run goes on."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from imbalance_bench.manifest import write_json

MOST_KEPT = 20  # failures that are written down


@dataclass
class Trials:
    """The trials of one area.

    Args:
        name: Of the area.
        claim: What held in every trial that is counted as held.
        tried: Trials.
        held: Those that held.
        failures: One line for each of the first that did not.
        seconds: Wall clock.
        seed: Of what was drawn.
        note: What the reader should know, such as what could not be tried here.
    """

    name: str
    claim: str
    tried: int = 0
    held: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0
    seed: int = 0
    note: str = ""

    def add(self, holds: bool, told: str) -> None:
        """Count a trial; `told` says what was done, for one that did not hold."""
        self.tried += 1
        self.held += holds
        if not holds and len(self.failures) < MOST_KEPT:
            self.failures.append(" ".join(told.split())[:400])


@dataclass(frozen=True)
class Area:
    """A kind of fault.

    Attributes:
        name: For --area and for the table.
        claim: What must hold.
        try_all: Yields whether a trial held and what was done; takes the place to work in and the seed.
        note: See `Trials`.
    """

    name: str
    claim: str
    try_all: Callable[[Path, int], Iterator[tuple[bool, str]]]
    note: str = ""

    def run(self, workplace: Path, seed: int, on_trial: Callable[[Trials], object]) -> Trials:
        """Try everything."""
        found, started = Trials(self.name, self.claim, seed=seed, note=self.note), time.monotonic()
        for holds, told in self.try_all(workplace, seed):
            found.add(holds, told)
            found.seconds = time.monotonic() - started
            on_trial(found)
        found.seconds = time.monotonic() - started
        return found


def save(results: dict[str, Trials], path: Path) -> None:
    """Keep what has been found."""
    write_json(path, {name: asdict(each) for name, each in results.items()})


def load(path: Path) -> dict[str, Trials]:
    """Return what was found earlier."""
    if not path.exists():
        return {}
    return {name: Trials(**each) for name, each in json.loads(path.read_text(encoding="utf-8")).items()}


def page(results: list[Trials], command: str) -> str:
    """Return the whole page as Markdown."""
    rows = [
        f"| {area.name} | {area.claim} | {area.tried:,} | {area.held:,} | {area.seconds:.0f} | {area.seed} |"
        for area in results
    ]
    broken = [f"- {result.name}: `{line.replace('`', chr(39))}`" for result in results for line in result.failures]
    notes = [f"- {result.name}: {result.note}" for result in results if result.note]
    tried, held = (sum(getattr(result, name) for result in results) for name in ("tried", "held"))
    said = f"{tried - held} of {tried:,} did not hold."
    parts = [
        "# Reliability\n",
        f"Printed by `{command}`: faults of every kind are done on purpose to a small study. {said}\n",
        "| area | what must hold | tried | held | seconds | seed |",
        "|---|---|---:|---:|---:|---:|",
        *rows,
        "",
        *(["Limits of these trials:\n", *notes, ""] if notes else []),
        *(["What did not hold:\n", *broken, ""] if broken else []),
        "A study of three classes, 64 px images and six optimiser steps is small on purpose: what is tried is what is",
        "written, read, claimed and refused, not how well a model learns. tests/faults holds one case of each kind.",
        "",
    ]
    return "\n".join(parts)
