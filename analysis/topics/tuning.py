"""Results of tuning: gain, cost, how optimistic its scores are, and what smaller budgets would give.

Default and winner are compared on the *test* images of the trials. The choice has not seen these images, but it has
seen these seeds, so the difference still contains luck of the seeds. The study's own runs have other seeds, but exist
for the winner alone; the score of its setting there is reported beside the difference.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.reading.wording import SELECTED
from analysis.schema import table
from analysis.schema.names import MACRO
from analysis.schema.tuning import TABLES
from analysis.scoring.comparisons import (
    Rules,
    compared_scores,
    judged_families,
    macro_or_class,
    pair_tests,
)
from analysis.scoring.pairs import rules_of, study_pairing
from analysis.scoring.tuned import ScoredTrial, TunedMethod, TunedStudy, mean_score, read_tuning
from analysis.scoring.units import method_units
from analysis.statistics.rank_association import rank_association
from analysis.statistics.tuning_budgets import Budget, budgets
from analysis.study.runs import AnalysisPlan, StudyTables
from analysis.topics.context import Context, TopicResult
from analysis.topics.method_comparison import paired_table
from analysis.topics.paired_decision import (
    DECIDED,
    NO_INTERVAL,
    caution_text,
    difference_text,
    evidence_text,
    rule_text,
    too_few_text,
)
from analysis.verdicts import Topic, Verdict, Word, data_limit, margin_text, points
from imbalance_bench.errors import UserError
from imbalance_bench.seeding import generator

EFFECT, OPTIMISM, BUDGET = "effect", "optimism", "budget"  # aspects of the topic
SAME_SEEDS = " The setting was chosen with these seeds, on other images: luck of the seeds is still in it."


def analyze(context: Context) -> TopicResult:
    """Analyse the tuning of a study; empty if nothing was tuned."""
    empty = {name: table(name, []) for name in TABLES}
    try:
        tuned = read_tuning(context.records)
    except UserError as error:
        return TopicResult(empty, (_unreadable(error),))
    if tuned is None:
        return TopicResult(empty)
    rules = rules_of(context.plan)
    effects = effect_rows(tuned, context.unit, rules)
    summary = [summary_row(method, tuned, context.study, context.records.plan()) for method in tuned.methods]
    trial_budgets = method_budgets(tuned, context.plan)
    tables = {
        "tuning": table("tuning", summary),
        "tuning_effects": paired_table("tuning_effects", effects),
        "tuning_trials": table("tuning_trials", [row for method in tuned.methods for row in trial_rows(method)]),
        "tuning_budgets": table("tuning_budgets", budget_rows(tuned, trial_budgets)),
        "tuning_options": table("tuning_options", option_rows(tuned, context.plan)),
    }
    effect_verdicts = [effect_verdict(row, rules) for row in effects if row["class"] == MACRO]
    descriptive = (optimism_verdict(tables["tuning"], rules.margin), budget_verdict(tuned, trial_budgets))
    return TopicResult(tables, (*effect_verdicts, *(verdict for verdict in descriptive if verdict is not None)))


def effect_rows(tuned: TunedStudy, unit: str, rules: Rules) -> list[dict[str, Any]]:
    """Compare winner and default of every method on test images; no rows where the default won or nothing was tested.

    Args:
        tuned: The trials.
        unit: `group` or `image`.
        rules: The rules.
    """
    if not tuned.tested:
        return []
    pairing, tests = study_pairing(tuned.runs, method_units(tuned.runs, unit), unit), []
    for method in tuned.methods:
        pairs = pairing.pair(method.chosen.label, method.default.label)
        if method.chosen.label != method.default.label and pairs is not None:
            tests += pair_tests(pairs, tuned.runs.class_names, rules, {"method": method.label, "unit": unit})
    rows = judged_families(tests, macro_or_class, rules)
    return [row | compared_scores(test, "of_tuned", "of_default") for row, test in zip(rows, tests, strict=True)]


def summary_row(method: TunedMethod, tuned: TunedStudy, study: StudyTables, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of table `tuning` of a method.

    Args:
        method: Its trials.
        tuned: All trials.
        study: The study, whose runs have the chosen setting and other seeds.
        plan: Content of its plan.json; runs of a setting other than the chosen one are ignored.
    """
    of_study = plan.get("methods", {}).get(method.label)
    runs = [run for run in study.data if run.label == method.label and of_study in (None, method.settings)]
    again = {split: mean_score(runs, tuned.select, split) for split in ("val", "test")}
    default, winner = method.default, method.chosen
    costs = study.runs[study.runs["run_id"].isin([run.run_id for run in runs])]
    gain = winner.validation - default.validation
    return {
        "method": method.label,
        "select": tuned.select,
        "trials": len(method.trials),
        "different": len(method.different),
        "winner": np.nan if method.winner is None else method.winner,
        "setting": choice_text(method),
        "validation_default": default.validation,
        "validation_winner": winner.validation,
        "validation_again": again["val"],
        "test_default": default.test,
        "test_winner": winner.test,
        "test_again": again["test"],
        "test_oracle": method.oracle,
        "optimism_of_seeds": winner.validation - again["val"],
        "optimism_of_gain": gain - (winner.test - default.test),
        "tuning_steps": sum(trial.steps for trial in method.different),
        "tuning_seconds": sum(trial.seconds for trial in method.different),
        "study_steps": costs["steps"].sum(min_count=1),
        "study_seconds": costs["seconds"].sum(min_count=1),
    }


