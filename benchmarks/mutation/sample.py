"""Mutation score outside `methods/`: a fixed-seed sample over `analysis/` and `imbalance_bench/`, by part.

    python -m benchmarks.mutation.sample [--number 200] [--seed 0] [--results FILE] [--share 1/2] [--executed FILE]

Every mutant is written into a copy of the repository, where the tests that import its module run, then those that
import a module that imports it, and so on, until one fails that passes without the mutant, all pass, or `LIMIT_S`
seconds of processor time are over (which counts as survived). Tests that run the program as a process see the mutant,
too. `--executed` is a record by `benchmarks.mutation.executed`: files that never execute the changed statement are then
left out, unless they start programs. Survivors are printed. With `--results` a stopped call goes on where it was; calls
with `--share 1/2` and `2/2` may work on one file beside each other, and one without it then prints the table of all.
Exit code 1 if fewer than 90 % of all, or 75 % of report and plots, are killed.
"""

import argparse
import ast
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

import grimp
import pytest

from benchmarks.mutation.equivalents import EQUIVALENT
from benchmarks.mutation.executed import Executed
from benchmarks.mutation.mutants import Mutant, mutants_of, one_line
from benchmarks.mutation.trials import module_of

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("analysis", "imbalance_bench")
COPIED = ("analysis", "benchmarks", "docs", "examples", "imbalance_bench", "methods", "results/reference", "tests")
FILES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "pyproject.toml", "constraints.txt", "Makefile")
PRELOADED = (
    "matplotlib.pyplot",
    "monai.losses",
    "pandas",
    "pydantic",
    "scipy.stats",
    "segmentation_models_pytorch",
    "torch",
)
STARTS_PROGRAMS = ("subprocess", "Popen", "spawn")
SLOW = ("execute_run", "execute_study", *STARTS_PROGRAMS, ".invoke(", "chromium")
DIED = "?"  # in place of the name of a test
LIMIT_S = 120  # of processor time of the tests of one mutant
NEEDED, NEEDED_OF_PICTURES = 0.9, 0.75
PICTURES = "report and plots"
PARTS = {  # folder or file -> part; the longest that fits counts
    "analysis": "studies and topics",
    "analysis/statistics": "statistics",
    "analysis/explanation": "statistics",
    "analysis/power": "statistics",
    "analysis/measures": "measures",
    "analysis/geometry": "measures",
    "analysis/report": PICTURES,
    "analysis/plots": PICTURES,
    "analysis/cards": PICTURES,
    "imbalance_bench": "runner and records",
    "imbalance_bench/cli": "terminal",
    "imbalance_bench/data": "data",
    "imbalance_bench/drafting": "data",
    "imbalance_bench/models": "training and models",
    "imbalance_bench/training": "training and models",
    "imbalance_bench/evaluation": "training and models",
    "imbalance_bench/inference": "training and models",
}


@dataclass(frozen=True)
class Trial:
    """What became of a mutant.

    Attributes:
        file, line, where, before, after: Of the mutant.
        part: Part of the program.
        killed: Whether a test failed.
        seconds: By the clock.
    """

    file: str
    line: int
    where: str
    before: str
    after: str
    part: str
    killed: bool
    seconds: float


def share(text: str) -> slice:
    """Read `1/2` as the first of every two."""
    first, every = (int(each) for each in text.split("/"))
    if not 1 <= first <= every:
        raise ValueError(text)
    return slice(first - 1, None, every)


def part_of(file: str) -> str:
    """Return the part that a file belongs to."""
    return PARTS[max((place for place in PARTS if file.startswith(place)), key=len)]


def sampled(number: int, seed: int) -> list[Mutant]:
    """Draw mutants, every one of both packages with the same probability; one that is found equivalent is replaced."""
    every = [
        mutant
        for package in PACKAGES
        for path in sorted((REPOSITORY / package).rglob("*.py"))
        for mutant in mutants_of(str(path.relative_to(REPOSITORY)), path.read_text(encoding="utf-8"))
    ]
    drawn = random.Random(seed).sample(every, len(every))
    return [mutant for mutant in drawn if mutant.key not in EQUIVALENT][:number]


