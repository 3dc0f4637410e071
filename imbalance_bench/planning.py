"""Check everything that can be checked before training, then write the plan that makes a directory a study."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from imbalance_bench.cluster_sections import CLUSTER_KEYS
from imbalance_bench.config import TIED_STRIDE_PX, ModelSection, StudyConfig
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.unchanged import file_marks, known_hash, remember_marks
from imbalance_bench.errors import UserError
from imbalance_bench.locking import locked
from imbalance_bench.manifest import (
    LOCK,
    canonical_hash,
    is_trace_of_a_writer,
    sweep_temporaries,
    write_atomically,
    write_json,
)
from imbalance_bench.models.encoders import model_weights_identity, require_known_encoder
from imbalance_bench.models.resolved_encoders import ResolvedEncoder, require_same, resolve_encoders
from imbalance_bench.models.segmenter import CLASS_QUERY, require_known_architecture
from imbalance_bench.models.size_check import require_model_fits
from imbalance_bench.planned_study import weights_key
from imbalance_bench.preregistration import primary_choices
from imbalance_bench.record_documents import read_document
from imbalance_bench.records import FOREIGN, FOREIGN_FILE, STUDY_FILE, StudyRecords
from imbalance_bench.run_ids import PlannedIds, models_of, without_label
from imbalance_bench.study import OnProgress, Study, method_context, model_identity, shared_identity
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
        write: False to check only; published weights are not fetched then, and not compared with the earlier plan's.

    Raises:
        UserError: Anything is wrong; nothing has been written.
    """
    earlier = earlier_plan(root)
    _require_extension(config, root, earlier)
    weights = {model.label: _checked_names(model) for model in config.each_model}
    dataset = PreparedDataset.open(config.dataset.path)
    marks = file_marks(dataset)
    hash_of_unchanged = known_hash(root, marks)
    data = read_study_data(dataset, config.dataset, config.splits, on_progress, known_hash=hash_of_unchanged)
    planned = PlannedIds.of(earlier)
    study = Study(root, config, dataset, data.taxonomy, data.splits, data.counts, data.data_hash, weights, planned)
    require_same_material(root, study.hashes, earlier)
    sizes_px = {"training.crop_px": config.training.crop_px, "dataset.tile_px": config.dataset.tile_px}
    for model in config.each_model:
        _require_methods_fit(study.of(model))
        require_model_fits(model, n_classes=len(study.taxonomy.names), sizes_px=sizes_px)
    study = replace(study, encoders=_resolved(config, load=write))
    _require_same_encoders(study, earlier)
    if write:
        _write_plan(study)
        remember_marks(root, marks, data.data_hash)
    return study


def _resolved(config: StudyConfig, *, load: bool) -> dict[str | None, tuple[ResolvedEncoder, ...]]:
    """Resolve the encoders of every model of a study, by the model's label."""
    return {
        model.label: resolve_encoders(model, load=load, shared=config.only(model).uses_feature_cache)
        for model in config.each_model
    }


def _checked_names(model: ModelSection) -> str:
    """Refuse unknown names, and return the identity of the encoder's weights."""
    require_known_architecture(model.architecture)
    for name in model.encoders:
        require_known_encoder(name)
    return model_weights_identity(model)


def earlier_plan(root: Path, origin: str | None = None) -> dict[str, Any]:
    """Return the plan that the directory holds, or an empty one for a new directory or where its plan is lost.

    Args:
        root: The study directory.
        origin: Where its runs come from: None: training; FOREIGN: `score`.

    Raises:
        UserError: The directory holds something else.
    """
    if (root / "plan.json").exists():
        plan = StudyRecords(root).plan()
        if plan.get("origin") != origin:
            other_content = "runs of its own" if origin else "scores of predictions that were made elsewhere"
            raise UserError(f"{root} holds a study with {other_content}. Give another --out.")
        return plan
    names = {child.name for child in root.iterdir()} if root.exists() else set[str]()
    # a study whose plan is gone; finished runs keep their ids
    lost = names.issuperset(("splits.json", "dataset.json")) and (FOREIGN_FILE in names) == (origin == FOREIGN)
    if not lost and any(name != TUNING_FOLDER and not is_trace_of_a_writer(name) for name in names):
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
        if method.by_fold and len(method.by_fold) != len(study.splits.folds):
            raise UserError(
                f"`by_fold` of method '{method.label}' must hold the settings of {len(study.splits.folds)} folds. Got "
                f"{len(method.by_fold)}. Give one entry for each fold of `splits`."
            )
        try:
            for fold, settings in enumerate(method.settings):
                seed = study.config.seeds[0]
                context = method_context(study.config, study.statistics(fold), seed, stage=0, finished=())
                compose(settings.parts, context)
        except (SlotConflictError, ValueError) as error:
            raise UserError(f"Method '{method.label}': {error}") from error


