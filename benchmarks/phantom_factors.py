"""Does each factor planted in the phantom raise its own measure of class difficulty, and leave the others alone?

    python -m benchmarks.phantom_factors [--seeds 10] [--target tumour] [--values FILE.csv]

One class of the `tissue` preset gets five levels of one factor at a time; the other classes stay as they are. A data
set is drawn for each level and seed and surveyed as a study would. `--values` keeps every value; a stopped call goes on
there. Exit code 1 if a line of the table does not hold.

A measure *moves* by its range over the five levels (greatest minus smallest value). A factor moves a measure that is
not its own by that range divided by the range over which the measure's own factor takes it, in the same seed: 1 would
be as much as the factor that is meant. Frequency is on a log scale.
"""

import argparse
import csv
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from analysis.measures.boundary import border_measure
from analysis.measures.construct import Construct
from analysis.measures.context import stain_measures
from analysis.measures.frequency import frequency_measures
from analysis.measures.morphology import dispersion_measure
from analysis.measures.survey import Survey, survey
from imbalance_bench.data.phantom import PRESETS, GroupCounts, PhantomSpec, generate_phantom
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.taxonomy import Taxonomy

BAND_UM = 2.0  # as studies do
SHARES = (0.05, 0.0866, 0.15, 0.26, 0.45)
LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
NEUTRAL = {"share": 0.15, "ambiguity": 0.25, "morphology": 0.25, "context": 0.0}
PLANTED_LEVELS = {"share": SHARES, "ambiguity": LEVELS, "morphology": LEVELS, "context": LEVELS}
MOST_MOVED = 1 / 3
MOST_SHARE_ERROR = 0.10
SMALLEST_CHECKED_SHARE = 0.01
NEEDED = 0.9  # share of the seeds

# factor -> its measure; the primary ones, but for context, whose primary measure needs an encoder
MEASURES: dict[str, tuple[str, Callable[[Survey], Construct]]] = {
    "share": ("pixel_share", frequency_measures),
    "ambiguity": ("border_stain_overlap", border_measure),
    "morphology": ("shape_dispersion", dispersion_measure),
    "context": ("rival_stain_overlap", stain_measures),
}
FACTORS = tuple(MEASURES)

Planted = tuple[str, float]  # factor and its level
Values = dict[tuple[int, Planted], dict[str, float]]  # (seed, planted) -> measure of each factor, and share_error


@dataclass(frozen=True)
class Trial:
    """What is drawn for every level and seed.

    Attributes:
        target: Class that carries the factor.
        groups: Slides.
        images_per_group: Images of each slide.
        size_px: Edge of an image.
    """

    target: str = "tumour"
    groups: GroupCounts = field(default_factory=lambda: GroupCounts(train=4, val=2, test=2))
    images_per_group: int = 2
    size_px: int = 256

    def spec(self, planted: Planted, seed: int) -> PhantomSpec:
        """Return the `tissue` preset with neutral factors, but for one factor of the target."""
        base = PRESETS["tissue"]
        factors = NEUTRAL | dict([planted])
        rest = sum(class_.share for class_ in base.classes if class_.name != self.target)
        classes = []
        for class_ in base.classes:
            rival = class_.rival or next(other.name for other in base.classes[1:] if other.name != class_.name)
            change = NEUTRAL | {"share": class_.share / rest * (1 - factors["share"]), "rival": rival}
            classes.append(class_.model_copy(update=change | factors if class_.name == self.target else change))
        drawn = {"groups": self.groups, "images_per_group": self.images_per_group, "size_px": self.size_px}
        return PhantomSpec.model_validate(base.model_dump() | drawn | {"classes": classes, "seed": seed})

    def measure(self, planted: Planted, seed: int) -> dict[str, float]:
        """Draw one data set and measure the target: factor -> value, and the largest relative error of a share."""
        spec = self.spec(planted, seed)
        with tempfile.TemporaryDirectory() as folder:
            dataset = PreparedDataset.open(generate_phantom(spec, Path(folder) / "phantom"))
            every = [entry.image_id for entry in dataset.entries]
            found = survey(dataset, Taxonomy(dataset.info), [every], band_um=BAND_UM, workers=1)
        target = spec.class_id(self.target)
        measured = {factor: evaluate(found, factor)[target] for factor in FACTORS}
        measured["share"] = np.log(measured["share"])
        shares, wanted = evaluate(found, "share"), np.array([class_.share for class_ in spec.classes])
        checked = wanted > SMALLEST_CHECKED_SHARE
        error = np.abs(shares / wanted - 1)[checked].max()
        return {factor: float(value) for factor, value in measured.items()} | {"share_error": float(error)}


def evaluate(found: Survey, factor: str) -> np.ndarray:
    """Return the measure of a factor for each class, (K,)."""
    name, measures = MEASURES[factor]
    construct = measures(found)
    return construct.evaluate(np.ones((1, len(found.n_groups))))[list(construct.units).index(name), 0]