def test_circles(graph: grimp.ImportGraph, module: str) -> Iterator[list[str]]:
    """Yield test files: those that import a module, those that import one that imports it, and so on; quick first."""
    imported = imports_of_tests()
    reached, circle, done = {module}, {module}, set[str]()
    while circle:
        found = [file for file, names in imported.items() if names & circle and file not in done]
        found.sort(key=lambda file: (is_slow(file), file))
        if found:
            yield found
        done.update(found)
        circle = {each for one in circle for each in graph.find_modules_that_directly_import(one)} - reached
        reached |= circle


def is_slow(file: str, words: Sequence[str] = SLOW) -> bool:
    """Whether a test file trains, or starts programs; of the words that tell, some may be named."""
    text = (REPOSITORY / file).read_text(encoding="utf-8")
    return any(word in text for word in words)


def executing(circles: Sequence[list[str]], files: set[str] | None) -> list[list[str]]:
    """Keep the files that execute a statement and, last, those that may start a program that does."""
    if files is None:
        return list(circles)
    near = [[each for each in circle if each in files] for circle in circles]
    far = sorted(files - {each for circle in circles for each in circle})
    programs = [each for circle in circles for each in circle if each not in files and is_slow(each, STARTS_PROGRAMS)]
    return [circle for circle in (*near, far, programs) if circle]


def imports_of_tests() -> dict[str, set[str]]:
    """Return test file -> modules that it imports, itself or through the helpers beside the tests."""
    found = {
        str(path.relative_to(REPOSITORY)): imported_names(path) for path in sorted((REPOSITORY / "tests").rglob("*.py"))
    }
    for file, names in found.items():
        helpers = {each.removesuffix(".py").replace("/", ".") for each in found} & names
        found[file] = names.union(*(found[each.replace(".", "/") + ".py"] for each in helpers))
    return {file: names for file, names in found.items() if Path(file).name.startswith("test_")}


def imported_names(path: Path) -> set[str]:
    """Return the dotted names that a file imports."""
    names = set[str]()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


@contextmanager
def copied_repository() -> Iterator[Path]:
    """Copy what tests need into a temporary folder and work there."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "repository"
        for name in COPIED:
            shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "studies"))
        for name in FILES:
            shutil.copy2(REPOSITORY / name, folder / name)
        before = Path.cwd()
        os.chdir(folder)
        sys.path[:] = [str(folder), *(entry for entry in sys.path if Path(entry or before).resolve() != REPOSITORY)]
        os.environ |= {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            yield folder
        finally:
            os.chdir(before)


class FirstFailure:
    """Pytest plug-in that writes the name of the first test, or file, that fails to a pipe.

    Args:
        pipe: File descriptor.
    """

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write a failed test."""
        if report.failed:
            os.write(self.pipe, report.nodeid.encode() + b"\n")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Write a file that cannot be collected."""
        if report.failed:
            os.write(self.pipe, report.nodeid.encode() + b"\n")


def first_failure(circles: Sequence[Sequence[str]], deselected: Collection[str] = ()) -> str | None:
    """Run circles of tests in a forked process until one fails; return its name, DIED if the process did, or None."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            _become_trial(circles, deselected, writing)
        finally:  # nothing of the parent's may be unwound here
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        names = pipe.read().splitlines()
    _, status = os.waitpid(child, 0)
    if names:
        return names[0]
    return None if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 else DIED


def _become_trial(circles: Sequence[Sequence[str]], deselected: Collection[str], pipe: int) -> None:
    os.setsid()
    signal.signal(signal.SIGPROF, _out_of_time)
    signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    ours = (*PACKAGES, "methods", "tests", "benchmarks")
    for name in [name for name in sys.modules if name.partition(".")[0] in ours]:
        del sys.modules[name]
    options = [
        "-x",
        "-q",
        "--assert=plain",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "-p",
        "no:xdist",
        "-m",
        "not gpu",
    ]
    options += [f"--deselect={test}" for test in deselected]
    for circle in circles:
        code = pytest.main([*circle, *options], plugins=[FirstFailure(pipe)])
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            os._exit(1)
    os._exit(0)


