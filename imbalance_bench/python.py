"""The interface in Python, beside that of the command line, calling the same functions. `imbalance_bench` offers it."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from analysis.pipeline import analyze_study
from analysis.plots import draw_figure, require_suffix
from analysis.plots.style import save
from analysis.reading.analysed_study import AnalysedStudy
from analysis.report import write_report
from analysis.schema import TABLES
from analysis.study.analysed_records import RECORDS_FILE, OutdatedAnalysisError, newly_finished
from analysis.verdicts import Verdict
from imbalance_bench.config import StudyConfig, parse_study
from imbalance_bench.config import load_study as read_study_file
from imbalance_bench.engines import ENGINES
from imbalance_bench.errors import UserError, nearest
from imbalance_bench.file_access import require_writable
from imbalance_bench.interruption import stop_signals
from imbalance_bench.method_facts import method_facts, method_options, usable_methods
from imbalance_bench.method_lookup import method_named
from imbalance_bench.places import cache_folder, study_folder
from imbalance_bench.records import StudyRecords
from imbalance_bench.status import study_status

PathLike = str | Path


class Study:
    """A study directory: what its runs left behind, and what the analysis says of it.

    Tables, verdicts, figures and the report come from the analysis, computed when one of them is first accessed,
    and again when plan or runs have changed since. `load_study` opens one, `run` makes one.

    Args:
        root: The study directory.
        cache: Folder of tiles and features; None: as the commands choose it.

    Raises:
        UserError: `root` is not a study directory.
    """

    def __init__(self, root: PathLike, *, cache: PathLike | None = None) -> None:
        self.root = Path(root)
        self._records = StudyRecords.open(self.root)
        self._cache = cache_folder(cache)
        self._read: AnalysedStudy | None = None
        self._read_at = 0  # time of the last change of what was read, nanoseconds

    def __repr__(self) -> str:
        states = self.status()["state"].value_counts()
        counts = ", ".join(f"{n} {state}" for state, n in states.items())
        return f"<Study '{self.name}' in {self.root}: {counts or 'no runs'}>"

    @property
    def name(self) -> str:
        """As the study file has it."""
        return str(self._records.plan().get("name") or self.root.name)

    @property
    def classes(self) -> list[str]:
        """Class names in the order of their ids."""
        return [str(class_["name"]) for class_ in self._records.dataset()["classes"]]

    @property
    def methods(self) -> list[str]:
        """Labels of the methods in the order of the plan."""
        return list(dict.fromkeys(str(run["method"]) for run in self._records.plan()["runs"]))

    @property
    def records(self) -> StudyRecords:
        """The records themselves: integer counts, losses and ledgers of each run."""
        return self._records

    def status(self) -> pd.DataFrame:
        """Return one row per planned run: run_id, method, fold, seed, model, state, step, steps, seconds, error."""
        rows = [asdict(row) for row in study_status(self._records)]
        names = ["run_id", "method", "fold", "seed", "model", "state", "step", "steps", "seconds", "error"]
        return pd.DataFrame(rows, columns=names)

    def analyze(self) -> "Study":
        """Analyse the finished runs, writing `analysis/` as `imbalance-bench analyze` does, and return the study.

        Raises:
            UserError: No finished run, a data set that has changed, or runs that must not be paired.
        """
        require_writable(self.root / "analysis")
        analyze_study(self.root, cache_dir=self._cache)
        self._open_analysis()
        return self

    def table(self, name: str) -> pd.DataFrame:
        """Return a table of the analysis; `analysis/README.md` of the study explains every column of each.

        Args:
            name: Such as "class_scores" or "associations".

        Raises:
            UserError: There is no such table.
        """
        if name not in TABLES:
            raise UserError(f"An analysis has no table '{name}'.{nearest(name, TABLES)}")
        return self._analysed().table(name).copy()

    def scores(self) -> pd.DataFrame:
        """Return every method's scores with intervals, over all classes and for each: the table `method_scores`."""
        return self.table("method_scores")

    def comparisons(self) -> pd.DataFrame:
        """Return every method's difference to its control with the verdict on it: the table `comparisons`."""
        return self.table("comparisons")

    def image_scores(self) -> pd.DataFrame:
        """Return the scores of every test image: the table `image_scores`, as other packages for statistics want it."""
        return self.table("image_scores")

    def verdicts(self) -> pd.DataFrame:
        """Return the verdicts, the most important first.

        Returns:
            Columns id, topic, aspect, method, estimand, measure, class, subject, verdict, sentence and rule, all text.
        """
        names = ["id", "topic", "aspect", "method", "estimand", "measure", "class_name", "subject", "verdict"]
        rows = [verdict.as_json() for verdict in self.verdict_objects()]
        return pd.DataFrame(rows, columns=[*names, "sentence", "rule"]).rename(columns={"class_name": "class"})

    def verdict_objects(self) -> tuple[Verdict, ...]:
        """Return the verdicts with the numbers that each rests on."""
        return self._analysed().verdicts

    def plot(self, kind: str, out: PathLike | None = None) -> Figure:
        """Draw one figure.

        Args:
            kind: As `imbalance-bench plot STUDY list` names them, such as "ranks".
            out: An .svg, .pdf or .png file to write it to, too.

        Returns:
            The figure, which notebooks show. Nothing global of matplotlib changes.

        Raises:
            UserError: There is no such kind, another suffix, or the study cannot have the figure: the message says why.
        """
        target = None if out is None else Path(out)
        if target is not None:
            require_suffix(target)
        figure = draw_figure(kind, self._analysed())
        if target is not None:
            save(figure, target)
        return figure

    def report(self) -> Path:
        """Write `report/index.html`, figures and tables, and return the page."""
        return write_report(self._analysed())

    def _analysed(self) -> AnalysedStudy:
        """Return the analysis of all runs that have finished; make it where there is none or an older one."""
        try:
            if self._changed_at() not in (0, self._read_at):
                self._open_analysis()
            if self._read is not None and newly_finished(self.root / "analysis", self._records) == 0:
                return self._read
        except OutdatedAnalysisError:
            pass
        self.analyze()
        assert self._read is not None
        return self._read

    def _open_analysis(self) -> None:
        self._read_at, self._read = self._changed_at(), AnalysedStudy.open(self.root)

    def _changed_at(self) -> int:
        """Return when the analysis was written last, by whomever; 0 where there is none."""
        path = self.root / "analysis" / RECORDS_FILE  # written after the tables
        return path.stat().st_mtime_ns if path.exists() else 0


