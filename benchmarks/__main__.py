"""The table of speeds: `python -m benchmarks [GROUP ...] [--device cuda] [--out FILE]`.

Rows are measured beside what they are compared with, each group in a process of its own. Prints the table as Markdown
and writes JSON with the machine and versions, group by group, so that what was measured stays if the rest fails.
`--device cuda` measures the rows of a GPU, runs the tests that need one and a real training, and skips all of it with
one line where there is no GPU.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from benchmarks.speed.row import Row, table
from benchmarks.speed.setting import Setting

CPU, GPU = ("cpu",), ("cuda",)
MINUTES = {"cpu": 20, "cuda": 8}  # of all groups
LONGEST_S = 480  # of one group
LARGE_S = 1800  # of one group, with --large
RESULTS = Path("results/speed")


@dataclass(frozen=True)
class Group:
    """Rows that are measured together.

    Attributes:
        where: Module within `benchmarks.speed`, and function.
        devices: On which they are measured unless they are named.
    """

    where: str
    devices: tuple[str, ...]

    def measure(self, setting: Setting) -> list[Row]:
        """Measure."""
        module, function = self.where.split(":")
        return getattr(import_module(f"benchmarks.speed.{module}"), function)(setting)


# what matters most first: where time runs out, the last ones are left out
GROUPS = {
    "start": Group("start_up:rows", CPU),
    "tests": Group("suite:test_rows", GPU),
    "steps": Group("training:step_rows", CPU + GPU),
    "limit": Group("device_limit:rows", GPU),
    "captured": Group("device_limit:captured_rows", GPU),
    "decoder": Group("decoder:rows", CPU + GPU),
    "overhead": Group("training:overhead_rows", CPU + GPU),
    "job": Group("same_job:rows", CPU + GPU),
    "beside": Group("side_by_side:rows", GPU),
    "training": Group("suite:training_rows", GPU),
    "memory": Group("memory:rows", CPU + GPU),
    "grid-small": Group("cached_grid:small_rows", CPU + GPU),
    "grid-large": Group("cached_grid:large_rows", CPU + GPU),
    "runs": Group("many_runs:rows", CPU),
    "encode": Group("encoding:rows", CPU),
    "counts": Group("evaluation:count_rows", CPU),
    "measures": Group("evaluation:measure_rows", CPU),
}


def main() -> None:
    """Parse the command line; measure each group in a process of its own."""
    options = _parser().parse_args()
    if options.one:
        _measure(options)
        return
    if options.device == "cuda" and not _has_gpu():
        print("no CUDA device is at hand, so no row of a GPU was measured")
        return
    names = options.groups or [name for name in GROUPS if options.tiny or options.device in GROUPS[name].devices]
    unknown = [name for name in names if name not in GROUPS]
    if unknown:
        _parser().error(f"unknown group '{unknown[0]}': choose from {', '.join(GROUPS)}")
    out, about = options.out, machine(options.device)
    if out is None and not options.tiny:
        out = RESULTS / f"{re.sub(r'[^a-z0-9]+', '-', str(about['device']).lower())}.json"
    held = json.loads(out.read_text(encoding="utf-8"))["groups"] if out and out.exists() else {}
    ends, failed = time.monotonic() + 60 * MINUTES[options.device], []
    for name in names:
        left = LARGE_S if options.large else min(LONGEST_S, ends - time.monotonic())
        found = _in_process(name, options, left)
        if found is None:
            failed.append(name)
            continue
        held[name] = found
        if out:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(json.dumps({"machine": about, "groups": held}, indent=1) + "\n", encoding="utf-8")
    print(table(_rows(held)))
    if failed:
        print(f"\nnot measured: {', '.join(failed)}", file=sys.stderr)
    sys.exit(1 if failed else 0)


def machine(device: str) -> dict[str, object]:
    """What the figures are of."""
    from imbalance_bench.manifest import code_version, library_versions

    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    models = [line.split(":")[1].strip() for line in lines if "model name" in line]
    about = {
        "device": device,
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "versions": library_versions(),
        "code": code_version(),
    }
    if device == "cuda":
        import torch

        memory_gib = torch.cuda.get_device_properties(0).total_memory / 2**30
        about |= {"device": torch.cuda.get_device_name(), "memory_gib": memory_gib, "cuda": torch.version.cuda}
    return about


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"{', '.join(GROUPS)}  [default: all of the device]")
    parser.add_argument("--device", choices=list(MINUTES), default="cpu")
    parser.add_argument(
        "--out", type=Path, help=f"groups that are measured replace theirs in it  [default: {RESULTS}/DEVICE.json]"
    )
    parser.add_argument(
        "--tiny", action="store_true", help="every group at a miniature size: do they run? Writes nothing by itself"
    )
    parser.add_argument("--large", action="store_true", help="`runs` up to 10,000 finished runs, which takes minutes")
    parser.add_argument("--one", choices=list(GROUPS), help=argparse.SUPPRESS)
    return parser


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _in_process(name: str, options: argparse.Namespace, left_s: float) -> list[dict[str, object]] | None:
    """Measure a group; None if it failed or ran out of time, which is told."""
    if left_s <= 0:
        print(f"{name}: no time is left", file=sys.stderr)
        return None
    print(f"measuring: {name}", file=sys.stderr, flush=True)
    words = [sys.executable, "-m", "benchmarks", "--one", name, "--device", options.device]
    words += [f"--{flag}" for flag in ("tiny", "large") if getattr(options, flag)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=left_s, check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        told = error.stderr or ""
        told = told if isinstance(told, str) else told.decode("utf-8", "replace")
        print(f"{name}: {error}\n{told[-2000:]}", file=sys.stderr)
        return None
    sys.stderr.write(done.stderr)  # such as which tests failed
    return json.loads(done.stdout.splitlines()[-1])


def _measure(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(Path(folder), options.device, options.tiny, options.large)
        found = GROUPS[options.one].measure(setting)
    load = {"load": os.getloadavg()[0]}  # of the last minute, beside which it was measured
    print(json.dumps([row.as_json() | load for row in found]))


def _rows(held: dict[str, list[dict]]) -> list[Row]:
    """Rows of the groups that are held, in the order of GROUPS."""
    fields = Row.__dataclass_fields__
    every = [row for name in GROUPS for row in held.get(name, [])]
    return [Row(**{key: value for key, value in row.items() if key in fields}) for row in every]


if __name__ == "__main__":
    main()
