"""Do faults of every kind to a small study and print docs/reliability.md.

    python -m benchmarks.faults [--area NAME ...] [--seed 0] [--work FOLDER] [--out docs/reliability.md] [--fresh]

Areas that were tried in the same work folder are kept; --area tries some again, --fresh forgets all. Exit code 1 if
anything did not hold. Some places (a read-only file system, another user) can be tried by root only.
"""

import argparse
import os
import sys
import tempfile
import warnings
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import torch

import imbalance_bench.execution
import imbalance_bench.inference.prediction  # noqa: F401 - children begin with everything imported
from benchmarks.faults import damage, inputs, places, processes
from benchmarks.faults.fuzz import TITLE
from benchmarks.faults.small_study import SmallStudy, make_small_study
from benchmarks.faults.trials import Area, Trials, load, page, save
from benchmarks.page_section import section_of, with_section
from benchmarks.slurm_cluster import why_no_cluster

SAME_BYTES = "exit 130, 143 or -9, no traceback; the study goes on to the same bytes"


def all_areas(small: SmallStudy) -> list[Area]:
    """Return every area, in the order of the table."""
    areas = [
        ("signals", SAME_BYTES, processes.send_signals),
        ("signals: ray", SAME_BYTES, processes.send_signals_to_ray),
        ("signals: slurm", SAME_BYTES, processes.send_signals_to_slurm),
        ("worker deaths", "the run is retried: exit 0 and the same bytes", processes.kill_workers),
        ("two runners", "both exit 0, every run done, the same bytes", processes.pair_runners),
        ("disk faults: places", "one line, exit 1 or 2, nothing begun, nothing changed", places.refuse_places),
        ("disk faults: full", "one line, nothing torn; the same command then goes on", places.fill_disks),
        ("bit flips: records", "no other scores with exit 0", damage.flip_records),
        ("bit flips: checkpoints", "refused, or what was saved", damage.flip_checkpoints),
        ("bit flips: caches", "refused or mended: no other records with exit 0", damage.flip_caches),
        ("changed files", "no other scores with exit 0, `status` answers", damage.change_files),
        ("bad inputs: files", "read, or refused in one line", inputs.try_readers),
        ("bad inputs: study files", "read, or refused in one line", inputs.try_study_files),
        ("bad inputs: options", "exit 0, or one line", inputs.try_options),
    ]
    notes, missing = dict[str, str](), why_no_cluster()
    for name, why in (("ray", None if find_spec("ray") else "ray is not installed"), ("slurm", missing)):
        if why is not None:
            areas = [area for area in areas if area[0] != f"signals: {name}"]
            notes["signals"] = f"{name} is not tried here, {why}"
    if os.geteuid() != 0:
        notes["disk faults: places"] = "not tried by root: without a read-only file system and another user"
    return [Area(name, claim, partial(tried, small), notes.get(name, "")) for name, claim, tried in areas]


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--area", action="append", default=[], help="try areas that begin with NAME, again")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "imbalance-bench-faults")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--fresh", action="store_true", help="forget what was tried earlier")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    options.work.mkdir(parents=True, exist_ok=True)
    small = make_small_study(options.work.resolve() / "small")
    known = {} if options.fresh else load(options.work / "results.json")
    areas = all_areas(small)
    for area in areas:
        chosen = any(area.name.startswith(name) for name in options.area)
        if not chosen and (options.area or area.name in known):
            continue
        known[area.name] = area.run(options.work.resolve() / "work" / area.name.replace(" ", "-"), options.seed, _tell)
        save(known, options.work / "results.json")
        sys.stderr.write("\n")
    text = page([known[area.name] for area in areas if area.name in known], "python -m benchmarks.faults")
    if options.out:
        before = options.out.read_text(encoding="utf-8") if options.out.exists() else ""
        options.out.write_text(with_section(text, TITLE, section_of(before, TITLE)), encoding="utf-8")
    else:
        print(text, end="")
    return int(any(each.held < each.tried for each in known.values()))


def _tell(found: Trials) -> None:
    sys.stderr.write(f"\r{found.name}: {found.held} of {found.tried} held, {found.seconds:.0f} s")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
