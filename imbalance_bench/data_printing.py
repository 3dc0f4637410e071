"""What the `data` commands print: audits, preparations, splits. No torch."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from imbalance_bench.data.audit import AuditOptions, AuditReport, audit
from imbalance_bench.manifest import write_json
from imbalance_bench.progress import ProgressDisplay

VERDICT_STYLES = {"clean": "green", "leak": "bold red", "warning": "yellow", "not checked": "dim"}


def audit_and_print(path: Path, options: AuditOptions, json_file: Path | None = None) -> bool:
    """Audit a data set or split file, print what was found, and return whether it is free of leakage."""
    console = Console()
    with ProgressDisplay(Console(stderr=True)) as display:
        report = audit(path, options, on_phase=display.on_phase)
    print_audit(report, console)
    if json_file is not None:
        write_json(json_file, report.as_json())
        console.print(f"json: {json_file}", highlight=False, soft_wrap=True)
    return not report.leaks


def print_audit(report: AuditReport, console: Console) -> None:
    """Print one line per check, examples below the ones that found something."""
    images = "patches" if report.noun == "patch" else "images"
    groups = f"{report.n_groups} {report.group_noun}s" if report.n_groups else f"{report.group_noun}s unknown"
    console.print(f"[bold]{report.source}[/bold]: {report.n_images} {images}, {groups}", highlight=False, soft_wrap=True)
    table = Table(box=None, show_header=False, pad_edge=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for finding in report.findings:
        style = VERDICT_STYLES[finding.verdict]
        table.add_row(finding.check.replace("_", " "), f"[{style}]{finding.verdict}", finding.sentence)
        if finding.examples and finding.verdict in ("leak", "warning"):
            table.add_row("", "", f"[dim]for instance {finding.examples[0]}")
    console.print(table, highlight=False)
    verdict = "leakage found" if report.leaks else "no leakage found"
    console.print(f"[{'bold red' if report.leaks else 'green'}]{verdict}", highlight=False)
