"""What do learned biases follow, when frequency and difficulty are planted independently? Trained, not simulated.

    python -m benchmarks.causal_bench plan                      parts, runs, estimated core-minutes
    python -m benchmarks.causal_bench run [--part N ...]        train and analyse; a stopped call goes on where it was
    python -m benchmarks.causal_bench gather [--to FOLDER]      add what is analysed to the evidence in a folder
    python -m benchmarks.causal_bench results [--to FOLDER]     gather, answer, draw
    python -m benchmarks.causal_bench answer FOLDER             answer anew from the evidence in a folder

`--out` is the folder of all studies; `--miniature` makes everything from start to end in minutes, to see it work.
`--minutes` begins no study that may not end in time. `--at-once 2 --workers 1` leaves no core idle while a study is
analysed. What `--to` holds already is neither trained again nor lost, so that parts can be made at several times and
on several machines; an empty `--to` trains everything anew. Exit code 1 if studies are left, or if too few known
causes were attributed to themselves, so that nothing learned may be interpreted.
"""

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import pandas as pd
from rich.console import Console

from benchmarks.causal_bench.answers import ATTRIBUTED, DICE, PLANTED, Answers, answers
from benchmarks.causal_bench.design import MINIATURE, ROOT, WHOLE, BenchStudy, chosen, parts, plan_lines, studies
from benchmarks.causal_bench.evidence import Evidence, gather
from benchmarks.causal_bench.figures import write_figures
from benchmarks.causal_bench.running import Place, run_parts
from benchmarks.command import end_with
from benchmarks.markdown import markdown
from imbalance_bench.csv_cells import csv_text
from imbalance_bench.manifest import write_atomically

EVIDENCE, TABLES, FIGURES = "evidence", Path("answers", "tables"), Path("answers", "figures")
COMMITTED = ROOT / "results" / "reference" / "causal_bench"
WITHHELD = (
    f"Fewer than {ATTRIBUTED:.0%} of the known causes were attributed as planted: nothing learned is interpreted."
)


def main() -> None:
    """Parse the command line and do it."""
    options = _parser().parse_args()
    end_with(lambda: _do(options))


def _do(options: argparse.Namespace) -> int:
    scale = MINIATURE if options.miniature else WHOLE
    every = parts(scale)
    place = Place(options.out or ROOT / "results" / "studies" / "causal_bench", options.workers)
    gathered = options.to or (place.out / "gathered" if options.miniature else COMMITTED)
    if options.what == "answer":
        return _answer(Evidence.read(options.folder / EVIDENCE), options.folder)
    if options.what in ("gather", "results"):
        evidence = _gather(studies(scale), place, gathered)
        left = len(studies(scale)) - len(evidence.studies)
        return _answer(evidence, gathered) | (left > 0) if options.what == "results" else int(left > 0)
    print("\n".join(plan_lines(every)), flush=True)
    if options.what == "plan":
        return 0
    earlier = _gathered(gathered)
    names = earlier.complete(studies(scale)) if earlier is not None else set[str]()
    left = run_parts(chosen(every, options.part), place, names, options.minutes, options.at_once)
    return int(left > 0)


def _gather(wanted: Sequence[BenchStudy], place: Place, to: Path) -> Evidence:
    """Add what is analysed to the evidence in a folder, and say how much of the whole it is."""
    console = Console(stderr=True)
    with console.status("reading studies") as status:
        evidence = gather(wanted, place, _gathered(to), lambda n: status.update(f"reading studies: {n}"))
    evidence.write(to / EVIDENCE)
    runs, hours = evidence.studies["runs"].sum(), evidence.studies["seconds"].sum() / 3600
    print(f"{len(evidence.studies)} of {len(wanted)} studies are gathered: {runs} runs, {hours:.1f} core-hours")
    return evidence


def _gathered(folder: Path) -> Evidence | None:
    """Return the evidence in a folder, None where there is none yet."""
    return Evidence.read(folder / EVIDENCE) if (folder / EVIDENCE).exists() else None


def _answer(evidence: Evidence, folder: Path) -> int:
    """Write every table and figure, and print the short form."""
    found = answers(evidence)
    for field in fields(found):
        content = csv_text(getattr(found, field.name)).encode()
        write_atomically(folder / TABLES / f"{field.name}.csv", lambda file, content=content: file.write(content))
    files = write_figures(found, folder / FIGURES)
    _print(found)
    print(f"\ntables: {folder / TABLES}\nfigures: {len(files)} in {folder / FIGURES}")
    return 0 if found.controls_hold else 1


def _print(found: Answers) -> None:
    for title, table in (("Known causes", found.controls), ("Is the class attention read?", _uniform(found))):
        print(f"\n## {title}\n\n{markdown(table)}" if len(table) else f"\n{title}: none")
    print("" if found.controls_hold else f"\n{WITHHELD}")
    columns = ["series", "decoder", "method", "quantity", "verdict", "follows"]
    headlines = found.headlines[(found.headlines["by"] == PLANTED) & (found.headlines["quantity"] != DICE)][columns]
    print(f"\n## What is followed\n\n{markdown(headlines)}")
    effects = found.effects[found.effects["method"] == "cross_entropy"]
    print(f"\n## Which planted factor changes Dice\n\n{markdown(effects)}")
    shown = found.repair[found.repair["verdict"].isin(["better", "worse", "equivalent"])]
    print(f"\n## What repairs it: {len(shown)} of {len(found.repair)} are decided\n")
    print(markdown(shown))
    print(f"\n## Over data sets\n\n{markdown(found.ranks)}")


def _uniform(found: Answers) -> pd.DataFrame:
    return found.path[found.path["control"] == "uniform"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.causal_bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="what", required=True)
    for name in ("plan", "run", "gather", "results", "answer"):
        command = commands.add_parser(name)
        command.set_defaults(out=None, to=None, workers=None, at_once=1, miniature=False, part=[], minutes=float("inf"))
        if name == "answer":
            command.add_argument("folder", type=Path)
            continue
        command.add_argument("--miniature", action="store_true", help="tiny models and two data sets")
        command.add_argument("--out", type=Path, help="folder of all studies  [default: results/studies/causal_bench]")
        if name == "run":
            command.add_argument("--part", type=int, nargs="+", default=[], metavar="N", help="[default: all]")
            command.add_argument("--minutes", type=float, default=float("inf"), help="by the clock")
            command.add_argument("--workers", type=int, help="runs at a time; by cores unless given")
            command.add_argument("--at-once", type=int, default=1, help="studies at a time, each with --workers runs")
        if name != "plan":
            command.add_argument("--to", type=Path, help=f"[default: {COMMITTED}; of a miniature, in --out]")
    return parser


if __name__ == "__main__":
    main()
