"""Tables for people at a terminal. No torch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from imbalance_bench.records import StudyRecords, run_name
from imbalance_bench.status import DAMAGED, LOST, RunStatus, study_status
from imbalance_bench.terminal import Terminal, styled

if TYPE_CHECKING:
    from analysis.verdicts import Verdict
    from imbalance_bench.config import ModelSection
    from imbalance_bench.study import PlannedRun, Study

VERDICT_STYLES = {"better": "green", "supported": "green", "worse": "red", "equivalent": "cyan", "sound": "green"}
VERDICT_STYLES |= {"live": "green"}
STATE_STYLES = {"done": "green", "running": "cyan", "interrupted": "yellow", "failed": "bold red", "waiting": "dim"}
STATE_STYLES |= {"queued": "blue", LOST: "yellow", DAMAGED: "bold red"}
LISTED_RUNS = 500  # of more, states are counted by method


def print_plan(study: Study, waiting: list[PlannedRun], device: Any, console: Console) -> None:
    """Print what is about to be trained, on what."""
    config, fold = study.config, study.splits.folds[0]
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(overflow="fold")  # a path is wrapped, never cut
    models = f"{len(config.models)} models x " if config.models else ""
    methods = ", ".join(method.label for method in config.methods)
    groups = "" if study.dataset.info.groups_known else " (slides unknown: every image is its own group)"
    rows = {
        "study": f"{config.name} in {study.root}",
        "data": f"{study.dataset.info.name}: {len(study.dataset.entries)} images{groups}",
        "split": f"{config.splits.kind}: {len(fold.train)} train, {len(fold.val)} val, {len(fold.test)} test",
        "classes": ", ".join(
            f"{name} {share:.3g}" for name, share in zip(study.taxonomy.names, study.counts[0].frequency, strict=True)
        ),
        **{f"model {model.label}" if model.label else "model": _model_line(model) for model in config.each_model},
        "device": str(device),
        "methods": methods,
        "runs": f"{len(study.runs)}: {models}{len(config.methods)} methods x {len(study.splits.folds)} folds x "
        f"{len(config.seeds)} seeds, {config.training.steps} steps each; {len(study.runs) - len(waiting)} done already",
    }
    for key, value in rows.items():
        table.add_row(styled((key, "bold")), value)
    console.print(table, highlight=False)
    for remark in study.remarks():
        console.print(f"remark: {remark}", highlight=False, soft_wrap=True)


def _model_line(model: ModelSection) -> str:
    """One model in one line."""
    tuning = {"frozen": "frozen", "full": "trained", "lora": f"LoRA of rank {model.lora_rank}"}
    tuning["last_blocks"] = f"last {model.last_blocks} blocks trained"
    return f"{model.architecture}, {model.encoder_name} ({tuning[model.encoder_tuning]})"


def print_status(records: StudyRecords, console: Console | None = None) -> None:
    """Print the state of every planned run, and the time left."""
    console = console or Terminal()
    rows = study_status(records)
    console.print(_runs_table(rows) if len(rows) <= LISTED_RUNS else _states_table(rows), highlight=False)
    states = Counter(row.state for row in rows)
    console.print(", ".join(f"{n} {state}" for state, n in states.items()) + _time_left(rows), highlight=False)
    for row in rows:
        if row.error:
            console.print(
                f"{run_name(row.method, row.model)} fold {row.fold} seed {row.seed}: {row.error}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
    if states[DAMAGED]:
        console.print(f"fix: imbalance-bench repair {records.root}", highlight=False, markup=False, soft_wrap=True)


def _runs_table(rows: Sequence[RunStatus]) -> Table:
    """A line for each run."""
    several = any(row.model is not None for row in rows)
    jobs = any(row.job is not None for row in rows)
    columns = [*(["model"] if several else []), "method", "fold", "seed", "state", "steps", "minutes"]
    table = Table(*columns, *(["Slurm job"] if jobs else []), box=None, pad_edge=False)
    for row in rows:
        minutes = "" if row.seconds is None else f"{row.seconds / 60:.1f}"
        steps = f"{row.step}/{row.steps}" if row.steps else ""
        style = STATE_STYLES.get(row.state, "")
        model = [row.model or ""] if several else []
        job = [row.job or ""] if jobs else []
        state = styled((row.state, style))
        table.add_row(*model, row.method, str(row.fold), str(row.seed), state, steps, minutes, *job)
    return table


def _states_table(rows: Sequence[RunStatus]) -> Table:
    """A line for each method and model: how many of its runs are in which state."""
    states = list(dict.fromkeys(row.state for row in rows))
    counted: dict[str, Counter[str]] = {}
    for row in rows:
        counted.setdefault(run_name(row.method, row.model), Counter())[row.state] += 1
    table = Table("method", *states, box=None, pad_edge=False)
    for name, of in counted.items():
        table.add_row(name, *(styled((str(of[state] or ""), STATE_STYLES.get(state, ""))) for state in states))
    return table


def print_status_json(records: StudyRecords) -> None:
    """Print the state of every planned run as JSON; docs/json.md says what it holds."""
    rows = study_status(records)
    content = {
        "study": str(records.plan().get("name") or ""),
        "folder": str(records.root),
        "states": dict(Counter(row.state for row in rows)),
        "run_seconds_left": _seconds_left(rows),
        "runs": [asdict(row) for row in rows],
    }
    click.echo(json.dumps(content, indent=2))


def analyze_and_print(study_dir: Path, cache: Path) -> None:
    """Analyse a study, then print per-class Dice, the order of the methods and the verdicts."""
    from analysis.pipeline import analyze_study
    from analysis.reading.analysed_study import AnalysedStudy
    from imbalance_bench.cli.progress import ProgressDisplay

    console = Terminal()
    with ProgressDisplay(console) as display:
        result = analyze_study(study_dir, cache_dir=cache, on_progress=display.on_phase)
    print_scores(result.tables["method_scores"], AnalysedStudy.open(study_dir).aggregation, console)
    print_ranking(result.tables["rankings"], result.verdicts, console)
    print_verdicts(result.verdicts, console)
    print_planted(result.tables["planted_and_found"], console)
    console.print(f"tables: {study_dir / 'analysis'}", highlight=False, soft_wrap=True)


def print_scores(scores: Any, aggregation: str, console: Console) -> None:
    """Print mean Dice per method and class under one aggregation; the frame is method_scores.csv."""
    shown = scores[(scores["metric"] == "dice") & (scores["aggregation"] == aggregation)]
    classes = list(dict.fromkeys(shown["class"]))
    table = Table(f"Dice {aggregation.replace('_', ' ')}", *classes, box=None, pad_edge=False)
    for method, rows in shown.groupby("method", sort=False):
        by_class = rows.set_index("class")["mean"]
        table.add_row(str(method), *(score_text(by_class.get(name)) for name in classes))
    console.print(table, highlight=False)


def print_ranking(rankings: Any, verdicts: Sequence[Verdict], console: Console) -> None:
    """Print the methods in their order on macro Dice, and how stable it is; the frame is rankings.csv."""
    judged = next((verdict for verdict in verdicts if verdict.topic == "ranking"), None)
    if judged is None or "aggregation" not in judged.numbers:
        return  # one method, or none that share a seed: the verdict says so
    aggregation = judged.numbers["aggregation"]
    shown = rankings[(rankings["aggregation"] == aggregation) & (rankings["class"] == "macro")]
    unit = aggregation.removeprefix("per_")
    table = Table("order", "rank", "95 % of resamples", "best in", f"macro Dice per {unit}", box=None, pad_edge=False)
    for row in shown.to_dict("records"):
        span = "" if row["rank_low"] != row["rank_low"] else f"{row['rank_low']:.3g} to {row['rank_high']:.3g}"
        first = "" if row["p_best"] != row["p_best"] else f"{row['p_best']:.0%}"
        table.add_row(str(row["method"]), score_text(row["rank"], "g"), span, first, score_text(row["score"]))
    console.print()
    console.print(table, highlight=False)


def score_text(value: float | None, form: str = ".3f") -> str:
    """Write a score, or a dash where the class does not occur."""
    return "-" if value is None or value != value else f"{value:{form}}"


def print_planted(planted: Any, console: Console) -> None:
    """Print what was planted in phantom tissue beside what was found; the frame is planted_and_found.csv."""
    if planted.empty:
        return
    console.print("\nPlanted and found", style="bold")
    for row in planted.to_dict("records"):
        style = {"yes": "green", "no": "red"}.get(row["agrees"], "yellow")
        console.print(styled("  ", (f"{AGREEMENT[row['agrees']]:>13}", style), "  "), end="")
        outcome = row["verdict"].replace("_", " ") or row["found"]
        console.print(f"{row['subject']}: {row['planted']} -> {outcome}", soft_wrap=True)


AGREEMENT = {"yes": "found", "no": "contradicted", "open": "open"}


def print_verdicts(verdicts: Sequence[Verdict], console: Console) -> None:
    """Print the verdicts that answer the study's questions, and say how many others there are."""
    headings = {
        "comparison": "Which method?",
        "model": "With which model?",
        "ranking": "In which order?",
        "association": "Rare or hard?",
        "explanation": "One beyond the other?",
    }
    headings |= {"inertia": "Is it still its start?", "path": "Is the class attention read?"}
    headings |= {"intervention": "What does the bias do?"}
    headings |= {"attainability": "What can be shown?", "data": "What limits it?"}
    answers = [verdict for verdict in verdicts if verdict.topic == "answer"]
    biased = {verdict.method for verdict in answers if verdict.method}
    shown = [
        verdict
        for verdict in verdicts
        if _explains_an_answer(verdict) or (verdict.topic == "path" and verdict.method in biased)
    ]
    console.print()
    for verdict in answers:
        console.print(verdict.sentence, style="bold", highlight=False, soft_wrap=True)
    for topic, heading in headings.items():
        of_topic = [verdict for verdict in shown if verdict.topic == topic]
        if of_topic:
            console.print(f"\n{heading}", style="bold")
        for verdict in of_topic:
            style = VERDICT_STYLES.get(verdict.word, "yellow")
            word = verdict.word.replace("_", " ")
            console.print(styled("  ", (f"{word:>13}", style), "  "), end="")
            console.print(verdict.sentence, highlight=False, soft_wrap=True)
    more = len(verdicts) - len(answers) - len(shown)
    console.print(
        f"\n{more} more verdicts (single classes, reliability) are in verdicts.json and the report", style="dim"
    )


