"""Whether all runs of a study used the same software, code, threads, precision and kind of device.

Runs are paired by seed, and the same seed gives the same start and the same batches only where the arithmetic is the
same. A difference between methods that were trained in different environments may come from the environment.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.schema import rows_of, table
from analysis.study.runs import RunData
from analysis.topics.context import Context, TopicResult
from analysis.verdicts import Verdict, data_limit

MOST_NAMED = 3  # values of one property in a sentence
CHANGED_FILES = "with changed files"


def analyze(context: Context) -> TopicResult:
    """List the environments of the finished runs, and say so where they differ."""
    # for predictions that were made elsewhere, the records describe only the environment of scoring
    frame = environments([run for run in context.study.data if not run.is_foreign])
    verdict = environment_verdict(frame)
    return TopicResult({"environments": frame}, () if verdict is None else (verdict,))


def environments(runs: Sequence[RunData]) -> pd.DataFrame:
    """Count the runs that were made with each value of each property; table `environments`."""
    rows = [
        {"property": name, "value": value, "run_id": run.run_id, "method": run.method}
        for run in runs
        for name, value in _properties(run.manifest.get("environment", {}))
    ]
    if not rows:
        return table("environments", [])
    grouped = pd.DataFrame(rows).groupby(["property", "value"], sort=True)
    counted = grouped.agg(
        n_runs=("run_id", "size"), methods=("method", lambda methods: ", ".join(dict.fromkeys(methods)))
    )
    return table("environments", counted.reset_index())


def environment_verdict(environments: pd.DataFrame) -> Verdict | None:
    """Say which properties differ between the runs of a study; None if none does.

    Args:
        environments: Table `environments`.
    """
    differing = environments[environments.groupby("property")["value"].transform("size") > 1]
    if differing.empty:
        return None
    values_of = {str(name): _values_text(rows_of(part)) for name, part in differing.groupby("property", sort=False)}
    differences = "; ".join(f"{name} ({values})" for name, values in values_of.items())
    sentence = (
        f"Runs of this study were not made alike: {differences}. A difference between their methods may come from "
        "this. Train them again in one environment to be sure."
    )
    rule = "limited: versions, code, device, precision, threads or determinism of two finished runs differ"
    return data_limit("environment", "environment of the runs", sentence, rule, dict(values_of))


def _values_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write the values of one property, the most frequent first, each with its runs and methods."""
    ordered = sorted(rows, key=lambda row: -int(row["n_runs"]))
    values = [
        f"{row['value']}: {row['n_runs']} run{'' if row['n_runs'] == 1 else 's'} of {row['methods']}"
        for row in ordered[:MOST_NAMED]
    ]
    n_others = len(ordered) - MOST_NAMED
    return "; ".join(values) + (f"; {n_others} other values" if n_others > 0 else "")


def _properties(environment: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the properties that can change a result; the index of the device cannot."""
    for name in ("precision", "deterministic", "threads"):
        if environment.get(name) is not None:
            yield name, str(environment[name])
    if environment.get("device"):
        yield "device", str(environment["device"]).partition(":")[0]
    for name, version in environment.get("versions", {}).items():
        yield name, str(version)
    code = environment.get("code", {})
    if code.get("version"):
        commit = f" at commit {code['commit'][:12]}" if code.get("commit") else ""
        yield "imbalance-bench", f"{code['version']}{commit}{f' {CHANGED_FILES}' if code.get('dirty') else ''}"