def setting_text(trial: ScoredTrial) -> str:
    """Write the settings of a trial, such as "gamma 1.5, learning_rate 0.003"; empty for trial 0."""
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in trial.settings.items()
    )


def choice_text(method: TunedMethod) -> str:
    """Write the settings that were chosen; where folds chose different ones, those of each."""
    if method.winner is not None:
        return setting_text(method.chosen)
    texts = [setting_text(choice.chosen) or "as in the study file" for choice in method.by_fold]
    return "; ".join(f"fold {fold}: {chosen}" for fold, chosen in enumerate(texts))


def trial_rows(method: TunedMethod) -> list[dict[str, Any]]:
    """Return the rows of table `tuning_trials` of a method; where each fold chose, a row for each fold."""
    folds = range(len(method.by_fold)) if method.by_fold else [np.nan]
    return [
        _trial_row(choice, trial, fold)
        for fold, choice in zip(folds, method.choices, strict=True)
        for trial in choice.trials
    ]


def _trial_row(method: TunedMethod, trial: ScoredTrial, fold: float) -> dict[str, Any]:
    row = {
        "method": method.label,
        "fold": fold,
        "trial": trial.number,
        "label": trial.label,
        "setting": setting_text(trial),
    }
    row |= {name: getattr(trial, name) for name in ("validation", "test", "steps", "seconds")}
    return row | {"winner": trial.number == method.winner, "in_full": trial.in_full, "first_rung": trial.first}


def method_budgets(tuned: TunedStudy, plan: AnalysisPlan) -> list[Budget]:
    """Return the scores that each budget of trials would have given; none if halving dropped trials."""
    if tuned.halved:
        return []
    validation, test = (
        np.array([[[getattr(t, name) for t in each.trials] for each in method.choices] for method in tuned.methods])
        for name in ("validation", "test")
    )
    preference = np.array([[choice.preference for choice in method.choices] for method in tuned.methods])
    return budgets(validation, test, preference, generator(plan.seed, "tuning budgets"))


