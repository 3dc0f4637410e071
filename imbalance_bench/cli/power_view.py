"""What `imbalance-bench power` gathers, computes and prints."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import yaml
from rich.console import Console
from rich.table import Table

from analysis.power.associations import (
    AssociationDesign,
    AssociationPower,
    association_power,
    critical_correlation,
)
from analysis.power.comparisons import ComparisonDesign, SimulatedStudies, Way, threshold, ways
from analysis.power.division import Division
from analysis.power.pilot import pilot_spread
from analysis.statistics.attainability import classes_needed
from imbalance_bench.cli.power import POINT, required
from imbalance_bench.cli.progress import ProgressDisplay
from imbalance_bench.config import StudyConfig, load_study
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.split_import import read_splits
from imbalance_bench.data.splits import Splits
from imbalance_bench.data.taxonomy import Taxonomy
from imbalance_bench.errors import UserError
from imbalance_bench.power_section import PowerSection
from imbalance_bench.study import Study
from imbalance_bench.terminal import Terminal

SLIDE_SD, SEED_SD = 3.0, 1.0  # points, where nothing is known
ONE_SEED = "With one seed every verdict speaks of these trained models, not of the methods."
SLIDES_ALONE = (
    "Folds are supposed to differ by their slides alone; --fold-sd, or a pilot with folds, says what training sets add."
)
DIFFERENCES = (0.0, 0.5, 1.0, 2.0)  # times the given difference


def print_power(study: Path | None, pilot: Path | None, options: Mapping[str, Any], *, form: str = "") -> None:
    """Compute the power of a study and print it: for people, or as `json` or `yaml`."""
    console = Terminal(stderr=bool(form))
    comparison, association = designs(study, pilot, options)
    difference, seed, n = options["difference"] * POINT, options["seed"], options["simulations"]
    with ProgressDisplay(console) as display:
        n_simulated = 0

        def on_study() -> None:
            nonlocal n_simulated
            n_simulated += 1
            display.on_phase("simulating studies", min(n_simulated, n), n)

        drawn = SimulatedStudies.draw(comparison, seed, n, on_study)
        words = {times * difference: drawn.probabilities(times * difference) for times in DIFFERENCES}
        single = SimulatedStudies.draw(replace(comparison, methods=1), seed, n)
        smallest = drawn.smallest_difference(), single.smallest_difference()
        display.on_phase("looking for the cheapest way", 0, 1)
        cheapest_ways = ways(comparison, difference, seed, n=max(n // 4, 50))
    power = association_power(association, seed)
    if form:
        content = {"comparisons": asdict(comparison), "threshold": asdict(threshold(comparison))}
        content |= dict(zip(("smallest_difference", "smallest_difference_of_one"), smallest, strict=True))
        content |= {"ways": [asdict(way) for way in cheapest_ways]}
        content["words"] = [
            {"difference": true_difference, **{str(word): p for word, p in shares.items()}}
            for true_difference, shares in words.items()
        ]
        content |= {"associations": asdict(association), "association_power": asdict(power)}
        text = json.dumps(_finite(content), indent=1)
        click.echo(text if form == "json" else announced(comparison, smallest[0], text), nl=form == "json")
        return
    _print_comparisons(comparison, words, smallest, console)
    _print_ways(difference, cheapest_ways, console)
    _print_associations(association, power, console)


def announced(design: ComparisonDesign, smallest: float, result: str) -> str:
    """Return `analysis.power` of a study file: what was supposed, and the hash of what `power --json` prints."""
    section = PowerSection(
        slides=design.slides,
        seeds=design.seeds,
        methods=design.methods,
        slide_sd=round(design.slide_sd / POINT, 6),
        seed_sd=round(design.seed_sd / POINT, 6),
        noise_sd=round(design.noise_sd / POINT, 6),
        folds=design.folds,
        fold_sd=round(design.fold_sd / POINT, 6) if design.folds > 1 else None,
        smallest_difference=round(smallest / POINT, 2) if smallest != float("inf") else None,
        result=hashlib.sha256(f"{result}\n".encode()).hexdigest(),
    )
    return yaml.safe_dump({"analysis": {"power": section.model_dump(mode="json")}}, sort_keys=False)


def designs(
    study: Path | None, pilot: Path | None, options: Mapping[str, Any]
) -> tuple[ComparisonDesign, AssociationDesign]:
    """Return what a study file, a pilot and options say together; options win.

    Raises:
        UserError: A size that nobody gives, or folds without slides.
    """
    sizes = {} if study is None else sizes_of(load_study(study))
    if pilot is not None:
        spread = pilot_spread(pilot)
        sizes |= {name: getattr(spread, name) / POINT for name in ("slide_sd", "seed_sd", "noise_sd", "fold_sd")}
        sizes = {name: getattr(spread, name) for name in ("slides", "seeds", "methods", "models", "folds")} | sizes
    sizes |= {name: value for name, value in options.items() if value is not None}
    slides, seeds, methods = (required(sizes.get(name), f"--{name}", study) for name in ("slides", "seeds", "methods"))
    alpha, folds = sizes.get("alpha", 0.05), sizes.get("folds", 1)
    if folds > slides:
        raise UserError(f"power needs --folds <= --slides ({slides}), as each fold tests some. Got {folds}.")
    if folds == 1 and options.get("fold_sd"):
        raise UserError("power: --fold-sd is a deviation between folds. Got one fold. Give --folds N, or leave it out.")
    comparison = ComparisonDesign(
        slides=slides,
        seeds=seeds,
        methods=methods,
        slide_sd=sizes.get("slide_sd", SLIDE_SD) * POINT,
        seed_sd=sizes.get("seed_sd", SEED_SD) * POINT,
        noise_sd=sizes.get("noise_sd", 0.0) * POINT,
        alpha=alpha,
        margin=sizes.get("margin", 1.0) * POINT,
        models=sizes.get("models", 1),
        folds=folds,
        fold_sd=sizes.get("fold_sd", 0.0) * POINT if folds > 1 else 0.0,
        repeats=sizes.get("repeats", 1),
    )
    classes = required(sizes.get("classes"), "--classes", study)
    association = AssociationDesign(
        classes, min(sizes["shared_names"], min(classes)), sizes["correlation"], sizes["measure_reliability"],
        sizes["tests"], alpha,
    )  # fmt: skip
    return comparison, association


def sizes_of(config: StudyConfig) -> dict[str, Any]:
    """Return what a study file says of its size: methods, models, seeds, classes, alpha, margin, slides and folds."""
    dataset = PreparedDataset.open(config.dataset.path)
    names = Taxonomy(dataset.info, config.dataset.groups, config.dataset.ignore, config.dataset.class_order).names
    sizes: dict[str, Any] = {"methods": max(config.comparisons, 1), "models": len(config.each_model)}
    sizes |= {"seeds": len(config.seeds), "classes": (len(names),)}
    sizes |= {"alpha": config.analysis.alpha, "margin": config.analysis.rope_dice / POINT}
    return sizes | asdict(_division(config, dataset))


def _division(config: StudyConfig, dataset: PreparedDataset) -> Division:
    """Return how a study file divides its data set, without a look at any mask."""
    section, groups = config.splits, {entry.group_id for entry in dataset.entries}
    if section.kind == "published":
        return Division(len({entry.group_id for entry in dataset.entries if entry.split == "test"}))
    if section.path is not None:
        any_class = np.ones((len(dataset.entries), 1), dtype=np.int64)  # which classes a fold holds is for `run` to say
        return _tested(read_splits(section.path, dataset, any_class, names=("any",), rotate=section.rotate), dataset)
    share = 1.0 if section.folds > 1 or section.test_fraction is None else section.test_fraction
    return Division(max(1, round(share * len(groups))), section.folds, section.repeats)


def _tested(splits: Splits, dataset: PreparedDataset) -> Division:
    group_of = {entry.image_id: entry.group_id for entry in dataset.entries}
    return Division.of([frozenset(group_of[image_id] for image_id in fold.test) for fold in splits.folds])


def print_short_form(study: Study, console: Console) -> None:
    """Print in a few lines what a planned study can show, without a simulation."""
    for line in short_form(study.config, _tested(study.splits, study.dataset), classes=len(study.taxonomy)):
        console.print(line, highlight=False, soft_wrap=True)


def short_form(config: StudyConfig, division: Division, *, classes: int) -> list[str]:
    """Return what a study can show, a sentence each.

    Args:
        config: The study file.
        division: Independent groups that are tested, and their folds.
        classes: K after merging.
    """
    methods, lines = config.comparisons, []
    if division.slides and methods:
        design = ComparisonDesign(
            division.slides,
            len(config.seeds),
            methods,
            SLIDE_SD * POINT,
            SEED_SD * POINT,
            alpha=config.analysis.alpha,
            folds=division.folds,
        )
        needed = threshold(design)
        lines.append(
            f"To be shown better than the control, a method must gain {_points(needed.together)} points of macro Dice "
            f"after Holm for {methods} ({_points(max(needed.by_slides, needed.by_folds))} for {_slides(design)}, "
            f"{_points(needed.by_seeds)} for {_seeds(design.seeds)}), if differences vary by {SLIDE_SD:g} points over "
            f"slides and {SEED_SD:g} over seeds."
        )
        lines += _suppositions(design, division)
        if design.seeds < 2:
            lines.append(ONE_SEED)
    least = classes_needed(config.analysis.alpha)
    if classes < least:
        lines.append(f"Rare or hard? No correlation over {classes} classes can be significant; {least} can.")
    else:
        rho = critical_correlation(classes, config.analysis.alpha)
        lines.append(f"Rare or hard? Over {classes} classes one named correlation needs |rho| >= {rho:.2f}.")
    return [*lines, "`imbalance-bench power` says how often each verdict would be given."]


def _print_comparisons(
    design: ComparisonDesign,
    words: Mapping[float, Mapping[Any, float]],
    smallest: tuple[float, float],
    console: Console,
) -> None:
    """Print what comparisons can show; `smallest` is the smallest difference after Holm, and of one named test."""
    needed, spread = threshold(design), [_points(sd) for sd in (design.slide_sd, design.seed_sd, design.noise_sd)]
    over_folds = f", {_points(design.fold_sd)} over folds beyond their slides" if design.folds > 1 else ""
    by_slides = f"{_points(needed.by_slides)} for the slides"
    if design.folds > 1:
        by_slides = f"{_points(needed.by_folds)} for the folds (more than {by_slides})"
    sentences = [
        f"{_slides(design)}, {_seeds(design.seeds)}, {design.methods} methods against {_controls(design.models)}; "
        f"differences vary by {spread[0]} points over slides, {spread[1]} over seeds, {spread[2]} over both together"
        f"{over_folds}.",
        f"An observed difference must pass {_points(needed.together)} points after Holm: {by_slides}, "
        f"{_points(needed.by_seeds)} for the seeds, added like standard errors.",
        f"Found in 80 % of studies: a true difference of {_points(smallest[0])} points, or of {_points(smallest[1])} "
        "by one comparison that was named beforehand.",
        *_suppositions(design, Division(design.slides, design.folds, design.repeats)),
    ]
    if design.seeds < 2:
        sentences.append(ONE_SEED)
    console.print("Which method?", style="bold")
    for sentence in sentences:
        console.print(sentence, highlight=False, soft_wrap=True)
    table = Table("true difference", *(str(word).replace("_", " ") for word in next(iter(words.values()))), box=None)
    for difference, shares in words.items():
        table.add_row(f"{_points(difference)} points", *(f"{share:.0%}" for share in shares.values()))
    console.print(table, highlight=False)


def _print_ways(difference: float, candidates: list[Way], console: Console) -> None:
    console.print(f"To find {_points(difference)} points in 80 % of studies:", highlight=False)
    possible = [way for way in candidates if way.enough]
    for way in candidates:
        folds = f" in {way.folds} folds" if way.folds > 1 else ""
        size = f"{_seeds(way.seeds)} and {way.slides} slides{folds}, {way.runs} trainings"
        outcome = size if way.enough else f"not reached with {size}"
        console.print(f"  {way.changes}: {outcome}", highlight=False)
    if len(possible) > 1:
        least = min(possible, key=lambda way: way.runs)
        console.print(f"  fewest trainings: {least.changes}", highlight=False)


def _print_associations(design: AssociationDesign, power: AssociationPower, console: Console) -> None:
    sets, tests, several = ", ".join(map(str, design.classes)), design.tests, len(design.classes) > 1
    first = (
        f"no correlation over {power.names} classes survives Holm for {tests} associations"
        if power.needed != power.needed
        else f"Holm for {tests} associations needs |rho| of {power.needed:.2f}, reached by {power.power:.0%} of studies"
    )
    enough = "more than were tried" if power.classes_for_target is None else str(power.classes_for_target)
    console.print("\nRare or hard?", style="bold")
    for sentence in (
        f"{power.names} distinct classes ({sets} in {len(design.classes)} data set{'s' * several}); a "
        f"true correlation of {design.correlation:g} is seen as {design.seen_correlation:.2f} through a measure with "
        f"reliability {design.reliability:g}.",
        f"{first[0].upper()}{first[1:]}; one association named beforehand is found in {power.uncorrected:.0%}.",
        f"A perfect order needs at least {power.classes_needed} classes ({power.classes_for_one} for one association "
        f"named beforehand); a power of 80 % needs {enough}.",
    ):
        console.print(sentence, highlight=False, soft_wrap=True)


def _suppositions(design: ComparisonDesign, division: Division) -> list[str]:
    """Say what is supposed of folds, and what of the division is not modelled."""
    return [SLIDES_ALONE] * (design.folds > 1 and design.fold_sd == 0) + division.remarks()


def _slides(design: ComparisonDesign) -> str:
    return f"{design.slides} slides" + (f" in {design.folds} folds" if design.folds > 1 else "")


def _controls(n: int) -> str:
    return "one control" if n == 1 else f"the controls of {n} models"


def _seeds(n: int) -> str:
    return "1 seed" if n == 1 else f"{n} seeds"


def _points(dice: float) -> str:
    return f"{dice / POINT:.1f}" if dice != float("inf") else "no number of"


def _finite(content: Any) -> Any:
    """Return JSON content in which missing and infinite numbers are null."""
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not abs(content) < float("inf") else content