def _explains_an_answer(verdict: Verdict) -> bool:
    """True for overall comparisons, for what a learned bias follows, and for every limit."""
    return (
        verdict.topic in ("data", "attainability", "ranking")
        or (verdict.topic in ("comparison", "intervention", "model") and verdict.class_name == "macro")
        or (verdict.topic in ("association", "explanation") and verdict.estimand == "change")
        or (verdict.topic == "explanation" and verdict.estimand == "loss_weight")
        or (verdict.topic == "inertia" and verdict.estimand == "learned")
    )


def check_and_print(folder: Path) -> bool:
    """Check a prepared data set, print what was found, and return whether it is sound."""
    from imbalance_bench.cli.progress import ProgressDisplay
    from imbalance_bench.data.integrity import check_folder

    console = Terminal()
    with ProgressDisplay(console) as display:
        dataset, report = check_folder(
            folder, on_progress=lambda n_done, total: display.on_phase("checking", n_done, total)
        )
    table = Table("class", "pixels", "share", box=None, pad_edge=False)
    labelled = max(int(report.pixels.sum()), 1)
    for name, pixels in zip(report.names, report.pixels.tolist(), strict=True):
        table.add_row(name, f"{pixels:,}", f"{pixels / labelled:.3g}")
    table.add_row(styled(("unlabelled", "dim")), f"{report.unlabelled_pixels:,}", "")
    console.print(table, highlight=False)
    for line in (*report.problems, *report.remarks):
        console.print(line, highlight=False, soft_wrap=True)
    verdict = "nothing wrong" if report.sound else f"{len(report.problems)} problems"
    console.print(f"{dataset.info.name}: {report.n_images} images, {verdict}", highlight=False)
    return report.sound


def _time_left(rows: list[RunStatus]) -> str:
    seconds = _seconds_left(rows)
    return "" if seconds is None else f"; about {seconds / 60:.0f} run-minutes left"


def _seconds_left(rows: list[RunStatus]) -> float | None:
    """Estimate from finished runs, as if one run went at a time; None where none is finished, or nothing is left."""
    seconds = [row.seconds for row in rows if row.seconds is not None]
    left = sum(
        1 - (row.step / row.steps if row.steps else 0) for row in rows if row.state not in ("done", "failed", DAMAGED)
    )
    if not seconds or not left:
        return None
    return left * sum(seconds) / len(seconds)
