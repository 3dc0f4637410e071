"""Commands in forked children: everything is imported once, and a crash costs one child."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imbalance_bench.cli.main import main

TRACEBACK = "Traceback (most recent call last)"
LONGEST_S = 120


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Attributes:
        words: Its arguments.
        code: Exit code; negative: the signal that ended it.
        out: Standard output.
        err: Standard error.
        seconds: Wall clock.
    """

    words: tuple[str, ...]
    code: int
    out: str
    err: str
    seconds: float

    @property
    def errors(self) -> list[str]:
        """The lines that say what is wrong."""
        return [line for line in self.err.splitlines() if line.startswith("Error: ")]

    @property
    def is_one_line(self) -> bool:
        """True for exit code 1 or 2 with one last line that says why, and no traceback."""
        lines = self.err.strip().splitlines()
        last = bool(lines) and lines[-1].startswith("Error: ")
        return self.code in (1, 2) and last and len(self.errors) == 1 and TRACEBACK not in self.err + self.out

    @property
    def is_clean(self) -> bool:
        """True where it worked, or refused in one line."""
        return (self.code == 0 and TRACEBACK not in self.err + self.out) or self.is_one_line

    def told(self) -> str:
        """The command and how it ended, in one line."""
        lines = self.err.strip().splitlines()
        return f"{' '.join(self.words)[:160]} -> {self.code}: {lines[-1][:240] if lines else ''}"


def invoke(
    words: Sequence[object], *, before: Callable[[], object] | None = None, longest_s: float = LONGEST_S
) -> Outcome:
    """Run a command of the command line in a child.

    Args:
        words: Arguments.
        before: Called in the child first, such as to become another user.
        longest_s: Limit; beyond it the child is killed, which is code -9.
    """
    arguments = tuple(map(str, words))
    out, err = _Drained(), _Drained()
    started = time.monotonic()
    child = start(arguments, out.write_end, err.write_end, before)
    texts = [each.text_after for each in (out.begin(), err.begin())]
    code = wait_for(child, longest_s)
    return Outcome(arguments, code, texts[0](), texts[1](), time.monotonic() - started)


class _Drained:
    """A pipe that is read as it fills: a file would count among those that a trial keeps from growing."""

    def __init__(self) -> None:
        self._read_end, self.write_end = os.pipe()
        self._content = b""
        self._reader = threading.Thread(target=self._read, daemon=True)

    def begin(self) -> "_Drained":
        """Read, once the child has its end."""
        os.close(self.write_end)
        self._reader.start()
        return self

    def text_after(self) -> str:
        """Return what was written, once the child has ended; what its own children write later is left out."""
        self._reader.join(timeout=5)
        return self._content.decode("utf-8", "replace")

    def _read(self) -> None:
        with os.fdopen(self._read_end, "rb", buffering=0) as pipe:
            while part := pipe.read(65536):
                self._content += part


def start(words: Sequence[object], out: int, err: int, before: Callable[[], object] | None = None) -> int:
    """Start a command in a child and return its process id.

    Args:
        words: Arguments.
        out: Descriptor of its standard output.
        err: Descriptor of its standard error.
        before: Called in the child first.
    """
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.dup2(out, 1)
        os.dup2(err, 2)
        if before is not None:
            before()
        main([str(word) for word in words], prog_name="imbalance-bench")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:  # noqa: BLE001 - what the interpreter would print
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait_for(child: int, longest_s: float) -> int:
    """Return the exit code of a child, negative for a signal; one that takes longer is killed."""
    until = time.monotonic() + longest_s
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        time.sleep(0.002)


def as_nobody() -> None:
    """Become the user that owns nothing."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


def kept(folder: Path) -> dict[str, bytes]:
    """Content of every file below a folder, by its path there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
