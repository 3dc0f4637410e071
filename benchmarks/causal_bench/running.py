"""Train and analyse the studies of the causal bench; a stopped call goes on where it was."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.pipeline import analyze_study
from benchmarks.causal_bench.design import SERIES_SEED, BenchStudy, Part
from imbalance_bench.data.phantom import factorial_design, generate_series
from imbalance_bench.execution import Execution, execute_study


@dataclass(frozen=True)
class Place:
    """Where everything lies.

    Attributes:
        out: Folder of all studies.
        workers: Runs at a time; None chooses by cores.
    """

    out: Path
    workers: int | None = None

    @property
    def cache(self) -> Path:
        """Tiles and features."""
        return self.out / "cache"

    def phantom(self, study: BenchStudy) -> Path:
        """Return the folder of a study's data set."""
        return self.out / "phantoms" / study.series / study.spec.name

    def study(self, study: BenchStudy) -> Path:
        """Return the folder of a study."""
        return self.out / "studies" / study.name

    def is_analysed(self, study: BenchStudy) -> bool:
        """Say whether a study is trained and analysed to its end."""
        return (self.study(study) / "analysis" / "verdicts.json").exists()

    def make(self, study: BenchStudy) -> None:
        """Draw what is missing of a series, train what is missing of a study, and analyse it."""
        if not (self.phantom(study) / "index.csv").exists():
            specs = factorial_design(study.series, SERIES_SEED)
            generate_series(specs, self.phantom(study).parent, workers=self.workers or 1)
        execution = Execution(cache=self.cache, workers=self.workers, what_next=False)
        execute_study(study.config(self.phantom(study)), self.study(study), execution)
        analyze_study(self.study(study), cache_dir=self.cache)


def run_parts(parts: Sequence[Part], place: Place, minutes: float) -> int:
    """Make every study of some parts that is not made; return how many are left.

    Args:
        parts: What is wanted.
        place: Where.
        minutes: No study is begun that may end later, as long as the slowest so far for its estimate.
    """
    waiting = [study for part in parts for study in part.studies if not place.is_analysed(study)]
    until, slowness = time.monotonic() + 60 * minutes, 0.0
    while waiting and time.monotonic() + slowness * waiting[0].seconds <= until:
        started = time.monotonic()
        place.make(waiting[0])
        slowness = max(slowness, (time.monotonic() - started) / waiting[0].seconds)
        waiting.pop(0)
        print(f"{len(waiting)} studies left", flush=True)
    return len(waiting)
