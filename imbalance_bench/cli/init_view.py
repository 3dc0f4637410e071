"""What `imbalance-bench init` asks, writes and prints."""

import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click
import numpy as np
from rich.table import Table

from analysis.power.division import Division
from imbalance_bench.cli.power_view import short_form
from imbalance_bench.cli.progress import ProgressDisplay
from imbalance_bench.data.audit.images import name_parser
from imbalance_bench.data.pixel_size import require_mpp_option
from imbalance_bench.drafting.class_names import UNLABELLED_NAME, parse_names
from imbalance_bench.drafting.draft import (
    LAYOUT_FILE,
    Answers,
    Draft,
    Findings,
    draft_folder,
    draft_prepared,
    is_prepared,
    look_at,
)
from imbalance_bench.errors import UserError
from imbalance_bench.manifest import write_atomically
from imbalance_bench.places import study_folder
from imbalance_bench.terminal import Terminal

_FEW_GROUPS = 6  # with fewer, no two-sided sign-flip test passes .05: 2 / 2^5 = .0625
_T = TypeVar("_T")


@dataclass(frozen=True)
class InitOptions:
    """What the command line says.

    Args:
        out: Folder of the files, or None.
        classes: Names of the labels, or None.
        mpp_um: Micrometres per pixel, or None.
        group_regex: Patient or slide in image ids, or None.
        weights: Of the encoder, or None.
        yes: Ask nothing.
    """

    out: Path | None
    classes: str | None
    mpp_um: float | None
    group_regex: str | None
    weights: str | None
    yes: bool


def init_and_print(data: Path, options: InitOptions) -> None:
    """Draft a study of a folder, write its files, and print what a person should know."""
    console = Terminal()
    require_mpp_option(options.mpp_um)
    if options.group_regex is not None:
        name_parser(options.group_regex, "--group-regex")
    asks = _is_terminal() and not options.yes
    if is_prepared(data):
        draft = _of_prepared(data, options)
        source = None
    else:
        with ProgressDisplay(Terminal(stderr=True)) as display:
            findings = look_at(data, display.on_phase)
        print_findings(findings, console)
        out = _free_folder(options.out or Path(f"{data.resolve().name}-study"), data)
        draft = draft_folder(findings, _answers(findings, options, asks=asks), out)
        source = data
    _require_free(draft.files)  # again: answering may have taken a while
    for path, text in draft.files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda file, text=text: file.write(text.encode()))
    print_draft(draft, console)
    print_commands(draft, source, console)


def print_findings(findings: Findings, console: Terminal) -> None:
    """Print what a folder was taken for."""
    sizes = np.array(findings.sizes)
    low, high = sizes.min(axis=0), sizes.max(axis=0)
    size = f"{low[0]} x {low[1]} px" + ("" if (low == high).all() else f" to {high[0]} x {high[1]} px")
    first = findings.pairing.pairs[0]
    _say(console, f"{findings.source}: {len(findings.pairing.pairs)} pairs of image and mask, {size} (height x width)")
    _say(console, f"  such as {first.image} and {first.mask}")
    labels = findings.labels
    table = Table("label", "share", "masks", "name", box=None, pad_edge=False)
    for column, value in enumerate(labels.values):
        name = findings.names.class_of[value] or UNLABELLED_NAME
        masks = int((labels.pixels[:, column] > 0).sum())
        table.add_row(labels.text(value), f"{100 * labels.shares[column]:.3g} %", str(masks), name)
    console.print(table, highlight=False)
    if labels.nearest:
        _say(
            console,
            f"{labels.mixed_values} other colours, in {100 * labels.mixed_share:.2g} % of the pixels, fill no area and "
            "are taken for anti-aliased borders (`nearest: true`).",
        )
    if not findings.names.source:
        _say(console, "Names are made up. Give --classes, or edit layout.yaml.")
    for line in (findings.groups.why, findings.why_mpp):
        _say(console, line)


