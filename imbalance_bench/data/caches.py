"""Stores of a cache folder: what they hold, who used them, and which of them can go. No torch."""

import json
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from imbalance_bench.errors import UserError
from imbalance_bench.locking import is_locked
from imbalance_bench.manifest import write_json
from imbalance_bench.record_documents import read_document

KINDS = ("tiles", "features")  # names of stores begin so
USES = "used_by.json"  # study directory -> when it last opened the store; may be deleted at any time


def features_folder(key: str) -> str:
    """Return the name of the store of the features with this key, within the cache folder."""
    return f"features-{key[:16]}"


@dataclass(frozen=True)
class Cache:
    """One store.

    Attributes:
        folder: Where it lies.
        kind: `tiles` or `features`.
        data_hash: Content of its data set; "" where the store does not say.
        content: Data set and size of its tiles, or encoder and weights.
        bytes: On disk.
        used: Study directory -> when it last opened the store.
        changed: When it was last written to.
        finished: False where it was never filled to its end.
        busy: A process writes in it now.
    """

    folder: Path
    kind: str
    data_hash: str
    content: str
    bytes: int
    used: dict[str, datetime]
    changed: datetime
    finished: bool
    busy: bool

    @property
    def last_used(self) -> datetime:
        """When a study last opened it, or else when it was last written to."""
        return max([*self.used.values(), self.changed])

    @property
    def is_orphaned(self) -> bool:
        """True if it was used by studies that are all gone; what nobody is known to have used may be in use."""
        return bool(self.used) and not any((Path(study) / "plan.json").exists() for study in self.used)


def caches(cache_dir: Path) -> list[Cache]:
    """Return the stores of a cache folder, the largest first; other folders are left out."""
    folders = sorted(cache_dir.iterdir()) if cache_dir.is_dir() else []
    stores = [_cache(folder) for folder in folders if folder.is_dir() and folder.name.split("-")[0] in KINDS]
    return sorted(stores, key=lambda store: -store.bytes)


def note_use(folder: Path, study: Path) -> None:
    """Remember that a study used a store; a read-only one remembers nothing."""
    with suppress(OSError, UserError):
        uses = {str(path): time.isoformat() for path, time in _uses(folder).items()}
        uses[str(study.resolve())] = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(folder / USES, uses)


def chosen(
    stores: list[Cache], *, older_than_days: float | None, down_to_gib: float | None, orphaned: bool
) -> list[Cache]:
    """Return the stores to be removed, never one that is being written.

    Args:
        stores: All stores.
        older_than_days: Those that nothing opened for so long.
        down_to_gib: Of all, the ones that were not used for longest, until the others take no more than this.
        orphaned: Those whose studies are all gone.
    """
    now, free = datetime.now(UTC), [store for store in stores if not store.busy]
    picked = [store for store in free if orphaned and store.is_orphaned]
    if older_than_days is not None:
        picked += [store for store in free if (now - store.last_used).total_seconds() > older_than_days * 86400]
    if down_to_gib is not None:
        left = sum(store.bytes for store in stores if store not in picked)
        for store in sorted(free, key=lambda store: store.last_used):
            if left <= down_to_gib * 2**30:
                break
            if store not in picked:
                picked.append(store)
                left -= store.bytes
    return [store for store in stores if store in picked]


def remove(cache: Cache) -> None:
    """Delete a store, what says that it is complete first, so that half of it is never believed."""
    for name in ("complete.json", "layout.json"):
        (cache.folder / name).unlink(missing_ok=True)
    shutil.rmtree(cache.folder)


def _cache(folder: Path) -> Cache:
    content = _content(folder / "complete.json") or _content(folder / "layout.json")
    described = content.get("description", {}) if isinstance(content.get("description"), dict) else {}
    files = [path.stat() for path in folder.iterdir() if path.is_file()]
    changed = [path.stat().st_mtime for path in folder.iterdir() if path.name != USES] or [folder.stat().st_mtime]
    kind = folder.name.split("-")[0]
    return Cache(
        folder=folder,
        kind=kind,
        data_hash=str(described.get("content_hash" if kind == "tiles" else "data", "")),
        content=_tiles(described) if kind == "tiles" else _features(described, content),
        bytes=sum(file.st_blocks * 512 for file in files),
        used=_uses(folder),
        changed=datetime.fromtimestamp(max(changed), UTC),
        finished=(folder / "complete.json").exists(),
        busy=is_locked(folder / "lock"),
    )


def _tiles(described: dict[str, Any]) -> str:
    return f"{described.get('dataset', 'unknown data')}, {described.get('tile_px', '?')} px" if described else "unknown"


def _features(described: dict[str, Any], content: dict[str, Any]) -> str:
    try:
        name, weights = described["encoder"]
        views, size = described["augmentation"]["cached_views"], described["tiling"][0]
        rows = content["layout"]["rows"]
    except (KeyError, TypeError, ValueError, IndexError):
        return "unknown"
    return f"{name} ({str(weights)[:12]}), {size} px, {views} views, {rows} rows"


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _uses(folder: Path) -> dict[str, datetime]:
    try:
        return {path: datetime.fromisoformat(time) for path, time in read_document(folder / USES).items()}
    except (UserError, ValueError, TypeError):
        return {}
