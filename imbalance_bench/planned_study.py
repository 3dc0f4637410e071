"""A run as its study planned it, opened by any process from the plan alone.

`study.yaml` says what the next command plans; a run that is planned keeps the settings it was planned with, whatever
becomes of that file. Paths are no part of a plan: they lie in `dataset.json`.
"""

from pathlib import Path
from typing import Any

from imbalance_bench.config import ComputeSection, ModelSection, StudyConfig, load_study, parse_study
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.splits import Splits
from imbalance_bench.data.taxonomy import Taxonomy
from imbalance_bench.errors import UserError
from imbalance_bench.models.resolved_encoders import ResolvedEncoder, resolve_encoders
from imbalance_bench.records import STUDY_FILE, StudyRecords
from imbalance_bench.run_ids import hash_name, of_fold
from imbalance_bench.study import PlannedRun, Study, recorded_counts


def open_run(root: Path, run_id: str, compute: ComputeSection | None = None) -> tuple[Study, PlannedRun]:
    """Open a planned run and, as its study, what it shares with others; no data is read.

    Args:
        root: The study directory.
        run_id: A run of its plan, listed in `study.yaml` or not.
        compute: How it executes; None: as the plan says.

    Raises:
        UserError: There is no such run, or the plan or data are damaged or gone.
    """
    records = StudyRecords.open(root)
    plan, facts = records.plan(), records.dataset()
    config, row = _config(records, plan, facts, run_id)
    if compute is not None:
        config = config.model_copy(update={"compute": compute})
    dataset = PreparedDataset.open(config.dataset.path)
    taxonomy = Taxonomy(dataset.info, config.dataset.groups, config.dataset.ignore, config.dataset.class_order)
    model, label = config.model, row.get("model")
    recorded = plan.get("encoders", {}).get(weights_key(label))
    resolved = (  # plans of earlier versions leave that to whoever trains
        resolve_encoders(model, load=True, shared=config.uses_feature_cache)
        if recorded is None
        else tuple(ResolvedEncoder.read(encoder) for encoder in recorded)
    )
    study = Study(
        root,
        config,
        dataset,
        taxonomy,
        Splits.load(root / "splits.json"),
        recorded_counts(facts, taxonomy.names),
        plan["hashes"]["data"],
        {label: plan["hashes"][hash_name(label)]},
        encoders={label: resolved},
    )
    return study, PlannedRun(run_id, config.methods[0], int(row["fold"]), int(row["seed"]), model)


def planned_config(records: StudyRecords, run_id: str) -> StudyConfig:
    """Return the study of one run alone: its method, model and seed, and what all runs share.

    Raises:
        UserError: There is no such run, or the plan is damaged.
    """
    return _config(records, records.plan(), records.dataset(), run_id)[0]


def weights_key(label: str | None) -> str:
    """Key of a model in `encoder_weights` of dataset.json."""
    return label or ""


def _config(
    records: StudyRecords, plan: dict[str, Any], facts: dict[str, Any], run_id: str
) -> tuple[StudyConfig, dict[str, Any]]:
    path = records.root / "plan.json"
    row = next((row for row in plan.get("runs", ()) if row.get("run_id") == run_id), None)
    if row is None:
        raise UserError(f"{path} must list the run {run_id}. Got none. Give a run of this study.")
    try:
        label, identity = row.get("model"), plan["identity"]
        model = identity["model"] if label is None else plan["models"][label] | {"label": label}
        content = {
            "name": plan["name"],
            "dataset": identity["dataset"] | {"path": facts["path"], "families": facts.get("families", {})},
            "model": model | {"encoder_weights": _weights(records, facts, label)},
            "training": identity["training"],
            "methods": [{"label": row["method"], **of_fold(plan["methods"][row["method"]], row["fold"])}],
            "seeds": [row["seed"]],
            # plans of earlier versions leave these to study.yaml
            **{key: plan[key] for key in ("evaluation", "compute") if key in plan},
        }
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} or dataset.json lacks {error} of run {run_id}. Run the study again.") from None
    label = content["model"].pop("label", None)
    config = parse_study(content, source=str(path))
    if label is not None:
        config = config.only(config.model.model_copy(update={"label": label}))
    return config, row


def _weights(records: StudyRecords, facts: dict[str, Any], label: str | None) -> Any:
    """Weights of a model's encoder as the study file named them."""
    if "encoder_weights" in facts:
        return facts["encoder_weights"][weights_key(label)]
    config = load_study(records.root / STUDY_FILE)  # of an earlier version
    section: ModelSection | None = next((model for model in config.each_model if model.label == label), None)
    if section is None:
        raise UserError(f"{records.root / STUDY_FILE} must hold the model '{label}'. Got none. Put it back.")
    return section.model_dump(mode="json")["encoder_weights"]
