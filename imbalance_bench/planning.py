"""Check everything that can be checked before training, then write the plan that makes a directory a study."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from imbalance_bench.config import TIED_STRIDE_PX, ModelSection, StudyConfig
from imbalance_bench.errors import UserError
from imbalance_bench.manifest import canonical_hash, write_atomically, write_json
from imbalance_bench.models.encoders import model_weights_identity, require_known_encoder
from imbalance_bench.models.segmenter import CLASS_QUERY, require_known_architecture
from imbalance_bench.models.size_check import require_model_fits
from imbalance_bench.preregistration import primary_choices
from imbalance_bench.records import read_json
from imbalance_bench.study import OnProgress, Study, build_context, model_identity, shared_identity
from imbalance_bench.study_data import dataset_facts, read_study_data
from imbalance_bench.tuning.section import TUNING_FOLDER
from methods.base import Requirement
from methods.composition import SlotConflictError, compose


def prepare_study(config: StudyConfig, root: Path, on_progress: OnProgress, *, write: bool = True) -> Study:
    """Check everything that can be checked before training, then write the plan.

    Args:
        config: The study file.
        root: The study directory; may hold an earlier plan that this one extends.
        on_progress: Called while data is read.
        write: False to check only.

    Raises:
        UserError: Anything is wrong; nothing has been written.
    """
    earlier = earlier_plan(root)
    _require_extension(config, root, earlier)
    weights = {model.label: _checked_names(model) for model in config.each_model}
    data = read_study_data(config.dataset, config.splits, on_progress)
    study = Study(root, config, data.dataset, data.taxonomy, data.splits, data.counts, data.data_hash, weights)
    require_same_material(root, study.hashes, earlier)
    sizes_px = {"training.crop_px": config.training.crop_px, "dataset.tile_px": config.dataset.tile_px}
    for model in config.each_model:
        _require_methods_fit(study.of(model))
        require_model_fits(model, n_classes=len(study.taxonomy.names), sizes_px=sizes_px)
    if write:
        _write_plan(study, earlier)
    return study


def _checked_names(model: ModelSection) -> str:
    """Refuse unknown names, and return the identity of the encoder's weights."""
    require_known_architecture(model.architecture)
    for name in model.encoders:
        require_known_encoder(name)
    return model_weights_identity(model)


def earlier_plan(root: Path, origin: str | None = None) -> dict[str, Any]:
    """Return the plan that the directory holds, or an empty one for a new directory.

    Args:
        root: The study directory.
        origin: Where its runs come from: None: training; FOREIGN: `score`.

    Raises:
        UserError: The directory holds something else.
    """
    if (root / "plan.json").exists():
        plan = read_json(root / "plan.json")
        if plan.get("origin") != origin:
            held = "runs of its own" if origin else "scores of predictions that were made elsewhere"
            raise UserError(f"{root} holds a study with {held}. Give another --out.")
        return plan
    if root.exists() and any(child.name != TUNING_FOLDER for child in root.iterdir()):
        raise UserError(f"{root} holds files that are no study of imbalance-bench. Give another --out.")
    return {}


def _require_methods_fit(study: Study) -> None:
    """Refuse methods whose needs the study does not meet, or that do not compose."""
    architecture = study.config.model.architecture
    without_validation = [number for number, fold in enumerate(study.splits.folds) if not fold.val]
    for method in study.config.methods:
        needs = method.requirements()
        if Requirement.CLASS_QUERY in needs and architecture != CLASS_QUERY:
            raise UserError(
                f"Method '{method.label}' needs `model.architecture: {CLASS_QUERY}`. Got {architecture}, whose decoder "
                "has no attention that is normalised over class tokens, so the method would have nothing to act on."
            )
        if Requirement.CLASSIFIER_NORM in needs and study.config.model.decoder in TIED_STRIDE_PX:
            raise UserError(
                f"Method '{method.label}' changes the norms of classifiers, and with `model.decoder: "
                f"{study.config.model.decoder}` all of them are 1. Set another decoder, or leave the method out."
            )
        if Requirement.SEVERAL_CROPS in needs and study.config.training.batch_size < 2:
            raise UserError(
                f"Method '{method.label}' copies between the crops of a batch. Got `training.batch_size: 1`. "
                "Set 2 or more."
            )
        if Requirement.VALIDATION_FEEDBACK in needs and without_validation:
            raise UserError(
                f"Method '{method.label}' needs a validation split, and fold {without_validation[0]} has none. "
                "Set `splits.validation_fraction` above 0."
            )
        try:
            compose(method.parts, build_context(study, study.runs[0], stage=0, finished=()))
        except (SlotConflictError, ValueError) as error:
            raise UserError(f"Method '{method.label}': {error}") from error


def _require_extension(config: StudyConfig, root: Path, earlier: dict[str, Any]) -> None:
    """Refuse to mix runs of two recipes in one directory."""
    if not earlier:
        return
    shared = {key: value for key, value in earlier["identity"].items() if key != "model"}
    changed = first_difference(shared, shared_identity(config)) or _changed_model(config, earlier)
    if not changed:  # plans of earlier versions say nothing of what could not be counted yet
        known = earlier.get("evaluation", {})
        now = {key: value for key, value in _evaluation(config).items() if key in known}
        changed = first_difference(known, now, "evaluation")
    if changed:
        raise UserError(
            f"{root} holds a study with {changed}. Give another --out, or the settings that it was started with."
        )
    known = earlier["methods"]
    for method in config.methods:
        if method.label in known and known[method.label] != method.resolved():
            raise UserError(
                f"{root} holds runs of '{method.label}' with other options. Give this method a `label` of its own."
            )


