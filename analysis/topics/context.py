"""What a topic of the analysis may read: the study, its plan, and the results of the topics before it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from analysis.scoring.units import UnitCounts, complete_block, method_units
from analysis.study.runs import AnalysisPlan, StudyTables
from analysis.verdicts import Verdict, Word
from imbalance_bench.errors import UserError
from imbalance_bench.records import RunRecord, StudyRecords

NOT_RECORDED = (
    "their runs did not record them, as runs of earlier versions did not; a run in a new directory records them"
)
OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class TopicResult:
    """Tables and verdicts of one topic.

    Args:
        tables: Table name -> frame, as in `analysis.schema.COLUMNS`.
        verdicts: In the order in which they are read.
    """

    tables: Mapping[str, pd.DataFrame]
    verdicts: tuple[Verdict, ...] = ()


@dataclass
class Context:
    """The study, and the topics analysed so far.

    Args:
        records: The study directory.
        study: Its records as frames.
        plan: What was decided before anything ran.
        report: Called with (what, done, of).
        cache_dir: Where `run` cached frozen features, or None.
        tables: Table name -> frame, of all topics so far.
        verdicts: Of all topics so far.
    """

    records: StudyRecords
    study: StudyTables
    plan: AnalysisPlan
    report: OnProgress
    cache_dir: Path | None
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)

    @cached_property
    def unit(self) -> str:
        """What is independent: `group`, or `image`."""
        return self.plan.unit_kind(bool(self.study.dataset.get("groups_known", False)))

    @cached_property
    def units(self) -> dict[str, UnitCounts]:
        """Counts of every method, arranged by unit."""
        return method_units(self.study, self.unit)

    @cached_property
    def n_occurring(self) -> int:
        """Classes that have training pixels in some fold."""
        return int(pd.DataFrame(self.study.occurring).any().sum())

    def word(self, verdict_id: str) -> Word | None:
        """Return the word of an earlier verdict, or None if there is none of that id."""
        return next((each.verdict for each in self.verdicts if each.id == verdict_id), None)

    def recorded(self, method: str, read: Callable[[RunRecord], pd.DataFrame | None]) -> pd.DataFrame:
        """Return the rows of the scored split of the runs that enter the method's scores, with their seed.

        Args:
            method: Its label.
            read: Reads a table that a run need not have.

        Raises:
            UserError: A run did not record them, or its file is damaged.
        """
        runs = self.study.runs_of(method)
        folds, seeds = complete_block((run.fold, run.seed) for run in runs)
        frames = []
        for run in runs:
            if run.fold not in folds or run.seed not in seeds:
                continue
            rows = read(self.records.run(run.run_id))
            if rows is None:
                raise UserError(NOT_RECORDED)
            frames.append(rows[rows["split"] == self.study.split].assign(seed=run.seed))
        return pd.concat(frames, ignore_index=True)

    def add(self, result: TopicResult) -> None:
        """Take over the result of a topic."""
        self.tables.update(result.tables)
        self.verdicts.extend(result.verdicts)
