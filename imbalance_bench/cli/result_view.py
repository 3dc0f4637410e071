"""What the commands on results print."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pandas as pd
from rich.console import Console
from rich.table import Table

from imbalance_bench.csv_cells import csv_text, read_frame
from imbalance_bench.errors import UserError
from imbalance_bench.terminal import Terminal, styled

if TYPE_CHECKING:
    from analysis.compare import ComparedStudies
    from analysis.compare_scores import ComparedScores
    from imbalance_bench.inference.prediction import PredictionOptions

NUMBERS = ("fold", "seed", "numerator", "denominator", "value")  # columns of scores in which an empty field is missing


def predict_and_print(run_dir: Path, images: Sequence[Path], out: Path, options: PredictionOptions) -> None:
    """Predict images and print the share of every class."""
    import torch

    from imbalance_bench.cli.progress import ProgressDisplay
    from imbalance_bench.inference.prediction import predict_images
    from imbalance_bench.inference.trained_model import TrainedModel, resolve_run
    from imbalance_bench.training.numerics import configure_torch

    console = Terminal()
    model = TrainedModel.open(resolve_run(run_dir))
    threads = torch.get_num_threads()  # every core, or OMP_NUM_THREADS: one model works at a time, unlike in a study
    configure_torch(model.config.compute, model.device)
    torch.set_num_threads(threads)
    with ProgressDisplay(console) as display:
        predictions = predict_images(model, images, out, options, display.on_phase)
    print_areas(predictions.areas, console)
    for note in predictions.notes:
        console.print(note, highlight=False, soft_wrap=True)
    console.print(f"masks, overlays{', outlines' if options.outlines else ''} and areas.csv: {out}", highlight=False)


def print_areas(areas: pd.DataFrame, console: Console) -> None:
    """Print the share of each class in each image; the frame is areas.csv."""
    classes = list(dict.fromkeys(areas["class"]))
    table = Table("image", "um/px", *classes, box=None, pad_edge=False)
    for image, rows in areas.groupby("image", sort=False):
        mpp, origin = rows["mpp_um"].iloc[0], str(rows["resolution"].iloc[0])
        resolution = origin if pd.isna(mpp) else f"{mpp:.3g} ({origin})"
        table.add_row(str(image), resolution, *(f"{share:.3f}" for share in rows["share"]))
    console.print(table, highlight=False)


def compare_and_print(roots: Sequence[Path], out: Path, *, classes_apart: bool = False) -> None:
    """Compare studies, print what they share, and write tables and the figure of ranks."""
    from analysis.compare import compare_studies
    from analysis.plots.ranks import save_critical_difference
    from analysis.plots.regions import save_practical_differences
    from analysis.practical_comparison import practical_table
    from imbalance_bench.manifest import write_atomically, write_json

    console = Terminal()
    compared = compare_studies(roots, classes_apart=classes_apart)
    print_studies(compared, console)
    ranks = {} if compared.ranks is None else {"ranks": compared.ranks.ranks, "rank_pairs": compared.ranks.pairs}
    practical = {"practical_differences": practical_table(compared.practical)} if compared.practical else {}
    shared = {"scores": compared.scores, "differences": compared.differences}
    tables = {**shared, **ranks, **practical, **compared.explanation}
    for name, frame in tables.items():
        content = csv_text(frame).encode()
        write_atomically(out / f"{name}.csv", lambda file, content=content: file.write(content))
    sentence = None if compared.ranks is None else compared.ranks.sentence
    verdicts = [verdict.as_json() for verdict in compared.verdicts]
    write_json(out / "verdicts.json", {"ranks": sentence, "notes": list(compared.notes), "verdicts": verdicts})
    if compared.ranks is not None:
        save_critical_difference(compared.ranks, out / "critical_difference.svg")
    if compared.practical:
        triangles = [(comparison.title, comparison.posterior) for comparison in compared.practical]
        save_practical_differences(triangles, out / "practical_differences.svg")
    console.print(f"tables and figures: {out}", highlight=False, soft_wrap=True)


def compare_scores_and_print(path: Path, plan: Mapping[str, Any], out: Path | None, *, as_json: bool = False) -> None:
    """Compare the methods of a table of scores, print the verdicts and write the tables."""
    from analysis.compare_scores import compare
    from imbalance_bench.manifest import write_atomically, write_json

    console = Terminal()
    table = read_frame(path, NUMBERS)
    try:
        compared = compare(table, plan)
    except UserError as error:
        raise UserError(f"{path}: {error}", exit_code=error.exit_code) from error
    verdicts = [verdict.as_json() for verdict in compared.verdicts]
    if as_json:
        click.echo(json.dumps({"verdicts": verdicts, "notes": list(compared.notes)}, indent=1))
    else:
        print_compared_scores(compared, console)
    if out is not None:
        for name, frame in compared.tables.items():
            content = csv_text(frame).encode()
            write_atomically(out / f"{name}.csv", lambda file, content=content: file.write(content))
        write_json(out / "verdicts.json", {"notes": list(compared.notes), "verdicts": verdicts})
        if not as_json:
            console.print(f"tables: {out}", highlight=False, soft_wrap=True)


def print_compared_scores(compared: ComparedScores, console: Console) -> None:
    """Print macro scores under every aggregation, then every verdict."""
    macro = compared.tables["scores"][compared.tables["scores"]["class"] == "macro"]
    aggregations = list(dict.fromkeys(macro["aggregation"]))
    table = Table("macro mean", *(name.replace("_", " ") for name in aggregations), box=None, pad_edge=False)
    for method, rows in macro.groupby("method", sort=False):
        cells = rows.set_index("aggregation")[["mean", "low", "high"]].to_dict("index")
        table.add_row(
            str(method),
            *(
                styled(f"{cell['mean']:.3f} ", (f"{cell['low']:.3f} to {cell['high']:.3f}", "dim"))
                for cell in map(cells.get, aggregations)
                if cell
            ),
        )
    console.print(table, highlight=False)
    for verdict in compared.verdicts:
        console.print(f"{verdict.word.replace('_', ' ')}: {verdict.sentence}", highlight=False, soft_wrap=True)
    for note in compared.notes:
        console.print(note, style="dim", highlight=False, soft_wrap=True)


def print_studies(compared: ComparedStudies, console: Console) -> None:
    """Print macro Dice of every method and study, average ranks, and what the biases follow."""
    scores, marks = compared.scores, {"better": " ▲", "worse": " ▼", "equivalent": " ="}
    studies = list(dict.fromkeys(scores["study"]))
    verdicts = {(row["method"], row["study"]): row["verdict"] for row in compared.differences.to_dict("records")}
    average = {} if compared.ranks is None else dict(compared.ranks.ranks[["method", "average_rank"]].to_numpy())
    aggregations = " or ".join(name.replace("_", " ") for name in dict.fromkeys(scores["aggregation"]))
    table = Table(f"macro Dice {aggregations}", *studies, "average rank", box=None, pad_edge=False)
    for method in dict.fromkeys(scores["method"]):
        rows = scores[scores["method"] == method].set_index("study")
        cells = []
        for study in studies:
            if study not in rows.index or pd.isna(rows.loc[study, "mean"]):
                cells.append("")
                continue
            mean, low, high = (float(rows.loc[study, name]) for name in ("mean", "low", "high"))
            mark = marks.get(str(verdicts.get((method, study))), "")
            cells.append(styled(f"{mean:.3f}{mark} ", (f"{low:.3f} to {high:.3f}", "dim")))
        table.add_row(str(method), *cells, f"{average[method]:.2f}" if method in average else "")
    console.print(table, highlight=False)
    console.print("▲ better, ▼ worse, = equivalent to the study's control; intervals 95 %", style="dim")
    headlines = [verdict.sentence for verdict in compared.verdicts if verdict.topic == "explanation"]
    sentences = [] if compared.ranks is None else [compared.ranks.sentence]
    probable = [comparison.sentence for comparison in compared.practical]
    for sentence in [*sentences, *probable, *headlines, *compared.notes]:
        console.print(sentence, highlight=False, soft_wrap=True)
