"""What is done on a GPU beside timing: the tests that need one, and a real training by the command line."""

import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from xml.etree import ElementTree

import yaml

from benchmarks.path_sensitivity import CONSEP, CONSEP_WEIGHTS
from benchmarks.speed.child import ROOT, run_python
from benchmarks.speed.phantom_job import TINY_DECODER, PhantomJob
from benchmarks.speed.plain_training import recorded_dice
from benchmarks.speed.row import Row
from benchmarks.speed.setting import Setting
from imbalance_bench.config import StudyConfig, load_study
from imbalance_bench.data.prepared import usable_cores
from imbalance_bench.records import StudyRecords

METHODS = ("cross_entropy", "dfa")
MOST_PROCESSES = 6  # that share a GPU in the tests
PHANTOM = PhantomJob(steps=300, methods=METHODS, images=16, evaluation={})
TINY = replace(PHANTOM, steps=2, batch_size=1, crop_px=32, tile_px=64, images=2, views=1, model=TINY_DECODER)


def test_rows(setting: Setting) -> list[Row]:
    """Run the tests that need a GPU; without one they are skipped."""
    report = setting.folder / "tests.xml"
    words = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", f"--junitxml={report}"]
    if find_spec("xdist"):  # the tests are bound by the processor
        words += ["-n", str(min(MOST_PROCESSES, usable_cores())), "-p", "no:benchmark"]
    started = time.perf_counter()
    done = subprocess.run([*words, "tests/gpu"], cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    suite = ElementTree.parse(report).getroot().find("testsuite") if report.exists() else None
    if suite is None:
        raise RuntimeError(f"pytest ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    number = {key: int(suite.attrib[key]) for key in ("tests", "failures", "errors", "skipped")}
    failed = number["failures"] + number["errors"]
    if failed:
        sys.stderr.write(done.stdout[-4000:])
    passed = number["tests"] - failed - number["skipped"]
    if setting.on_gpu and not passed + failed:
        raise RuntimeError("No test that needs a GPU was run although there is one.")
    note = f"{passed} passed, {number['skipped']} skipped, in {seconds:.0f} s"
    return [Row("tests that need a GPU (`pytest -m gpu`): failures", "", failed, None, "", 0, "at most", note)]


def training_rows(setting: Setting) -> list[Row]:
    """Train two methods by the command line: on CoNSeP where it is at hand, else on phantom tissue."""
    config, where = _study(setting)
    file, out = setting.folder / "study.yaml", setting.folder / "study"
    file.write_text(yaml.safe_dump(config.dump()), encoding="utf-8")
    words = ["-m", "imbalance_bench.cli", "run", file, "--out", out, "--cache", setting.folder / "cache"]
    child = run_python(*words)
    reached = [f"{r.manifest()['method']['label']} {100 * recorded_dice(r):.1f}" for r in StudyRecords(out).runs()]
    what = f"`imbalance-bench run`: {len(reached)} runs of {config.training.steps} steps on {where}, start to end"
    return [
        Row(what, "", child.seconds, None, "s", None, "at most", f"macro Dice of the test images: {', '.join(reached)}")
    ]


def _study(setting: Setting) -> tuple[StudyConfig, str]:
    if setting.tiny or not CONSEP.is_dir():
        return (TINY if setting.tiny else PHANTOM).config(setting, "tissue"), "phantom tissue"
    weights = [f"model.encoder_weights={CONSEP_WEIGHTS}"] if CONSEP_WEIGHTS.exists() else []
    chosen = [f"dataset.path={CONSEP}", f"methods=[{', '.join(METHODS)}]", "seeds=[0]", *weights]
    return load_study(ROOT / "examples" / "consep.yaml", [*chosen, f"compute.device={setting.device}"]), "CoNSeP"
