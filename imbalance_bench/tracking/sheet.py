"""What is exported of a study and of a run beside its numbers: settings, hashes, cost, scores, files. No torch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imbalance_bench.records import RunRecord, StudyRecords, run_name
from imbalance_bench.run_ids import of_fold
from imbalance_bench.tracking.history import test_dice

STUDY_FILES = ("study.yaml", "foreign.yaml", "plan.json", "splits.json", "dataset.json")
ANALYSIS_FILES = ("analysis", "report")  # folders, where `analyze` and `report` made them
RUN_FILES = ("manifest.json", "status.json", "predictions")


@dataclass(frozen=True)
class StudySheet:
    """A study.

    Attributes:
        name: As its file says.
        folder: Its directory, absolute.
        settings: Name -> value: the study file in short, flat.
        tags: Hashes of data, splits, weights and plan.
        files: Files and folders to keep with it.
    """

    name: str
    folder: Path
    settings: dict[str, Any]
    tags: dict[str, str]
    files: tuple[Path, ...]

    @classmethod
    def of(cls, study: StudyRecords) -> "StudySheet":
        """Read a study.

        Raises:
            UserError: The plan is damaged.
        """
        plan = study.plan()
        settings = {key: plan[key] for key in ("evaluation", "analysis") if key in plan}
        settings |= {"methods": list(plan.get("methods", {})), "runs": len(plan["runs"])}
        tags = {f"hash/{key}": str(value) for key, value in plan.get("hashes", {}).items()}
        tags |= {"hash/analysis plan": str(plan["analysis_hash"])} if "analysis_hash" in plan else {}
        paths = (study.root / name for name in (*STUDY_FILES, *ANALYSIS_FILES))
        files = tuple(path for path in paths if path.exists())
        return cls(str(plan.get("name") or study.root.name), study.root.resolve(), flat(settings), tags, files)


@dataclass(frozen=True)
class RunSheet:
    """A planned run.

    Attributes:
        run_id: Its id.
        folder_name: For a folder: `[<model>-]<method>-fold<f>-seed<s>`.
        title: For people.
        settings: Name -> value: method, options, model, recipe, fold, seed; flat.
        tags: Hashes of what it rests on.
        record: Its folder.
    """

    run_id: str
    folder_name: str
    title: str
    settings: dict[str, Any]
    tags: dict[str, str]
    record: RunRecord

    @classmethod
    def of(cls, planned: Mapping[str, Any], plan: Mapping[str, Any], record: RunRecord) -> "RunSheet":
        """Put together what the plan says of a run."""
        model, identity = planned.get("model"), plan.get("identity", {})
        settings = {key: planned[key] for key in ("method", "model", "fold", "seed", "architecture") if key in planned}
        method = of_fold(plan.get("methods", {}).get(planned["method"], {}), planned["fold"])
        options = {
            part.get("name", ""): {k: v for k, v in part.items() if k != "name"} for part in method.get("parts", [])
        }
        recipe = {key: method[key] for key in ("recipe", "steps_fraction") if key in method}
        resolved = plan["models"][model] if model is not None and "models" in plan else identity.get("model", {})
        sections = {"options": options, "model": resolved, "training": identity.get("training", {}) | recipe}
        sections |= {"dataset": identity.get("dataset", {})}
        before = f"{model}-" if model is not None else ""
        end = f"fold {planned['fold']} seed {planned['seed']}"
        return cls(
            run_id=record.run_id,
            folder_name=f"{before}{planned['method']}-fold{planned['fold']}-seed{planned['seed']}",
            title=f"{run_name(planned['method'], model)} {end}",
            settings=settings | {key: value for key, value in flat(sections).items() if key not in settings},
            tags={f"hash/{key}": str(value) for key, value in plan.get("hashes", {}).items()},
            record=record,
        )

    def summary(self, class_names: list[str]) -> dict[str, float]:
        """Return test Dice and cost of a finished run.

        Raises:
            UserError: Its tables are damaged.
        """
        scores = {f"test/dice/{name}": value for name, value in test_dice(self.record, class_names).items()}
        manifest = self.record.manifest()
        numbers = flat({"cost": manifest.get("cost", {}), "parameters": manifest.get("parameters", {})})
        return scores | {key: float(value) for key, value in numbers.items() if _is_number(value)}

    @property
    def files(self) -> tuple[Path, ...]:
        """Files and folders to keep with a finished run; the weights stay where they are."""
        return tuple(path for name in RUN_FILES if (path := self.record.path / name).exists())


def flat(content: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return nested settings with names such as `training/augmentation/cached_views`; lists become JSON texts."""
    settings: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping):
            settings |= flat(value, f"{name}/")
        else:
            settings[name] = json.dumps(value) if isinstance(value, list | tuple) else value
    return settings


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
