"""The records that an analysis rests on, so that who reads its tables later can tell whether they are still these."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from analysis.schema import TABLES
from imbalance_bench.errors import UserError
from imbalance_bench.manifest import canonical_hash, file_hash, write_json
from imbalance_bench.record_documents import read_document
from imbalance_bench.records import StudyRecords

RECORDS_FILE = "records.json"  # in the folder of the analysis, written after everything else
ELSEWHERE = ("path", "encoder_weights")  # of dataset.json: they differ where a study was moved


class OutdatedAnalysisError(UserError):
    """The tables of an analysis do not belong to the records of the study, with the reason and what to do."""

    def __init__(self, folder: Path, reason: str) -> None:
        again = f"Run `imbalance-bench analyze {folder.parent}` again."
        super().__init__(f"{folder} {reason}. {again}", exit_code=1)


@dataclass(frozen=True)
class AnalysedRecords:
    """What decides the content of an analysis.

    Attributes:
        plan: Hash (hex) of the analysis plan, the planned runs, and what is known of the data set.
        runs: Run id -> hash (hex) of the manifest, which holds the hashes of the tables; of every finished run.
        made_by: Version of this program and hash (hex) of the columns of its tables.
    """

    plan: str
    runs: Mapping[str, str]
    made_by: str

    @classmethod
    def of(cls, records: StudyRecords) -> "AnalysedRecords":
        """Return those of a study as it is now.

        Raises:
            UserError: plan.json or dataset.json is missing or damaged.
        """
        plan, dataset = records.plan(), records.dataset()
        ids = [str(run["run_id"]) for run in plan["runs"]]
        finished = (run for run in map(records.run, ids) if run.is_done())
        facts = {name: value for name, value in dataset.items() if name not in ELSEWHERE}
        planned = canonical_hash({"analysis": plan.get("analysis"), "runs": plan["runs"], "data": facts})
        made_by = f"{metadata.version('imbalance-bench')} {canonical_hash(_columns())}"
        return cls(planned, {run.run_id: _digest(run.path / "manifest.json") for run in finished}, made_by)

    @classmethod
    def read(cls, folder: Path) -> "AnalysedRecords":
        """Return those that the analysis in a folder rests on.

        Raises:
            OutdatedAnalysisError: The analysis was interrupted, lacks a file, or is of an earlier version.
        """
        try:
            content = read_document(folder / RECORDS_FILE)
            runs = {str(run): str(digest) for run, digest in content["runs"].items()}
            found = cls(str(content["plan"]), runs, str(content["made_by"]))
        except (UserError, KeyError, AttributeError):
            reason = f"is not complete, or of an earlier version (it has no readable {RECORDS_FILE})"
            raise OutdatedAnalysisError(folder, reason) from None
        for name in ("verdicts.json", *(f"{table}.csv" for table in TABLES)):
            if not (folder / name).exists():
                raise OutdatedAnalysisError(folder, f"is not complete (it lacks {name})")
        return found

    def write(self, folder: Path) -> None:
        """Write them beside the tables of the analysis."""
        write_json(folder / RECORDS_FILE, {"plan": self.plan, "runs": dict(self.runs), "made_by": self.made_by})


def newly_finished(folder: Path, records: StudyRecords) -> int:
    """Return how many runs have finished since an analysis was made.

    Args:
        folder: Folder of the analysis.
        records: The study.

    Raises:
        OutdatedAnalysisError: Another version made it, the plan is another one, or a run of the analysis has changed or
            is gone.
    """
    analysed, current = AnalysedRecords.read(folder), AnalysedRecords.of(records)
    if analysed.made_by != current.made_by:
        raise OutdatedAnalysisError(folder, "was made by another version of this program")
    if analysed.plan != current.plan:
        raise OutdatedAnalysisError(folder, f"was made before plan.json or dataset.json of {records.root} changed")
    changed = sorted(run for run, digest in analysed.runs.items() if current.runs.get(run) != digest)
    if changed:
        number = f"{len(changed)} of its {len(analysed.runs)} runs"
        raise OutdatedAnalysisError(folder, f"is of other records: {number} changed since or are gone ({changed[0]})")
    return len(current.runs) - len(analysed.runs)


def _columns() -> dict[str, list[str]]:
    return {name: list(table.columns) for name, table in TABLES.items()}


def _digest(path: Path) -> str:
    """Return the SHA-256 (hex) of a file, empty where it cannot be read."""
    try:
        return file_hash(path)
    except OSError:
        return ""
