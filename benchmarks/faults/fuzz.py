"""Fuzz the readers of everything that people give, for as long as one likes.

    python -m benchmarks.faults.fuzz [--minutes 60] [--reader WORD ...] [--seed 0] [--work FOLDER]
        [--page docs/reliability.md]

Each reader gets an equal share of the time, in a process of its own: guided by coverage where atheris is installed, by
hypothesis otherwise. What a reader does not read it must refuse in one line, within 20 seconds and 4 GiB. Prints a
table, or writes it into its section of a page; an input that did not hold is kept in the work folder with what came of
it. Exit code 1 if there is one.
"""

import argparse
import hashlib
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.page_section import with_section

if TYPE_CHECKING:
    from benchmarks.faults.readers import Reader

LONGEST_S, LARGEST_BYTES, LARGEST_MEMORY = 20, 1 << 16, 4 << 30
ROUND = 500  # inputs that hypothesis draws at a time
TITLE = "Fuzzing"  # its section of a page
ABOUT = (
    "`python -m benchmarks.faults.fuzz`: each reader of what people give gets the same time and inputs of its own.\n"
)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--reader", action="append", default=[], help="readers whose names hold WORD")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "imbalance-bench-fuzz")
    parser.add_argument("--page", type=Path, help="write the table into its section of this page, too")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    work = options.work.resolve()
    if options.one:
        _Fuzz(work, options.one, options.seconds, options.seed).run()
        return 0
    work.mkdir(parents=True, exist_ok=True)
    readers = [name for name in _names(work) if not options.reader or any(word in name for word in options.reader)]
    seconds, faults = 60 * options.minutes / max(1, len(readers)), 0
    lines = ["| reader | inputs | read | refused in one line | faults | seconds |", "|---|---:|---:|---:|---:|---:|"]
    print("\n".join(lines))
    for name in readers:
        started = time.monotonic()
        words = ["--one", name, "--seconds", str(seconds), "--seed", str(options.seed), "--work", str(work)]
        process = subprocess.run(
            [sys.executable, "-m", "benchmarks.faults.fuzz", *words], capture_output=True, text=True, check=False
        )
        counts = _read_counts(work / _slug(name) / "counts.json")
        if process.returncode:  # the process itself died
            counts["faults"] += 1
            (work / _slug(name) / "died.txt").write_text(process.stdout[-4000:] + process.stderr[-4000:])
        faults += counts["faults"]
        numbers = [counts[key] for key in ("inputs", "read", "refused", "faults")]
        cells = [name, *(f"{number:,}" for number in numbers), f"{time.monotonic() - started:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    means = "coverage (atheris)" if find_spec("atheris") else "hypothesis"
    told = f"Seed {options.seed}, {options.minutes:g} minutes, guided by {means}; faults are kept in the work folder."
    print(f"\n{told}")
    if options.page:
        text = "\n".join([f"## {TITLE}\n", ABOUT, *lines, "", told])
        page = options.page.read_text(encoding="utf-8")
        options.page.write_text(with_section(page, TITLE, text), encoding="utf-8")
    return int(faults > 0)


class _Fuzz:
    """One reader, in this process.

    Args:
        work: Folder of the small study and of faults.
        name: Of the reader.
        seconds: How long.
        seed: Of the draws.
    """

    def __init__(self, work: Path, name: str, seconds: float, seed: int) -> None:
        self.folder, self.name, self.seed = work / _slug(name), name, seed
        self.until = time.monotonic() + seconds
        self.folder.mkdir(parents=True, exist_ok=True)
        self.counts = _no_counts()
        self.kinds: set[str] = set()
        self.work = work

    def run(self) -> None:
        """Read until the time is over."""
        guided = find_spec("atheris") is not None
        if guided:
            with _atheris().instrument_imports(include=["imbalance_bench", "nibabel", "tifffile"]):
                reader, examples = self._reader()
        else:
            reader, examples = self._reader()
        from benchmarks.faults.readers import suffix_of

        self.reader, self.path = reader, self.folder / f"drawn{suffix_of(self.name)}"
        signal.signal(signal.SIGALRM, _too_long)
        resource.setrlimit(resource.RLIMIT_AS, (LARGEST_MEMORY + _size(), resource.RLIM_INFINITY))
        warnings.simplefilter("ignore")
        if guided:
            self._guided(examples)
        else:
            self._drawn(examples)

    def _reader(self) -> "tuple[Reader, list[bytes]]":
        from benchmarks.faults.readers import readers_of
        from benchmarks.faults.small_study import make_small_study

        place = self.folder / "place"
        place.mkdir(exist_ok=True)
        return readers_of(make_small_study(self.work / "small"), place)[self.name]

    def _guided(self, examples: list[bytes]) -> None:
        atheris, corpus = _atheris(), self.folder / "corpus"
        corpus.mkdir(exist_ok=True)
        for example in examples:
            (corpus / hashlib.sha256(example).hexdigest()[:16]).write_bytes(example)
        left = max(1, int(self.until - time.monotonic()))
        longest = max(LARGEST_BYTES, 2 * max(map(len, examples)))  # room for the whole of each example
        words = [
            f"-max_total_time={left}",
            f"-max_len={longest}",
            f"-artifact_prefix={self.folder}/",
            f"-seed={self.seed + 1}",
            "-rss_limit_mb=0",
        ]
        atheris.Setup([sys.argv[0], *words, "-timeout=600", "-print_final_stats=0", str(corpus)], self.try_one)
        atheris.Fuzz()

    def _drawn(self, examples: list[bytes]) -> None:
        import contextlib
        import io

        import hypothesis

        from benchmarks.faults.inputs import damaged

        seed = self.seed
        while time.monotonic() < self.until:
            settings = hypothesis.settings(
                max_examples=ROUND, database=None, deadline=None, phases=[hypothesis.Phase.generate]
            )
            given = hypothesis.given(damaged(examples))
            with contextlib.redirect_stdout(io.StringIO()):
                hypothesis.seed(seed)(settings(given(lambda raw: self.try_one(raw))))()
            seed += 1

    def try_one(self, raw: bytes) -> None:
        """Give the reader one file."""
        from imbalance_bench.errors import UserError

        self.path.write_bytes(raw)
        self.counts["inputs"] += 1
        signal.alarm(LONGEST_S)
        try:
            self.reader(self.path)
            self.counts["read"] += 1
        except UserError as error:
            self.counts["refused"] += 1
            if "\n" in str(error):
                self._keep(raw, error)
        except (Exception, _TooLongError) as error:  # noqa: BLE001 - any other exception is a fault
            self._keep(raw, error)
        finally:
            signal.alarm(0)
        if self.counts["inputs"] % 50 == 0 or self.counts["inputs"] < 50:
            self._save()

    def _keep(self, raw: bytes, error: BaseException) -> None:
        trace, place = error.__traceback__, ""
        while trace is not None:
            file = trace.tb_frame.f_code.co_filename
            place = f"{Path(file).name}:{trace.tb_lineno}" if "imbalance_bench" in file else place
            trace = trace.tb_next
        kind = f"{type(error).__name__} at {place}"
        if kind in self.kinds:
            return
        self.kinds.add(kind)
        self.counts["faults"] += 1
        number = len(self.kinds)
        (self.folder / f"fault{number}{self.path.suffix}").write_bytes(raw)
        (self.folder / f"fault{number}.txt").write_text(f"{kind}\n{error}\n", encoding="utf-8", errors="replace")
        self._save()

    def _save(self) -> None:
        (self.folder / "counts.json").write_text(json.dumps(self.counts))


def _atheris() -> Any:
    """Atheris, which type checkers need not have."""
    return importlib.import_module("atheris")


class _TooLongError(BaseException):
    """A reader took too long."""


def _too_long(_number: int, _frame: object) -> None:
    raise _TooLongError(f"more than {LONGEST_S} s")


def _size() -> int:
    """Address space of this process, bytes; 0 where it cannot be known."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _names(work: Path) -> list[str]:
    from benchmarks.faults.readers import readers_of
    from benchmarks.faults.small_study import make_small_study

    place = work / "names"
    place.mkdir(exist_ok=True)
    return list(readers_of(make_small_study(work / "small"), place))


def _slug(name: str) -> str:
    return name.replace(" ", "-").replace(".", "")


def _read_counts(path: Path) -> dict[str, int]:
    return json.loads(path.read_text()) if path.exists() else _no_counts()


def _no_counts() -> dict[str, int]:
    return {"inputs": 0, "read": 0, "refused": 0, "faults": 0}


if __name__ == "__main__":
    sys.exit(main())