def print_draft(draft: Draft, console: Terminal) -> None:
    """Print what was decided, and what the data can and cannot show."""
    design, dataset, config = draft.design, draft.dataset, draft.config
    names = [class_.name for class_ in dataset.info.classes if class_.name not in design.ignored]
    for remark in draft.remarks:
        _say(console, remark)
    for name in design.ignored:
        _say(console, f"'{name}' is in too few groups to be both trained and tested: it is treated as unlabelled.")
    groups = len({entry.group_id for entry in dataset.entries})
    of = f"of {groups} patients or slides" if dataset.info.groups_known else "(slides unknown: each counts as its own)"
    runs = len(config.methods) * len(config.seeds) * design.folds
    folds = f"{design.folds} folds" if design.folds > 1 else "1 fold"
    _say(console, f"study: {len(config.methods)} methods x {len(config.seeds)} seeds x {folds} = {runs} trainings")
    _say(console, f"data: {len(dataset.entries)} images {of}; {len(names)} classes; {design.tested} tested")
    if config.model.encoder_tuning == "full":
        _say(
            console,
            "encoder: no weights are available, so it is trained from scratch; scores will be lower than with a "
            "pretrained one. Better: --weights imagenet (downloads them) or a local file.",
        )
    if dataset.info.mpp_um is None:
        _say(console, "resolution: unknown; measures in micrometres (boundary, surface) are left out.")
    _say(console, "What the data can show:")
    if design.tested < _FEW_GROUPS:
        _say(
            console,
            f"  With {design.tested} tested {'groups' if dataset.info.groups_known else 'images'} no comparison of "
            f"methods can be significant at .05; at least {_FEW_GROUPS} are needed.",
        )
    for line in short_form(config, Division(design.tested, design.folds), classes=len(names)):
        _say(console, f"  {line}")


def print_commands(draft: Draft, source: Path | None, console: Terminal) -> None:
    """Print the commands that come next, ready to be copied."""
    study_dir = study_folder(draft.config.name)
    _say(console, "next:")
    if source is not None:
        words = ["data", "prepare", "folder", source, draft.dataset.root, "--config", draft.study.parent / LAYOUT_FILE]
        _command(console, words)
    for words in (
        ["run", draft.study, "--dry-run"],
        ["run", draft.study],
        ["analyze", study_dir],
        ["report", study_dir],
    ):
        _command(console, words)


def _of_prepared(data: Path, options: InitOptions) -> Draft:
    unusable = {"--classes": options.classes, "--mpp": options.mpp_um, "--group-regex": options.group_regex}
    for option, value in unusable.items():
        if value is not None:
            raise UserError(f"{option} does not apply to a prepared data set ({data}). Edit {data / 'dataset.yaml'}.")
    with ProgressDisplay(Terminal(stderr=True)) as display:
        out = _free_folder(options.out or Path(f"{data.resolve().name}-study"), data)
        return draft_prepared(data, Answers(weights=options.weights), out, display.on_phase)


def _answers(findings: Findings, options: InitOptions, *, asks: bool) -> Answers:
    """Return what options say, and, in a terminal, what the person answers."""
    class_of = None if options.classes is None else parse_names(options.classes, findings.labels)
    mpp_um, group_regex = options.mpp_um, options.group_regex
    if asks and class_of is None and not findings.names.source:
        suggested = ",".join(findings.names.class_of[value] or UNLABELLED_NAME for value in findings.labels.values)
        class_of = _ask(
            "Names of the labels, in the order above", suggested, lambda text: parse_names(text, findings.labels)
        )
    if asks and mpp_um is None and findings.mpp_um is None:
        mpp_um = _ask("Micrometres per pixel (empty: unknown)", "", _resolution)
    if asks and group_regex is None and not findings.groups.pattern:
        example = findings.pairing.id_of(findings.pairing.pairs[0])
        group_regex = _ask(
            f"Regular expression for the patient or slide in names such as '{example}' (empty: unknown)", "", _pattern
        )
    return Answers(class_of, mpp_um, group_regex, options.weights)


def _ask(question: str, default: str, read: Callable[[str], _T]) -> _T:
    """Ask until the answer can be read."""

    def checked(text: str) -> _T:
        try:
            return read(text)
        except UserError as error:
            raise click.UsageError(str(error)) from None

    return click.prompt(question, default=default, value_proc=checked, show_default=bool(default))


def _resolution(text: str) -> float | None:
    if not text.strip():
        return None
    try:
        mpp_um = float(text.replace(",", "."))
    except ValueError:
        raise UserError(f"must be a number. Got '{text}'.") from None
    require_mpp_option(mpp_um)
    return mpp_um


def _pattern(text: str) -> str | None:
    if not text.strip():
        return None
    name_parser(text, "the answer")
    return text


def _is_terminal() -> bool:
    """Return whether somebody can answer."""
    return sys.stdin.isatty()


def _free_folder(out: Path, data: Path) -> Path:
    """Refuse to write into the source."""
    if out.resolve().is_relative_to(data.resolve()):
        raise UserError(f"--out {out} must not lie within {data}, which is left as it is. Choose another folder.")
    return out


def _require_free(files: Iterable[Path]) -> None:
    for path in files:
        if path.exists():
            raise UserError(f"{path} must not exist, so that nothing of yours is replaced. Choose another --out.")


def _command(console: Terminal, words: Sequence[object]) -> None:
    _say(console, "  imbalance-bench " + " ".join(shlex.quote(str(word)) for word in words))


def _say(console: Terminal, line: str) -> None:
    console.print(line, highlight=False, soft_wrap=True)
