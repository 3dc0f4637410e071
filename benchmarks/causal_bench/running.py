"""Train and analyse the studies of the causal bench; a stopped call goes on where it was."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.pipeline import analyze_study
from analysis.study.analysed_records import RECORDS_FILE
from benchmarks.at_once import work_on
from benchmarks.causal_bench.design import SERIES_SEED, BenchStudy, Part
from imbalance_bench.data.phantom import factorial_design, generate_series
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.locking import locked


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
        return (self.study(study) / "analysis" / RECORDS_FILE).exists()

    def make(self, study: BenchStudy) -> None:
        """Draw what is missing of a series, train what is missing of a study, and analyse it."""
        series = self.phantom(study).parent
        series.parent.mkdir(parents=True, exist_ok=True)
        with locked(series.with_name(f".{series.name}.lock")):  # studies that are made at once share it
            if not (self.phantom(study) / "index.csv").exists():
                generate_series(factorial_design(study.series, SERIES_SEED), series, workers=self.workers or 1)
        execution = Execution(cache=self.cache, workers=self.workers, what_next=False)
        execute_study(study.config(self.phantom(study)), self.study(study), execution)
        analyze_study(self.study(study), cache_dir=self.cache)


def run_parts(parts: Sequence[Part], place: Place, gathered: Collection[str], minutes: float, at_once: int = 1) -> int:
    """Make every study of some parts that is not made; return how many are left.

    Args:
        parts: What is wanted.
        place: Where.
        gathered: Names of studies that were made before, elsewhere.
        minutes: No study is begun that may end later, as long as the slowest so far for its estimate.
        at_once: Studies side by side, so that one is analysed while another trains.
    """
    wanted = [study for part in parts for study in part.studies]
    waiting = [study for study in wanted if study.name not in gathered and not place.is_analysed(study)]
    until, slowness, left = time.monotonic() + 60 * minutes, 0.0, len(waiting)

    def may_begin(study: BenchStudy) -> bool:
        return time.monotonic() + slowness * study.seconds <= until

    for study, _, seconds in work_on(waiting, place.make, at_once, may_begin):
        slowness, left = max(slowness, seconds / study.seconds), left - 1
        print(f"{left} studies left", flush=True)
    return left
