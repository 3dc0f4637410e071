"""Trials: run the tests of a file in a forked process, with one mutant in the file's place."""

import importlib
import importlib.util
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import hypothesis
import pytest

from benchmarks.mutation.mutants import Mutant

COPIED = ("imbalance_bench", "methods", "tests/methods", "pyproject.toml")
LAST = "test_contract.py"
EVERY = ("search_spaces.txt",)  # named by tests that go over all methods in one
SURVIVED, KILLED = 0, 1
LIMIT_S = 120  # of processor time, so that a busy machine does not kill mutants


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Attributes:
        mutant: The mutant.
        outcome: `killed`, `survived` or `timeout`, which counts as killed.
        seconds: Of the trial.
    """

    mutant: Mutant
    outcome: str
    seconds: float


def module_of(mutant: Mutant) -> str:
    """Dotted name of the mutated module."""
    return mutant.file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


class Substitute(MetaPathFinder, Loader):
    """Imports a mutant's source under the name of its module."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant
        self.module = module_of(mutant)

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        """Claim the mutant's module."""
        if fullname != self.module:
            return None
        file = Path(self.mutant.file)
        within = [str(file.parent)] if file.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(fullname, file, loader=self, submodule_search_locations=within)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:  # noqa: ARG002
        """Leave the module to the import system."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Run the mutated source."""
        exec(compile(self.mutant.source, self.mutant.file, "exec"), module.__dict__)


class Relevant:
    """Pytest plug-in that keeps the tests of some methods and puts the sharpest first.

    Args:
        names: Methods whose parametrised tests stay.
        module: Mutated module. Tests that are not about one method stay if their file names it or one of the methods,
            or if they go over all of them.
    """

    def __init__(self, names: Collection[str], module: str) -> None:
        self.names = names
        self.mentions = (module, *EVERY, *(f'"{name}"' for name in names))

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Drop and sort in place."""
        items[:] = sorted(filter(self.concerned, items), key=self.rank)

    def concerned(self, item: pytest.Item) -> bool:
        """Whether the test can notice the mutant."""
        method = method_of(item)
        if method is not None:
            return method in self.names
        text = item.path.read_text(encoding="utf-8")
        return any(mention in text for mention in self.mentions)

    def rank(self, item: pytest.Item) -> bool:
        """Unit tests before the large contract suite."""
        return LAST in item.nodeid


def method_of(item: pytest.Item) -> str | None:
    """Name of the method that a parametrised test is about."""
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return None
    case = callspec.params.get("case")
    if isinstance(case, dict):
        return case.get("method")
    if isinstance(case, tuple):
        return case[0]
    name = callspec.params.get("method", callspec.params.get("name"))
    return name if isinstance(name, str) else None


@contextmanager
def copy_of(repository: Path, folder: Path) -> Iterator[Path]:
    """Copy what the trials need, and work there until the block ends; the copy stays."""
    for name in COPIED:
        source, target = repository / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    before, path = Path.cwd(), list(sys.path)
    os.chdir(folder)
    sys.path[:] = [str(folder), *(entry for entry in path if Path(entry or before).resolve() != repository)]
    try:
        yield folder
    finally:
        os.chdir(before)
        sys.path[:] = path


def callers() -> dict[str, set[str]]:
    """Find which registered methods call each function, over their golden values and the contract's configurations.

    Runs in a forked process, so that this one keeps no module of the methods.

    Returns:
        "file::qualified name" -> methods; "file" -> the methods that call anything in it.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        called = _traced()
        text = "\n".join(f"{name} {place}" for name, places in called.items() for place in sorted(places))
        with os.fdopen(writing, "w") as pipe:
            pipe.write(text)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        rows = [line.split(" ", 1) for line in pipe.read().splitlines()]
    os.waitpid(child, 0)
    found: dict[str, set[str]] = {}
    for name, place in rows:
        found.setdefault(place, set()).add(name)
        found.setdefault(place.partition("::")[0], set()).add(name)
    return found


def _traced() -> dict[str, set[str]]:
    """Return method -> "file::qualified name" of every function in `methods` that it calls."""
    sys.path.insert(0, "tests/methods")
    golden, cases = importlib.import_module("test_golden"), importlib.import_module("method_cases")
    registry = importlib.import_module("methods").REGISTRY
    folder, called = str(Path.cwd()) + os.sep, {name: set() for name in registry}

    def run(name: str, act: Callable[[], object]) -> None:
        def note(frame: FrameType, event: str, _: object) -> None:
            file = frame.f_code.co_filename
            if event == "call" and file.startswith(folder + "methods"):
                called[name].add(f"{file.removeprefix(folder)}::{frame.f_code.co_qualname}")

        sys.setprofile(note)
        act()
        sys.setprofile(None)

    for case in golden.CASES:
        run(case["method"], partial(golden.test_golden_values, case))
    for name, options in cases.configurations():
        run(name, partial(_train_once, cases, registry[name](**options)))
    return called


def _train_once(cases: ModuleType, config: Any) -> None:
    components, batch = cases.build(config), cases.random_batch()
    for step in range(2):
        cases.loss_of(components)(batch.logits, batch.target, batch.valid, step)
    components.class_parameters()


def concerned(mutant: Mutant, called: Mapping[str, set[str]]) -> set[str]:
    """Return the methods whose tests can notice a mutant: those that call its function, or else its file."""
    every = set().union(*called.values())
    return called.get(f"{mutant.file}::{mutant.where}") or called.get(mutant.file) or every


def unchanged(file: str, source: str) -> Mutant:
    """Return the file itself as a mutant: if it does not survive, no verdict on the others means anything."""
    return Mutant(file, 0, "unchanged", "", "", source)


def try_mutant(mutant: Mutant, names: Collection[str]) -> Verdict:
    """Run the tests of some methods against a mutant."""
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        _become_trial(mutant, names)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        outcome = "timeout" if os.WTERMSIG(status) == signal.SIGPROF else "killed"
    else:
        outcome = "survived" if os.WEXITSTATUS(status) == SURVIVED else "killed"
    return Verdict(mutant, outcome, time.monotonic() - started)


def _become_trial(mutant: Mutant, names: Collection[str]) -> None:
    """Run the tests and end the process with what came of it."""
    signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    sys.dont_write_bytecode = True
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    sys.meta_path.insert(0, Substitute(mutant))
    hypothesis.settings.register_profile("mutation", derandomize=True, database=None, deadline=None)
    hypothesis.settings.load_profile("mutation")
    if fails_golden_values(names):
        os._exit(KILLED)
    arguments = ["tests/methods", "-x", "-q", "--assert=plain", "-p", "no:cacheprovider"]
    code = pytest.main(arguments, plugins=[Relevant(names, module_of(mutant))])
    os._exit(SURVIVED if code == pytest.ExitCode.OK else KILLED)


def fails_golden_values(names: Collection[str]) -> bool:
    """Whether a golden value of some methods is missed: asked first and without pytest, as most mutants die here."""
    sys.path.insert(0, "tests/methods")
    try:
        golden = importlib.import_module("test_golden")
        for case in golden.CASES:
            if case["method"] in names:
                golden.test_golden_values(case)
    except Exception:  # noqa: BLE001 - a mutant may fail in any way
        return True
    del sys.modules["test_golden"]
    sys.path.remove("tests/methods")
    return False
