"""Executes one job in this process: what every engine ends up calling."""

from collections.abc import Callable

from imbalance_bench.engines.base import Obstacle, RunJob, RunOutcome, RunProgress
from imbalance_bench.errors import UserError
from imbalance_bench.planned_study import open_run
from imbalance_bench.records import StudyRecords
from imbalance_bench.run_lock import RunInUseError
from imbalance_bench.training.memory import ShortOfMemoryError
from imbalance_bench.training.run import execute_run
from methods.base import ClassFeedback


def execute_job(job: RunJob, report: Callable[[RunProgress], None]) -> RunOutcome:
    """Execute a run of a study directory.

    Args:
        job: The run.
        report: Told about progress.

    Returns:
        The outcome; a failure is an outcome, not an exception, so that other runs continue.
    """

    def outcome(error: str, obstacle: Obstacle | None = None) -> RunOutcome:
        return RunOutcome(job.run_id, job.label, error, obstacle)

    try:
        if not StudyRecords(job.root).run(job.run_id).is_done():
            study, run = open_run(job.root, job.run_id, job.compute)
            execute_run(
                study,
                run,
                job.cache_dir,
                lambda step, steps, loss, feedback: report(
                    RunProgress(job.run_id, job.label, step, steps, loss, *_counts(feedback))
                ),
            )
    except RunInUseError as error:
        return outcome(str(error), Obstacle.IN_USE)
    except ShortOfMemoryError as error:
        return outcome(str(error), Obstacle.OUT_OF_MEMORY)
    except UserError as error:
        return outcome(str(error))
    except Exception as error:  # noqa: BLE001 - whatever a run dies of, the others go on; the record keeps the reason
        return outcome(f"{type(error).__name__}: {' '.join(str(error).split())}")
    return RunOutcome(job.run_id, job.label)


def _counts(feedback: ClassFeedback | None) -> tuple[tuple[tuple[int, int, int], ...] | None, int | None]:
    """What validation counted and when, in plain numbers, which travel between processes."""
    if feedback is None:
        return None, None
    counts = zip(feedback.tp.tolist(), feedback.fp.tolist(), feedback.fn.tolist(), strict=True)
    return tuple(counts), feedback.step
