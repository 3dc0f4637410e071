"""How often the verdicts find a truth that was planted in simulated records, as a Markdown table.

    python -m benchmarks.planted_truth [--studies 200] [--seed 0] [--only TEXT]

Each simulated study has ledgers (as a run writes them) whose bias is a known mixture of log frequency and boundary
ambiguity, plus noise of the class and of the seed; four measures per class, two of which mean nothing; and goes through
the functions that `analyze` uses. The slopes are in units of the spread of a measure, as is the noise.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import track

from analysis.measures import PRIMARY
from analysis.schema import rows_of
from analysis.study.class_points import StudyFrames
from analysis.study.runs import AnalysisPlan, RunData, StudyTables
from analysis.topics.explanation import associate_studies, judge
from analysis.topics.inertia import inertia, inertia_verdict
from analysis.topics.learned_bias import learned_bias, reliability_verdict
from analysis.verdicts import Word

METHOD = "dfa"
STEPS = (0, 100)
TIMES_KEPT = {"cold": 0.0, "prior": 1.0, "inverted": -1.0}


@dataclass(frozen=True)
class Truth:
    """What is planted.

    Args:
        name: In words.
        classes: Classes of each data set.
        frequency: Slope of the change of the bias on log frequency.
        boundary: Slope on boundary ambiguity.
        correlation: Of log frequency with boundary ambiguity.
        class_noise: Standard deviation of what a class learns beside that.
        seed_noise: Standard deviation of what a run learns beside that.
        expected: The verdict that is right, and what it says the bias follows.
        seeds: Runs.
        kept: Share of the start that is left at the end.
        start_spread: Slope of the start on log frequency.
        starts: Names of TIMES_KEPT, one method each; the first one is explained.
    """

    name: str
    classes: tuple[int, ...]
    frequency: float
    boundary: float
    expected: str
    correlation: float = 0.0
    class_noise: float = 0.3
    seed_noise: float = 0.3
    seeds: int = 4
    kept: float = 1.0
    start_spread: float = 0.0
    starts: tuple[str, ...] = ("prior",)


EXPLANATIONS = (
    Truth("nothing", (10, 10), 0, 0, "not_supported", class_noise=1.0),
    Truth("frequency only", (10, 10), 1, 0, "supported: frequency"),
    Truth("difficulty only", (10, 10), 0, 1, "supported: difficulty"),
    Truth("both", (10, 10), 1, 1, "supported: frequency+difficulty"),
    Truth("frequency only, correlated .6", (10, 10), 1, 0, "supported: frequency", correlation=0.6),
    Truth("difficulty only, correlated .6", (10, 10), 0, 1, "supported: difficulty", correlation=0.6),
    Truth("frequency only, correlated .98", (10, 10), 1, 0, "not_separable", correlation=0.98),
    Truth("difficulty only, correlated .98", (10, 10), 0, 1, "not_separable", correlation=0.98),
    Truth("seeds disagree", (10, 10), 0, 0, "unreliable", class_noise=0.0, seed_noise=1.0),
    Truth("nothing", (5, 5, 6), 0, 0, "not_supported", class_noise=1.0),
    Truth("frequency only", (5, 5, 6), 1, 0, "supported: frequency"),
    Truth("difficulty only", (5, 5, 6), 0, 1, "supported: difficulty"),
    Truth("both", (5, 5, 6), 1, 1, "supported: frequency+difficulty"),
    Truth("frequency only", (5,), 1, 0, "not_testable"),
    Truth("difficulty only", (3,), 0, 1, "not_testable"),
)
INERTIA = (
    Truth("the final bias is the prior", (5,), 0, 0, "inertia", class_noise=0.1, seed_noise=0.05, start_spread=1),
    Truth("the prior is forgotten", (5,), 0, 1, "not_supported", kept=0.1, start_spread=1),
    Truth("cold start", (5,), 0, 1, "not_testable", starts=("cold",)),
    Truth(*("starts stay", (5,), 0, 1, "inertia"), start_spread=1, kept=0.9, starts=("prior", "cold", "inverted")),
    Truth(
        *("starts are forgotten", (5,), 1, 0, "not_supported"),
        **{"start_spread": 1, "kept": 0.1, "starts": ("prior", "cold", "inverted")},
    ),
)


def plan(seed: int) -> AnalysisPlan:
    """Return the default plan with few permutations and resamples."""
    fields = {"control": None, "alpha": 0.05, "rope_dice": 0.01, "resamples": 50, "permutations": 999, "seed": seed}
    return AnalysisPlan(**fields, reliability_floor=0.5, boundary_band_um=2.0, unit="auto")


def simulate(truth: Truth, rng: np.random.Generator) -> list[tuple[StudyTables, StudyFrames]]:
    """Draw the data sets of one simulated study: what the runs left, and what `associate_studies` takes."""
    return [_data_set(truth, f"data set {number}", k, rng) for number, k in enumerate(truth.classes)]


def _data_set(truth: Truth, name: str, k: int, rng: np.random.Generator) -> tuple[StudyTables, StudyFrames]:
    measures = rng.normal(size=(k, 4))
    measures[:, 1] = truth.correlation * measures[:, 0] + np.sqrt(1 - truth.correlation**2) * measures[:, 1]
    learned = truth.frequency * measures[:, 0] + truth.boundary * measures[:, 1]
    learned = learned + truth.class_noise * rng.normal(size=k)
    runs = []
    for number, start_name in enumerate(truth.starts):
        start = TIMES_KEPT[start_name] * truth.start_spread * measures[:, 0]
        label = METHOD if number == 0 else f"{METHOD}_{start_name}"
        for seed in range(truth.seeds):
            end = truth.kept * start + learned + truth.seed_noise * rng.normal(size=k)
            runs.append(_run(label, seed, start, end))
    classes = tuple(f"class {c}" for c in range(k))
    frame = pd.DataFrame([{"method": run.method, "state": "done"} for run in runs])
    study = StudyTables(frame, tuple(runs), classes, ((True,) * k,), {"name": name}, "test")
    rows = [
        {"class_id": c, "construct": construct, "measure": measure, "primary": True, "value": values[c]}
        for (construct, measure), values in zip(PRIMARY.items(), measures.T, strict=True)
        for c in range(k)
    ]
    table = pd.DataFrame(rows)
    rare = table["construct"] == "frequency"
    table.loc[rare, "value"] = np.exp(table.loc[rare, "value"])  # the explanation takes its logarithm
    return study, StudyFrames(name, learned_bias(study), table)


def _run(label: str, seed: int, start: np.ndarray, end: np.ndarray) -> RunData:
    ledger = [
        [0, step, c, name, float(values[c])]
        for step, bias in zip(STEPS, (start, end), strict=True)
        for name, values in (("attention_bias", bias), ("attention_bias_initial", start))
        for c in range(len(start))
    ]
    frame = pd.DataFrame(ledger, columns=["stage", "step", "class_id", "parameter", "value"])
    manifest = {"method": {"label": label, "parts": [{"name": METHOD, "prior": label}]}}
    return RunData(f"{label}{seed}", label, label, "class_query", 0, seed, manifest, pd.DataFrame(), frame)


def explain(truth: Truth, seed: int) -> str:
    """Simulate one study and return its verdict on what the change of the bias follows."""
    drawn = simulate(truth, np.random.default_rng(seed))
    explained = associate_studies([frames for _, frames in drawn], plan(seed))
    words = {
        (row["method"], row["estimand"]): reliability_verdict(row, plan(seed)).word
        for row in rows_of(explained.reliability)
    }
    judged = judge(
        explained,
        plan(seed),
        reliability=lambda method, estimand: words.get((method, estimand)),
        inertia=lambda _method, _estimand: None,
    )
    verdict = next(each for each in judged.verdicts if each.id == f"explanation/{METHOD}/change")
    follows = verdict.numbers["follows"]
    return f"{verdict.word}: {follows}" if verdict.word == Word.SUPPORTED else str(verdict.word)


def judge_inertia(truth: Truth, seed: int) -> str:
    """Simulate one study and return its verdict on inertia; with several starts, on all of them together."""
    study, _ = simulate(truth, np.random.default_rng(seed))[0]
    view = "several_starts" if len(truth.starts) > 1 else "one_start"
    rows = [row for row in rows_of(inertia(study)) if row["view"] == view and row["estimand"] == "learned"]
    return str(inertia_verdict(rows[0], plan(seed)).word)


def rates(truth: Truth, studies: int, seed: int) -> Counter[str]:
    """Count the verdicts over simulated studies."""
    found = judge_inertia if truth in INERTIA else explain
    return Counter(found(truth, seed * 100_000 + number) for number in range(studies))


def _table(truths: Sequence[Truth], studies: int, seed: int, console: Console) -> list[str]:
    lines = ["| planted | classes | right verdict | rate | other verdicts |", "|---|---|---|---|---|"]
    for truth in track(truths, "planted truths", console=console, transient=True):
        counted = rates(truth, studies, seed)
        others = ", ".join(f"{word} {n / studies:.3f}" for word, n in counted.most_common() if word != truth.expected)
        sizes = " + ".join(map(str, truth.classes))
        lines.append(
            f"| {truth.name} | {sizes} | {truth.expected} | {counted[truth.expected] / studies:.3f} | {others} |"
        )
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--studies", type=int, default=200, help="simulated studies per row")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="rows whose name holds this text")
    options = parser.parse_args()
    chosen = [truth for truth in (*EXPLANATIONS, *INERTIA) if options.only in truth.name]
    print("\n".join(_table(chosen, options.studies, options.seed, Console(stderr=True))))


if __name__ == "__main__":
    main()
