"""Flipped bits and changed files: whatever is done to a file, nobody is told other scores than before."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from benchmarks.faults.commands import invoke, kept
from benchmarks.faults.scores import score
from benchmarks.faults.small_study import SmallStudy
from imbalance_bench.errors import UserError
from imbalance_bench.records import CHECKPOINT
from imbalance_bench.training.checkpoint import REFUSED_NAME, load_checkpoint, save_checkpoint

RECORD_FLIPS, CHECKPOINT_FLIPS, CACHE_FLIPS = 150, 150, 12
Damage = Callable[[bytes, bytes, random.Random], bytes | None]


def flipped(raw: bytes, draw: random.Random) -> bytes:
    """Return the same bytes but for one bit."""
    place = draw.randrange(len(raw))
    return raw[:place] + bytes([raw[place] ^ 1 << draw.randrange(8)]) + raw[place + 1 :]


DAMAGES: dict[str, Damage] = {
    "removed": lambda _raw, _other, _draw: None,
    "emptied": lambda _raw, _other, _draw: b"",
    "cut": lambda raw, _other, draw: raw[: draw.randrange(max(len(raw), 1))],
    "zeroed": lambda raw, _other, _draw: bytes(len(raw)),
    "lengthened": lambda raw, _other, _draw: raw + b"\0",
    "doubled": lambda raw, _other, _draw: raw + raw,
    "one bit": lambda raw, _other, draw: flipped(raw, draw) if raw else b"x",
    "64 bytes": lambda raw, _other, draw: _block(raw, draw),
    "of another run": lambda _raw, other, _draw: other,
    "an object": lambda _raw, _other, _draw: b"{}",
    "a list": lambda _raw, _other, _draw: b"[]",
}


def _block(raw: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(max(len(raw) - 64, 1))
    return raw[:place] + draw.randbytes(min(64, len(raw) - place)) + raw[place + 64 :]


def flip_records(small: SmallStudy, workplace: Path, seed: int) -> Iterator[tuple[bool, str]]:
    """One bit of a record that scores come from."""
    draw, before, copy = random.Random(seed), score(small.study), small.copy(workplace / "flips")
    files = [path for path in copy.rglob("*") if path.suffix in (".parquet", ".json") and "analysis" not in path.parts]
    for _ in range(RECORD_FLIPS):
        path = draw.choice(sorted(files))
        raw = path.read_bytes()
        path.write_bytes(flipped(raw, draw))
        said = score(copy)
        wrong = said.contradicts(before)
        yield (
            said.is_one_line and not wrong,
            f"{path.relative_to(copy)}: {said.code} {said.error} other scores: {wrong}",
        )
        path.write_bytes(raw)


def change_files(small: SmallStudy, workplace: Path, seed: int) -> Iterator[tuple[bool, str]]:
    """One change of one file, of every kind, for every file of the study."""
    draw, before, copy = random.Random(seed), score(small.study), small.copy(workplace / "changed")
    first, *others = sorted(path for path in (copy / "runs").iterdir() if path.is_dir())
    of_run = [path for path in sorted(first.rglob("*")) if path.is_file() and path.name != ".lock"]
    for path in [*(copy / name for name in ("plan.json", "dataset.json", "splits.json", "study.yaml")), *of_run]:
        raw, known = path.read_bytes(), path.is_relative_to(first)
        other = others[-1] / path.relative_to(first) if known else copy / "splits.json"
        for name, damage in DAMAGES.items():
            if name == "of another run" and not other.exists():
                continue
            changed = damage(raw, other.read_bytes() if other.exists() else b"", draw)
            path.unlink(missing_ok=True)
            if changed is not None:
                path.write_bytes(changed)
            said, status = score(copy), invoke(["status", copy])
            wrong = said.contradicts(before)
            holds = said.is_one_line and not wrong and status.is_clean
            told = f"{path.relative_to(copy)} {name}: {said.code} {said.error} other scores: {wrong}; {status.told()}"
            yield holds, told
            path.write_bytes(raw)


def flip_checkpoints(_small: SmallStudy, workplace: Path, seed: int) -> Iterator[tuple[bool, str]]:
    """One bit of a checkpoint: it is refused, or what is loaded is what was saved."""
    draw, folder = random.Random(seed), workplace / "checkpoint"
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(seed)
    state = {"step": 3, "model": {f"layer{n}": torch.randn(64, 16, generator=generator) for n in range(8)}}
    save_checkpoint(folder, state)
    raw = (folder / CHECKPOINT).read_bytes()
    for _ in range(CHECKPOINT_FLIPS):
        (folder / CHECKPOINT).write_bytes(flipped(raw, draw))
        try:
            found = load_checkpoint(folder, torch.device("cpu"))
        except UserError as error:
            yield "\n" not in str(error), str(error)
            continue
        except Exception as error:  # noqa: BLE001 - any other exception is a fault
            yield False, f"{type(error).__name__}: {error}"
            continue
        if found is None:  # the run starts afresh, and the file is kept
            yield (folder / REFUSED_NAME).exists(), "neither loaded nor set aside"
            (folder / REFUSED_NAME).unlink(missing_ok=True)
            continue
        yield found.get("step") == 3 and _same(found.get("model"), state["model"]), "loaded other numbers"


def _same(found: object, saved: object) -> bool:
    if not isinstance(found, dict) or not isinstance(saved, dict) or found.keys() != saved.keys():
        return False
    return all(torch.equal(found[name], saved[name]) for name in saved)


def flip_caches(small: SmallStudy, workplace: Path, seed: int) -> Iterator[tuple[bool, str]]:
    """64 bytes of a cache: a new study on it refuses, mends it, or has the records of an untouched one."""
    draw, cache = random.Random(seed), workplace / "cache"
    counts = {name: raw for name, raw in kept(small.study / "runs").items() if name.endswith("counts.parquet")}
    for number in range(CACHE_FLIPS):
        shutil.rmtree(cache, ignore_errors=True)
        shutil.copytree(small.cache, cache)
        files = sorted(path for path in cache.rglob("*") if path.is_file() and path.stat().st_size)
        path = max(draw.sample(files, min(3, len(files))), key=lambda each: each.stat().st_size)
        path.write_bytes(_block(path.read_bytes(), draw))
        out = workplace / f"on-flipped-{number}"
        shutil.rmtree(out, ignore_errors=True)
        words = small.run_words(out, cache, "--engine", "serial", "--set", "methods=[focal]", "--set", "seeds=[0]")
        found = invoke(words)
        made = {name: raw for name, raw in kept(out / "runs").items() if name.endswith("counts.parquet")}
        same = found.code == 0 and bool(made) and all(counts.get(name) == raw for name, raw in made.items())
        yield same or found.is_one_line, f"{path.relative_to(cache)}: {found.told()}"
        shutil.rmtree(out, ignore_errors=True)