def budget_rows(tuned: TunedStudy, trial_budgets: Sequence[Budget]) -> list[dict[str, Any]]:
    """Return the rows of table `tuning_budgets`."""
    rows = []
    for index, method in enumerate(tuned.methods):
        for budget in trial_budgets:
            row = {"method": method.label, "trials": budget.trials}
            row |= {
                "validation": budget.validation[index],
                "test": budget.test[index],
                "rank": budget.ranks.rank[index],
            }
            row |= {"rank_low": budget.ranks.low[index], "rank_high": budget.ranks.high[index]}
            row |= {"p_best": budget.ranks.p_best[index], "kendall_tau": budget.ranks.kendall}
            rows.append(row | {"subsets": budget.subsets})
    return rows


def option_rows(tuned: TunedStudy, plan: AnalysisPlan) -> list[dict[str, Any]]:
    """Correlate the validation score of each method with each of its options; table `tuning_options`."""
    rows = []
    for method in tuned.methods:
        trials = [trial for trial in method.different if trial.settings]
        score = np.array([trial.first for trial in trials])
        for option in dict.fromkeys(name for trial in trials for name in trial.settings):
            values = [trial.settings[option] for trial in trials]
            row = {"method": method.label, "option": option, "n": len(values), "levels": len(set(map(str, values)))}
            rows.append(row | _sensitivity(values, score, plan, f"{method.label} {option}"))
    return rows


def _sensitivity(values: Sequence[Any], score: np.ndarray, plan: AnalysisPlan, stream: str) -> dict[str, float]:
    nan = float("nan")
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        means = pd.Series(score).groupby([str(value) for value in values]).mean()
        return dict.fromkeys(("low", "high", "spearman", "p", "min_p"), nan) | {"spread": float(np.ptp(means))}
    x = np.array(values, dtype=np.float64)
    rng = generator(plan.seed, "tuning options", stream)
    association = rank_association(x, score, alpha=plan.alpha, permutations=plan.permutations, rng=rng)
    row = {
        "low": x.min(),
        "high": x.max(),
        "spearman": association.spearman,
        "p": association.p_spearman,
        "min_p": association.min_p,
    }
    return row | {"spread": nan}


def effect_verdict(row: Mapping[str, Any], rules: Rules) -> Verdict:
    """Put one macro row of table `tuning_effects` into words."""
    method, word, score_name = row["method"], row["word"], "macro Dice of the test images"
    scores = (
        f"{100 * row['of_default']:.1f} points with its default, {100 * row['of_tuned']:.1f} with what tuning chose"
    )
    evidence = f"{scores}; the difference is {difference_text(row, rules)}, {evidence_text(row)}"
    if row["n_units"] == 0:
        sentence = f"Whether tuning helped {method} cannot be tested: no class occurs in the scored images."
    elif word == Word.NOT_TESTABLE:
        reason = NO_INTERVAL.format(unit=row["unit"]) if row["n_units"] == 1 else too_few_text(row, rules)
        sentence = f"Whether tuning helped {method} on {score_name} cannot be tested: {reason}. Observed: {scores}."
    elif word == Word.EQUIVALENT:
        sentence = f"Tuning left {score_name} of {method} the same within {margin_text(rules.margin)}: {evidence}."
    elif word in (Word.BETTER, Word.WORSE):
        sentence = f"Tuning made {method} {word} on {score_name}: {evidence}."
    else:
        sentence = f"Whether tuning helped {method} on {score_name} is undecided: {evidence}."
    if word != Word.NOT_TESTABLE:
        sentence += caution_text(row)
    if word == Word.BETTER:
        sentence += SAME_SEEDS
    return Verdict(
        topic=Topic.TUNING,
        aspect=EFFECT,
        method=method,
        class_name=row["class"],
        subject=method,
        word=word,
        sentence=sentence,
        numbers={key: row[key] for key in ("of_tuned", "of_default", *DECIDED, "n_units", "n_seeds")},
        rule=rule_text(row, rules, "macro Dice of all methods that tuning changed; their classes"),
    )


