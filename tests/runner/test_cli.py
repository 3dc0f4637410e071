"""The command line from nothing to records, and what it must not import."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from imbalance_bench.cli.main import main
from methods import REGISTRY
from tests.small_study import write_study


def loaded_modules(statement: str) -> set[str]:
    program = f"import sys; {statement}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import analysis",
        "import analysis.pipeline",
        "import analysis.plots, analysis.report",
        "import imbalance_bench.records, imbalance_bench.status, imbalance_bench.cli.study_view",
        "import imbalance_bench.data.phantom, imbalance_bench.data.splits",
    ],
)
def test_reading_records_needs_no_torch(statement: str) -> None:
    assert not loaded_modules(statement) & {"torch", "segmentation_models_pytorch", "timm"}


def test_help_imports_nothing_heavy() -> None:
    heavy = {"torch", "pandas", "numpy", "scipy", "pydantic", "matplotlib", "pyarrow"}
    assert not loaded_modules("import imbalance_bench.cli.main") & heavy


def test_methods_import_nothing_of_ours() -> None:
    modules = loaded_modules("import methods")
    assert not {name.split(".")[0] for name in modules} & {"imbalance_bench", "analysis"}


def test_a_study_from_its_file_to_records(tmp_path: Path, dataset: Path) -> None:
    study = write_study(tmp_path / "study.yaml", dataset)
    out, cache = tmp_path / "out", tmp_path / "cache"
    words = ["run", str(study), "--out", str(out), "--cache", str(cache), "--engine", "serial"]
    dry = CliRunner().invoke(main, [*words, "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert not out.exists()
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert "2 done" in done.output
    status = CliRunner().invoke(main, ["status", str(out)])
    assert "2 done" in status.output
    again = CliRunner().invoke(main, words)
    assert "2 done already" in again.output


def test_status_tells_interrupted_from_running(tmp_path: Path, finished_study: Path) -> None:
    import json
    import shutil

    copy = tmp_path / "study"
    shutil.copytree(finished_study, copy)
    run = next((copy / "runs").iterdir())
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"state": "running", "step": 2}))
    shutil.rmtree(sorted((copy / "runs").iterdir())[-1])
    output = CliRunner().invoke(main, ["status", str(copy)]).output
    assert "1 interrupted" in output
    assert "1 waiting" in output
    assert "8 done" in output


def test_the_catalogue_lists_every_method_and_each_has_a_card() -> None:
    listed = CliRunner().invoke(main, ["methods"]).output
    for name, method in REGISTRY.items():
        assert name in listed
        card = CliRunner().invoke(main, ["methods", name])
        assert card.exit_code == 0
        for option in method.model_fields:
            assert option in card.output


def test_data_check_names_damage_and_exits_1(dataset: Path) -> None:
    sound = CliRunner().invoke(main, ["data", "check", str(dataset)])
    assert sound.exit_code == 0
    assert "nothing wrong" in sound.output
    for name in ("im_1", "im_4"):
        (dataset / "masks" / f"{name}.png").write_bytes(b"broken")
    damaged = CliRunner().invoke(main, ["data", "check", str(dataset)])
    assert damaged.exit_code == 1
    assert "im_1.png" in damaged.output
    assert "im_4.png" in damaged.output


def test_doctor_names_every_library() -> None:
    output = CliRunner().invoke(main, ["doctor"]).output
    assert "torch" in output
    assert "missing" not in output