def _out_of_time(_signal: int, _frame: FrameType | None) -> None:
    os._exit(0)


def killed(mutant: Mutant, file: Path, circles: Sequence[Sequence[str]], broken: set[str]) -> bool:
    """Whether a test notices a mutant that it would not fail without; tests that do are added to `broken`."""
    original = file.read_bytes()
    while True:
        file.write_text(mutant.source, encoding="utf-8")
        try:
            failed = first_failure(circles, broken)
        finally:
            file.write_bytes(original)
        if failed is None:
            return False
        without = first_failure(circles[:1] if failed == DIED else [[failed]], broken)
        if without is None:
            return True
        if without == DIED:
            raise RuntimeError(f"the tests of {mutant.file} end the process without any mutation")
        broken.add(without)


def try_all(mutants: Sequence[Mutant], results: Path | None, executed: Executed | None) -> list[Trial]:
    """Try every mutant that has no result yet."""
    known = (
        [Trial(**json.loads(line)) for line in results.read_text().splitlines()] if results and results.exists() else []
    )
    done = {(each.file, each.line, each.where, each.before, each.after) for each in known}
    left = [each for each in mutants if (each.file, each.line, each.where, each.before, each.after) not in done]
    graph = grimp.build_graph(*PACKAGES, "methods", cache_dir=None)
    broken = set[str]()
    with copied_repository() as folder:
        for name in PRELOADED:
            importlib.import_module(name)
        for mutant in left:
            started = time.monotonic()
            circles = list(test_circles(graph, module_of(mutant)))
            if executed:
                circles = executing(circles, executed.test_files(mutant.file, mutant.line))
            fate = killed(mutant, folder / mutant.file, circles, broken)
            facts = (mutant.file, mutant.line, mutant.where, mutant.before, mutant.after, part_of(mutant.file))
            known.append(Trial(*facts, fate, round(time.monotonic() - started, 1)))
            if results:
                with results.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(asdict(known[-1])) + "\n")
            if not fate:
                print_survivor(known[-1])
    return known


def print_survivor(trial: Trial) -> None:
    """Print where and what."""
    before, after = one_line(trial.before), one_line(trial.after)
    print(
        f"survived {trial.seconds:5.0f} s  {trial.file}:{trial.line} {trial.where}: `{before}` -> `{after}`", flush=True
    )


def table(trials: Sequence[Trial]) -> list[str]:
    """Return killed and tried by part, as a Markdown table."""
    lines = ["| part | killed | tried | share |", "|---|---|---|---|"]
    for part in [*sorted({each.part for each in trials}), "all"]:
        own = [each.killed for each in trials if part in (each.part, "all")]
        lines.append(f"| {part} | {sum(own)} | {len(own)} | {sum(own) / len(own):.0%} |")
    return lines


def main() -> None:
    """Try a sample and print what survived and the share that was killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=share, default="1/1", help="such as 1/2: the first of every two mutants")
    parser.add_argument("--results", type=Path, help="file of results, one JSON object a line")
    parser.add_argument("--executed", type=Path, help="record of executed lines")
    options = parser.parse_args()
    results = options.results.resolve() if options.results else None
    executed = Executed(options.executed.resolve(), REPOSITORY) if options.executed else None
    trials = try_all(sampled(options.number, options.seed)[options.share], results, executed)
    print("\n".join(table(trials)))
    pictures = [each.killed for each in trials if each.part == PICTURES]
    enough = sum(each.killed for each in trials) >= NEEDED * len(trials)
    sys.exit(int(not enough or sum(pictures) < NEEDED_OF_PICTURES * len(pictures)))


if __name__ == "__main__":
    main()
