"""A run record of a model that the official code of Dynamic Focal Attention has trained."""

from pathlib import Path

from rich.console import Console

from imbalance_bench.cli.progress import ProgressDisplay
from imbalance_bench.config import StudyConfig
from imbalance_bench.errors import UserError
from imbalance_bench.inputs import require_inputs
from imbalance_bench.manifest import file_hash
from imbalance_bench.method_entry import MethodEntry
from imbalance_bench.models.official_checkpoint import load_official, n_official_classes, read_official
from imbalance_bench.planning import prepare_study
from imbalance_bench.study import PlannedRun, Study
from imbalance_bench.training.adoption import adopt_run
from methods.dfa import DfaConfig

LAYOUT = "official_ignored"


def import_checkpoint(
    checkpoint: Path,
    config: StudyConfig,
    root: Path,
    cache: Path,
    console: Console,
    *,
    method: str | None = None,
    seed: int | None = None,
) -> Path:
    """Evaluate a checkpoint as a run of a study and write its records.

    Args:
        checkpoint: Lightning's file, or its state dict alone.
        config: The study; its model must be that of the checkpoint.
        root: The study directory; begun, or of the same study.
        cache: Folder of tiles.
        console: Shows progress, and what is missing.
        method: Label of a method with `token_layout: official_ignored`; None: the only one.
        seed: Of the run that it becomes; None: the study's first.

    Returns:
        The folder of the run.

    Raises:
        UserError: Inputs are missing, or the checkpoint is not of the study's model.
    """
    entry = _official_method(config, method)
    _require_official_model(config)
    if seed is not None and seed not in config.seeds:
        raise UserError(f"--seed must be one of the study's `seeds` ({', '.join(map(str, config.seeds))}). Got {seed}.")
    require_inputs(config, console)
    tensors = read_official(checkpoint)
    with ProgressDisplay(console) as display:
        study = prepare_study(config, root, display.on_phase)
        names = study.taxonomy.names
        if n_official_classes(tensors) != len(names):
            raise UserError(
                f"{checkpoint} has {n_official_classes(tensors)} classes beside ignored pixels. The study has "
                f"{len(names)} ({', '.join(names)}). Merge or ignore classes (`dataset.groups`, "
                "`dataset.ignore`) until they are those that it was trained on."
            )
    run = _planned_run(study, entry, config.seeds[0] if seed is None else seed)
    origin = {"file": checkpoint.name, "sha256": file_hash(checkpoint), "code": "lakmali240/DFA-Imbalance"}
    with ProgressDisplay(console) as display:
        display.on_phase("evaluating the checkpoint", 0, 1)
        adopt_run(study, run, cache, lambda segmenter: load_official(segmenter, tensors, str(checkpoint)), origin)
    return study.records.run(run.run_id).path


def _official_method(config: StudyConfig, label: str | None) -> MethodEntry:
    """Return the method whose tokens are those of the checkpoint."""
    fitting = {
        method.label: method
        for method in config.methods
        if any(
            isinstance(part, DfaConfig) and part.token_layout == LAYOUT
            for entry in method.settings
            for part in entry.parts.values()
        )
    }
    if label is None and len(fitting) == 1:
        return next(iter(fitting.values()))
    if label not in fitting:
        raise UserError(
            f"The study must hold a method `dfa` with `token_layout: {LAYOUT}`"
            + (f" and the label '{label}'" if label else ", or --method must name one of several")
            + f". Got {', '.join(fitting) or 'none'}."
        )
    return fitting[label]


def _require_official_model(config: StudyConfig) -> None:
    """Refuse a model of another form than the official one."""
    for model in config.each_model:
        for key, value in (("decoder", "sam"), ("encoder_features", "tokens"), ("encoder_tuning", "frozen")):
            if getattr(model, key) != value:
                raise UserError(
                    f"`model.{key}` must be {value} for a checkpoint of the official code. Got {getattr(model, key)}."
                )
    if len(config.each_model) > 1:
        raise UserError("A checkpoint is of one model. Give a study with `model` instead of `models`.")


def _planned_run(study: Study, entry: MethodEntry, seed: int) -> PlannedRun:
    """Return the run of the first fold that the checkpoint becomes."""
    wanted = (entry.label, 0, seed)
    return next(run for run in study.runs if (run.method.label, run.fold, run.seed) == wanted)