def _require_extension(config: StudyConfig, root: Path, earlier: dict[str, Any]) -> None:
    """Refuse to mix runs of two recipes in one directory."""
    if not earlier:
        return
    before, now = earlier["identity"], shared_identity(config)
    shared = {key: value for key, value in before.items() if key not in ("model", "schema")}
    now = {key: value for key, value in now.items() if key != "schema"}
    changed = first_difference(shared, now) or _changed_model(config, earlier)
    if not changed:  # plans of earlier versions say nothing of what could not be counted yet
        earlier_evaluation = earlier.get("evaluation", {})
        now = {key: value for key, value in _evaluation(config).items() if key in earlier_evaluation}
        changed = first_difference(earlier_evaluation, now, "evaluation")
    if changed:
        raise UserError(
            f"{root} holds a study with {changed}. Give another --out, or the settings that it was started with."
        )
    earlier_methods = earlier["methods"]
    for method in config.methods:
        if method.label in earlier_methods and earlier_methods[method.label] != method.resolved():
            raise UserError(
                f"{root} holds runs of '{method.label}' with other options. Give this method a `label` of its own."
            )


def _changed_model(config: StudyConfig, earlier: dict[str, Any]) -> str:
    """Describe a model of the earlier plan that this study has changed, or return an empty string.

    A list of models may grow, and one model may become the first of a list: run ids do not depend on labels.
    """
    before, now = models_of(earlier), {model.label: model_identity(model) for model in config.each_model}
    if None in before and None not in now:
        return "" if before[None] in now.values() else "a `model` that is not among `models`"
    if None in now and None not in before:
        return f"the list `models` ({', '.join(map(str, before))}) instead of one `model`"
    for label in before.keys() & now.keys():
        changed = first_difference(before[label], now[label], f"model '{label}'" if label else "model")
        if changed:
            return changed
    return ""


def require_same_material(root: Path, hashes: dict[str, str], earlier: dict[str, Any]) -> None:
    """Refuse to mix runs on other data, splits or encoder weights in one directory."""
    before = earlier["hashes"] if earlier else hashes
    for name, value in hashes.items():
        earlier_value = before.get(name, value)
        if earlier_value != value:
            raise UserError(
                f"{root} holds a study whose {name} differ (hash {earlier_value[:12]}, now {value[:12]}). "
                "Give another --out."
            )


def _require_same_encoders(study: Study, earlier: dict[str, Any]) -> None:
    """Refuse to mix runs on encoders that files or libraries resolve differently; older plans do not name them."""
    recorded = _recorded_encoders(study.config, earlier)
    for label, now in study.encoders.items():
        before = [ResolvedEncoder.read(row) for row in recorded.get(weights_key(label), [])]
        if before:
            require_same(before, now, f"{study.root} holds a study that")


