"""Planning, status and analysis of studies of growing size: bounds, and how fast the time grows."""

import json
import resource
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from analysis.pipeline import analyze_study
from analysis.study.consolidated import FOLDER
from benchmarks.speed.growth import growth_row
from benchmarks.speed.row import Row
from benchmarks.speed.setting import Setting
from imbalance_bench.config import parse_study
from imbalance_bench.manifest import write_json
from imbalance_bench.planning import prepare_study
from imbalance_bench.record_documents import SCHEMA_VERSION
from imbalance_bench.records import StudyRecords
from imbalance_bench.status import study_status

sys.path.insert(0, str(Path(__file__).parents[2]))  # the tests

METHODS = 20
PLANNED, FINISHED, LARGEST = (100, 1_000, 10_000), (100, 1_000), 10_000
BOUNDS_S = {"status": 5.0, "analyze": 60.0}  # of 10,000 runs
MOST_GIB = 2.0


def rows(setting: Setting) -> list[Row]:
    """Measure on simulated studies of finished runs (20 methods, 15 test images, 5 classes) of growing size."""
    methods = 2 if setting.tiny else METHODS
    sizes = (4, 8) if setting.tiny else (*FINISHED, LARGEST) if setting.large else FINISHED
    root = simulated(setting.folder / "many", methods, sizes[-1] // methods)
    plan = json.loads((root / "plan.json").read_text(encoding="utf-8"))
    spent: dict[str, list[float]] = {"status": [], "analyze": [], "analyze again": []}
    for runs in sizes:
        planned = [run for run in plan["runs"] if run["seed"] < runs // methods]
        write_json(root / "plan.json", plan | {"runs": planned})
        shutil.rmtree(root / FOLDER, ignore_errors=True)
        spent["status"].append(cpu_s(lambda: study_status(StudyRecords.open(root))))
        spent["analyze"].append(cpu_s(lambda: analyze_study(root)))
        spent["analyze again"].append(cpu_s(lambda: analyze_study(root)))
    table = [growth_row(f"`{name}`", "finished runs", sizes, found) for name, found in spent.items()]
    if setting.large:
        table += [
            Row(f"`{name}`, {LARGEST} finished runs", "", spent[name][-1], None, "CPU s", bound, "at most")
            for name, bound in BOUNDS_S.items()
        ]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    table.append(Row(f"peak memory after analysing {sizes[-1]} runs", "", peak, None, "GiB", MOST_GIB, "at most"))
    return [*_planning(setting, root), *table]


def _planning(setting: Setting, root: Path) -> list[Row]:
    """Plan studies of seeds without number."""
    spent, sizes = [], (METHODS, 2 * METHODS) if setting.tiny else PLANNED
    for runs in sizes:
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
    return [
        Row(
            f"planning {sizes[-1]} runs",
            "",
            spent[-1],
            None,
            "CPU s",
            5.0,
            "at most",
            "importing PyTorch is not counted",
        ),
        growth_row("planning", "runs", sizes, spent),
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
