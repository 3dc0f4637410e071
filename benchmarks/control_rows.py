"""How often trained studies judge methods whose truth is known as they should, as a Markdown table.

    python -m benchmarks.control_rows [--studies 40] [--steps 60] [--workers N] [--at-once N] [--out DIR]
        [--minutes M] [--page docs/explanation.md]

Each row rests on phantom tissue of eight classes with its own seed, in one of the dealings that `phantom_dealings`
found, whose measures follow what is planted; the decoder is `unet`. Every control below is trained and analysed as in
any study: the given biases, which stay, in one with 2 seeds and half the steps, the others in one with 5 seeds.
Nothing is simulated. A stopped call goes on where it was; `--minutes` stops before a study that may not end in time.

- `given_share`, `given_ambiguity`, `given_morphology`, `given_context`: a fixed attention bias of one number per class,
  the planted level of one factor; to be attributed to the construct of that factor and to no other.
- `given_noise`: the same from random numbers; to be attributed to nothing.
- `inverse_sqrt`: its loss weights are to be attributed to frequency.
- `token_to_image`: a bias where it can do nothing; the path is to be called inert.
- `quarter_steps`: trained for a quarter of the steps; to be called worse.

Attributed means: the association with the primary measure of the construct is `supported` after Holm over the
constructs. Whether it is so beyond the others is a partial test, which eight classes and measures with errors seldom
decide. `--page` writes the section "Known causes in trained studies" of a page. Exit code 1 if a control is judged
right less often than is wanted.
"""

import argparse
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.pipeline import StudyAnalysis, analyze_study
from analysis.schema.names import MACRO
from analysis.topics.ledger_quantities import GIVEN_BIAS
from analysis.topics.planted import CONSTRUCT_OF
from analysis.verdicts import Topic, Word
from benchmarks.at_once import work_on
from benchmarks.page_section import with_section
from benchmarks.phantom_dealings import SEARCHED_DEALINGS, dealt
from imbalance_bench.config import load_study
from imbalance_bench.data.phantom import FACTORS, PhantomSpec, generate_phantom
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.seeding import generator

ROOT = Path(__file__).parents[1]
TITLE = "Known causes in trained studies"
PAGE_WIDTH = 128
NOISE = "noise"
WANTED = {"given_noise": 0.9, "inverse_sqrt": 0.9, "token_to_image": 0.95, "quarter_steps": 0.9}
ATTRIBUTED = 0.8  # of the studies, of each planted factor
TRAINED: list[Any] = [
    "cross_entropy",
    {"name": "cross_entropy", "label": "quarter_steps", "steps_fraction": 0.25},
    "inverse_sqrt",
    {"name": "dfa", "label": "token_to_image", "direction": "token_to_image"},
]
FIRST_SEED = 1000  # of the phantoms; none that `phantom_dealings` looks at
RECIPE = ("model.decoder=unet", "training.validate_every=1000", "training.augmentation.cached_views=1")
EVALUATION = (
    *("evaluation.path_controls=1", "evaluation.permuted_biases=0", "evaluation.dynamics_crops=0"),
    *(
        "evaluation.surface_um=[]",
        "evaluation.trimap_um=[]",
        "evaluation.boundary_um=[]",
        "compute.saved_predictions=0",
    ),
)


Row = list[tuple[str, bool, str]]
"""Of each control: its name, whether it was judged as it should be, and what was said."""


