"""What the `data` commands print: audits, preparations, splits. No torch."""

from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from imbalance_bench.data.audit import AuditOptions, AuditReport, audit
from imbalance_bench.data.converters.preparation import Prepared, prepare_dataset
from imbalance_bench.data.converters.source import PrepareOptions
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
    """Print one line per check, an example below each that found something."""
    images = "patches" if report.noun == "patch" else "images"
    groups = f"{report.n_groups} {report.group_noun}s" if report.n_groups else f"{report.group_noun}s unknown"
    _print_line(console, f"[bold]{escape(report.source)}[/bold]: {report.n_images} {images}, {groups}")
    for finding in report.findings:
        style = VERDICT_STYLES[finding.verdict]
        check, sentence = finding.check.replace("_", " "), escape(finding.sentence)
        _print_line(console, f"{check:<20} [{style}]{finding.verdict:<12}[/]{sentence}")
        if finding.examples and finding.verdict in ("leak", "warning"):
            _print_line(console, f"{'':<33}[dim]for instance {escape(finding.examples[0])}")
    unsure = "" if report.n_groups else f", but {report.group_noun}s are unknown"
    verdict = "[bold red]leakage found" if report.leaks else f"[green]no leakage found[/]{unsure}"
    _print_line(console, verdict)


def prepare_and_print(name: str, source: Path, dest: Path, options: PrepareOptions, workers: int | None = None) -> None:
    """Convert a data set, show the progress, and print what came of it."""
    console = Console()
    with ProgressDisplay(Console(stderr=True)) as display:
        done = prepare_dataset(
            name,
            source,
            dest,
            options,
            workers=workers,
            on_progress=lambda images, total: display.on_phase("converting", images, total),
        )
    print_prepared(done, console)


def print_prepared(prepared: Prepared, console: Console) -> None:
    """Print the size, groups and splits of a prepared data set, and what is remarkable."""
    dataset = prepared.dataset
    parts = Counter(entry.split or "without split" for entry in dataset.entries)
    splits = ", ".join(f"{number} {part}" for part, number in parts.items())
    n_groups = len({entry.group_id for entry in dataset.entries})
    groups = f"{n_groups} groups" if dataset.info.groups_known else "groups unknown"
    classes = ", ".join(each.name for each in dataset.info.classes)
    _print_line(console, f"[bold]{escape(str(dataset.root))}[/bold]: {len(dataset.entries)} images, {groups}; {splits}")
    _print_line(console, f"classes: {escape(classes)}")
    for remark in prepared.remarks:
        _print_line(console, f"[yellow]{escape(remark)}")
    _print_line(console, f"next: imbalance-bench data check {escape(str(dataset.root))}")


def _print_line(console: Console, line: str) -> None:
    console.print(line, highlight=False, soft_wrap=True)
