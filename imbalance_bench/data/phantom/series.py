"""A series of phantom data sets on disk: drawn side by side, resumable, with one table of all planted factors."""

import csv
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from imbalance_bench.data.phantom.spec import PhantomSpec
from imbalance_bench.data.phantom.writer import TRUTH_FILE, generate_phantom
from imbalance_bench.errors import UserError
from imbalance_bench.manifest import canonical_hash, write_atomically, write_json
from imbalance_bench.record_documents import read_document
from imbalance_bench.worker_pool import worker_pool

SERIES_FILE = "series.json"
FACTORS_FILE = "factors.csv"


def generate_series(
    specs: Sequence[PhantomSpec],
    dest: Path,
    *,
    workers: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write every data set of a series as `dest/<name>`; resume where an interrupted call stopped.

    Args:
        specs: N data sets with different names.
        dest: A folder that is new, empty, or holds the same series.
        workers: Processes; each draws whole data sets.
        on_progress: Called with (data sets done, N).

    Returns:
        `dest/factors.csv`: data set, class and what was planted, a row per class of each data set.

    Raises:
        UserError: `dest` holds something else.
    """
    dest = Path(dest)
    _require_same_series(specs, dest)
    for half_done in (path for spec in specs for path in dest.glob(f".{spec.name}-*")):
        shutil.rmtree(half_done)
    waiting = [spec for spec in specs if not (dest / spec.name).exists()]
    n_done = len(specs) - len(waiting)
    report = on_progress or (lambda _n_done, _total: None)
    report(n_done, len(specs))
    write = partial(_write, dest)
    if workers == 1 or len(waiting) < 2:
        for number, spec in enumerate(waiting, start=1):
            write(spec)
            report(n_done + number, len(specs))
    else:
        with worker_pool(min(workers, len(waiting))) as pool:
            for number, _ in enumerate(pool.map(write, waiting), start=1):
                report(n_done + number, len(specs))
    return _gather_factors(specs, dest)


def _write(dest: Path, spec: PhantomSpec) -> None:
    generate_phantom(spec, dest / spec.name)


def _require_same_series(specs: Sequence[PhantomSpec], dest: Path) -> None:
    """Mark an empty folder as that of this series; refuse one that holds anything else."""
    wanted = canonical_hash([spec.model_dump(mode="json") for spec in specs])
    path = dest / SERIES_FILE
    if path.is_file():
        if read_document(path).get("hash") != wanted:
            raise UserError(
                f"{dest} holds another series of phantoms. Choose another DEST, or the same design and seed."
            )
        return
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise UserError(f"{dest} exists and is not an empty folder. Choose another destination or remove it first.")
    dest.mkdir(parents=True, exist_ok=True)
    write_json(path, {"hash": wanted, "datasets": [spec.name for spec in specs]})


def _gather_factors(specs: Sequence[PhantomSpec], dest: Path) -> Path:
    rows = []
    for spec in specs:
        with (dest / spec.name / TRUTH_FILE).open(newline="", encoding="utf-8") as file:
            rows += [{"dataset": spec.name, **row} for row in csv.DictReader(file)]
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    text = "\n".join(lines) + "\n"
    write_atomically(dest / FACTORS_FILE, lambda file: file.write(text.encode()))
    return dest / FACTORS_FILE
