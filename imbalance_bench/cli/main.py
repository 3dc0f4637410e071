"""The command line. Heavy imports happen inside the commands that need them, so that --help stays fast."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imbalance_bench.cli.advice import advise
from imbalance_bench.cli.cache import cache as cache_commands
from imbalance_bench.cli.data import data
from imbalance_bench.cli.explanation import explain
from imbalance_bench.cli.init import init
from imbalance_bench.cli.options import (
    CACHE_OPTION,
    CACHE_READ_OPTION,
    FILE,
    FOLDER,
    JSON_OPTION,
    OUT_FILE,
    OUT_FOLDER,
    TRACKERS,
)
from imbalance_bench.cli.power import power
from imbalance_bench.cli.results import (
    compare,
    compare_scores,
    export,
    import_,
    import_official,
    predict,
    repair,
    track,
)
from imbalance_bench.cli.score import score
from imbalance_bench.engines import ENGINES
from imbalance_bench.errors import UserError, nearest
from imbalance_bench.file_access import refusal, require_writable
from imbalance_bench.interruption import Interrupted, stop_signals
from imbalance_bench.places import study_folder
from imbalance_bench.visible_text import visible

if TYPE_CHECKING:
    from imbalance_bench.config import StudyConfig


class CommandGroup(click.Group):
    """Prints errors that a user can correct as one line, and suggests the nearest command for an unknown one."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            with stop_signals():
                return super().invoke(ctx)
        except UserError as error:
            raise OneLineError(str(error), error.exit_code) from error
        except Interrupted as error:
            raise OneLineError(str(error), error.exit_code) from None
        except KeyboardInterrupt:
            raise OneLineError("Interrupted. Run the same command again to resume.", 130) from None
        except click.ClickException as error:
            error.message = visible(error.message)  # pyright: ignore[reportAttributeAccessIssue]
            raise
        except OSError as error:
            refused = refusal(error)
            if refused is None:
                raise
            raise OneLineError(str(refused), refused.exit_code) from error

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command, or name the nearest one."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise click.UsageError(f"No such command '{args[0]}'.{nearest(args[0], self.list_commands(ctx))}", ctx)
        return super().resolve_command(ctx, args)


