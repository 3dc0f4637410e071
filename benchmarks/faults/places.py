"""Disks and paths that refuse: read-only, foreign, full, looping, too long, gone."""

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.faults.commands import as_nobody, invoke, kept
from benchmarks.faults.small_study import SmallStudy

LIMITS_BYTES = (0, 1, 100, 1000, 4096, 10_000, 30_000, 100_000)


def refuse_places(small: SmallStudy, workplace: Path, _seed: int) -> Iterator[tuple[bool, str]]:
    """Every command with every path that cannot be."""
    workplace.mkdir(parents=True, exist_ok=True)
    workplace.chmod(0o755)
    before = kept(small.study)
    for place, path in _places(workplace).items():
        for name, words in _commands(small, path, workplace).items():
            before_all = {*workplace.rglob("*")}
            found = invoke(words, before=as_nobody if place.startswith("nobody") else None)
            made = {each for each in {*workplace.rglob("*")} - before_all if each.exists()}
            yield found.is_one_line and not made, f"{place}, {name}: {found.told()} made: {sorted(made)[:2]}"
    yield kept(small.study) == before, "the finished study was changed"
    subprocess.run(["umount", str(workplace / "readonly")], check=False, capture_output=True)


def _places(workplace: Path) -> dict[str, str]:
    (workplace / "file").write_text("x")
    for name, target in (("loop", workplace / "loop"), ("nowhere", workplace / "gone" / "x")):
        (workplace / name).unlink(missing_ok=True)
        (workplace / name).symlink_to(target)
    (workplace / "closed").mkdir(exist_ok=True)
    (workplace / "closed").chmod(0o700)
    places = {
        "a file as folder": str(workplace / "file" / "below"),
        "a loop": str(workplace / "loop" / "below"),
        "a link to nowhere": str(workplace / "nowhere" / "below"),
        "a name too long": str(workplace / ("x" * 300)),
        "a path too long": str(workplace / "/".join(["x" * 200] * 25)),
        "/proc": "/proc/below",
        "NUL": f"{workplace}/a\0b",
        "empty": "",
    }
    if os.geteuid() == 0:
        places["nobody in a closed folder"] = str(workplace / "closed" / "below")
        readonly = workplace / "readonly"
        readonly.mkdir(exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", "ro", "none", str(readonly)]
        if subprocess.run(mount, check=False, capture_output=True).returncode == 0:
            places["a read-only file system"] = str(readonly / "below")
    return places


def _commands(small: SmallStudy, path: str, workplace: Path) -> dict[str, list[object]]:
    study, run = small.study, small.study / "runs" / small.run_id
    figure = f"{path}.svg" if path else ""
    return {
        "run --out": small.run_words(Path("/nowhere"), small.cache, "--out", path, "--dry-run"),
        "run --cache": small.run_words(workplace / "o", small.cache, "--cache", path, "--dry-run"),
        "quickstart": ["quickstart", "--out", path],
        "status": ["status", path],
        "analyze": ["analyze", path],
        "report": ["report", path],
        "plot": ["plot", path, "ranks"],
        "plot --out": ["plot", study, "ranks", "--out", figure],
        "predict": ["predict", run, small.image, "--out", path],
        "predict RUN": ["predict", path, small.image, "--out", workplace / "o"],
        "predict IMAGE": ["predict", run, path, "--out", workplace / "o"],
        "compare --out": ["compare", study, study, "--out", path],
        "compare": ["compare", path, study, "--out", workplace / "o"],
        "compare-scores": ["compare-scores", path],
        "track": ["track", study, "--to", "tensorboard", "--out", path],
        "export": ["export", study, "--out", path],
        "import": ["import", path, workplace / "o"],
        "power": ["power", path],
        "explain": ["explain", path, path],
        "methods": ["methods", "focal", "--gradients", "--out", f"{path}.csv" if path else ""],
        "data check": ["data", "check", path],
        "data audit": ["data", "audit", path],
        "data audit --out": ["data", "audit", small.data, "--out", path],
        "data splits --out": ["data", "splits", small.data, "--out", path],
        "data splits --from": ["data", "splits", small.data, "--from", path],
        "data prepare": ["data", "prepare", "folder", path, workplace / "o"],
        "data prepare DEST": ["data", "prepare", "folder", small.data, path],
        "data phantom": ["data", "phantom", path],
        "data describe": ["data", "describe", path],
        "data describe --out": ["data", "describe", small.data, "--out", path],
    }


def fill_disks(small: SmallStudy, workplace: Path, _seed: int) -> Iterator[tuple[bool, str]]:
    """Files that must not grow beyond a size, as on a full disk: one line, then the same command goes on."""
    expected = {name: raw for name, raw in kept(small.study / "runs").items() if name.endswith(".parquet")}
    for limit in LIMITS_BYTES:
        study = small.copy(workplace / "full")
        analysed = kept(study / "analysis")
        for name, words in {
            "analyze": ["analyze", study, "--cache", small.cache],
            "report": ["report", study],
            "export": ["export", study, "--out", workplace / "full.zip"],
            "predict": ["predict", study / "runs" / small.run_id, small.image, "--out", workplace / "predicted"],
        }.items():
            found = invoke(words, before=lambda limit=limit: _limit(limit))
            yield found.is_clean, f"{name} within {limit} bytes: {found.told()}"
        torn = [name for name, raw in kept(study / "analysis").items() if not raw and analysed.get(name)]
        yield not torn, f"analyze within {limit} bytes left {torn}"
        out = workplace / "fresh"
        shutil.rmtree(out, ignore_errors=True)
        words = small.run_words(out, small.cache, "--engine", "serial")
        found = invoke(words, before=lambda limit=limit: _limit(limit))
        yield found.is_clean, f"run within {limit} bytes: {found.told()}"
        again = invoke(words)
        made = {name: raw for name, raw in kept(out / "runs").items() if name.endswith(".parquet")}
        yield again.code == 0 and made == expected, f"run after {limit} bytes: {again.told()}"


def _limit(size: int) -> None:
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
