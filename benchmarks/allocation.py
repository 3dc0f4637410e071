"""What the allocator costs: CPU time of encoding and of training steps, glibc as it is and with freed memory kept.

    python -m benchmarks.allocation [--pairs 3] [--rounds 20] [--crop 256] [--batch 8]

Each side is a process of its own; sides take turns, and the ratio of each pair is printed with the peak memory. The
load is a study of cross-entropy on the phantom with cached features of a frozen encoder, on one thread.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from imbalance_bench.allocator import SWITCH, keep_freed_memory

SIDES = {"kept": "", "glibc as it is": "system"}


def measure(rounds: int, crop_px: int, batch: int) -> dict[str, float]:
    """Encode the views of a phantom and take training steps in this process.

    Returns:
        CPU seconds of encoding, CPU milliseconds of a step, peak resident memory in MiB.
    """
    keep_freed_memory()
    import torch

    from benchmarks.method_cost import Load, study_of, trainer_of
    from imbalance_bench.training.material import open_material

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        study = study_of(Path(name), ["cross_entropy"], Load(crop_px=crop_px, batch_size=batch, rounds=rounds))
        started = time.process_time()
        data = open_material(study, Path(name) / "cache", torch.device("cpu"))
        encoded = time.process_time() - started
        trainer = trainer_of(study, study.runs[0], data)
        steps = []
        for _ in range(rounds):
            started = time.process_time()
            trainer._take_step(with_gradient_norms=False)  # pyright: ignore[reportPrivateUsage]
            steps.append(time.process_time() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"encode_s": encoded, "step_ms": 1e3 * statistics.median(steps), "peak_mib": peak}


def main() -> None:
    """Parse the command line, measure both sides in turn, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.rounds, options.crop, options.batch)))
        return
    words = [sys.executable, "-m", "benchmarks.allocation", "--child"]
    words += [f"--{name}={getattr(options, name)}" for name in ("rounds", "crop", "batch")]
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(options.pairs):
        for side, value in SIDES.items():
            done = subprocess.run(
                words, env={**os.environ, SWITCH: value}, stdout=subprocess.PIPE, text=True, check=True
            )
            found[side].append(json.loads(done.stdout.splitlines()[-1]))
    print("| | encoding, CPU s | a step, CPU ms | peak memory, MiB |\n|---|---|---|---|")
    for side, rows in found.items():
        cells = [f"{statistics.median(row[key] for row in rows):.1f}" for key in ("encode_s", "step_ms", "peak_mib")]
        print(f"| {side} | {' | '.join(cells)} |")
    for key, what in (("encode_s", "encoding"), ("step_ms", "a step"), ("peak_mib", "peak memory")):
        ratios = [b[key] / a[key] for a, b in zip(*found.values(), strict=True)]
        print(f"{what}: glibc / kept {min(ratios):.2f} to {max(ratios):.2f}, median {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