class OneLineError(click.ClickException):
    """An error without a traceback."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # pyright: ignore[reportAttributeAccessIssue] - click reads it from the instance


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="imbalance-bench")
def main() -> None:
    """Which imbalance method for tissue segmentation, and did it work because classes were rare or hard?"""


main.add_command(init)
main.add_command(advise)
main.add_command(data)
main.add_command(cache_commands)
main.add_command(predict)
main.add_command(compare)
main.add_command(compare_scores)
main.add_command(score)
main.add_command(power)
main.add_command(explain)
main.add_command(track)
main.add_command(export)
main.add_command(import_)
main.add_command(import_official)
main.add_command(repair)


@main.command()
@click.argument("study", type=FILE)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a study key, repeatably.")
@click.option("--out", type=OUT_FOLDER, help="Study directory.  [default: results/studies/NAME]")
@click.option("--engine", type=click.Choice([*ENGINES]), help="Default: process on CPUs and several GPUs, else serial.")
@click.option("--workers", type=click.IntRange(min=1), help="Runs at a time.  [default: cores / compute.threads]")
@click.option("--dry-run", is_flag=True, help="Check everything, print the plan, train nothing.")
@click.option("--detach", is_flag=True, help="With --engine slurm: submit and leave; `status` then asks Slurm.")
@click.option("--track", multiple=True, type=click.Choice(TRACKERS), help="Follow the runs there, repeatably.")
@CACHE_OPTION
def run(
    study: Path, overrides: tuple[str, ...], out: Path | None, engine: str | None, workers: int | None,
    dry_run: bool, detach: bool, track: tuple[str, ...], cache: Path,
) -> None:  # fmt: skip
    """Train every run of a STUDY file; on an existing directory, resume.

    Ctrl-C, SIGTERM and SIGUSR1 save a checkpoint of each run, and the same command resumes. Several runners
    may work on one directory at the same time, and the study may grow meanwhile.
    """
    from imbalance_bench.config import load_study

    config = load_study(study, overrides)
    root = study_folder(config.name, out)
    require_writable(root)
    _require_what_it_reads(config)
    from imbalance_bench.execution import Execution, execute_study  # torch, once the study file is right

    execute_study(config, root, Execution(cache, engine, workers, dry_run, detach, track=track))


def _require_what_it_reads(config: "StudyConfig") -> None:
    """Refuse files that are not there and an index that cannot be read, before anything waits for torch."""
    from imbalance_bench.data.prepared import PreparedDataset
    from imbalance_bench.inputs import require_inputs
    from imbalance_bench.terminal import Terminal

    require_inputs(config, Terminal())
    PreparedDataset.open(config.dataset.path)


@main.command()
@click.option("--out", type=OUT_FOLDER, default=study_folder("quickstart"), show_default=True)
@click.option("--seed", type=click.IntRange(min=0), help="Of the phantom: other tissue, same planted causes.")
@CACHE_OPTION
def quickstart(out: Path, seed: int | None, cache: Path) -> None:
    """Phantom tissue, four methods x 4 seeds, a report: minutes on two cores, no data needed."""
    from imbalance_bench.quickstart import run_quickstart

    run_quickstart(out, cache, seed=seed)


@main.command()
@click.argument("study_dir", type=FOLDER)
@JSON_OPTION
def status(study_dir: Path, as_json: bool) -> None:
    """Show which runs are done, running, interrupted, failed or damaged, and the time left."""
    from imbalance_bench.cli.study_view import print_status, print_status_json
    from imbalance_bench.records import StudyRecords

    records = StudyRecords.open(study_dir)
    if as_json:
        print_status_json(records)
    else:
        print_status(records)


@main.command()
@click.argument("study_dir", type=FOLDER)
@CACHE_READ_OPTION
def analyze(study_dir: Path, cache: Path) -> None:
    """Turn the records of STUDY_DIR into analysis/*.csv and print the verdicts."""
    require_writable(study_dir / "analysis")
    from imbalance_bench.cli.study_view import analyze_and_print

    analyze_and_print(study_dir, cache)


@main.command()
@click.argument("study_dir", type=FOLDER)
def report(study_dir: Path) -> None:
    """Write report/index.html, figures and tables of an analysed study."""
    for name in ("report", "figures", "tables"):
        require_writable(study_dir / name)
    from analysis.reading.analysed_study import AnalysedStudy
    from analysis.report import write_report

    study = AnalysedStudy.open(study_dir)
    click.echo(visible(f"report: {write_report(study)}"))
    _say_remark(study.remark)


@main.command()
@click.argument("study_dir", type=FOLDER)
@click.argument("kind")
@click.option("--out", type=OUT_FILE, help="File; its ending chooses the format.")
def plot(study_dir: Path, kind: str, out: Path | None) -> None:
    """Draw one figure of an analysed study. `plot DIR list` names the kinds."""
    from analysis.plots import KINDS, write_figure
    from analysis.reading.analysed_study import AnalysedStudy

    if kind == "list":
        click.echo("\n".join(KINDS))
        return
    study = AnalysedStudy.open(study_dir)
    click.echo(visible(str(write_figure(kind, study, out))))
    _say_remark(study.remark)


def _say_remark(remark: str) -> None:
    """Say on stderr which runs are not in the analysis that was drawn."""
    if remark:
        click.echo(visible(f"remark: {remark}"), err=True)


@main.command()
@click.argument("name", required=False)
@click.option("--gradients", is_flag=True, help="The gradient that each method gives to each class of a fixed batch.")
@click.option("--out", type=OUT_FILE, help="With --gradients: a .csv, .svg, .pdf or .png file.")
@JSON_OPTION
def methods(name: str | None, gradients: bool, out: Path | None, as_json: bool) -> None:
    """List the catalogue, or print one method's card: formula, options, the values they take, source."""
    from imbalance_bench.catalogue import print_card, print_catalogue, print_catalogue_json

    if gradients and as_json:
        raise click.UsageError("--gradients has no JSON; --out FILE.csv writes its table.")
    if gradients:
        from imbalance_bench.cli.gradient_view import print_gradients

        print_gradients(name, out)
    elif out is not None:
        raise click.UsageError("--out goes with --gradients.")
    elif as_json:
        print_catalogue_json(name)
    elif name is None:
        print_catalogue()
    else:
        print_card(name)


@main.command()
def doctor() -> None:
    """Show what is installed, which devices there are, and what is missing."""
    from imbalance_bench.doctor import print_diagnosis

    print_diagnosis()