@dataclass(frozen=True)
class Trial:
    """What is trained and where it lies.

    Attributes:
        out: Folder of all studies.
        steps: Optimiser steps.
        workers: Runs at a time; None chooses by cores.
    """

    out: Path
    steps: int
    workers: int | None = None

    def row(self, number: int) -> Row:
        """Draw, train what is missing of, and analyse one row."""
        return list(self._judged(number))

    def _judged(self, number: int) -> Iterator[tuple[str, bool, str]]:
        dealing = SEARCHED_DEALINGS[number % len(SEARCHED_DEALINGS)]
        folder, spec = self.out / f"study_{number:02d}", dealt(dealing, FIRST_SEED + number)
        if not (folder / "phantom" / "index.csv").exists():
            generate_phantom(spec, folder / "phantom")
        biases = self._study(folder, "given", given_biases(spec, number), seeds=2, steps=self.steps // 2)
        yield from judged_biases(biases)
        yield from judged_methods(self._study(folder, "trained", TRAINED, seeds=5, steps=self.steps))

    def _study(self, folder: Path, name: str, methods: list[Any], seeds: int, steps: int) -> StudyAnalysis:
        asked = [f"dataset.path={folder / 'phantom'}", f"name={folder.name}-{name}", f"training.steps={steps}"]
        asked += [f"methods={methods}", f"seeds={list(range(seeds))}"]
        config = load_study(ROOT / "imbalance_bench" / "quickstart.yaml", [*RECIPE, *EVALUATION, *asked])
        cache = folder / "cache"
        execute_study(config, folder / name, Execution(cache=cache, workers=self.workers))
        return analyze_study(folder / name, cache_dir=cache)


def given_biases(spec: PhantomSpec, number: int) -> list[Any]:
    """Return the methods with a given bias of a study of a phantom, and their control."""
    noise = generator(number, NOISE).normal(size=len(spec.classes))
    levels = {factor: [getattr(class_, factor) for class_ in spec.classes] for factor in FACTORS} | {NOISE: noise}
    found: list[Any] = ["cross_entropy"]
    for factor, values in levels.items():
        given = {each.name: round(float(value), 4) for each, value in zip(spec.classes, values, strict=True)}
        options = {"prior": "given", "mode": "fixed", "values": given}
        found.append({"name": "dfa", "label": f"given_{factor}", **options})
    return found


def attributed(study: StudyAnalysis, method: str, estimand: str) -> set[str]:
    """Return the constructs of which the primary measure is supported for a method's quantity."""
    rows = study.tables["associations"]
    rows = rows[(rows["verdict"] == str(Word.SUPPORTED)) & rows["p_holm"].notna()]  # of a primary measure
    return set(rows[(rows["method"] == method) & (rows["estimand"] == estimand)]["construct"])


def judged_biases(study: StudyAnalysis) -> Iterator[tuple[str, bool, str]]:
    """Yield what was said of each given bias."""
    for factor, wanted in [(each, {construct}) for each, construct in CONSTRUCT_OF.items()] + [(NOISE, set())]:
        found = attributed(study, f"given_{factor}", GIVEN_BIAS)
        yield f"given_{factor}", found == wanted, "+".join(sorted(found)) or "nothing"


def judged_methods(study: StudyAnalysis) -> Iterator[tuple[str, bool, str]]:
    """Yield what was said of the other controls."""
    found = attributed(study, "inverse_sqrt", "loss_weight")
    yield "inverse_sqrt", found == {CONSTRUCT_OF["share"]}, "+".join(sorted(found)) or "nothing"
    said: dict[tuple[Topic, str], Word] = {
        (verdict.topic, verdict.method): verdict.word for verdict in study.verdicts if verdict.class_name == MACRO
    }
    for method, topic, right in (
        ("token_to_image", Topic.PATH, Word.INERT),
        ("quarter_steps", Topic.COMPARISON, Word.WORSE),
    ):
        word = said[topic, method]
        yield method, word == right, str(word)


def table(found: list[Row]) -> list[str]:
    """Return the Markdown table over studies."""
    lines = ["| control | judged right | wanted | said |", "|---|---|---|---|"]
    for rows in zip(*found, strict=True):
        name, said = rows[0][0], Counter(row[2] for row in rows)
        words = ", ".join(f"{word} {n}" for word, n in said.most_common())
        lines.append(f"| {name} | {rate_of(rows):.2f} of {len(rows)} | {wanted_of(name):.2f} | {words} |")
    return lines


def rate_of(rows: Sequence[tuple[str, bool, str]]) -> float:
    """Share of the studies in which a control is judged right."""
    return float(np.mean([row[1] for row in rows]))


def wanted_of(control: str) -> float:
    """Share that is wanted."""
    return WANTED.get(control, ATTRIBUTED)


def section(found: list[Row], steps: int) -> str:
    """Return the section of the page."""
    command = f"python -m benchmarks.control_rows --studies {len(found)} --steps {steps}"
    lead = (
        f"`{command}` draws {len(found)} phantoms of eight classes ([phantom](phantom.md)), trains two studies on "
        "each, and asks `analyze` what it finds. *Wanted* is the share of phantoms, *said* is what was said of the "
        "control. The phantoms are chosen so that the measures follow what is planted, and a given bias is exact: the "
        "rows say what becomes of a cause that the measures can see, not of one that they measure badly."
    )
    return "\n".join([f"## {TITLE}", "", textwrap.fill(lead, PAGE_WIDTH), "", *table(found)])


def run_all(trial: Trial, studies: int, left: Callable[[], float], at_once: int = 1) -> list[Row]:
    """Judge studies while there is time for more, as long as the longest so far; the rows in the order of the studies.

    Args:
        trial: What is trained.
        studies: Number of studies.
        left: Gives the seconds that are left.
        at_once: Studies side by side.
    """
    found, took = dict[int, Row](), [0.0]
    for number, row, seconds in work_on(range(studies), trial.row, at_once, lambda _: left() >= max(took)):
        took.append(seconds)
        found[number] = row
        rows = [found[each] for each in sorted(found)]
        print(f"\n{len(found)} studies\n\n" + "\n".join(table(rows)), flush=True)
    return [found[number] for number in sorted(found)]


def main() -> None:
    """Train, judge and print, the table anew after each study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--workers", type=int, help="runs at a time; by cores unless given")
    parser.add_argument("--at-once", type=int, default=1, help="studies at a time, each with --workers runs")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no study that may end later")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "studies" / "control_rows")
    parser.add_argument("--page", type=Path, help="page whose section is written")
    options = parser.parse_args()
    until = time.monotonic() + 60 * options.minutes
    trial = Trial(options.out, options.steps, options.workers)
    found = run_all(trial, options.studies, lambda: until - time.monotonic(), options.at_once)
    if options.page is not None:
        page = options.page.read_text(encoding="utf-8")
        options.page.write_text(with_section(page, TITLE, section(found, options.steps)), encoding="utf-8")
    sys.exit(int(any(rate_of(rows) < wanted_of(rows[0][0]) for rows in zip(*found, strict=True))))


if __name__ == "__main__":
    main()
