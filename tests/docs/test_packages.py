"""Wheel and source distribution: they hold what commands read, nothing else, and run outside the checkout."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path, PurePosixPath

import pytest

pytest.importorskip("build", reason="the extra `dev` is not installed")

ROOT = Path(__file__).parents[2]
PACKAGES = ("imbalance_bench", "methods", "analysis")
READ_AT_RUN_TIME = (".yaml", ".j2", ".css", ".js", ".html", ".json", ".csv", ".typed")
BESIDE = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "MANIFEST.in", "constraints.txt")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both distributions, built of a copy of what git holds, with tests and results beside it."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in BESIDE:
        shutil.copy(ROOT / name, source / name)
    for name in ("tests/test_one.py", "results/reference/one.parquet", "docs/index.md", "benchmarks/__init__.py"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).touch()
    result = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert not re.search(r"deprecat|not included|absent from", result.stdout + result.stderr, re.IGNORECASE)
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


def names_in_wheel(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def files_of_packages() -> set[str]:
    paths = [path for name in PACKAGES for path in (ROOT / name).rglob("*") if path.is_file()]
    return {
        path.relative_to(ROOT).as_posix() for path in paths if path.suffix in (".py", *READ_AT_RUN_TIME)
    }  # fmt: skip


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel: Path) -> None:
    names = {name for name in names_in_wheel(wheel) if ".dist-info/" not in name}
    assert names == files_of_packages()
    assert {"imbalance_bench/quickstart.yaml", "analysis/report/page.html.j2", "methods/py.typed"} <= names


def test_the_source_distribution_holds_no_tests_and_no_results(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {PurePosixPath(*PurePosixPath(name).parts[1:]).as_posix() for name in archive.getnames()}
    assert files_of_packages() | {"README.md", "LICENSE", "CITATION.cff", "CHANGELOG.md"} <= names
    tops = {name.split("/")[0] for name in names}
    assert tops.isdisjoint({"tests", "results", "docs", "benchmarks", "examples"})


def test_the_metadata_are_those_of_the_project(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(next(name for name in archive.namelist() if name.endswith("METADATA"))).decode()
    assert "\nLicense-Expression: Apache-2.0\n" in text
    assert "\nDescription-Content-Type: text/markdown\n" in text
    assert "\nProvides-Extra: docs\n" in text
    version = re.search(r"^Version: (.+)$", text, re.MULTILINE)
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert version
    assert cited
    assert version[1] == cited[1]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """A fresh environment with the wheel; its dependencies are those that are installed here."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*pip, "--prefix", folder, "--ignore-installed", wheel], check=True)
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def outside(environment: Path, *words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [environment / "bin" / words[0], *words[1:]], cwd=cwd, env=clean, capture_output=True, text=True, check=False
    )


def test_the_wheel_runs_outside_the_checkout(environment: Path, tmp_path: Path) -> None:
    print_places = (
        "import analysis as a, imbalance_bench as b, methods as c; print(*(m.__path__[0] for m in (a, b, c)))"
    )
    places = outside(environment, "python", "-c", print_places, cwd=tmp_path)
    assert places.returncode == 0, places.stderr
    assert all(Path(place).is_relative_to(environment) for place in places.stdout.split()), places.stdout
    made = outside(environment, "imbalance-bench", "data", "phantom", "tissue", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    lines = [
        "name: x",
        "dataset: {path: tissue, tile_px: 256}",
        "model: {encoder_weights: none}",
        "methods: [cross_entropy, dfa]",
    ]
    (tmp_path / "study.yaml").write_text("\n".join(lines))
    planned = outside(environment, "imbalance-bench", "run", "study.yaml", "--dry-run", cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert "6" in planned.stdout
