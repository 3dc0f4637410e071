"""The same study on every engine, undisturbed and disturbed: does it complete, and are its tables the same bytes?

    python -m benchmarks.engines [--only WORD ...] [--out FILE]

`serial` without disturbance is what the others are compared with. Slurm is a real cluster of one node
(tests/clusters/one_node_slurm.sh), Ray a local cluster with two workers. Exit code 1 if a study did not complete, its
tables differ, or what was to happen did not.
"""

import argparse
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from benchmarks.faults.small_study import SMALL
from benchmarks.slurm_cluster import one_node_cluster, why_no_cluster
from imbalance_bench.data.phantom import PRESETS, generate_phantom

STEPS, LONG_STEPS = 60, 600  # seconds of training, and enough for a time limit of a minute
LONGEST_S = 420
Disturb = Callable[["Case"], None]


@dataclass
class Case:
    """One study on one engine.

    Args:
        engine: Its name and options.
        what: Is done to it.
        disturb: Does it, once a run has a checkpoint; raises AssertionError where it cannot.
        long: One run that takes a minute, against a time limit of one.
        detached: The command leaves, and `status` says when all is done.
        out: The study directory.
        process: The command.
    """

    engine: str
    what: str
    disturb: Disturb | None = None
    long: bool = False
    detached: bool = False
    out: Path = field(default_factory=Path)
    process: "subprocess.Popen[str] | None" = None

    def begin(self, folder: Path, number: int) -> None:
        """Start the command."""
        self.out = folder / f"case{number}"
        shutil.rmtree(self.out, ignore_errors=True)
        file = folder / ("long.yaml" if self.long else "short.yaml")
        words = ["run", file, "--out", self.out, "--cache", folder / "cache", "--engine", *self.engine.split()]
        self.process = _command(*words, *(["--detach"] if self.detached else []))

    def end(self) -> int:
        """Wait for it and return its exit code."""
        assert self.process is not None
        until = time.monotonic() + LONGEST_S
        try:
            told = self.process.communicate(timeout=LONGEST_S)[0]
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGTERM)
            told = self.process.communicate()[0]
        if self.process.returncode:
            sys.stderr.write(told[-2000:])
        while self.detached and time.monotonic() < until and not _is_done(self.out):
            time.sleep(2)
        return self.process.returncode

    def tables(self) -> dict[str, bytes]:
        """Every table of every run."""
        paths = sorted(self.out.glob("runs/*/*.parquet"))
        return {str(path.relative_to(self.out)): path.read_bytes() for path in paths}


def cases() -> Iterator[Case]:
    """Every case, the reference of each study first."""
    yield Case("serial", "undisturbed")
    yield Case("process --workers 2", "undisturbed")
    yield Case("process --workers 2", "a worker is killed", _kill("spawn_main"))
    yield Case("ray --workers 2", "undisturbed")
    yield Case("ray --workers 2", "a worker is killed", _kill("ray::_work"))
    yield Case("slurm", "undisturbed")
    yield Case("slurm", "submitted with --detach", detached=True)
    yield Case("slurm", "the process of a job is killed", _kill("submitit.core._submit"))
    yield Case("slurm", "all jobs are cancelled", _cancel)
    yield Case("slurm", "the node is drained, then resumed", _take_node("DRAIN"))
    yield Case("slurm", "the node goes down, then returns", _take_node("DOWN"))
    yield Case("serial", "undisturbed", long=True)
    yield Case("slurm", "a time limit of one minute is hit", _await_requeue, long=True)


def _kill(word: str) -> Disturb:
    """SIGKILL of one process whose command line holds `word`."""

    def kill(case: Case) -> None:
        processes = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
        found = [pid for pid in processes if _works_for(pid, case, word)]
        assert found, f"no process {word}"
        os.kill(found[-1], signal.SIGKILL)

    return kill


def _works_for(pid: int, case: Case, word: str) -> bool:
    """Whether a process is called so and belongs to this study: by its arguments, or by its ancestors."""
    assert case.process is not None
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
        if word not in words or Path(f"/proc/{pid}/comm").read_text().startswith(("bash", "srun", "slurm")):
            return False
        while pid not in (0, 1, case.process.pid):
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return False
    return pid == case.process.pid or (str(case.out) in words and "srun" not in words.split("\0")[0])


def _cancel(case: Case) -> None:  # noqa: ARG001
    subprocess.run(["scancel", f"--user={os.getuid()}"], check=True)


