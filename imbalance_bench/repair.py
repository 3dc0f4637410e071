"""Mends a study directory: rebuilds what other files contain, and lets `run` make again what they do not.

Nothing that a training left is deleted: a finished run that must be trained again is moved to `damaged/`.
"""

from dataclasses import dataclass
from pathlib import Path

from imbalance_bench.damage import Damage, Remedy, damages, is_complete, what_is_wrong
from imbalance_bench.errors import UserError
from imbalance_bench.locking import LockHeldError, locked
from imbalance_bench.manifest import sweep_temporaries
from imbalance_bench.records import CHECKPOINT, PICTURE_FOLDERS, WEIGHTS, RunRecord, RunState, StudyRecords

DAMAGED_FOLDER = "damaged"
_IDLE_S = 3600.0  # nobody writes one file for so long
_DONE = {
    Remedy.REBUILD: "rewrote status.json",
    Remedy.EVALUATE: "removed what is damaged; `run` lets the trained model predict again",
    Remedy.RESTART: "removed the checkpoint; `run` trains from the start",
    Remedy.TRAIN: "moved to {aside}; `{command}` makes it again",
}


@dataclass(frozen=True)
class Repair:
    """What was found in one place and done about it.

    Attributes:
        name: A run's id, or a file of the study.
        damages: Damaged files with what is wrong; empty where only files of killed writers lay.
        action: What was done.
        needs_run: `run` or `score` must be called to complete it.
    """

    name: str
    damages: tuple[str, ...]
    action: str
    needs_run: bool


def repair_study(root: Path) -> list[Repair]:
    """Mend a study directory and return what was done; nothing for a sound one.

    Raises:
        UserError: Not a study directory.
    """
    root = Path(root)
    if (reason := what_is_wrong(root / "plan.json")) is not None:
        return [_without_plan(root, reason)]
    records = StudyRecords.open(root)
    repairs = [_repair_run(record) for record in records.runs()]
    folders = (root, *(path for name in ("analysis", "report") for path in _folders_below(root / name)))
    swept = [path for folder in folders for path in sweep_temporaries(folder, idle_s=_IDLE_S)]
    if swept:
        action = f"removed {len(swept)} unfinished files of writers that were killed"
        repairs.append(Repair(str(root), (), action, needs_run=False))
    return [repair for repair in repairs if repair is not None]


def _without_plan(root: Path, reason: str) -> Repair:
    """Put a damaged plan aside; `run` with the study file then writes a new one."""
    names = {path.name for path in root.iterdir()} if root.is_dir() else set[str]()
    if not names.issuperset(("dataset.json", "splits.json")):
        raise UserError(f"{root} must be a study directory. Got none: plan.json {reason}. Give another folder.")
    if (root / "plan.json").exists():
        (root / "plan.json").rename(_free(root / DAMAGED_FOLDER / "plan.json"))
    command = StudyRecords(root).made_by[0]
    action = f"put aside; `{command}` with the study file plans again, and finished runs keep their ids"
    return Repair("plan.json", (f"plan.json {reason}",), action, needs_run=True)


def _repair_run(record: RunRecord) -> Repair | None:
    try:
        with locked(record.lock_path, patience_s=0):
            swept = [path for folder in _folders_of(record) for path in sweep_temporaries(folder)]
            damaged = damages(record, thorough=True)
            if damaged:
                return _mended(record, damaged)
    except LockHeldError:
        return None  # somebody works on it, and will see for himself
    if not swept:
        return None
    return Repair(record.run_id, (), f"removed {len(swept)} unfinished files of a killed writer", needs_run=False)


def _mended(record: RunRecord, damaged: list[Damage]) -> Repair:
    remedy = max(damage.remedy for damage in damaged)
    if remedy == Remedy.EVALUATE and what_is_wrong(record.path / WEIGHTS) is not None:
        remedy = Remedy.TRAIN
    named = tuple(f"{damage.path.relative_to(record.path)} {damage.reason}" for damage in damaged)
    aside, needs_run = Path(), remedy != Remedy.REBUILD
    if remedy == Remedy.REBUILD:
        needs_run = _rebuild_status(record)
    elif remedy == Remedy.EVALUATE:
        for damage in damaged:
            damage.path.unlink(missing_ok=True)
        steps = int(record.manifest()["cost"]["steps"])
        record.write_status(RunState.RUNNING, step=steps, steps=steps)
    elif remedy == Remedy.RESTART:
        (record.path / CHECKPOINT).unlink()
        record.write_status(RunState.RUNNING, step=0, steps=0)
    else:
        aside = _free(record.path.parent.parent / DAMAGED_FOLDER / record.run_id)
        record.path.rename(aside)
    command = StudyRecords(record.path.parent.parent).made_by[0]
    return Repair(record.run_id, named, _DONE[remedy].format(aside=aside, command=command), needs_run)


def _rebuild_status(record: RunRecord) -> bool:
    """Write what the other files show, and return whether the run must be continued."""
    if is_complete(record):
        steps = int(record.manifest()["cost"].get("steps", 0))  # of predictions made elsewhere nobody knows them
        record.write_status(RunState.DONE, step=steps, steps=steps)
        return False
    record.write_status(RunState.RUNNING, step=0, steps=0)
    return True


def _folders_of(record: RunRecord) -> list[Path]:
    return [record.path, *(record.path / name for name in PICTURE_FOLDERS)]


def _folders_below(folder: Path) -> list[Path]:
    return [folder, *(path for path in folder.rglob("*") if path.is_dir())] if folder.is_dir() else []


def _free(path: Path) -> Path:
    """Return the path, or one with a number, that nothing has yet."""
    path.parent.mkdir(exist_ok=True)
    candidates = (path.with_name(f"{path.name}{'' if n == 0 else f'-{n}'}") for n in range(10**6))
    return next(candidate for candidate in candidates if not candidate.exists())
