"""Everything needed to run the study again, from the manifests of its runs."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from analysis.reading.analysed_study import AnalysedStudy
from imbalance_bench.errors import UserError
from imbalance_bench.record_documents import read_document
from imbalance_bench.records import FOREIGN

Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class Provenance:
    """The content of the section "Reproduce".

    Args:
        facts: Label -> value: digests, versions, devices. Several values if runs differ.
        methods: Method -> its configuration as readable JSON.
        commands: Shell lines.
    """

    facts: dict[str, str]
    methods: dict[str, str]
    commands: list[str]


def provenance(study: AnalysedStudy) -> Provenance:
    """Collect provenance from plan.json, dataset.json and the manifests of finished runs."""
    runs = study.table("runs")
    finished = runs[runs["state"] == "done"]
    manifests = {}
    for run_id, method in zip(finished["run_id"], finished["method"], strict=True):
        try:
            manifests[str(run_id)] = (str(method), study.records.run(str(run_id)).manifest())
        except UserError:
            continue  # the run is listed with its state in the table of runs
    contents = [manifest for _, manifest in manifests.values()]
    plan_hash = ""
    if (path := study.root / "analysis" / "verdicts.json").exists():
        plan_hash = str(read_document(path).get("plan_hash", ""))
    facts = {
        "Data set": str(study.dataset.get("data_hash", "")),
        "Splits": _values(contents, "hashes", "splits"),
        "Encoder weights": _values(contents, "hashes", "encoder_weights"),
        "Analysis plan": plan_hash,
        "Model": _values(contents, "model"),
        "Device": _values(contents, "environment", "device"),
        "Precision": _values(contents, "environment", "precision"),
        "Deterministic": _values(contents, "environment", "deterministic"),
        "Threads": _values(contents, "environment", "threads"),
        "Code": _values(contents, "environment", "code"),
        "Versions": _values(contents, "environment", "versions"),
    }
    of_methods: dict[str, dict[str, Manifest]] = {}
    for method, manifest in manifests.values():
        of_methods.setdefault(method, {}).setdefault(f"fold {manifest.get('fold')}", manifest)
    methods = {
        method: json.dumps(_configuration(by_fold), indent=2, ensure_ascii=False, sort_keys=True)
        for method, by_fold in of_methods.items()
    }
    name = study.root.name
    first = "score {}/foreign.yaml --out {}" if study.plan.get("origin") == FOREIGN else "run {}/study.yaml --out {}"
    commands = [
        f"imbalance-bench {first.format(name, name)}",
        f"imbalance-bench analyze {name}",
        f"imbalance-bench report {name}",
    ]
    return Provenance({key: value for key, value in facts.items() if value}, methods, commands)


def _configuration(by_fold: Mapping[str, Manifest]) -> dict[str, Any]:
    """Return what a method was trained with; under the name of each fold where settings were chosen for each."""
    contents = {
        fold: {key: manifest[key] for key in ("method", "model", "training", "predictions") if key in manifest}
        for fold, manifest in by_fold.items()
    }
    first = next(iter(contents.values()))
    return first if all(each.get("method") == first.get("method") for each in contents.values()) else contents


def _values(manifests: Iterable[Manifest], *path: str) -> str:
    """Return the distinct values at a path, in order of appearance; empty if no manifest has one."""
    distinct: dict[str, None] = {}
    for manifest in manifests:
        value: Any = manifest
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value not in (None, {}, ""):
            distinct[_text(value)] = None
    return "; ".join(distinct)


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items() if item is not None)
    return str(value)
