"""Where things go unless the user says otherwise: once for the command line and for Python."""

import os
from pathlib import Path

CACHE_VARIABLE = "IMBALANCE_BENCH_CACHE"
DEFAULT_CACHE = Path("results/cache")  # tiles and frozen features, shared by all studies
STUDIES = Path("results/studies")


def study_folder(name: str, out: Path | None = None) -> Path:
    """Return the directory of a study: the one that is given, or one named after it."""
    return out or STUDIES / name


def cache_folder(cache: str | Path | None = None) -> Path:
    """Return the folder of tiles and features: the one that is given, that of the environment, or the default."""
    return Path(cache or os.environ.get(CACHE_VARIABLE) or DEFAULT_CACHE)
