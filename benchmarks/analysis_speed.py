"""Processor time and memory of `analyze` and `status` on a study of many finished runs.

    python -m benchmarks.analysis_speed [--methods 20] [--seeds 50]

The study is simulated (15 images, 5 classes) and holds what a real one does, digests of its records included.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from analysis.pipeline import analyze_study
from imbalance_bench.manifest import write_json
from imbalance_bench.record_documents import SCHEMA_VERSION
from imbalance_bench.records import StudyRecords
from imbalance_bench.status import study_status

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests


def main() -> None:
    """Parse the command line, make the study, measure, print."""
    from tests.analysis.synthetic import write_synthetic_study

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=50)
    options = parser.parse_args()
    methods = ["cross_entropy", "dfa", *(f"method_{number}" for number in range(options.methods - 2))]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "study"
        write_synthetic_study(root, methods=methods, seeds=options.seeds, n_images=15, classes=5)
        records = StudyRecords.open(root)
        for run in records.runs():
            content = json.loads((run.path / "manifest.json").read_text(encoding="utf-8"))
            write_json(run.path / "manifest.json", content | {"schema": SCHEMA_VERSION, "files": run.digests()})
        times = {}
        for name, command in (("status", lambda: study_status(records)), ("analyze", lambda: analyze_study(root))):
            started = time.process_time()
            command()
            times[name] = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    runs = options.methods * options.seeds
    print("| finished runs | status, CPU s | analyze, CPU s | peak memory, GiB |\n|---|---|---|---|")
    print(f"| {runs} | {times['status']:.1f} | {times['analyze']:.1f} | {peak:.2f} |")


if __name__ == "__main__":
    main()
