"""What `cache` prints."""

from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table

from imbalance_bench.data.caches import Cache, caches, chosen, remove
from imbalance_bench.file_access import require_writable
from imbalance_bench.terminal import Terminal

_GIB = 2**30


def print_caches(folder: Path) -> None:
    """Print every store of a cache folder."""
    console, stores = Terminal(), caches(folder)
    _print(stores, console)
    total = sum(store.bytes for store in stores) / _GIB
    console.print(f"{len(stores)} stores, {total:.2f} GiB in {folder}", highlight=False, soft_wrap=True)


def clean_and_print(
    folder: Path, *, older_than: float | None, down_to: float | None, orphaned: bool, delete: bool
) -> None:
    """Print the stores that can go, and delete them where that is wanted."""
    console, stores = Terminal(), caches(folder)
    going = chosen(stores, older_than_days=older_than, down_to_gib=down_to, orphaned=orphaned)
    if not going:
        console.print("nothing to delete", highlight=False)
        return
    _print(going, console)
    size = f"{len(going)} of {len(stores)} stores, {sum(store.bytes for store in going) / _GIB:.2f} GiB"
    if not delete:
        console.print(f"{size}, can go. Add --yes to delete them.", highlight=False)
        return
    require_writable(folder / going[0].folder.name)
    for store in going:
        remove(store)
    console.print(f"deleted {size}", highlight=False)


def _print(stores: list[Cache], console: Terminal) -> None:
    if not stores:
        return
    table = Table("store", "what", "data", "GiB", "last used", "studies", box=None, pad_edge=False)
    now = datetime.now(UTC)
    for store in stores:
        state = " (being written)" if store.busy else "" if store.finished else " (unfinished)"
        days = (now - store.last_used).days
        studies = ", ".join(sorted(Path(study).name for study in store.used)) or "not known"
        gone = " (gone)" if store.is_orphaned else ""
        used = "today" if not days else f"{days} days ago"
        content = store.content + state
        table.add_row(
            store.folder.name, content, store.data_hash[:12], f"{store.bytes / _GIB:.2f}", used, studies + gone
        )
    console.print(table, highlight=False)