def planted_levels(factor: str) -> list[Planted]:
    """Return the levels of a factor; the level that all factors share comes by one name, so it is drawn once."""
    return [
        ("share", NEUTRAL["share"]) if level == NEUTRAL[factor] else (factor, level) for level in PLANTED_LEVELS[factor]
    ]


def wanted_trials(seeds: int) -> Iterator[tuple[int, Planted]]:
    """Yield every (seed, planted) that the table needs, once."""
    for seed in range(seeds):
        yield from ((seed, each) for each in dict.fromkeys(p for f in FACTORS for p in planted_levels(f)))


@dataclass(frozen=True)
class Effect:
    """What one factor did, over S seeds.

    Attributes:
        values: (S, 5) of its own measure.
        rises: (S,) bool, its own measure rose at every level.
        moved: Other factor -> (S,) range of its measure, over the range that its own factor gives.
    """

    values: np.ndarray
    rises: np.ndarray
    moved: Mapping[str, np.ndarray]

    @property
    def holds(self) -> bool:
        """Whether both hold in enough seeds."""
        clean = [(each < MOST_MOVED).mean() for each in self.moved.values()]
        return bool(min(self.rises.mean(), *clean) >= NEEDED)


def effects(values: Values, seeds: int) -> dict[str, Effect]:
    """Return factor -> effect."""

    def over_levels(factor: str, measure: str) -> np.ndarray:
        return np.array([[values[seed, level][measure] for level in planted_levels(factor)] for seed in range(seeds)])

    own = {factor: over_levels(factor, factor) for factor in FACTORS}
    found = {}
    for factor in FACTORS:
        moved = {
            other: np.ptp(over_levels(factor, other), axis=1) / np.ptp(own[other], axis=1)
            for other in FACTORS
            if other != factor
        }
        rises = np.diff(own[factor], axis=1).min(axis=1) > 0
        found[factor] = Effect(own[factor], np.asarray(rises), moved)
    return found


def print_table(values: Values, seeds: int) -> bool:
    """Print the table in Markdown and return whether all of it holds."""
    found = effects(values, seeds)
    print(
        f"| planted | its measure | at five levels, mean of {seeds} seeds | rises in | "
        + " | ".join(f"moves {MEASURES[factor][0]}" for factor in FACTORS)
        + " |"
    )
    print("|---|---|---|---|" + "---|" * len(FACTORS))
    for factor, effect in found.items():
        means = " ".join(f"{np.exp(each) if factor == 'share' else each:.3f}" for each in effect.values.mean(axis=0))
        cells = [
            f"{np.mean(effect.moved[other]):.2f} ({(effect.moved[other] < MOST_MOVED).sum()} of {seeds} < 1/3)"
            if other != factor
            else ""
            for other in FACTORS
        ]
        print(f"| {factor} | {MEASURES[factor][0]} | {means} | {effect.rises.sum()} of {seeds} | {' | '.join(cells)} |")
    error = max(value["share_error"] for value in values.values())
    print(f"\nmeasured share against planted share, classes above 1 %: off by {100 * error:.2f} % at most")
    return all(each.holds for each in found.values()) and error <= MOST_SHARE_ERROR


def measure_all(trial: Trial, seeds: int, path: Path | None) -> Values:
    """Measure everything that the file does not hold yet, writing each value as it comes."""
    values = _read(path) if path and path.is_file() else {}
    wanted = list(wanted_trials(seeds))
    for number, (seed, planted) in enumerate(wanted, start=1):
        if (seed, planted) not in values:
            values[seed, planted] = trial.measure(planted, seed)
            if path:
                _append(path, seed, planted, values[seed, planted])
            print(f"{number} of {len(wanted)}: seed {seed}, {planted[0]} {planted[1]:g}", file=sys.stderr, flush=True)
    return {key: values[key] for key in wanted}


def _read(path: Path) -> Values:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        (int(row["seed"]), (row["factor"], float(row["level"]))): {
            name: float(row[name]) for name in (*FACTORS, "share_error")
        }
        for row in rows
    }


def _append(path: Path, seed: int, planted: Planted, measured: dict[str, float]) -> None:
    new = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(["seed", "factor", "level", *FACTORS, "share_error"])
        writer.writerow([seed, *planted, *(measured[name] for name in (*FACTORS, "share_error"))])


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--target", default=Trial.target, help="class that carries the factor")
    parser.add_argument("--values", type=Path, help="CSV of every value; what it holds is not measured again")
    options = parser.parse_args()
    values = measure_all(Trial(target=options.target), options.seeds, options.values)
    sys.exit(0 if print_table(values, options.seeds) else 1)


if __name__ == "__main__":
    main()
