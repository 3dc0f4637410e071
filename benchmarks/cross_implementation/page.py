"""docs/conformance.md: what agrees, what does not, and why."""

import math

from benchmarks.cross_implementation.cases import CASES
from benchmarks.cross_implementation.comparison import Comparison, agree
from benchmarks.cross_implementation.official_comparisons import OFFICIAL, SOURCES, recorded_outcomes
from benchmarks.cross_implementation.ours import Outcome
from benchmarks.cross_implementation.packages import LIVE, live_outcome
from methods import REGISTRY

INTRODUCTION = """\
# Conformance

The same tensors through our losses and through those of other packages and of the papers' authors. `=` means that the
value agrees to 1e-5 (relative above 1) and the gradient of every class to 1e-5 of the largest. Otherwise a cell holds
our value, and theirs behind it; `stops` where theirs raises an error or is not finite. An empty cell: the other
implementation cannot take the case.

`python -m benchmarks.cross_implementation` prints this page. It runs our losses, torch, segmentation_models_pytorch
(SMP) and MONAI, and reads the numbers of the authors' code from `benchmarks/cross_implementation/official.json`, which
`python -m benchmarks.cross_implementation.official CHECKOUTS` wrote.

Cases: 4 classes, 2 images of 50 pixels (`ordinary`); 2 images of 36 pixels, one class in neither the batch nor the
training split (`absent class`); a quarter of the pixels ignored; 1 image and 2 classes; 20 classes; a logit of 20 for a
wrong class everywhere (p of the true class is 2e-9); class counts of 1e9, 3e8, 1e5 and 1.
"""

NOT_COMPARED = """\
## Not compared

- **DFA** (`dfa`, `two_stage_dice_bias`): the authors' repository, lakmali240/DFA-Imbalance, holds a README and a figure
  at commit 94fd1a2, and no code to run. Golden values come from the paper's formula and the published constants.
- **Recipes rather than losses** (samplers, copy-paste, stages, `tau_norm`): there is no value on a fixed tensor to
  compare; their tests are on what they draw.
"""


def render() -> str:
    """Return the page."""
    lines = [INTRODUCTION, "## Packages", "", *_header()]
    for name, (comparison, _) in LIVE.items():
        lines.append(
            _row(comparison, comparison.theirs, {case: live_outcome(name, CASES[case]) for case in comparison.cases})
        )
    lines += ["", "## The authors' own code", "", *_header()]
    records = recorded_outcomes()
    for name, comparison in OFFICIAL.items():
        repository, commit, path = SOURCES[comparison.theirs]
        theirs = f"[{repository}](https://github.com/{repository}/blob/{commit}/{path})"
        lines.append(_row(comparison, theirs, records[name]))
    return "\n".join([*lines, "", NOT_COMPARED + _without_second_implementation()])


def _header() -> list[str]:
    cases = " | ".join(CASES)
    return [f"| ours | theirs | {cases} | why |", "|---" * (len(CASES) + 3) + "|"]


def _row(comparison: Comparison, theirs: str, outcomes: dict[str, Outcome]) -> str:
    options = ", ".join(f"{key}={value}" for key, value in comparison.options.items())
    ours = f"`{comparison.method}`" + (f" ({options})" if options else "")
    cells = [_cell(comparison.ours(case), outcomes[case]) if case in outcomes else "" for case in CASES]
    return f"| {ours} | {theirs} | {' | '.join(cells)} | {comparison.reason} |"


def _cell(ours: Outcome, theirs: Outcome) -> str:
    if agree(ours, theirs):
        return "="
    if not math.isfinite(theirs.value):
        return f"{ours.value:.4g}, stops"
    mine, other = f"{ours.value:.4g}", f"{theirs.value:.4g}"
    digits = 5
    while mine == other and digits < 9:
        mine, other = f"{ours.value:.{digits}g}", f"{theirs.value:.{digits}g}"
        digits += 1
    return f"{mine}, {other}" if mine != other else f"{mine}, other gradient"


def _without_second_implementation() -> str:
    compared = {comparison.method for comparison, _ in LIVE.values()} | {c.method for c in OFFICIAL.values()}
    alone = [f"`{name}`" for name in REGISTRY if name not in compared]
    return (
        "- Golden values from plain numpy formulas are the only second implementation of: " + ", ".join(alone) + ".\n"
    )