def _changed_model(config: StudyConfig, earlier: dict[str, Any]) -> str:
    """Describe a model of the earlier plan that this study has changed, or return an empty string.

    A list of models may grow, and one model may become the first of a list: run ids do not depend on labels.
    """
    before, now = _models(earlier), {model.label: model_identity(model) for model in config.each_model}
    if None in before and None not in now:
        return "" if before[None] in now.values() else "a `model` that is not among `models`"
    if None in now and None not in before:
        return f"the list `models` ({', '.join(map(str, before))}) instead of one `model`"
    for label in before.keys() & now.keys():
        changed = first_difference(before[label], now[label], f"model '{label}'" if label else "model")
        if changed:
            return changed
    return ""


def _models(plan: dict[str, Any]) -> dict[str | None, Any]:
    """Models of a plan by label; a study with one has no label and keeps it within the identity."""
    if "model" in plan.get("identity", {}):
        return {None: plan["identity"]["model"]}
    return plan.get("models", {})


def require_same_material(root: Path, hashes: dict[str, str], earlier: dict[str, Any]) -> None:
    """Refuse to mix runs on other data, splits or encoder weights in one directory."""
    before = earlier["hashes"] if earlier else hashes
    for name, value in hashes.items():
        known = before.get(name, value)
        if known != value:
            raise UserError(
                f"{root} holds a study whose {name} were others (hash {known[:12]}, now {value[:12]}). "
                "Give another --out."
            )


def first_difference(before: Any, now: Any, path: str = "") -> str:
    """Describe the first value that differs, or return an empty string."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            found = first_difference(before.get(key), now.get(key), f"{path}.{key}".lstrip("."))
            if found:
                return found
        return ""
    return "" if before == now else f"`{path}` {before!r} instead of {now!r}"


def _write_plan(study: Study, earlier: dict[str, Any]) -> None:
    """Write study.yaml, splits.json, dataset.json and, last, plan.json, which makes the directory a study."""
    root, config = study.root, study.config
    text = yaml.safe_dump(config.dump(), sort_keys=False, allow_unicode=True)
    write_atomically(root / "study.yaml", lambda file: file.write(text.encode()))
    study.splits.save(root / "splits.json")
    write_json(root / "dataset.json", _dataset_facts(study))
    analysis = config.analysis.model_dump(mode="json") | {"control": config.control} | primary_choices()
    runs = {run.run_id: run.planned() for run in study.runs}
    single = {} if config.models else {"model": model_identity(config.model)}
    models = {model.label: model_identity(model) for model in config.models}
    earlier_models = {label: model for label, model in _models(earlier).items() if label is not None}
    trained = bool(earlier) and bool(study.records.finished())
    write_json(
        root / "plan.json",
        {
            "name": config.name,
            "created": earlier.get("created", datetime.now(UTC).isoformat(timespec="seconds")),
            "identity": shared_identity(config) | single,
            **({"models": earlier_models | models} if models else {}),
            "methods": earlier.get("methods", {}) | {m.label: m.resolved() for m in config.methods},
            "hashes": _grown_hashes(study, earlier),
            # what was planned earlier stays in the study: a plan only grows
            "runs": list((_planned_earlier(study, earlier) | runs).values()),
            "evaluation": _evaluation(config),
            "analysis": analysis,
            # of the plan that the first run was trained under: `analyze` says so when it was changed afterwards
            "analysis_hash": earlier["analysis_hash"] if trained else canonical_hash(analysis),
        },
    )


def _planned_earlier(study: Study, earlier: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Runs of the earlier plan by id; where its one model has become one of several, they get that model's label."""
    rows = {run["run_id"]: run for run in earlier.get("runs", [])}
    only = _models(earlier).get(None)
    if only is None or not study.config.models:
        return rows
    label = next(model.label for model in study.config.models if model_identity(model) == only)
    return {run_id: run | {"model": label} for run_id, run in rows.items()}


def _grown_hashes(study: Study, earlier: dict[str, Any]) -> dict[str, str]:
    """Hashes of the study and, of models that it no longer lists, of the earlier plan."""
    before = earlier.get("hashes", {})
    return {name: value for name, value in before.items() if study.config.models and " of " in name} | study.hashes


def _evaluation(config: StudyConfig) -> dict[str, Any]:
    """What is counted on images: no part of a run's identity, but runs of one directory share it."""
    return config.evaluation.model_dump(mode="json")


def _dataset_facts(study: Study) -> dict[str, Any]:
    models = study.config.models
    return dataset_facts(study.config.dataset, study.data) | {
        # of the first model in a study of several: whose features measure the difficulty of classes
        "encoder_weights_hash": study.weights[study.config.each_model[0].label],
        **({"encoder_weights_hashes": dict(study.weights)} if models else {}),
    }
