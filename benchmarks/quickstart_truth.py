"""How often the quickstart finds what is true by construction, as a Markdown table.

    python -m benchmarks.quickstart_truth [--seeds 10] [--out DIR]

Runs `imbalance-bench quickstart` as a user does, once for each seed of the phantom (other tissue, the same planted
causes), and reads `planted_and_found.csv`. A stopped call goes on where it was. The last column is the time of a whole
quickstart by the clock; "-" where an earlier call had begun it. Exit code 1 if something was not found.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

from analysis.schema.files import read_table

ROOT = Path(__file__).parents[1]
MARK = {"yes": "found", "no": "CONTRADICTED", "open": "open"}


def run_seed(folder: Path, seed: int) -> tuple[pd.DataFrame, float]:
    """Run one quickstart, unless it is finished, and return what was planted and found, and its seconds or NaN."""
    seconds = float("nan")
    if not (folder / "study" / "report" / "index.html").exists():
        fresh, started = not folder.exists(), time.monotonic()
        command = [sys.executable, "-m", "imbalance_bench.cli", "quickstart", "--out", str(folder), "--seed", str(seed)]
        subprocess.run([*command, "--cache", str(folder / "cache")], check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - started if fresh else seconds
    return read_table(folder / "study" / "analysis", "planted_and_found"), seconds


def _claims(rows: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(rows["subject"], rows["planted"], strict=True))


def main() -> None:
    """Run every seed and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "studies" / "quickstart_truth")
    options = parser.parse_args()
    found = []
    for seed in range(options.seeds):
        rows, seconds = run_seed(options.out / f"seed_{seed}", seed)
        found.append(rows.assign(seed=seed))
        if seed == 0:
            print(
                "| seed | "
                + " | ".join(f"{subject}: {planted}" for subject, planted in _claims(rows))
                + " | minutes |\n|"
                + "---|" * (len(rows) + 2)
            )
        cells = [MARK[str(agree)] for agree in rows["agrees"]]
        took = "-" if seconds != seconds else f"{seconds / 60:.1f}"
        print(f"| {seed} | {' | '.join(cells)} | {took} |", flush=True)
    every = pd.concat(found)
    agreed = (every["agrees"] == "yes").groupby([every["subject"], every["planted"]], sort=False).sum()
    print("| found | " + " | ".join(f"{n} of {options.seeds}" for n in agreed) + " | |")
    sys.exit(int((every["agrees"] != "yes").any()))


if __name__ == "__main__":
    main()
