"""From a study directory to tables and verdicts: the entry point of the analysis."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.answers import answers
from analysis.schema import TABLES
from analysis.schema.files import readme, write_table
from analysis.study.analysed_records import RECORDS_FILE, AnalysedRecords
from analysis.study.consolidation import consolidated_records
from analysis.study.pairing import require_pairs
from analysis.study.runs import AnalysisPlan, read_study
from analysis.topics import TOPICS
from analysis.topics.context import Context, OnProgress
from analysis.verdicts import Verdict
from imbalance_bench.data.unchanged import require_unchanged
from imbalance_bench.manifest import canonical_hash, write_atomically, write_json
from imbalance_bench.records import StudyRecords


@dataclass(frozen=True)
class StudyAnalysis:
    """What `analyze_study` computed and wrote.

    Args:
        folder: Folder of the files.
        tables: Table name -> frame, as in `schema.TABLES`.
        verdicts: Every verdict, the most important ones first.
    """

    folder: Path
    tables: dict[str, pd.DataFrame]
    verdicts: tuple[Verdict, ...]


def analyze_study(root: Path, *, cache_dir: Path | None = None, on_progress: OnProgress | None = None) -> StudyAnalysis:
    """Analyse a study and write `analysis/*.csv`, its README and `verdicts.json`; the same records give the same bytes.

    Args:
        root: Study directory.
        cache_dir: Where `run` cached frozen features; without them, context is not measured, and a verdict says so.
        on_progress: Called with (step, number done, total number).

    Raises:
        UserError: Not a study, no finished run, a data set that has changed, or runs that must not be paired.
    """
    report = on_progress or (lambda *_: None)
    records = consolidated_records(StudyRecords.open(Path(root)), report)
    analysed = AnalysedRecords.of(records)  # before they are read: a run that finishes meanwhile is a new one
    plan, study = AnalysisPlan.of(records), read_study(records)
    require_unchanged(records.root, study.dataset)
    require_pairs(study.data, study.split)
    context = Context(records, study, plan, report, cache_dir)
    for step in TOPICS.values():
        context.add(step.analyze(context), step.judges)
    verdicts = (*answers(context), *context.verdicts)
    result = StudyAnalysis(records.root / "analysis", {name: context.tables[name] for name in TABLES}, verdicts)
    _write(result, records.plan(), analysed)
    return result


def _write(result: StudyAnalysis, plan: dict, analysed: AnalysedRecords) -> None:
    result.folder.mkdir(parents=True, exist_ok=True)
    (result.folder / RECORDS_FILE).unlink(missing_ok=True)  # until all is written, the tables are of two analyses
    for name, frame in result.tables.items():
        write_table(result.folder, name, frame)
    write_atomically(result.folder / "README.md", lambda file: file.write(readme().encode()))
    plan_hash = plan.get("analysis_hash") or canonical_hash(plan["analysis"])
    content = {"plan_hash": plan_hash, "verdicts": [verdict.as_json() for verdict in result.verdicts]}
    write_json(result.folder / "verdicts.json", content)
    analysed.write(result.folder)
