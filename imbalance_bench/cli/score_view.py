"""What `score` prints."""

from pathlib import Path

from rich.table import Table

from imbalance_bench.cli.data_view import print_problems
from imbalance_bench.cli.progress import ProgressDisplay
from imbalance_bench.foreign.checking import ForeignRun, PredictionsError
from imbalance_bench.foreign.scoring import Scored, check_predictions, score_predictions
from imbalance_bench.foreign.section import load_foreign
from imbalance_bench.places import study_folder
from imbalance_bench.terminal import Terminal


def score_and_print(path: Path, out: Path | None, *, dry_run: bool) -> None:
    """Score predictions and print what was scored; or everything that is wrong with them."""
    console, errors = Terminal(), Terminal(stderr=True)
    config = load_foreign(path)
    root = study_folder(config.name, out)
    with ProgressDisplay(console) as display:
        try:
            if dry_run:
                scored = check_predictions(config, root, str(path), display.on_phase)
            else:
                scored = score_predictions(config, root, str(path), display.on_phase)
        except PredictionsError as error:
            print_problems(error, errors)
            raise
    print_scored(scored, console)
    if not dry_run:
        console.print(f"next: imbalance-bench analyze {root} && imbalance-bench report {root}", soft_wrap=True)


def print_scored(scored: Scored, console: Terminal) -> None:
    """Print the runs of each method, and what is remarkable."""
    table = Table("method", "folds", "seeds", "masks", "probabilities", box=None, pad_edge=False)
    methods: dict[str, list[ForeignRun]] = {}
    for run in scored.runs:
        methods.setdefault(run.method.label, []).append(run)
    for label, runs in methods.items():
        folds, seeds = (len({getattr(run, name) for run in runs}) for name in ("fold", "seed"))
        masks = sum(len(run.masks) for run in runs)
        table.add_row(label, str(folds), str(seeds), str(masks), "yes" if runs[0].probabilities else "no")
    console.print(table)
    for remark in scored.remarks:
        console.print(f"remark: {remark}", soft_wrap=True)
    before = len(scored.runs) - scored.new
    console.print(f"{len(scored.runs)} runs: {scored.new} scored now, {before} before")
