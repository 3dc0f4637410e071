"""Weights & Biases: a project per study name, a group per study directory; offline unless WANDB_MODE says otherwise."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imbalance_bench.tracking.history import Scalar
from imbalance_bench.tracking.sheet import RunSheet, StudySheet


class WeightsAndBiases:
    """Writes offline runs below `out`/wandb, which `wandb sync` uploads; see `export.Tracker`.

    Args:
        study: The study.
        out: Folder.
    """

    def __init__(self, study: StudySheet, out: Path) -> None:
        self._study, self._out = study, out
        self._runs: dict[str, Any] = {}
        out.mkdir(parents=True, exist_ok=True)

    def write(self, run: RunSheet, scalars: Sequence[Scalar]) -> None:
        """Add numbers to a run, those of one step together."""
        wandb_run, steps = self._run(run), dict[int, dict[str, float]]()
        for scalar in scalars:
            steps.setdefault(scalar.step, {"step": scalar.step, "_timestamp": scalar.time})[scalar.name] = scalar.value
        for step in sorted(steps):
            wandb_run.log(steps[step])

    def finish(self, run: RunSheet, summary: dict[str, float]) -> None:
        """Add scores and cost to the summary, and files, and end the run."""
        import wandb  # pyright: ignore[reportMissingImports]

        wandb_run = self._run(run)
        wandb_run.summary.update(summary)
        artifact = wandb.Artifact(f"run-{run.run_id}", type="run")
        for path in run.files:
            if path.is_dir():
                artifact.add_dir(str(path), name=path.name)
            else:
                artifact.add_file(str(path))
        wandb_run.log_artifact(artifact)
        wandb_run.finish()
        del self._runs[run.run_id]

    def close(self) -> None:
        """End what is open."""
        for wandb_run in self._runs.values():
            wandb_run.finish()

    def _run(self, run: RunSheet) -> Any:
        import wandb  # pyright: ignore[reportMissingImports]

        if run.run_id not in self._runs:
            for old in (self._out / "wandb").glob(f"offline-run-*-{run.run_id}"):
                shutil.rmtree(old)  # exporting again replaces
            wandb_run = wandb.init(
                project=self._study.name,
                group=self._study.folder.name,
                id=run.run_id,
                name=run.title,
                config=run.settings | run.tags,
                dir=str(self._out),
                mode=os.environ.get("WANDB_MODE", "offline"),  # type: ignore[arg-type]
                reinit="create_new",
                settings=wandb.Settings(silent=True, console="off", x_disable_stats=True, x_disable_meta=True),
            )
            wandb_run.define_metric("*", step_metric="step")
            self._runs[run.run_id] = wandb_run
        return self._runs[run.run_id]
