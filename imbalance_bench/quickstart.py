"""The first run of a new user: synthetic tissue with known truth, four methods, a report that says what was found."""

from pathlib import Path

from imbalance_bench.cli.progress import ProgressDisplay
from imbalance_bench.cli.study_view import analyze_and_print
from imbalance_bench.config import load_study
from imbalance_bench.data.phantom import PRESETS, generate_phantom
from imbalance_bench.data.prepared import usable_cores
from imbalance_bench.errors import UserError, nearest
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.terminal import Terminal


def make_phantom(dest: Path, *, preset: str, seed: int | None = None, workers: int = 1) -> Path:
    """Write phantom tissue as a prepared data set.

    Args:
        dest: A folder that does not exist yet, or is empty.
        preset: A key of PRESETS.
        seed: Instead of the preset's.
        workers: Processes.

    Raises:
        UserError: Unknown preset, or `dest` holds something.
    """
    if preset not in PRESETS:
        raise UserError(f"unknown phantom preset '{preset}'.{nearest(preset, PRESETS)}")
    spec = PRESETS[preset]
    if seed is not None:
        spec = spec.model_copy(update={"seed": seed})
    with ProgressDisplay(Terminal(stderr=True)) as display:
        return generate_phantom(
            spec,
            dest,
            workers=workers,
            on_progress=lambda n_done, total: display.on_phase("making tissue", n_done, total),
        )


def run_quickstart(out: Path, cache: Path, *, seed: int | None = None) -> None:
    """Make the phantom, run the bundled study on it, analyse it, report it; resume where a killed call stopped.

    Args:
        out: Folder of phantom and study.
        cache: Folder of tiles and features.
        seed: Of the phantom, instead of the preset's.
    """
    from analysis.report import build_report

    phantom, study_dir = out / "phantom", out / "study"
    if not (phantom / "index.csv").exists():
        make_phantom(phantom, preset="quickstart", seed=seed, workers=usable_cores())
    config = load_study(Path(__file__).with_name("quickstart.yaml"), [f"dataset.path={phantom}"])
    execute_study(config, study_dir, Execution(cache=cache, what_next=False))
    analyze_and_print(study_dir, cache)
    Terminal().print(f"report: {build_report(study_dir)}", highlight=False, soft_wrap=True)
