"""The one exception for mistakes that a user can correct: a single line that names the file, the value and the fix."""

from collections.abc import Iterable
from difflib import get_close_matches

from imbalance_bench.visible_text import visible


class UserError(Exception):
    """Something that the user can correct. Printed as one line without a traceback.

    Args:
        message: One sentence with the file or key, the value found, and the fix.
        exit_code: 2 for wrong usage (study file, arguments, data), 1 for a run that failed.
    """

    def __init__(self, message: str, *, exit_code: int = 2) -> None:
        super().__init__(visible(" ".join(message.split())))
        self.exit_code = exit_code


def first_line(error: BaseException) -> str:
    """Return what an error says first; one that says nothing has the name of its class."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def nearest(name: str, options: Iterable[str]) -> str:
    """Return a hint such as " Did you mean 'focal'?", or the list of options when nothing is near."""
    names = sorted(options)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f" Did you mean '{close[0]}'?"
    return f" Known: {', '.join(names)}." if names else ""
