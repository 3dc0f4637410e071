"""Verdicts on the study itself: which conclusions its data, its runs and its number of classes allow."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy import special

from analysis.schema import rows_of
from analysis.schema.names import LEFT_OUT, ZERO_IF_PREDICTED
from analysis.scoring.comparisons import Rules
from analysis.scoring.image_rows import complete_block
from analysis.scoring.pairs import rules_of
from analysis.scoring.units import UnitCounts
from analysis.statistics.attainability import (
    POWER_AT,
    classes_needed,
    correlation_power,
    rho_needed,
    smallest_correlation_p,
)
from analysis.statistics.corrections import attainable
from analysis.statistics.intervals import Uncertainty
from analysis.statistics.sign_flip import smallest_sign_flip_p
from analysis.study.runs import AnalysisPlan, StudyTables
from analysis.verdicts import Topic, Verdict, Word, data_limit
from imbalance_bench.manifest import canonical_hash
from imbalance_bench.preregistration import OF_FEATURES, primary_choices, without_later_choices
from imbalance_bench.status import DAMAGED

MOST_NEEDED = 64  # more units give a sign-flip test no smaller p that any alpha would ask for


def correlation_attainability(n_classes: int, tests: int, plan: AnalysisPlan) -> Verdict:
    """Say what a rank correlation over K classes can and cannot show, `tests` of them corrected together."""
    smallest, needed = smallest_correlation_p([n_classes]), rho_needed(n_classes, plan.alpha)
    corrected = min(1.0, smallest * tests)
    numbers = {"n_classes": n_classes, "min_p": smallest, "rho_needed": needed, "tests": tests}
    numbers |= {"min_p_corrected": corrected, "classes_needed": classes_needed(plan.alpha, tests)}
    level = plan.alpha / tests  # the first step of Holm
    numbers |= {f"power_at_rho_{rho:g}": correlation_power(n_classes, rho, level, plan.seed) for rho in POWER_AT}
    possible = attainable(smallest, tests, plan.alpha)
    if math.isnan(needed) and n_classes <= 10:
        single = f"no correlation over {n_classes} classes can reach p < {plan.alpha:g}"
    elif math.isnan(needed):
        single = f"{n_classes} classes suffice for p values by simulation"
    else:
        rho = "a perfect rank order" if needed > 1 - 1e-9 else f"|rho| of at least {needed:.2f}"
        single = (
            f"one correlation over {n_classes} classes needs {rho} for p < {plan.alpha:g} (smallest possible p "
            f"{smallest:.2g})"
        )
    family = f"{tests} primary measure{'s' if tests > 1 else ''}"
    if plan.hypotheses:
        of_first = "method and quantity" if tests == 1 else "methods and quantities"
        family = f"{tests} {of_first} ({plan.hypotheses[0]} first, in the order of the plan)"
    several = f"corrected for {family} the smallest possible p is {corrected:.2g}"
    if not math.isnan(numbers[f"power_at_rho_{POWER_AT[-1]:g}"]):
        power = numbers[f"power_at_rho_{POWER_AT[-1]:g}"]
        several += f", and the power {power:.0%} if the true correlation is {POWER_AT[-1]:g}"
    conclusion = "" if possible else f", so at least {numbers['classes_needed']} classes would be needed"
    word = Word.TESTABLE if possible else Word.NOT_TESTABLE
    rule = f"testable: 2 / K! times the tests corrected together < {plan.alpha:g}"
    sentence = f"{single[0].upper()}{single[1:]}; {several}{conclusion}."
    return Verdict(
        topic=Topic.ATTAINABILITY,
        aspect="classes",
        subject="classes",
        word=word,
        sentence=sentence,
        numbers=numbers,
        rule=rule,
    )


def comparison_attainability(n_units: int, unit: str, macro: Sequence[Uncertainty], rules: Rules) -> Verdict:
    """Say which differences comparisons can show, units and seeds together.

    Args:
        n_units: Number of independent units.
        unit: "group" or "image".
        macro: Uncertainty of the macro difference of each method.
        rules: The rules.
    """
    tests, seeds = max(len(macro), 1), min((uncertainty.n_seeds for uncertainty in macro), default=1)
    level = 1 - rules.alpha / tests
    smallest = smallest_sign_flip_p(n_units, rules.permutations)
    possible = smallest < rules.alpha
    reach = [special.stdtrit(n - 1, 0.5 + level / 2) / math.sqrt(n) if n > 1 else math.inf for n in (n_units, seeds)]
    halves = [uncertainty.half_width(level) for uncertainty in macro if uncertainty.has_interval]
    smallest_difference = float(np.median(halves)) if halves else math.nan
    numbers = {
        "n_units": n_units,
        "n_seeds": seeds,
        "tests": tests,
        "min_p": smallest,
        "smallest_difference": smallest_difference,
    }
    numbers |= {"unit_sds": reach[0], "seed_sds": reach[1]}
    if not possible:
        sentence = (
            f"Over {n_units} {unit}{'' if n_units == 1 else 's'} no method can be shown to be better or worse: a test "
            f"that does without the normal distribution cannot give less than p = {smallest:.2g}."
        )
    else:
        by_seeds = f" and {reach[1]:.1f} times that over seeds" if seeds > 1 else ""
        folds = " with the part of folds" if any(each.fold_error > 0 for each in macro) else ""
        size = (
            f": here{folds} about {100 * smallest_difference:.1f} points of Dice"
            if math.isfinite(smallest_difference)
            else ""
        )
        sentence = (
            f"With {n_units} {unit}s and {seeds} seed{'' if seeds == 1 else 's'}, the first of {tests} methods must "
            f"differ from its control by {reach[0]:.1f} times the standard deviation of the difference over "
            f"{unit}s{by_seeds}{', the two added like standard errors' if by_seeds else ''}{size}."
        )
    return Verdict(
        topic=Topic.ATTAINABILITY,
        aspect="units",
        subject=f"{unit}s",
        word=Word.TESTABLE if possible else Word.NOT_TESTABLE,
        sentence=sentence,
        numbers=numbers,
        rule=f"testable: a sign-flip test over the units can give p < {rules.alpha:g}",
    )


def data_verdicts(tables: StudyTables, units: dict[str, UnitCounts], plan: AnalysisPlan) -> list[Verdict]:
    """Return the verdicts on the data and the state of the runs."""
    return [
        _independence(tables, units, plan),
        *_unfinished(tables),
        *_damaged_pictures(tables),
        *_incomplete_blocks(tables, units),
        *_absent_classes(tables, units, rules_of(plan)),
        *_scored_on_validation(tables),
        *_overlapping_folds(units),
    ]


def plan_verdict(plan_json: dict, recorded: str | None) -> Verdict | None:
    """Say so if the analysis plan, or the primary measures of this version, changed after the study was planned."""
    fixed = primary_choices(plan_json.get("primary_measures", {}))
    with_primary = plan_json | {key: value for key, value in fixed.items() if key in plan_json}
    plans = (plan_json, with_primary)
    written = {canonical_hash(plan) for plan in plans}, {canonical_hash(without_later_choices(plan)) for plan in plans}
    if recorded is None or {recorded} in written:
        return None
    return data_limit(
        "plan",
        "analysis plan",
        "The analysis plan was changed after the study was planned: read every test here as exploratory.",
        "limited: the hash of the plan and of the primary measures differs from the one recorded before training",
    )


def measures_verdict(reason: str, measures: pd.DataFrame) -> Verdict | None:
    """Say why there are no measures, or which classes have no primary measure."""
    subject, rule = "class measures", "limited: a primary measure is missing for a class"
    if reason:
        sentence = f"Class measures were skipped, so nothing is said about what the bias follows: {reason}"
        return data_limit("measures", subject, sentence, rule)
    is_measured = measures.groupby("measure")["value"].transform("count") > 0  # others are missing as a whole
    missing = measures[measures["primary"] & measures["value"].isna() & is_measured]
    if missing.empty:
        return None
    names = ", ".join(f"{row['measure']} of {row['class']}" for row in rows_of(missing))
    sentence = f"Too little training truth to measure: {names}. These classes are left out there."
    return data_limit("measures", subject, sentence, rule, {"missing": len(missing)})


def context_verdict(reason: str, measure: str) -> Verdict | None:
    """Say why the primary measure of context is missing, if it is one of features."""
    if not reason or measure not in OF_FEATURES:
        return None
    sentence = f"Context was not measured, so nothing is said about rivals that look alike: {reason.rstrip('.')}."
    rule = "limited: the cached features that the runs were trained on are not at hand"
    return data_limit("context", "context", sentence, rule)


def primary_tests(measures: pd.DataFrame, associations: pd.DataFrame, plan: AnalysisPlan) -> int:
    """Return how many associations are corrected for at first.

    In a fixed sequence its first hypothesis, for every method and quantity; else, within a method and quantity, the
    primary measures that any class has.
    """
    if plan.hypotheses:
        first = associations["primary"].astype(bool) & (associations["construct"] == plan.hypotheses[0])
        return max(1, int(associations.loc[first, "p_spearman"].notna().sum()))
    if measures.empty:
        return len(plan.primary)
    tested = measures[measures["primary"].astype(bool) & measures["value"].notna()]
    return max(1, tested["measure"].nunique())


def _independence(tables: StudyTables, units: dict[str, UnitCounts], plan: AnalysisPlan) -> Verdict:
    groups_known = bool(tables.dataset.get("groups_known", False))
    unit = plan.unit_kind(groups_known)
    n = max((len(counts.units) for counts in units.values()), default=0)
    numbers, rule = (
        {"n_units": n, "groups_known": groups_known},
        "sound: groups are known and are the unit; else limited",
    )
    if not groups_known:
        word, sentence = (
            Word.LIMITED,
            "Slides are unknown: images are treated as independent, which understates uncertainty "
            f"({n} images are scored).",
        )
    elif unit == "image":
        word, sentence = (
            Word.LIMITED,
            "The plan treats images as independent although slides are known, which understates uncertainty.",
        )
    else:
        word, sentence = Word.SOUND, f"Slides or patients are known: {n} of them are the units of every test."
    return Verdict(
        topic=Topic.DATA,
        aspect="independence",
        subject="independent units",
        word=word,
        sentence=sentence,
        numbers=numbers,
        rule=rule,
    )


def _unfinished(tables: StudyTables) -> list[Verdict]:
    unfinished = tables.runs[tables.runs["state"] != "done"]
    if unfinished.empty:
        return []
    states = {str(state): int(n) for state, n in unfinished["state"].value_counts().items()}
    state_text = ", ".join(f"{count} {state}" for state, count in states.items())
    names = ", ".join(f"{row.method} fold {row.fold} seed {row.seed}" for row in unfinished.head(5).itertuples())
    ellipsis = ", ..." if len(unfinished) > 5 else ""
    sentence = (
        f"{len(unfinished)} of {len(tables.runs)} planned runs are not finished ({state_text}): {names}{ellipsis}."
    )
    if DAMAGED in states:
        error = unfinished.loc[unfinished["state"] == DAMAGED, "error"].iloc[0]
        sentence += f" Damaged runs are left out of everything ({error}); `imbalance-bench repair` mends them."
    rule = "limited: a planned run is missing, running, failed or damaged"
    return [data_limit("runs", "planned runs", sentence, rule, states)]


def _damaged_pictures(tables: StudyTables) -> list[Verdict]:
    damaged = {run.run_id: len(run.damaged_pictures) for run in tables.data if run.damaged_pictures}
    if not damaged:
        return []
    total = sum(damaged.values())
    sentence = (
        f"{total} saved prediction{'s' if total > 1 else ''} or attention maps of {len(damaged)} "
        f"run{'s' if len(damaged) > 1 else ''} are damaged, and their images left out of pictures and of the "
        "disagreement between seeds; `imbalance-bench repair` mends them."
    )
    rule = "limited: a saved prediction or attention map of a finished run is cut off or missing"
    return [data_limit("pictures", "saved predictions", sentence, rule, {"damaged": total})]


def _incomplete_blocks(tables: StudyTables, methods: Iterable[str]) -> list[Verdict]:
    left_out = {}
    for method in methods:
        runs = tables.runs_of(method)
        folds, seeds = complete_block((run.fold, run.seed) for run in runs)
        n_left_out = sum(run.fold not in folds or run.seed not in seeds for run in runs)
        if n_left_out:
            left_out[method] = n_left_out
    if not left_out:
        return []
    counts_text = ", ".join(f"{count} of {method}" for method, count in left_out.items())
    sentence = f"Finished runs were left out of the scores because their seed lacks a fold: {counts_text}."
    rule = "limited: a method has no complete set of folds x seeds"
    return [data_limit("folds", "folds and seeds", sentence, rule, left_out)]


def _absent_classes(tables: StudyTables, units: dict[str, UnitCounts], rules: Rules) -> list[Verdict]:
    first = next(iter(units.values()))
    truth = first.of_units[[0, 2], 0].sum(axis=0)  # (U, K)
    present = (truth > 0).sum(axis=0)
    verdicts = []
    absent = [name for name, n in zip(tables.class_names, present, strict=True) if n == 0]
    if len(absent) == len(tables.class_names):
        sentence = "No scored image has a labelled pixel: nothing could be measured, and no method is judged."
        rule = "limited: no class has a pixel in the scored truth"
        verdicts.append(data_limit("absent", "classes", sentence, rule, {"absent": absent}))
    elif absent:
        sentence = f"No scored image holds {', '.join(absent)}: its scores are missing and macro means leave it out."
        rule = "limited: a class has no pixel in the scored truth"
        verdicts.append(data_limit("absent", "classes", sentence, rule, {"absent": absent}))
    enough = (n for n in range(1, MOST_NEEDED) if smallest_sign_flip_p(n, rules.permutations) < rules.alpha)
    needed = next(enough, 0)
    rare = {name: int(n) for name, n in zip(tables.class_names, present, strict=True) if 0 < n < needed}
    if rare:
        class_text = ", ".join(f"{name} ({n})" for name, n in rare.items())
        sentence = (
            f"Some classes occur in fewer than {needed} units, too few to show that a method is better or worse for "
            f"that class: {class_text}."
        )
        rule = f"limited: a class occurs in fewer than {needed} units (no sign-flip test can give p < {rules.alpha:g})"
        verdicts.append(data_limit("rare", "classes", sentence, rule, rare))
    return verdicts


def _scored_on_validation(tables: StudyTables) -> list[Verdict]:
    if tables.split == "test":
        return []
    sentence = "No test images: scores are on validation images, which training may have looked at."
    rule = "limited: counts hold no test split"
    return [data_limit("split", "scored images", sentence, rule)]


def _overlapping_folds(units: dict[str, UnitCounts]) -> list[Verdict]:
    designs = [counts.folds for counts in units.values() if counts.folds is not None]
    if not designs:
        return []
    folds = max(designs, key=lambda design: design.n_folds)
    dependent = (
        f"The models of the {folds.n_folds} folds are not independent, because one is trained on images that others "
        "are trained or tested on"
    )
    widened = "intervals are widened as Nadeau and Bengio 2003 do"
    if folds.test_same_units:
        sentence = (
            f"The {folds.n_folds} folds test the same images and divide the others into training and validation, so "
            "that their models are not independent: their variation, widened as Nadeau and Bengio 2003 do, is added to "
            "that over units."
        )
    elif folds.share_units:
        sentence = (
            f"{dependent}, and several folds test the same images: where these vary more than units, {widened}, with "
            f"as many degrees of freedom as {folds.of_one_division} folds have; they are never narrower than over "
            "units."
        )
    else:
        sentence = f"{dependent}: where these vary more than units, {widened}; they are never narrower than over units."
    rule = "limited: more than one fold (Nadeau and Bengio 2003)"
    return [data_limit("overlap", "folds", sentence, rule, {"folds": folds.n_folds})]


def sensitivity_verdict(sensitivity: pd.DataFrame, control: str | None, headline: str) -> Verdict | None:
    """Say whether the treatment of absent classes changes the order of the methods.

    Args:
        sensitivity: Table `sensitivity`.
        control: The control.
        headline: Aggregation of the macro Dice that is quoted everywhere.
    """
    grid = sensitivity.pivot(index=["aggregation", "method"], columns="absent_class", values="macro_dice").dropna()
    if len(grid) < 2:
        return None
    changes = (grid[LEFT_OUT] - grid[ZERO_IF_PREDICTED]).abs()
    orders = {
        aggregation: [list(part[rule].sort_values(ascending=False, kind="stable").index) for rule in grid.columns]
        for aggregation, part in grid.groupby(level="aggregation")
    }
    changed = [str(aggregation) for aggregation, order in orders.items() if order[0] != order[1]]
    largest_in, largest = str(changes.idxmax()[0]), float(changes.max())  # pyright: ignore[reportIndexIssue]
    word = Word.SOUND if not changed else Word.LIMITED
    words = {str(name): str(name).replace("_", " ") for name in (*orders, headline)}
    effect = f"changes the order of the methods ({', '.join(words[name] for name in changed)})"
    sentence = (
        "Counting a class 0 where it is predicted but absent "
        f"{effect if changed else 'does not change the order of the methods'}; the largest change of macro Dice is "
        f"{100 * largest:.1f} points ({words[largest_in]}). Quoted is the mean {words[headline]}, in which absent "
        "classes are left out."
    )
    numbers = {
        "largest_change": largest,
        "largest_in": largest_in,
        "headline": headline,
        "control": control,
    }
    rule = "sound: methods rank alike under both treatments of absent classes, in every aggregation"
    return Verdict(
        topic=Topic.DATA,
        aspect="absent_class_rule",
        subject="absent classes",
        word=word,
        sentence=sentence,
        numbers=numbers,
        rule=rule,
    )
