"""Standard deviations over slides and seeds, estimated from a pilot study."""

from pathlib import Path

from analysis.scoring.spread import Spread, spread_of
from analysis.study.runs import AnalysisPlan, read_study
from imbalance_bench.errors import UserError
from imbalance_bench.records import StudyRecords


def pilot_spread(root: Path) -> Spread:
    """Estimate the spread of differences between methods from a finished study.

    Raises:
        UserError: No study, or fewer than two slides or two seeds that a method shares with its control.
    """
    records = StudyRecords.open(root)
    study, plan = read_study(records), AnalysisPlan.of(records)
    spread = spread_of(study, plan)
    if spread is None:
        unit = plan.unit_kind(bool(study.dataset.get("groups_known", False)))
        raise UserError(f"{root}: a pilot needs two finished seeds and two {unit}s of a method and its control.")
    return spread