def _take_node(state: str) -> Disturb:
    def take(case: Case) -> None:
        node = _told("sinfo", "--noheader", "--format=%n").split()[0]
        _told("scontrol", "update", f"NodeName={node}", f"State={state}", "Reason=benchmark")
        time.sleep(15)
        assert case.process is not None
        assert case.process.poll() is None, "the study was over before its node returned"
        resume = ("scontrol", "update", f"NodeName={node}", "State=RESUME")
        subprocess.run(resume, check=False, capture_output=True)  # refused where the node has come back by itself
        _wait(lambda: _told("sinfo", "--noheader", "--format=%T").split()[0] in ("idle", "mixed", "allocated"), case)

    return take


def _await_requeue(case: Case) -> None:
    _wait(lambda: any(b"Requeued job" in path.read_bytes() for path in case.out.glob("slurm/*/*.*")), case)


def _told(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def _wait(holds: Callable[[], object], case: Case) -> None:
    until = time.monotonic() + LONGEST_S
    while not holds():
        assert case.process is not None
        assert case.detached or case.process.poll() is None, "the study was over too soon"
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.1)


def _is_done(out: Path) -> bool:
    told = _command("status", out).communicate()[0].splitlines()
    return any(line.strip().endswith(" done") and line[0].isdigit() and "," not in line for line in told if line)


def _command(*words: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "imbalance_bench.cli", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _make_studies(folder: Path) -> None:
    spec = PRESETS["tissue"]
    generate_phantom(spec.model_copy(update={"images_per_group": 1, "size_px": 96}), folder / "tissue")
    data = {"path": str(folder / "tissue"), "tile_px": 64, "stride_px": 64}
    rest: dict[str, Any] = SMALL | {"name": "engines", "dataset": data, "seeds": [0]}
    for name, steps, methods, minutes in (
        ("short", STEPS, ["cross_entropy", "focal", "dfa"], 10),
        ("long", LONG_STEPS, ["dfa"], 1),
    ):
        training = SMALL["training"] | {"steps": steps, "checkpoint_every": 5, "validate_every": 20}
        compute = {"slurm": {"minutes": minutes, "memory_gb": 1, "warning_s": 10}}
        content = rest | {"training": training, "methods": methods, "compute": compute}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def _try(case: Case, folder: Path, number: int) -> tuple[int, float, str]:
    """Run a case; its exit code, the seconds it took, and what did not happen."""
    started, missed = time.monotonic(), ""
    case.begin(folder, number)
    if case.disturb is not None:
        try:
            _wait(lambda: list(case.out.glob("runs/*/checkpoint.pt")), case)
            case.disturb(case)
        except AssertionError as error:
            missed = str(error)
    return case.end(), time.monotonic() - started, missed


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], help="engines or disturbances that hold WORD")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the cluster ends with this process
    rows, wrong, slurm = [], 0, why_no_cluster() if find_spec("submitit") else "submitit is not installed"
    skipped = {"slurm": slurm, "ray": None if find_spec("ray") else "ray is not installed"}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place, ExitStack() as stack:
        _make_studies(folder := Path(place))
        expected: dict[bool, dict[str, bytes]] = {}
        if slurm is None:
            stack.enter_context(one_node_cluster())
        for number, case in enumerate(cases()):
            name = case.engine.split()[0]
            chosen = not options.only or any(word in f"{case.engine} {case.what}" for word in options.only)
            if name != "serial" and (not chosen or skipped.get(name)):
                continue
            code, seconds, missed = _try(case, folder, number)
            tables = case.tables()
            same = tables == expected.setdefault(case.long, tables) and len(tables) > 0
            good = code == 0 and same and not missed
            wrong += not good
            what = case.what + (", one long run" if case.long and name == "serial" else "")
            told = missed or ("yes" if same else "NO")
            rows.append(f"| `{case.engine}` | {what} | {code} | {told} | {seconds:.0f} |")
            sys.stderr.write(rows[-1] + "\n")
        notes = [f"{name}: not tried, {why}" for name, why in skipped.items() if why]
        text = _page(rows, notes, with_slurm=slurm is None)  # sbatch tells its version only where a cluster is
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    return int(wrong > 0)


def _page(rows: list[str], notes: list[str], with_slurm: bool) -> str:
    parts = [f"{name} {version(name)}" for name in ("torch", "submitit", "ray") if find_spec(name)]
    if with_slurm:
        parts.append(_told("sbatch", "--version").strip())
    head = "| engine | what happens | exit | every table as of `serial` | seconds |"
    said = f"Python {platform.python_version()}, {', '.join(parts)}, {os.cpu_count()} CPU cores"
    return "\n".join([head, "|---|---|---:|---|---:|", *rows, "", *notes, said, ""])


if __name__ == "__main__":
    sys.exit(main())
