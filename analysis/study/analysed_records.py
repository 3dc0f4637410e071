"""The records that an analysis rests on, so that who reads its tables later can tell whether they are still these."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from imbalance_bench.errors import UserError
from imbalance_bench.manifest import canonical_hash, file_hash, write_json
from imbalance_bench.record_documents import read_document
from imbalance_bench.records import StudyRecords

RECORDS_FILE = "records.json"  # in the folder of the analysis, written after everything else


class OutdatedAnalysisError(UserError):
    """The tables of an analysis do not belong to the records of the study, with the reason and what to do."""

    def __init__(self, folder: Path, reason: str) -> None:
        again = f"Run `imbalance-bench analyze {folder.parent}` again."
        super().__init__(f"{folder} {reason}. {again}", exit_code=1)


@dataclass(frozen=True)
class AnalysedRecords:
    """What decides the content of an analysis.

    Attributes:
        plan: Hash (hex) of the analysis plan and the planned runs.
        runs: Run id -> hash (hex) of the manifest, which holds the hashes of the tables; of every finished run.
    """

    plan: str
    runs: Mapping[str, str]

    @classmethod
    def of(cls, records: StudyRecords) -> "AnalysedRecords":
        """Return those of a study as it is now.

        Raises:
            UserError: plan.json is missing or damaged.
        """
        plan = records.plan()
        ids = [str(run["run_id"]) for run in plan["runs"]]
        finished = (run for run in map(records.run, ids) if run.is_done())
        planned = canonical_hash({"analysis": plan.get("analysis"), "runs": plan["runs"]})
        return cls(planned, {run.run_id: _digest(run.path / "manifest.json") for run in finished})

    @classmethod
    def read(cls, folder: Path) -> "AnalysedRecords":
        """Return those that the analysis in a folder rests on.

        Raises:
            OutdatedAnalysisError: The analysis was interrupted, or is of an earlier version.
        """
        try:
            content = read_document(folder / RECORDS_FILE)
            return cls(str(content["plan"]), {str(run): str(digest) for run, digest in content["runs"].items()})
        except (UserError, KeyError, AttributeError):
            reason = f"is not complete, or of an earlier version (it has no readable {RECORDS_FILE})"
            raise OutdatedAnalysisError(folder, reason) from None

    def write(self, folder: Path) -> None:
        """Write them beside the tables of the analysis."""
        write_json(folder / RECORDS_FILE, {"plan": self.plan, "runs": dict(self.runs)})


def newly_finished(folder: Path, records: StudyRecords) -> int:
    """Return how many runs have finished since an analysis was made.

    Args:
        folder: Folder of the analysis.
        records: The study.

    Raises:
        OutdatedAnalysisError: The plan is another one, or a run of the analysis has changed or is gone.
    """
    analysed, current = AnalysedRecords.read(folder), AnalysedRecords.of(records)
    if analysed.plan != current.plan:
        raise OutdatedAnalysisError(folder, f"was made before {records.root}/plan.json changed")
    changed = sorted(run for run, digest in analysed.runs.items() if current.runs.get(run) != digest)
    if changed:
        number = f"{len(changed)} of its {len(analysed.runs)} runs"
        raise OutdatedAnalysisError(folder, f"is of other records: {number} changed since or are gone ({changed[0]})")
    return len(current.runs) - len(analysed.runs)


def _digest(path: Path) -> str:
    """Return the SHA-256 (hex) of a file, empty where it cannot be read."""
    try:
        return file_hash(path)
    except OSError:
        return ""
