"""What a study needs beside its own file: found missing before anything is read, and said in one list."""

from pathlib import Path

from rich.console import Console

from imbalance_bench.config import StudyConfig
from imbalance_bench.errors import UserError
from imbalance_bench.models.encoder_presets import PRESETS


def missing_inputs(config: StudyConfig) -> list[str]:
    """Return a line for each file or folder that a study names and that does not exist: what goes there, from where."""
    lines = []
    dataset, splits = config.dataset, config.splits.path
    if not (dataset.path / "dataset.yaml").is_file():
        how = dataset.source or "`imbalance-bench data prepare` or `data phantom` makes one."
        lines.append(f"{dataset.path}/: the prepared data set (`dataset.path`). {how}")
    if splits is not None and not splits.is_file():
        lines.append(f"{splits}: the file of splits (`splits.path`).")
    for model in config.each_model:
        for name, weights in zip(model.encoders, model.weights, strict=True):
            if weights in ("imagenet", "none") or Path(weights).is_file():
                continue
            where = f" From {PRESETS[name].source}." if name in PRESETS else ""
            lines.append(f"{weights}: weights of {name} (`model.encoder_weights`).{where}")
    return list(dict.fromkeys(lines))


def require_inputs(config: StudyConfig, console: Console) -> None:
    """Print what is missing, and refuse; what is missing alone is left to the check that reads it.

    Raises:
        UserError: Several things are missing, or a data set whose study says where it comes from.
    """
    missing = missing_inputs(config)
    if len(missing) < 2 and not (missing and config.dataset.source and missing[0].startswith(str(config.dataset.path))):
        return
    for line in missing:
        console.print(f"missing: {line}", highlight=False, markup=False, soft_wrap=True)
    raise UserError(
        f"Study {config.name} needs {len(missing)} files or folders that do not exist. Put them where the list says, "
        "or name others with --set."
    )