def optimism_verdict(summary: pd.DataFrame, margin: float) -> Verdict | None:
    """Say how optimistic the validation scores of the winners are; None if tuning changed nothing.

    Args:
        summary: Table `tuning`.
        margin: Largest optimism that counts as small.
    """
    changed = summary[summary["winner"] != 0].dropna(subset=["test_winner"])
    if changed.empty:
        return None
    gains = {split: changed[f"{split}_winner"] - changed[f"{split}_default"] for split in ("validation", "test")}
    on = {split: float(gain.mean()) for split, gain in gains.items()}
    of_gain, of_seeds = (float(changed[f"optimism_of_{name}"].mean()) for name in ("gain", "seeds"))
    name = SELECTED[changed["select"].iloc[0]]
    plural = f"{len(changed)} methods" if len(changed) > 1 else "one method"
    sentence = (
        f"Tuning changed {plural} and gained {points(on['validation'])} points of {name} on the validation images that "
        f"it chose by, and {points(on['test'])} on test images with the same runs"
    )
    if np.isfinite(of_seeds):
        sentence += (
            f"; with the study's own seeds the chosen settings reach {100 * abs(of_seeds):.1f} points "
            f"{'less' if of_seeds > 0 else 'more'} on the same validation images"
        )
    optimistic = max(of_gain, of_seeds if np.isfinite(of_seeds) else of_gain) > margin
    end = "A winner's validation score is that of the best of several and must not be reported as a result."
    return Verdict(
        topic=Topic.TUNING,
        aspect=OPTIMISM,
        subject="validation scores of the winners",
        word=Word.LIMITED if optimistic else Word.SOUND,
        sentence=f"{sentence}. {end}",
        numbers={"gain_on_validation": on["validation"], "gain_on_test": on["test"]}
        | {"optimism_of_gain": of_gain, "optimism_of_seeds": of_seeds, "methods": len(changed)},
        rule="limited: the gain on validation images exceeds that on test images, or the validation score that of "
        f"other seeds, by more than the margin ({margin:g}) in the mean over methods; described, not tested",
    )


def budget_verdict(tuned: TunedStudy, trial_budgets: Sequence[Budget]) -> Verdict | None:
    """Say whether the order of the methods depends on the number of trials of each; None for one method."""
    finite = [budget for budget in trial_budgets if np.isfinite(budget.ranks.kendall)]
    if len(tuned.methods) < 2 or not trial_budgets or len(finite) < len(trial_budgets):
        return None
    tau = [budget.ranks.kendall for budget in trial_budgets]
    first = {
        budget.trials: tuned.methods[int(np.nanargmax(budget.test))].label
        for budget in (trial_budgets[0], trial_budgets[-1])
    }
    leaders = list(dict.fromkeys(first.values()))
    leader_text = (
        f"{leaders[0]} is first with and without tuning"
        if len(leaders) == 1
        else f"{leaders[0]} is first untuned, {leaders[1]} with {tuned.n_trials} trials"
    )
    sentence = (
        f"On test images with the seeds of tuning {leader_text}; the order of the untuned methods agrees with that "
        f"after {tuned.n_trials} trials by Kendall's tau {tau[0]:.2f}, with half of the trials by "
        f"{tau[(len(tau) - 1) // 2]:.2f}."
    )
    return Verdict(
        topic=Topic.TUNING,
        aspect=BUDGET,
        subject="order of the methods",
        word=Word.SOUND if min(tau) > 1 - 1e-9 else Word.LIMITED,
        sentence=sentence,
        numbers={f"tau_{budget.trials}": budget.ranks.kendall for budget in trial_budgets},
        rule="sound: no budget of trials gives another order of mean test scores; else limited; described, not tested",
    )


def _unreadable(error: UserError) -> Verdict:
    return data_limit(
        "tuning",
        "tuning",
        f"Nothing is said about tuning: {str(error).rstrip('.')}.",
        "limited: the records of the trials cannot be read, are not complete, or contradict choices.json",
    )