def load_study(path: PathLike, *, cache: PathLike | None = None) -> Study:
    """Open a study directory that `run`, `score` or `import` made.

    Args:
        path: The directory.
        cache: Folder of tiles and features, for measures of context; None: as the commands choose it.

    Raises:
        UserError: It is none.
    """
    return Study(path, cache=cache)


def run(
    config: PathLike | Mapping[str, Any] | StudyConfig,
    out: PathLike | None = None,
    *,
    overrides: Iterable[str] = (),
    cache: PathLike | None = None,
    engine: str | None = None,
    workers: int | None = None,
    track: Iterable[str] = (),
) -> Study:
    """Train every run of a study that is not finished, as `imbalance-bench run` does.

    A script needs no `if __name__ == "__main__":` for it. Ctrl-C saves a checkpoint of each run; the same call resumes.

    Args:
        config: A study file, its content as a mapping, or a checked study.
        out: The study directory; None: results/studies/NAME.
        overrides: Changes to a study file, such as "training.steps=300".
        cache: Folder of tiles and features; None: $IMBALANCE_BENCH_CACHE or results/cache.
        engine: "serial", "process", "slurm" or "ray"; None: processes on CPUs, one after the other on a GPU.
        workers: Runs at a time; None: cores / compute.threads.
        track: Programs that follow the runs while they train: "tensorboard", "mlflow", "wandb".

    Returns:
        The study, with its tables, verdicts and figures.

    Raises:
        UserError: Something is wrong with study, data or disk (nothing has been trained), or a run failed.
    """
    checked = _checked(config, overrides)
    if engine is not None and engine not in ENGINES:
        raise UserError(f"`engine` must be one of {', '.join(ENGINES)}. Got '{engine}'.")
    root = study_folder(checked.name, None if out is None else Path(out))
    require_writable(root)
    from imbalance_bench.execution import Execution, execute_study  # torch, once the study file is right

    execution = Execution(
        cache=cache_folder(cache), engine=engine, workers=workers, what_next=False, track=tuple(track)
    )
    with stop_signals(), _script_left_alone():
        execute_study(checked, root, execution)
    return Study(root, cache=cache)


def methods(name: str | None = None) -> pd.DataFrame:
    """Return the catalogue of methods, or the options of one.

    Args:
        name: Of a method; None: all of them.

    Returns:
        One row per method with name, title, family, formula, source, deviations, needs, cost, same_as,
        nothing_to_tune and plugin; or one per option with option, default, values, search_space and meaning.

    Raises:
        UserError: There is no such method.
    """
    if name is not None:
        columns = ["option", "default", "values", "search_space", "meaning"]
        return pd.DataFrame(method_options(method_named(name)), columns=columns)
    rows = [method_facts(method_name, method) for method_name, method in usable_methods()[0].items()]
    return pd.DataFrame([row | {"needs": ", ".join(row["needs"])} for row in rows]).drop(columns="options")


def _checked(config: PathLike | Mapping[str, Any] | StudyConfig, overrides: Iterable[str]) -> StudyConfig:
    if isinstance(config, str | Path):
        return read_study_file(Path(config), overrides)
    changes = list(overrides)
    if changes:
        raise UserError(f"`overrides` change a study file. Got '{changes[0]}' beside {type(config).__name__}.")
    return config if isinstance(config, StudyConfig) else parse_study(dict(config), source="the study")


@contextmanager
def _script_left_alone() -> Iterator[None]:
    """Hide the main module meanwhile: spawned processes import it again, and would run the whole script once more."""
    before = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = before
