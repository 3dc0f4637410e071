"""From a study directory to tables and verdicts: the one entry of the computing half of `analysis`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis import bias, scores, standing, verdicts
from analysis.answers import method_answer, reason_answers
from analysis.associations import associate
from analysis.columns import COLUMNS, readme, rows_of, table, write_csv
from analysis.comparison import MACRO, compare_methods
from analysis.measures.estimates import measure_table
from analysis.measures.survey import survey
from analysis.pairing import require_pairs
from analysis.tables import AnalysisPlan, StudyTables, read_study
from analysis.verdicts import Verdict, Word
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.splits import Splits
from imbalance_bench.data.taxonomy import Taxonomy
from imbalance_bench.errors import UserError
from imbalance_bench.manifest import canonical_hash, write_atomically, write_json
from imbalance_bench.records import StudyRecords

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class StudyAnalysis:
    """What `analyze_study` found and wrote.

    Args:
        folder: Where the files lie.
        tables: Table name -> frame, as in `columns.COLUMNS`.
        verdicts: Every verdict; the first ones matter most.
    """

    folder: Path
    tables: dict[str, pd.DataFrame]
    verdicts: tuple[Verdict, ...]


def analyze_study(root: Path, *, on_progress: OnProgress | None = None) -> StudyAnalysis:
    """Analyse a study and write `analysis/*.csv`, its README and `verdicts.json`; same records, same bytes.

    Args:
        root: Study directory.
        on_progress: Called with (what, done, of).

    Raises:
        UserError: Not a study, no finished run, or runs that must not be paired.
    """
    report = on_progress or (lambda _what, _done, _of: None)
    records = StudyRecords.open(Path(root))
    plan = AnalysisPlan.of(records)
    study = read_study(records)
    require_pairs(study.data, study.split)
    unit = plan.unit_kind(bool(study.dataset.get("groups_known", False)))
    units = scores.method_units(study, unit)
    tables = {"runs": study.runs, "class_scores": scores.class_scores(study)}
    report("scores", 0, 1)
    tables["method_scores"] = scores.method_scores(study, units, plan)
    tables["unit_scores"] = scores.unit_scores(study, units)
    tables["sensitivity"] = scores.absent_class_sensitivity(units)
    report("scores", 1, 1)
    compared = compare_methods(study, plan, unit)
    tables["learned_bias"] = bias.learned_bias(study)
    tables["bias_trajectories"] = bias.trajectories(study)
    tables["reliability"] = bias.reliability(tables["learned_bias"])
    tables["measures"], skipped = _measures(records, study, plan, report)
    associated = associate(tables["learned_bias"], tables["measures"], plan)

    n_units = max(len(each.units) for each in units.values())
    of_comparisons = [verdicts.comparison_verdict(row, plan) for row in rows_of(compared)]
    of_reliability = [verdicts.reliability_verdict(row, plan) for row in rows_of(tables["reliability"])]
    of_associations = _association_verdicts(associated, tables["reliability"], of_reliability, plan)
    tables["comparisons"] = _with_words("comparisons", compared, of_comparisons)
    tables["associations"] = _with_words("associations", associated, of_associations)
    n_methods = int((compared["class"] == MACRO).sum())
    primary = [each for each, kept in zip(of_associations, associated["primary"], strict=True) if kept]
    found = [
        *method_answer([each for each in of_comparisons if each.id.endswith(f"/{MACRO}")], _controls(compared)),
        *reason_answers([each for each in primary if each.id.split("/")[2] == "change"], _n_occurring(study)),
        *_present(standing.plan_verdict(records.plan()["analysis"], records.plan().get("analysis_hash"))),
        *standing.data_verdicts(study, units, plan),
        *_present(standing.measures_verdict(skipped, tables["measures"])),
        *_present(standing.sensitivity_verdict(tables["sensitivity"], plan.control)),
        standing.correlation_attainability(_n_occurring(study), standing.primary_tests(tables["measures"]), plan),
        standing.comparison_attainability(n_units, unit, n_methods, plan),
        *of_comparisons,
        *of_reliability,
        *primary,
    ]
    result = StudyAnalysis(records.root / "analysis", {name: tables[name] for name in COLUMNS}, tuple(found))
    _write(result, records.plan())
    return result


def _measures(
    records: StudyRecords, study: StudyTables, plan: AnalysisPlan, report: OnProgress
) -> tuple[pd.DataFrame, str]:
    """Return table `measures`, or an empty one and the reason."""
    dataset, path = study.dataset, Path(study.dataset["path"])
    path = path if path.is_absolute() else records.root / path
    if not path.is_dir():
        return table("measures", []), f"the data set is no longer at {path}."
    try:
        source = PreparedDataset.open(path)
        merging = dataset.get("merging", {})
        taxonomy = Taxonomy(source.info, merging.get("groups", {}), merging.get("ignore", ()))
        if taxonomy.names != study.class_names:
            return table("measures", []), f"the data set at {path} has other classes now."
        folds = Splits.load(records.root / "splits.json").folds
        used = sorted({run.fold for run in study.data})
        train = [folds[fold].train for fold in used]
        surveyed = survey(source, taxonomy, train, band_um=plan.boundary_band_um, on_progress=report)
    except UserError as error:
        return table("measures", []), str(error)
    found = measure_table(surveyed, study.class_names, resamples=plan.resamples, seed=plan.seed)
    return found, ""


def _association_verdicts(
    associated: pd.DataFrame, reliability: pd.DataFrame, judged: list[Verdict], plan: AnalysisPlan
) -> list[Verdict]:
    keys = zip(reliability["method"], reliability["estimand"], strict=True)
    words: dict[tuple[str, str], Word] = {key: each.verdict for key, each in zip(keys, judged, strict=True)}
    return [
        verdicts.association_verdict(row, plan, words.get((row["method"], row["estimand"])))
        for row in rows_of(associated)
    ]


def _with_words(name: str, frame: pd.DataFrame, judged: list[Verdict]) -> pd.DataFrame:
    return table(name, frame.assign(verdict=[str(each.verdict) for each in judged])[list(COLUMNS[name])])


def _controls(compared: pd.DataFrame) -> str:
    return " and ".join(dict.fromkeys(compared["control"].astype(str)))


def _n_occurring(study: StudyTables) -> int:
    return int(pd.DataFrame(study.occurring).any().sum())


def _present(verdict: Verdict | None) -> list[Verdict]:
    return [] if verdict is None else [verdict]


def _write(result: StudyAnalysis, plan: dict) -> None:
    result.folder.mkdir(parents=True, exist_ok=True)
    for name, frame in result.tables.items():
        write_csv(result.folder / f"{name}.csv", name, frame)
    write_atomically(result.folder / "README.md", lambda file: file.write(readme().encode()))
    plan_hash = plan.get("analysis_hash") or canonical_hash(plan["analysis"])
    content = {"plan_hash": plan_hash, "verdicts": [each.as_json() for each in result.verdicts]}
    write_json(result.folder / "verdicts.json", content)
