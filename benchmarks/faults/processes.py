"""Signals, dying workers, and two commands on one study: it always goes on, to the same records."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.faults.commands import TRACEBACK, invoke, kept, start, wait_for
from benchmarks.faults.small_study import SmallStudy
from benchmarks.slurm_cluster import one_node_cluster

STEPS = 30
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
CODES = {signal.SIGINT: (130,), signal.SIGTERM: (143,), signal.SIGKILL: (-9,)}
SERIAL_SIGNALS, PROCESS_SIGNALS, WORKER_DEATHS, PAIRS = 45, 18, 8, 20
CLUSTER_SIGNALS = 6  # a command that starts or asks a cluster takes its time
LONGEST_S = 300


def send_signals(small: SmallStudy, workplace: Path, seed: int) -> Iterator[tuple[bool, str]]:
    """Signals at random moments, each study going on after each, then compared with an undisturbed one."""
    for engine, number in (("serial", SERIAL_SIGNALS), ("process", PROCESS_SIGNALS)):
        yield from _signals_to(small, workplace / engine, engine, number, random.Random(f"{seed}/{engine}"))


def send_signals_to_ray(small: SmallStudy, workplace: Path, seed: int) -> Iterator[tuple[bool, str]]:
    """The same of a study on a local Ray cluster."""
    yield from _signals_to(small, workplace / "ray", "ray", CLUSTER_SIGNALS, random.Random(f"{seed}/ray"))


def send_signals_to_slurm(small: SmallStudy, workplace: Path, seed: int) -> Iterator[tuple[bool, str]]:
    """The same of a study on a Slurm cluster of one node: of SIGKILL its jobs know nothing, and go on."""
    with one_node_cluster():
        yield from _signals_to(small, workplace / "slurm", "slurm", CLUSTER_SIGNALS, random.Random(f"{seed}/slurm"))


def _signals_to(
    small: SmallStudy, folder: Path, engine: str, number: int, draw: random.Random
) -> Iterator[tuple[bool, str]]:
    compute = {"compute": {"slurm": {"memory_gb": 1, "minutes": 10}}} if engine == "slurm" else {}
    file = small.write("signalled", training={"steps": STEPS, "checkpoint_every": 4}, seeds=[0], **compute)
    words = ["run", file, "--cache", small.cache, "--engine", engine, "--workers", "2", "--out"]
    shutil.rmtree(folder, ignore_errors=True)
    undisturbed, started = folder / "undisturbed", time.monotonic()
    whole = invoke([*words, undisturbed], longest_s=LONGEST_S)
    yield whole.code == 0, whole.told()
    longest, expected, out, lap = time.monotonic() - started, _records(undisturbed), folder / "disturbed0", 0
    for _ in range(number):
        kind = draw.choice(SIGNALS)
        code, err, ended = _run_and(kind, draw.uniform(0.02, longest), [*words, out])
        expected_codes = (0,) if ended else CODES[kind]
        yield code in expected_codes and TRACEBACK not in err, f"{engine} {kind.name}: exit {code} {err[-300:]}"
        if code == 0 or _all_done(out):
            yield _records(out) == expected, f"{engine}: other records after signals (lap {lap})"
            lap += 1
            out = folder / f"disturbed{lap}"  # jobs of a cluster may still write the last lines into the other
    last = invoke([*words, out], longest_s=LONGEST_S)
    yield last.code == 0 and _records(out) == expected, f"{engine}, at the end: {last.told()}"
    # a link is what submitit leaves of the file of a job
    left = [path for path in out.rglob(".*") if path.is_file() and not path.is_symlink() and path.name != ".lock"]
    yield not left, f"{engine}: temporary files stay: {left[:3]}"


def kill_workers(small: SmallStudy, workplace: Path, seed: int) -> Iterator[tuple[bool, str]]:
    """SIGKILL of one worker process at a random moment: the run is retried, the others go on."""
    draw = random.Random(seed)
    file = small.write("workers", training={"steps": STEPS, "checkpoint_every": 4}, seeds=[0])
    undisturbed = workplace / "workers" / "undisturbed"
    shutil.rmtree(workplace / "workers", ignore_errors=True)
    words = ["run", file, "--cache", small.cache, "--engine", "process", "--workers", "2", "--out"]
    invoke([*words, undisturbed], longest_s=LONGEST_S)
    expected = _records(undisturbed)
    for number in range(WORKER_DEATHS):
        out = workplace / "workers" / str(number)
        process = _start([*words, out])
        killed = _kill_a_child(process, draw)
        err = _finish(process)
        same = _records(out) == expected
        yield (
            killed and process.returncode == 0 and same,
            f"worker killed: {killed}, exit {process.returncode} {err[-300:]}",
        )
        shutil.rmtree(out, ignore_errors=True)


def pair_runners(small: SmallStudy, workplace: Path, seed: int) -> Iterator[tuple[bool, str]]:
    """Two identical commands at once on a new folder: both exit 0, every run is done once, the records are the same."""
    draw, expected = random.Random(seed), _records(small.study)
    for number in range(PAIRS):
        out = workplace / "pairs" / str(number)
        shutil.rmtree(out, ignore_errors=True)
        words = small.run_words(out, small.cache, "--engine", "serial")
        first = _quietly(words)
        time.sleep(draw.choice((0.0, draw.uniform(0, 2))))
        second = _quietly(words)
        codes = [wait_for(first, LONGEST_S), wait_for(second, LONGEST_S)]
        yield codes == [0, 0] and _records(out) == expected, f"pair {number}: exits {codes}"
        shutil.rmtree(out, ignore_errors=True)


def _records(study: Path) -> dict[str, bytes]:
    return {name: raw for name, raw in kept(study / "runs").items() if name.endswith(".parquet")}


def _all_done(study: Path) -> bool:
    told = invoke(["status", study]).out
    unfinished = ("waiting", "queued", "running", "interrupted", "lost", "failed")
    return " done" in told and not any(word in told for word in unfinished)


def _start(words: list[object]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "imbalance_bench.cli", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _finish(process: "subprocess.Popen[str]") -> str:
    try:
        return process.communicate(timeout=LONGEST_S)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        return "hung"


def _kill_a_child(process: "subprocess.Popen[str]", draw: random.Random) -> bool:
    """Kill one of the process's workers once it works."""
    until = time.monotonic() + LONGEST_S
    while process.poll() is None and time.monotonic() < until:
        workers = [pid for pid in _children(process.pid) if b"spawn_main" in _command_of(pid)]
        if workers:
            time.sleep(draw.uniform(0.5, 8))
            alive = [pid for pid in workers if _command_of(pid)]
            if alive:
                os.kill(draw.choice(alive), signal.SIGKILL)
                return True
        time.sleep(0.05)
    return False


def _children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _run_and(kind: signal.Signals, after_s: float, words: list[object]) -> tuple[int, str, bool]:
    """Run a command, send a signal after a while; exit code, errors, and whether it had ended before."""
    with tempfile.TemporaryFile() as error:
        child = start(words, error.fileno(), error.fileno(), _usual_signals)
        time.sleep(after_s)
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
        else:
            os.kill(child, kind)
            code = wait_for(child, LONGEST_S)
        error.seek(0)
        # a signal that arrives while the last lines are printed may find nothing to stop
        return code, error.read().decode("utf-8", "replace"), bool(done) or code == 0


def _quietly(words: list[object]) -> int:
    """Start a command whose output nobody reads; its process id."""
    with Path(os.devnull).open("wb") as nothing:
        return start(words, nothing.fileno(), nothing.fileno(), _usual_signals)


def _usual_signals() -> None:
    """Be a command that a person started, whatever this process does with signals."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
