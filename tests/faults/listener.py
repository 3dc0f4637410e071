"""A listener that remembers what an engine told it."""

from collections.abc import Sequence

from imbalance_bench.engines.base import RunOutcome, RunProgress


class Told:
    """Remembers."""

    def __init__(self) -> None:
        self.outcomes: list[RunOutcome] = []
        self.remarks: list[str] = []
        self.steps: list[str] = []

    def on_progress(self, progress: RunProgress) -> None:
        self.steps.append(progress.run_id)

    def on_outcome(self, outcome: RunOutcome) -> None:
        self.outcomes.append(outcome)

    def on_remark(self, line: str) -> None:
        self.remarks.append(line)


def errors(outcomes: Sequence[RunOutcome]) -> dict[str, str | None]:
    return {outcome.run_id: outcome.error for outcome in outcomes}
