"""What a study says of its methods, as the commands say it: for comparison before and after a fault."""

import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from analysis.schema.files import csv_text
from analysis.study.pairing import require_pairs
from analysis.study.runs import AnalysisPlan, read_study
from analysis.topics import TOPICS
from analysis.topics.context import Context
from imbalance_bench.errors import UserError
from imbalance_bench.records import StudyRecords


@dataclass(frozen=True)
class Said:
    """What was said of a study.

    Attributes:
        code: Exit code.
        digest: Of the scores of each method whose runs are all there, by method; empty where it was refused.
        error: The line of a refusal, or a traceback.
    """

    code: int
    digest: dict[str, str]
    error: str

    @property
    def is_one_line(self) -> bool:
        """True for an answer, or a refusal in one line."""
        return self.code == 0 or (self.code in (1, 2) and "\n" not in self.error.strip())

    def contradicts(self, before: "Said") -> list[str]:
        """Methods that have other scores than before; one that is missing or refused has none."""
        return [name for name, found in self.digest.items() if before.digest.get(name) != found]


def score(root: Path) -> Said:
    """Read a study as `analyze` does and compute its scores, in a child of its own; of the topics, `scores` alone."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code, content = 1, ({}, "")
        try:
            code, content = 0, (_scores(root), "")
        except UserError as error:
            code, content = error.exit_code, ({}, str(error))
        except BaseException as error:  # noqa: BLE001 - a crash is what is looked for
            code, content = 3, ({}, f"Traceback\n{type(error).__name__}: {error}")
        finally:
            os.write(write, json.dumps(content).encode()[:60_000])
            sys.stderr.flush()
            os._exit(code)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        raw = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    digest, error = json.loads(raw) if raw else ({}, "no answer")
    return Said(code, digest, error)


def _scores(root: Path) -> dict[str, str]:
    records = StudyRecords.open(root)
    plan, study = AnalysisPlan.of(records), read_study(records)
    require_pairs(study.data, study.split)
    context = Context(records, study, plan, lambda _what, _done, _of: None, None)
    for name in ("scores", "boundaries", "probability_calibration"):
        context.add(TOPICS[name].analyze(context), TOPICS[name].judges)
    planned = [run["method"] for run in records.plan()["runs"]]
    frames = {
        name: context.tables[name] for name in ("class_scores", "method_scores", "boundary_scores", "calibration")
    }
    found = {}
    for method in dict.fromkeys(planned):
        if len(study.runs_of(method)) < planned.count(method):
            continue  # fewer runs are another sample, and `runs.csv` and a verdict say so
        texts = [csv_text(name, each[each["method"] == method]) for name, each in frames.items() if len(each)]
        found[method] = hashlib.sha256("".join(texts).encode()).hexdigest()
    return found
