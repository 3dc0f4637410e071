"""Write every generated page of `docs/`, or those that are named: `python -m docs.generate [PAGE ...]`."""

import sys
from pathlib import Path

from docs.generate.pages import PAGES

DOCS = Path(__file__).parents[1]


def write(names: list[str]) -> None:
    """Write the named pages; all of them if none is named."""
    for name in names or PAGES:
        (DOCS / name).write_text(PAGES[name](), encoding="utf-8")


if __name__ == "__main__":
    unknown = [name for name in sys.argv[1:] if name not in PAGES]
    if unknown:
        sys.exit(f"Error: a generated page must be one of {', '.join(PAGES)}. Got {', '.join(unknown)}.")
    write(sys.argv[1:])
