"""What a topic of the analysis may read: the study, its plan, and the results of earlier topics."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from analysis.scoring.image_rows import complete_block
from analysis.scoring.units import UnitCounts, method_units
from analysis.study.runs import AnalysisPlan, StudyTables
from analysis.verdicts import Topic, Verdict, Word, data_limit
from imbalance_bench.errors import UserError
from imbalance_bench.records import RunRecord, StudyRecords

NOT_RECORDED = (
    "their runs did not record them, as runs of earlier versions did not; a run in a new directory records them"
)
NOT_GIVEN = "their predictions were made elsewhere and came without them"
OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class TopicResult:
    """Tables and verdicts of one topic.

    Args:
        tables: Table name -> frame, as in `analysis.schema.TABLES`.
        verdicts: In reading order.
    """

    tables: Mapping[str, pd.DataFrame]
    verdicts: tuple[Verdict, ...] = ()


def not_recorded(aspect: str, subject: str, files: str, reasons: Mapping[str, str]) -> tuple[Verdict, ...]:
    """Name the methods for which something was not recorded; no verdict if there are none.

    Args:
        aspect: Aspect of the verdict.
        subject: What cannot be judged, in words.
        files: The records that are missing.
        reasons: Method -> reason.
    """
    if not reasons:
        return ()
    reason = "; ".join(dict.fromkeys(reasons.values()))
    verdict = data_limit(
        aspect,
        aspect,
        f"Nothing is said about {subject} of {', '.join(reasons)}: {reason}.",
        f"limited: a scored run has no readable {files}",
        {"methods": len(reasons)},
    )
    return (verdict,)


@dataclass
class Context:
    """The study, and the topics analysed so far.

    Args:
        records: The study directory.
        study: Its records as frames.
        plan: What was decided before anything ran.
        report: Called with (step, number done, total number).
        cache_dir: Where `run` cached frozen features, or None.
        tables: Table name -> frame, of all topics so far.
        verdicts: Verdicts of all topics so far.
        judged_topics: Topics on which these give verdicts, even if there was nothing to judge.
    """

    records: StudyRecords
    study: StudyTables
    plan: AnalysisPlan
    report: OnProgress
    cache_dir: Path | None
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    judged_topics: set[Topic] = field(default_factory=set)

    @cached_property
    def unit(self) -> str:
        """The independent unit: `group` or `image`."""
        return self.plan.unit_kind(bool(self.study.dataset.get("groups_known", False)))

    @cached_property
    def units(self) -> dict[str, UnitCounts]:
        """Counts of every method, arranged by unit."""
        return method_units(self.study, self.unit)

    @cached_property
    def n_occurring(self) -> int:
        """The number of classes that have training pixels in some fold."""
        return int(pd.DataFrame(self.study.occurring).any().sum())

    def verdicts_on(self, topic: Topic) -> list[Verdict]:
        """Return the verdicts on a topic.

        Raises:
            LookupError: No step that judges this topic has run yet, so "no verdict" would mean nothing.
        """
        if topic not in self.judged_topics:
            raise LookupError(f"no verdict on '{topic}' can be asked for before it is judged; it must come earlier")
        return [verdict for verdict in self.verdicts if verdict.topic == topic]

    def word(self, topic: Topic, *, method: str, estimand: str) -> Word | None:
        """Return the word of the verdict on an estimand of a method, or None if there is no verdict on it.

        Raises:
            LookupError: The topic has not been judged.
        """
        key = ("", method, estimand)
        verdicts = self.verdicts_on(topic)
        return next(
            (verdict.word for verdict in verdicts if (verdict.aspect, verdict.method, verdict.estimand) == key), None
        )

    def recorded(self, method: str, read: Callable[[RunRecord], pd.DataFrame | None]) -> pd.DataFrame:
        """Return the rows of the scored split of the runs that enter the method's scores, with their seed and fold.

        Args:
            method: Label of the method.
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
                raise UserError(NOT_GIVEN if run.is_foreign else NOT_RECORDED)
            frames.append(rows[rows["split"] == self.study.split].assign(seed=run.seed, fold=run.fold))
        return pd.concat(frames, ignore_index=True)

    def add(self, result: TopicResult, judges: Iterable[Topic]) -> None:
        """Add the result of a step that gives verdicts on the topics `judges`."""
        self.tables.update(result.tables)
        self.verdicts.extend(result.verdicts)
        self.judged_topics.update(judges)
