"""Which test files execute which lines of the packages: recorded by one run of the tests, read by `sample`.

    python -m pytest -p benchmarks.mutation.executed -n 2 ...

writes `.executed` into the current directory, by coverage.py with the file of the running test as its context. Lines
that run while modules are imported have none, and neither have lines that only other processes run.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest

PACKAGES = ("analysis", "imbalance_bench", "methods")
RECORD = ".executed"
RECORDER = pytest.StashKey[coverage.Coverage]()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Record from before the first import of a package."""
    early_config.stash[RECORDER] = recorder = coverage.Coverage(
        data_file=RECORD, data_suffix=True, source_pkgs=list(PACKAGES), config_file=False
    )
    recorder.start()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Name the file of the test."""
    recorder = item.config.stash[RECORDER]
    recorder.switch_context(item.nodeid.partition("::")[0])
    result = yield
    recorder.switch_context("")
    return result


def pytest_unconfigure(config: pytest.Config) -> None:
    """Write what was recorded, and put the parts of all workers together."""
    config.stash[RECORDER].stop()
    config.stash[RECORDER].save()
    if not hasattr(config, "workerinput"):
        whole = coverage.Coverage(data_file=RECORD, config_file=False)
        whole.combine()
        whole.save()


class Executed:
    """A record of executed lines.

    Args:
        record: File written by the plug-in.
        root: Repository in which the tests ran.
    """

    def __init__(self, record: Path, root: Path) -> None:
        self.root = root
        self.data = coverage.CoverageData(str(record))
        self.data.read()

    def test_files(self, file: str, line: int) -> set[str] | None:
        """Return the test files that execute the statement on a line; None where it runs while modules are imported.

        Args:
            file: Relative to the repository.
            line: Any of a statement, from 1.
        """
        path = self.root / file
        lines = statement_in_function(path.read_text(encoding="utf-8"), line)
        contexts = self.data.contexts_by_lineno(str(path))
        found = {context for each in lines for context in contexts.get(each, ())}
        return None if not lines or "" in found else found


def statement_in_function(source: str, line: int) -> range:
    """Return the lines of the innermost statement around a line, of a compound one those of its head.

    Empty outside functions, whose statements run during an import.
    """
    around = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.stmt) and _first(node) <= line <= _last(node)
    ]
    around.sort(key=_first)
    if not any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in around[:-1]):
        return range(0)
    blocks = [_first(each) for each in getattr(around[-1], "body", []) if isinstance(each, ast.stmt)]
    end = min(blocks) if blocks and min(blocks) > line else _last(around[-1]) + 1
    return range(_first(around[-1]), end)


def _first(node: ast.stmt) -> int:
    return min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])


def _last(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno
