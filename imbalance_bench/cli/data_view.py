"""What the `data` commands print: audits, preparations, splits, phantoms. No torch."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from imbalance_bench.cli.progress import ProgressDisplay
from imbalance_bench.data.audit import AuditOptions, AuditReport, audit
from imbalance_bench.data.class_statistics import per_image_pixels
from imbalance_bench.data.converters.preparation import Prepared, prepare_dataset
from imbalance_bench.data.converters.source import PrepareOptions, SourceError
from imbalance_bench.data.phantom import FACTORS, factorial_design, generate_series, rank_correlations
from imbalance_bench.data.prepared import SPLITS, PreparedDataset
from imbalance_bench.data.split_balance import BalanceRow, split_balance
from imbalance_bench.data.split_import import read_splits
from imbalance_bench.data.splits import Splits, grouped_splits
from imbalance_bench.data.taxonomy import Taxonomy
from imbalance_bench.manifest import write_json
from imbalance_bench.terminal import Terminal, styled

_SHOWN_PROBLEMS = 20  # of each kind
VERDICT_STYLES = {"clean": "green", "leak": "bold red", "warning": "yellow", "not checked": "dim"}


def audit_and_print(path: Path, options: AuditOptions, out: Path | None = None, *, as_json: bool = False) -> bool:
    """Audit a data set or split file, print what was found, and return whether it is free of leakage."""
    console = Terminal(stderr=as_json)
    with ProgressDisplay(Terminal(stderr=True)) as display:
        report = audit(path, options, on_phase=display.on_phase)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        print_audit(report, console)
    if out is not None:
        write_json(out, report.as_json())
        console.print(f"findings: {out}", highlight=False, soft_wrap=True)
    return not report.leaks


def print_audit(report: AuditReport, console: Console) -> None:
    """Print one line per check, an example below each that found something."""
    images = "patches" if report.noun == "patch" else "images"
    groups = f"{report.n_groups} {report.group_noun}s" if report.n_groups else f"{report.group_noun}s unknown"
    _print_line(console, (report.source, "bold"), f": {report.n_images} {images}, {groups}")
    for finding in report.findings:
        style = VERDICT_STYLES[finding.verdict]
        check, sentence = finding.check.replace("_", " "), finding.sentence
        _print_line(console, f"{check:<20} ", (f"{finding.verdict:<12}", style), sentence)
        if finding.examples and finding.verdict in ("leak", "warning"):
            _print_line(console, " " * 33, (f"for instance {finding.examples[0]}", "dim"))
    unsure = "" if report.n_groups else f", but {report.group_noun}s are unknown"
    verdict = [("leakage found", "bold red")] if report.leaks else [("no leakage found", "green"), unsure]
    _print_line(console, *verdict)


def prepare_and_print(
    name: str, source: Path, dest: Path, options: PrepareOptions, workers: int | None = None, *, overwrite: bool = False
) -> None:
    """Convert a data set, show the progress, and print what came of it; or everything that is wrong with the source."""
    console, errors = Terminal(), Terminal(stderr=True)
    with ProgressDisplay(errors) as display:
        try:
            prepared = prepare_dataset(
                name,
                source,
                dest,
                options,
                workers=workers,
                overwrite=overwrite,
                on_check=lambda images, total: display.on_phase("checking", images, total),
                on_progress=lambda images, total: display.on_phase("converting", images, total),
            )
        except SourceError as error:
            print_problems(error, errors)
            raise
    print_prepared(prepared, console)


def print_problems(error: SourceError, console: Console) -> None:
    """Print every problem of a source, the first ones of each kind in full; one alone is the error itself."""
    if len(error.problems) > 1:
        for kind in dict.fromkeys(problem.kind for problem in error.problems):
            lines = [problem.line for problem in error.problems if problem.kind == kind]
            _print_line(console, f"{len(lines)} {kind}")
            for line in lines[:_SHOWN_PROBLEMS]:
                _print_line(console, f"  {line}")
            if len(lines) > _SHOWN_PROBLEMS:
                _print_line(console, f"  and {len(lines) - _SHOWN_PROBLEMS} more")
    for remark in error.remarks:
        _print_line(console, (remark, "yellow"))


def print_prepared(prepared: Prepared, console: Console) -> None:
    """Print the size, groups and splits of a prepared data set, and what is remarkable."""
    dataset = prepared.dataset
    parts = Counter(entry.split or "without split" for entry in dataset.entries)
    splits = ", ".join(f"{number} {part}" for part, number in parts.items())
    n_groups = len({entry.group_id for entry in dataset.entries})
    groups = f"{n_groups} groups" if dataset.info.groups_known else "groups unknown"
    classes = ", ".join(class_.name for class_ in dataset.info.classes)
    _print_line(console, (str(dataset.root), "bold"), f": {len(dataset.entries)} images, {groups}; {splits}")
    _print_line(console, f"classes: {classes}")
    for remark in prepared.remarks:
        _print_line(console, (remark, "yellow"))
    _print_line(console, f"next: imbalance-bench data check {dataset.root}")


@dataclass(frozen=True)
class SplitRequest:
    """Which splits to draw, or to read where `split_file` is given; see `grouped_splits` and `read_splits`."""

    folds: int
    repeats: int
    test_fraction: float | None
    validation_fraction: float
    seed: int
    split_file: Path | None = None
    rotate: bool = False

    def make(self, dataset: PreparedDataset, presence: np.ndarray) -> Splits:
        """Draw or read the splits."""
        if self.split_file is not None:
            return read_splits(self.split_file, dataset, presence, rotate=self.rotate)
        return grouped_splits(
            dataset,
            presence,
            folds=self.folds,
            repeats=self.repeats,
            test_fraction=self.test_fraction,
            validation_fraction=self.validation_fraction,
            seed=self.seed,
        )


def split_and_print(folder: Path, request: SplitRequest, out: Path | None = None) -> None:
    """Make splits of a prepared data set, print how even they are, and save them where wanted."""
    console = Terminal()
    dataset = PreparedDataset.open(folder, allow_leakage=True)
    taxonomy = Taxonomy(dataset.info)
    with ProgressDisplay(Terminal(stderr=True)) as display:
        presence = per_image_pixels(
            dataset, taxonomy, on_progress=lambda n_done, total: display.on_phase("counting classes", n_done, total)
        )
    splits = request.make(dataset, presence)
    print_balance(splits, split_balance(splits, presence, dataset=dataset), console)
    if not dataset.info.groups_known:
        _print_line(console, ("groups are unknown: every image counts as its own, and slides may be divided", "yellow"))
    if out is not None:
        splits.save(out)
        _print_line(console, f"{out}: hash {splits.hash[:12]}")


def print_balance(splits: Splits, rows: Sequence[BalanceRow], console: Console) -> None:
    """Print the share of each class in each part over its share in the data set: the range over the folds."""
    count = f"{len(splits.folds)} fold{'s' if len(splits.folds) > 1 else ''}"
    _print_line(console, f"{count}; share of each class over its share in all images, least to most")
    parts = [part for part in SPLITS if any(row.part == part for row in rows)]
    table = Table("class", *parts, "fewest groups", box=None, pad_edge=False)
    for name in dict.fromkeys(row.class_name for row in rows):
        mine = [row for row in rows if row.class_name == name]
        shares = [[row.relative_share for row in mine if row.part == part] for part in parts]
        fewest = min(mine, key=lambda row: row.groups_with_class)
        cells = [f"{min(shares_of_part):.2f} - {max(shares_of_part):.2f}" for shares_of_part in shares]
        table.add_row(name, *cells, f"{fewest.groups_with_class} in {fewest.part} of fold {fewest.fold}")
    console.print(table, highlight=False)


def series_and_print(design: str, dest: Path, seed: int, workers: int) -> None:
    """Write the data sets of a phantom design and print how far its factors are correlated."""
    console = Terminal()
    specs = factorial_design(design, seed)
    with ProgressDisplay(Terminal(stderr=True)) as display:
        path = generate_series(
            specs,
            dest,
            workers=workers,
            on_progress=lambda n_done, total: display.on_phase("making data sets", n_done, total),
        )
    n_classes = len(specs[0].classes)
    _print_line(console, (str(dest), "bold"), f": {len(specs)} data sets of {n_classes} classes")
    _print_line(console, f"Spearman's correlation of the planted factors over {len(specs) * n_classes} classes")
    table = Table("", *FACTORS, box=None, pad_edge=False)
    for factor, row in zip(FACTORS, rank_correlations(specs), strict=True):
        table.add_row(factor, *(f"{value + 0.0:+.2f}" for value in row.round(2)))
    console.print(table, highlight=False)
    _print_line(console, f"planted and measured: {path}")


def _print_line(console: Console, *parts: str | tuple[str, str]) -> None:
    console.print(styled(*parts), soft_wrap=True)
