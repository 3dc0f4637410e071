"""How long a command takes before it does anything: processor time of a new process, least of three.

On an idle machine the wall time is about the same; on one that is shared it says how busy that is.
"""

import os
import resource
import subprocess
import sys
from pathlib import Path

from benchmarks.speed.row import Row
from benchmarks.speed.setting import Setting

_COMMANDS = (
    ("`--help`", ["-m", "imbalance_bench.cli", "--help"], 0.3),
    ("a typo in a study file", ["-m", "imbalance_bench.cli", "run", "typo.yaml"], 0.5),
    ("a typo in an option of a method", ["-m", "imbalance_bench.cli", "run", "option.yaml"], 0.5),
    ("importing the analysis", ["-c", "import analysis.pipeline"], 1.5),
    ("importing `analysis.reading`", ["-c", "import analysis.reading.analysed_study"], 1.0),
)
_FORBIDDEN = ("torch", "matplotlib")  # in what reads a finished analysis


def rows(setting: Setting) -> list[Row]:
    """Measure, and refuse heavy imports where none are needed."""
    folder = setting.folder
    (folder / "typo.yaml").write_text("name: x\ntrainig: {}\n")
    (folder / "option.yaml").write_text(
        "name: x\ndataset: {path: x}\nmodel: {encoder_weights: imagenet}\nmethods: [{name: focal, gama: 1}]\n"
    )
    found = []
    for name, arguments, aim in _COMMANDS:
        spent = min(_cpu_s(arguments, folder) for _ in range(1 if setting.tiny else 3))
        found.append(Row(f"start-up: {name}", "", spent, None, "CPU s", aim, "at most"))
    code = f"import sys, analysis.reading.analysed_study; sys.exit(any(name in sys.modules for name in {_FORBIDDEN}))"
    heavy = subprocess.run([sys.executable, "-c", code], env=_environment(), check=False).returncode
    found.append(Row(f"`analysis.reading` imports {' or '.join(_FORBIDDEN)}", "", heavy, None, "", 0, "at most"))
    return found


def _cpu_s(arguments: list[str], folder: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=folder, env=_environment(), capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
