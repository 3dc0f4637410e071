"""What `repair` prints."""

from pathlib import Path

from imbalance_bench.records import StudyRecords
from imbalance_bench.repair import repair_study
from imbalance_bench.terminal import Terminal


def repair_and_print(root: Path) -> None:
    """Mend a study directory and print each repair in a line."""
    console = Terminal()
    repairs = repair_study(root)
    for repair in repairs:
        damages = f" {'; '.join(repair.damages)}:" if repair.damages else ""
        console.print(f"{repair.name}:{damages} {repair.action}", highlight=False, soft_wrap=True)
    if not repairs:
        console.print("nothing to repair", highlight=False)
    if any(repair.needs_run for repair in repairs):
        command, file = StudyRecords(root).made_by
        line = f"next: imbalance-bench {command} {root / file} --out {root}"
        console.print(line, highlight=False, soft_wrap=True)
