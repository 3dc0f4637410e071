"""Kill a study with SIGKILL at random moments, resume it each time, and compare every record with an undisturbed run.

    python -m benchmarks.kill_and_resume [--kills 10] [--seed 0] [--study STUDY.yaml --set KEY=VALUE ...]

Without --study it uses a small study on phantom tissue. Exit code 1 if any table differs by a byte.
"""

import argparse
import hashlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from imbalance_bench.data.phantom import PRESETS, generate_phantom

TABLES = ("counts", "confusion", "boundary", "interventions", "path_controls", "epochs")
TABLES += ("class_parameters", "dynamics", "probabilities")
FILES = (*(f"{name}.parquet" for name in TABLES), "model.safetensors", "attention/*.safetensors", "predictions/*.png")
SMALL = ("training.steps=30", "training.checkpoint_every=7", "training.validate_every=10", "seeds=[0]")


@dataclass(frozen=True)
class Disturbance:
    """How a study is disturbed.

    Attributes:
        command: `imbalance-bench run` without --out.
        kills: SIGKILLs to send.
        longest_s: Longest time before a kill; the shortest is a tenth of it.
        seed: Of the moments.
    """

    command: list[str]
    kills: int
    longest_s: float
    seed: int


def run_undisturbed(command: list[str], out: Path) -> float:
    """Run a study to its end and return the seconds it took."""
    started = time.monotonic()
    subprocess.run([*command, "--out", str(out)], check=True, capture_output=True, text=True)
    return time.monotonic() - started


def run_disturbed(disturbance: Disturbance, out: Path) -> list[float]:
    """Kill the study, resume it, ..., then let it end; return the moments of the kills."""
    moments = random.Random(disturbance.seed)
    survived: list[float] = []
    for _ in range(disturbance.kills):
        process = subprocess.Popen(
            [*disturbance.command, "--out", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        moment = moments.uniform(disturbance.longest_s / 10, disturbance.longest_s)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            survived.append(moment)
    run_undisturbed(disturbance.command, out)
    return survived


def record_hashes(out: Path) -> dict[str, str]:
    """SHA-256 of every table, weight and picture of every run."""
    files = [path for name in FILES for path in sorted((out / "runs").glob(f"*/{name}"))]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def compare(disturbance: Disturbance, folder: Path) -> tuple[list[str], int, list[float]]:
    """Return the files that differ, the number compared, and the moments of the kills."""
    run_undisturbed(disturbance.command, folder / "undisturbed")
    moments = run_disturbed(disturbance, folder / "disturbed")
    expected, found = record_hashes(folder / "undisturbed"), record_hashes(folder / "disturbed")
    differing = [name for name in expected if found.get(name) != expected[name]]
    return differing + [name for name in found if name not in expected], len(expected), moments


def small_study(folder: Path) -> list[str]:
    """Write phantom tissue and return the command of a small study on it, with a cache of its own."""
    spec = PRESETS["tissue"].model_copy(update={"size_px": 128, "images_per_group": 2})
    generate_phantom(spec, folder / "phantom")
    study = Path(__file__).parent.parent / "imbalance_bench" / "quickstart.yaml"
    overrides = (*SMALL, f"dataset.path={folder / 'phantom'}", "dataset.tile_px=128", "dataset.stride_px=128")
    return command_of(study, (*overrides, "training.crop_px=64"), folder / "cache")


def command_of(study: Path, overrides: tuple[str, ...], cache: Path) -> list[str]:
    """Return `imbalance-bench run` for a study."""
    settings = [word for override in overrides for word in ("--set", override)]
    program = [sys.executable, "-c", "from imbalance_bench.cli.main import main; main()"]
    return [*program, "run", str(study), *settings, "--cache", str(cache)]


def main() -> None:
    """Parse the command line, run, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--longest", type=float, default=20.0, help="seconds before a kill, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--study", type=Path)
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.study is None:
            command = small_study(folder)
        else:
            command = command_of(options.study, tuple(options.overrides), folder / "cache")
        disturbance = Disturbance(command, options.kills, options.longest, options.seed)
        differing, compared, moments = compare(disturbance, folder)
    print(f"killed {len(moments)} times, after " + ", ".join(f"{moment:.1f} s" for moment in moments))
    print(f"{compared} files compared, {len(differing)} differ")
    for file in differing:
        print(f"  differs: {file}")
    sys.exit(1 if differing or not compared else 0)


if __name__ == "__main__":
    main()
