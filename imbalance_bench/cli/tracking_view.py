"""What `track` prints."""

import time
from pathlib import Path

from imbalance_bench.errors import UserError
from imbalance_bench.file_access import require_writable
from imbalance_bench.records import StudyRecords
from imbalance_bench.terminal import Terminal
from imbalance_bench.tracking.export import INTERVAL_S, Export, tracking_folder

HOW_TO_LOOK = {
    "tensorboard": "tensorboard --logdir {folder}",
    "mlflow": "mlflow ui --backend-store-uri sqlite:///{folder}/mlflow.db",
    "wandb": "wandb sync --sync-all {folder}/wandb",
}


def track_and_print(study_dir: Path, target: str, out: Path | None, *, follow: bool) -> None:
    """Export a study, and say how to look at it.

    Raises:
        UserError: Not a study directory, nothing to export, or the program is not installed.
    """
    console, folder = Terminal(), tracking_folder(study_dir, target, out)
    require_writable(folder)
    export = Export(StudyRecords.open(study_dir), target, folder)
    try:
        export.update()
        while follow and not export.is_complete:
            time.sleep(INTERVAL_S)
            export.update()
    finally:
        export.close()
    for remark in export.remarks.values():
        console.print(remark, style="yellow", soft_wrap=True)
    if not export.runs:
        raise UserError(f"{study_dir} has no run to export. `imbalance-bench status` shows them.", exit_code=1)
    console.print(f"{export.runs} runs: {folder}", soft_wrap=True)
    console.print(f"look: {HOW_TO_LOOK[target].format(folder=folder.resolve())}", soft_wrap=True)
