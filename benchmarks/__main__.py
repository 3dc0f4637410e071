"""The table of speeds: `python -m benchmarks [GROUP ...] [--out results/speed/cpu.json]`.

Rows are measured beside what they are compared with, in one process each; those of a GPU are left out where there is
none. Prints the table as Markdown and writes JSON with the machine and versions.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

GROUPS = {
    "start": "benchmarks.speed.start_up:rows",
    "runs": "benchmarks.speed.many_runs:rows",
    "counts": "benchmarks.speed.evaluation:count_rows",
    "measures": "benchmarks.speed.evaluation:measure_rows",
    "steps": "benchmarks.speed.training:step_rows",
    "overhead": "benchmarks.speed.training:overhead_rows",
    "memory": "benchmarks.speed.training:memory_rows",
}
LIMIT_S = 480  # of one group


def main() -> None:
    """Parse the command line; measure each group in a process of its own."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"{', '.join(GROUPS)}  [default: all]")
    parser.add_argument(
        "--out", type=Path, help="JSON with rows, machine and versions; groups that are measured replace theirs"
    )
    parser.add_argument("--one", choices=list(GROUPS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        _measure(options.one)
        return
    unknown = [name for name in options.groups if name not in GROUPS]
    if unknown:
        parser.error(f"unknown group '{unknown[0]}': choose from {', '.join(GROUPS)}")
    held = json.loads(options.out.read_text(encoding="utf-8"))["groups"] if options.out and options.out.exists() else {}
    failed = []
    for name in options.groups or GROUPS:
        print(f"measuring: {name}", file=sys.stderr, flush=True)
        try:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks", "--one", name],
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
                check=True,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            failed.append(name)
            print(f"{name}: {error}\n{(error.stderr or '')[-2000:]}", file=sys.stderr)
            continue
        held[name] = json.loads(done.stdout.splitlines()[-1])
        if options.out:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(
                json.dumps({"machine": machine(), "groups": held}, indent=1) + "\n", encoding="utf-8"
            )
    print(table(held))
    sys.exit(1 if failed else 0)


def table(held: dict[str, list[dict]]) -> str:
    """Return the rows as a Markdown table."""
    from benchmarks.speed.row import HEAD, Row

    lines = [HEAD, ["---"] * len(HEAD)]
    fields = Row.__dataclass_fields__
    lines += [
        Row(**{k: v for k, v in row.items() if k in fields}).cells() for name in GROUPS for row in held.get(name, [])
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def machine() -> dict[str, object]:
    """What the figures are of."""
    from imbalance_bench.manifest import code_version, library_versions

    model = (
        next(
            (
                line.split(":")[1].strip()
                for line in Path("/proc/cpuinfo").read_text().splitlines()
                if "model name" in line
            ),
            "",
        )
        if Path("/proc/cpuinfo").exists()
        else ""
    )
    return {
        "device": "cpu",
        "processor": model or platform.processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "versions": library_versions(),
        "code": code_version(),
    }


def _measure(name: str) -> None:
    from importlib import import_module

    module, function = GROUPS[name].split(":")
    with tempfile.TemporaryDirectory() as folder:
        found = getattr(import_module(module), function)(Path(folder))
    print(json.dumps([row.as_json() for row in found]))


if __name__ == "__main__":
    main()
