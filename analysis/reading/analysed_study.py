"""What figures and report read: the tables that `analyze` wrote and the study's own files. Nothing is computed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.reading.palette import MethodMark, class_colours, method_marks
from analysis.schema.files import AGAIN, read_table
from analysis.scoring.metrics import headline
from analysis.study.analysed_records import newly_finished
from analysis.verdicts import Topic, Verdict
from imbalance_bench.data.unchanged import require_unchanged
from imbalance_bench.errors import UserError
from imbalance_bench.record_documents import read_document
from imbalance_bench.records import StudyRecords

MOST_PANELS = 8  # methods in a figure with a row, column or matrix for each


class NotDrawableError(UserError):
    """A figure that this study cannot have, with the reason in one sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, exit_code=1)


@dataclass(frozen=True)
class AnalysedStudy:
    """A study directory that has been analysed.

    Args:
        root: The study directory.
        newer_runs: How many runs had finished since the analysis when it was opened, and so are not in it.
    """

    root: Path
    newer_runs: int

    @classmethod
    def open(cls, root: Path) -> "AnalysedStudy":
        """Open an analysed study.

        Raises:
            UserError: `root` is not a study directory, `analyze` has not run, or data set, plan or runs have changed
                since.
        """
        records = StudyRecords.open(root)
        if not (root / "analysis").is_dir():
            raise UserError(f"{root}/analysis does not exist. Run `imbalance-bench analyze {root}` first.")
        require_unchanged(root, records.dataset())
        return cls(root, newly_finished(root / "analysis", records))

    @property
    def remark(self) -> str:
        """A sentence on runs that are not in the analysis; empty if all are."""
        n = self.newer_runs
        more = f"{n} more run{'s have' if n > 1 else ' has'} finished"
        return f"{more} since {self.root} was analysed. Run `imbalance-bench analyze {self.root}` again." if n else ""

    @cached_property
    def records(self) -> StudyRecords:
        """The study's records."""
        return StudyRecords(self.root)

    @cached_property
    def plan(self) -> dict[str, Any]:
        """Content of plan.json."""
        return self.records.plan()

    @cached_property
    def dataset(self) -> dict[str, Any]:
        """Content of dataset.json."""
        return self.records.dataset()

    @cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts, most important first within each topic; empty where `analyze` wrote none.

        Raises:
            UserError: The file was written by another version, or is damaged.
        """
        path = self.root / "analysis" / "verdicts.json"
        if not path.exists():
            return ()
        try:
            return tuple(Verdict.from_json(entry) for entry in read_document(path).get("verdicts", []))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path}: not readable ({error}). {AGAIN}", exit_code=1) from error

    @cached_property
    def controls(self) -> tuple[str, ...]:
        """Methods that the others are compared with (one per model)."""
        planned = str(self.plan.get("analysis", {}).get("control") or "")
        return tuple(dict.fromkeys(self.table("comparisons")["control"])) or (planned,)

    @cached_property
    def methods(self) -> list[str]:
        """Every planned method, controls first, then in the order of the plan."""
        planned = dict.fromkeys(self.table("runs")["method"])
        return sorted(planned, key=lambda method: method not in self.controls)

    def shown(self, methods: Sequence[str]) -> tuple[list[str], str]:
        """Return the methods for which a figure with one panel each has room, and a sentence on the others.

        Args:
            methods: In the order of the study, controls first.
        """
        if len(methods) <= MOST_PANELS:
            return list(methods), ""
        left = f"{len(methods) - MOST_PANELS} of {len(methods)} methods"
        return list(methods[:MOST_PANELS]), f"For want of room {left} are left out, the last in the order of the study."

    @cached_property
    def marks(self) -> dict[str, MethodMark]:
        """Colour and marker of each method."""
        return method_marks(self.methods, self.controls)

    @cached_property
    def class_names(self) -> list[str]:
        """Class names in the order of their ids."""
        return [str(class_["name"]) for class_ in self.dataset["classes"]]

    @cached_property
    def class_colour(self) -> dict[str, str]:
        """Legible colour of each class."""
        colours = class_colours([str(class_["colour"]).lower() for class_ in self.dataset["classes"]])
        return dict(zip(self.class_names, colours, strict=True))

    @cached_property
    def aggregation(self) -> str:
        """Aggregation of the headline macro Dice: over the units of the tests."""
        groups_known = bool(self.dataset.get("groups_known", False))
        by_image = self.plan.get("analysis", {}).get("unit") == "image" or not groups_known
        return headline("image" if by_image else "group")

    @cached_property
    def scored_folds(self) -> int:
        """The number of folds that intervals are over, as the verdict on them says; 1 without one."""
        found = [
            each.numbers["folds"] for each in self.verdicts if (each.topic, each.aspect) == (Topic.DATA, "overlap")
        ]
        return int(found[0]) if found else 1

    def table(self, name: str) -> pd.DataFrame:
        """Return `analysis/<name>.csv`, or no rows where it was not written.

        Raises:
            UserError: The file is damaged or lacks a column.
        """
        if name not in self._tables:
            self._tables[name] = read_table(self.root / "analysis", name)
        return self._tables[name]

    @cached_property
    def _tables(self) -> dict[str, pd.DataFrame]:
        return {}
