"""Planning, status and analysis of studies of growing size: bounds, and whether the time grows in proportion."""

import json
import resource
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from analysis.pipeline import analyze_study
from analysis.study.consolidated import FOLDER
from benchmarks.speed.row import Row
from imbalance_bench.config import parse_study
from imbalance_bench.manifest import write_json
from imbalance_bench.planning import prepare_study
from imbalance_bench.record_documents import SCHEMA_VERSION
from imbalance_bench.records import StudyRecords
from imbalance_bench.status import study_status

sys.path.insert(0, str(Path(__file__).parents[2]))  # the tests

METHODS, SEEDS = 20, 50
PLANNED = (2_500, 10_000)


def rows(folder: Path) -> list[Row]:
    """Measure on a simulated study of 1,000 finished runs (15 test images, 5 classes) and half of it."""
    root = simulated(folder / "many", METHODS, SEEDS)
    plan = json.loads((root / "plan.json").read_text(encoding="utf-8"))
    found: dict[str, list[float]] = {"status": [], "analyze": [], "analyze again": []}
    whole = len(plan["runs"])
    for runs in (whole // 2, whole):
        write_json(root / "plan.json", plan | {"runs": plan["runs"][:: whole // runs]})
        shutil.rmtree(root / FOLDER, ignore_errors=True)
        found["status"].append(cpu_s(lambda: study_status(StudyRecords.open(root))))
        found["analyze"].append(cpu_s(lambda: analyze_study(root)))
        found["analyze again"].append(cpu_s(lambda: analyze_study(root)))
    table = []
    for name, (half, all_) in found.items():
        note = "records of many runs are consolidated by the first `analyze`" if "analyze" in name else ""
        what = (
            f"`{name}`, {whole} finished runs" if name != "analyze again" else f"`analyze` again, {whole} finished runs"
        )
        table.append(Row(what, f"twice that of {whole // 2} runs", all_, 2 * half, "CPU s", 1.1, "ratio at most", note))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    table.append(Row(f"peak memory after analysing {whole} runs", "", peak, None, "GiB", 2.0, "at most"))
    return [*_planning(root), *table]


def _planning(root: Path) -> list[Row]:
    """Plan studies of seeds without number."""
    spent = []
    for runs in PLANNED:
        content = {
            "name": "many",
            "dataset": {"path": str(root / "dataset"), "tile_px": 96, "stride_px": 96},
            "model": {"encoder": "resnet18", "encoder_weights": "none"},
            "training": {"crop_px": 32},
            "methods": [{"name": "focal", "gamma": 0.1 * k, "label": f"focal_{k}"} for k in range(METHODS)],
            "seeds": list(range(runs // METHODS)),
        }
        config = parse_study(content, source="benchmark")
        spent.append(
            cpu_s(lambda config=config: len(prepare_study(config, root / "new", lambda *_: None, write=False).runs))
        )
    few, many = spent
    aim = f"{PLANNED[1] // PLANNED[0]} times that of {PLANNED[0]} runs"
    return [
        Row(f"planning {PLANNED[1]} runs", "", many, None, "CPU s", 5.0, "at most", "without importing torch"),
        Row(f"planning {PLANNED[1]} runs", aim, many, few * PLANNED[1] / PLANNED[0], "CPU s", 1.1, "ratio at most"),
    ]


def simulated(root: Path, methods: int, seeds: int) -> Path:
    """Write a study of finished runs whose manifests know the digests of their files, as those of real runs do."""
    from tests.analysis.synthetic import write_synthetic_study

    names = ["cross_entropy", "dfa", *(f"method_{number}" for number in range(methods - 2))]
    write_synthetic_study(root, methods=names, seeds=seeds, n_images=15, classes=5)
    for run in StudyRecords.open(root).runs():
        content = json.loads((run.path / "manifest.json").read_text(encoding="utf-8"))
        write_json(run.path / "manifest.json", content | {"schema": SCHEMA_VERSION, "files": run.digests()})
    return root


def cpu_s(command: Callable[[], object]) -> float:
    """Return the processor time of a command, s."""
    started = time.process_time()
    command()
    return time.process_time() - started
