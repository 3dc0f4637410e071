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
    console, found = Terminal(), caches(folder)
    _print(found, console)
    total = sum(each.bytes for each in found) / _GIB
    console.print(f"{len(found)} stores, {total:.2f} GiB in {folder}", highlight=False, soft_wrap=True)


def clean_and_print(
    folder: Path, *, older_than: float | None, down_to: float | None, orphaned: bool, delete: bool
) -> None:
    """Print the stores that can go, and delete them where that is wanted."""
    console, found = Terminal(), caches(folder)
    going = chosen(found, older_than_days=older_than, down_to_gib=down_to, orphaned=orphaned)
    if not going:
        console.print("nothing to delete", highlight=False)
        return
    _print(going, console)
    size = f"{len(going)} of {len(found)} stores, {sum(each.bytes for each in going) / _GIB:.2f} GiB"
    if not delete:
        console.print(f"{size}, can go. Add --yes to delete them.", highlight=False)
        return
    require_writable(folder / going[0].folder.name)
    for each in going:
        remove(each)
    console.print(f"deleted {size}", highlight=False)


def _print(found: list[Cache], console: Terminal) -> None:
    if not found:
        return
    table = Table("store", "what", "data", "GiB", "last used", "studies", box=None, pad_edge=False)
    now = datetime.now(UTC)
    for each in found:
        state = " (being written)" if each.busy else "" if each.finished else " (unfinished)"
        days = (now - each.last_used).days
        studies = ", ".join(sorted(Path(study).name for study in each.used)) or "not known"
        gone = " (gone)" if each.is_orphaned else ""
        used = "today" if not days else f"{days} days ago"
        what = each.what + state
        table.add_row(each.folder.name, what, each.data_hash[:12], f"{each.bytes / _GIB:.2f}", used, studies + gone)
    console.print(table, highlight=False)