def _recorded_encoders(config: StudyConfig, earlier: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Encoders in the earlier plan, by the labels that its models have now."""
    label = _label_of_only_model(config, earlier)
    recorded = earlier.get("encoders", {})
    return {(label or key) if key == weights_key(None) else key: rows for key, rows in recorded.items()}


def first_difference(before: Any, now: Any, path: str = "") -> str:
    """Describe the first value that differs, or return an empty string."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            difference = first_difference(before.get(key), now.get(key), f"{path}.{key}".lstrip("."))
            if difference:
                return difference
        return ""
    return "" if before == now else f"`{path}` {before!r} instead of {now!r}"


def _write_plan(study: Study) -> None:
    """Write plan.json, which makes the directory a study, then what it rests on; one process at a time.

    A process that is killed on the way leaves a study that the same command completes.
    """
    root, config = study.root, study.config
    root.mkdir(parents=True, exist_ok=True)
    with locked(root / LOCK):
        sweep_temporaries(root)
        earlier = earlier_plan(root)  # another process may have planned since the checks
        _require_extension(config, root, earlier)
        require_same_material(root, study.hashes, earlier)
        _require_same_encoders(study, earlier)
        facts = _dataset_facts(study, _readable(root / "dataset.json"))
        plan, text = _plan(study, earlier), yaml.safe_dump(config.dump(), sort_keys=False, allow_unicode=True)
        write_json(root / "plan.json", plan)
        write_json(root / "dataset.json", facts)
        study.splits.save(root / "splits.json")
        write_atomically(root / STUDY_FILE, lambda file: file.write(text.encode()))


def _readable(path: Path) -> dict[str, Any]:
    """Content of a file that is about to be rewritten; nothing where it is missing or damaged."""
    try:
        return read_document(path)
    except UserError:
        return {}


def _plan(study: Study, earlier: dict[str, Any]) -> dict[str, Any]:
    """Return the content of plan.json."""
    config = study.config
    analysis = config.analysis.model_dump(mode="json") | {"control": config.control}
    analysis |= primary_choices(config.analysis.primary_measures)
    runs = {run.run_id: run.planned() for run in study.runs}
    single = {} if config.models else {"model": model_identity(config.model)}
    models = {model.label: model_identity(model) for model in config.models}
    earlier_models = {label: model for label, model in models_of(earlier).items() if label is not None}
    earlier = _with_labels_of(config, earlier)
    trained = bool(earlier) and bool(study.records.finished())
    return {
        "name": config.name,
        "created": earlier.get("created", datetime.now(UTC).isoformat(timespec="seconds")),
        "identity": shared_identity(config) | single,
        **({"models": earlier_models | models} if models else {}),
        "methods": earlier.get("methods", {}) | {m.label: m.resolved() for m in config.methods},
        "hashes": _grown_hashes(study, earlier),
        "encoders": _recorded_encoders(config, earlier)
        | {weights_key(label): [each.as_json() for each in resolved] for label, resolved in study.encoders.items()},
        # what was planned earlier stays in the study: a plan only grows
        "runs": list((_planned_earlier(study, earlier) | runs).values()),
        "evaluation": _evaluation(config),
        "compute": config.compute.model_dump(mode="json", exclude=set(CLUSTER_KEYS)),
        "analysis": analysis,
        # of the plan that the first run was trained under: `analyze` says so when it was changed afterwards
        "analysis_hash": earlier["analysis_hash"] if trained else canonical_hash(analysis),
    }


def _with_labels_of(config: StudyConfig, earlier: dict[str, Any]) -> dict[str, Any]:
    """Return the earlier plan under the labels that its methods have now; what no label decides stays as it is."""
    methods, labels = earlier.get("methods", {}), {method.label for method in config.methods}
    new = {canonical_hash(without_label(method.resolved())): method.label for method in config.methods}
    trained = {label: canonical_hash(without_label(method)) for label, method in methods.items()}
    renamed = {
        old: new[hashed]
        for old, hashed in trained.items()
        if old not in labels and hashed in new and new[hashed] not in methods
    }
    if not renamed:
        return earlier
    runs = [run | {"method": renamed.get(run["method"], run["method"])} for run in earlier["runs"]]
    unchanged_methods = {label: method for label, method in methods.items() if label not in renamed}
    before, written = earlier["analysis"], earlier.get("analysis_hash")
    after = before | {"control": renamed.get(before.get("control"), before.get("control"))}
    unchanged = written == canonical_hash(before)
    return earlier | {
        "runs": runs,
        "methods": unchanged_methods,
        "analysis_hash": canonical_hash(after) if unchanged else written,
    }


def _planned_earlier(study: Study, earlier: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Runs of the earlier plan by id; where its one model has become one of several, they get that model's label."""
    rows = {run["run_id"]: run for run in earlier.get("runs", [])}
    label = _label_of_only_model(study.config, earlier)
    return rows if label is None else {run_id: run | {"model": label} for run_id, run in rows.items()}


def _label_of_only_model(config: StudyConfig, earlier: dict[str, Any]) -> str | None:
    """Return the label that the one model of the earlier plan has in a list of models; None where there is none."""
    only = models_of(earlier).get(None)
    if only is None or not config.models:
        return None
    return next(model.label for model in config.models if model_identity(model) == only)


def _grown_hashes(study: Study, earlier: dict[str, Any]) -> dict[str, str]:
    """Hashes of the study and, of models that it no longer lists, of the earlier plan."""
    before = earlier.get("hashes", {})
    return {name: value for name, value in before.items() if study.config.models and " of " in name} | study.hashes


def _evaluation(config: StudyConfig) -> dict[str, Any]:
    """What is counted on images: no part of a run's identity, but runs of one directory share it."""
    return config.evaluation.model_dump(mode="json")


def _dataset_facts(study: Study, earlier: dict[str, Any]) -> dict[str, Any]:
    """Return the content of dataset.json; of models that the study no longer lists it keeps where their weights are."""
    models = study.config.models
    return dataset_facts(study.config.dataset, study.data) | {
        # of the first model in a study of several: whose features measure the difficulty of classes
        "encoder_weights_hash": study.weights[study.config.each_model[0].label],
        **({"encoder_weights_hashes": dict(study.weights)} if models else {}),
        "encoder_weights": earlier.get("encoder_weights", {}) | _named_weights(study.config),
    }


def _named_weights(config: StudyConfig) -> dict[str, Any]:
    """Weights of each model's encoder as the study file names them, which may be a path."""
    return {weights_key(model.label): model.model_dump(mode="json")["encoder_weights"] for model in config.each_model}
