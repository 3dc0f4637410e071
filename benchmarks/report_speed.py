"""How long a report takes and how large it is: python -m benchmarks.report_speed [--methods 20] [--seeds 10].

The study is synthetic: every table of the analysis is written with plausible numbers by the code of the tests, for
methods x seeds runs on 15 test images and 8 classes, and the records hold predictions, so that every figure is drawn.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from analysis.report import build_report

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests

LIMIT_SECONDS, LIMIT_MEGABYTES = 60, 15


def main() -> None:
    """Make a study, write its report, and print time and size beside their limits."""
    from tests.analysis.contract_study import write_analysis, write_attention
    from tests.analysis.synthetic import write_synthetic_study

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    methods = ["cross_entropy", "dfa", *(f"method_{number}" for number in range(options.methods - 2))]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "study"
        write_synthetic_study(root, methods=methods, seeds=options.seeds, n_images=15, classes=8)
        plan, dataset = (json.loads((root / f"{name}.json").read_text()) for name in ("plan", "dataset"))
        write_attention(root, dataset)
        write_analysis(root, plan, dataset)
        started, worked = time.perf_counter(), time.process_time()
        page = build_report(root)
        seconds, processor = time.perf_counter() - started, time.process_time() - worked
        megabytes = page.stat().st_size / 1e6
    console = Console()
    runs = options.methods * options.seeds
    console.print(f"{runs} runs x 15 images x 8 classes: {seconds:.1f} s by the clock, {processor:.1f} s of processor "
                  f"(limit {LIMIT_SECONDS} s); {megabytes:.1f} MB (limit {LIMIT_MEGABYTES} MB)")  # fmt: skip


if __name__ == "__main__":
    main()
