"""Mutation score of the methods: change every formula in small ways and count how often a test notices.

`python -m benchmarks.mutation` prints each survivor and the score of each file; `--file` and `--limit` shorten it.
Mutants live in a copy of the repository in a temporary folder. Exit 1 if less than 90 % are killed.
"""

import random
import tempfile
from collections import Counter
from pathlib import Path

import click
import monai.losses
import pydantic
import safetensors.torch
import segmentation_models_pytorch
import torch

from benchmarks.mutation.equivalents import EQUIVALENT
from benchmarks.mutation.mutants import Mutant, mutants_of, one_line
from benchmarks.mutation.trials import Verdict, callers, concerned, copy_of, try_mutant, unchanged

PRELOADED = (
    monai.losses,
    pydantic,
    safetensors.torch,
    segmentation_models_pytorch,
    torch,
)  # so that a forked trial need not import them
NEEDED_SHARE = 0.9
PACKAGE = "methods/__init__.py"  # every test of the methods mentions it
REPOSITORY = Path(__file__).resolve().parents[2]


@click.command()
@click.option("--file", "files", multiple=True, help="Only this file, such as methods/focal.py; repeatable.")
@click.option("--limit", type=click.IntRange(min=1), help="Mutants of each file, drawn at random.  [default: all]")
@click.option("--seed", default=0, show_default=True, help="Of the draw.")
@click.option("--verbose", is_flag=True, help="Print killed mutants too.")
def main(files: tuple[str, ...], limit: int | None, seed: int, verbose: bool) -> None:
    """Try mutants and print what survived."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, copy_of(REPOSITORY, Path(folder)) as copied:
        chosen = files or tuple(sorted(f"methods/{path.name}" for path in (copied / "methods").glob("*.py")))
        called = callers()
        verdicts: list[Verdict] = []
        sources = {file: (copied / file).read_text(encoding="utf-8") for file in chosen}
        asked = set().union(*(concerned(unchanged(file, source), called) for file, source in sources.items()))
        package = unchanged(PACKAGE, (copied / PACKAGE).read_text(encoding="utf-8"))
        if try_mutant(package, asked).outcome != "survived":
            raise click.ClickException("the tests fail without any mutation. Make `make test` pass first.")
        for file, source in sources.items():
            for mutant in drawn(mutants_of(file, source), limit, seed):
                verdicts.append(try_mutant(mutant, concerned(mutant, called)))
                print_verdict(verdicts[-1], verbose=verbose)
            print_score(file, [verdict for verdict in verdicts if verdict.mutant.file == file])
    print_score("all", verdicts)
    raise SystemExit(int(share_killed(verdicts) < NEEDED_SHARE))


def drawn(mutants: list[Mutant], limit: int | None, seed: int) -> list[Mutant]:
    """Draw at most `limit` of the mutants that are not listed as equivalent."""
    candidates = [mutant for mutant in mutants if mutant.key not in EQUIVALENT]
    if limit is None or limit >= len(candidates):
        return candidates
    return sorted(random.Random(seed).sample(candidates, limit), key=lambda mutant: mutant.line)


def share_killed(verdicts: list[Verdict]) -> float:
    """Return killed or timed out over all; 1 if there was no mutant."""
    survived = sum(verdict.outcome == "survived" for verdict in verdicts)
    return 1 - survived / len(verdicts) if verdicts else 1.0


def print_verdict(verdict: Verdict, *, verbose: bool) -> None:
    """Print a survivor, or anything."""
    if verdict.outcome == "survived" or verbose:
        mutant = verdict.mutant
        print(
            f"{verdict.outcome:8} {verdict.seconds:5.1f} s  {mutant.file}:{mutant.line} {mutant.where}: "
            f"`{one_line(mutant.before)}` -> `{one_line(mutant.after)}`",
            flush=True,
        )


def print_score(name: str, verdicts: list[Verdict]) -> None:
    """Print how many of a file's mutants were killed."""
    count = Counter(verdict.outcome for verdict in verdicts)
    listed = "; ".join(f"{number} {outcome}" for outcome, number in sorted(count.items())) or "no mutants"
    print(f"{name}: {100 * share_killed(verdicts):.1f} % killed ({listed})", flush=True)


if __name__ == "__main__":
    main()
