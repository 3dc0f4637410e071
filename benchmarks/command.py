"""How a benchmark that is a command ends: with the exit code of what it did, or with one line of what it was given."""

import sys
from collections.abc import Callable
from typing import NoReturn

from imbalance_bench.errors import UserError


def end_with(do: Callable[[], int]) -> NoReturn:
    """Do it and exit with its code; an error of the user is one line on standard error."""
    try:
        sys.exit(do())
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
