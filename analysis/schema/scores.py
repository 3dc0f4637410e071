"""Tables of runs, scores and comparisons."""

from analysis.schema.column import Table, integer, number, text, truth
from analysis.schema.names import LEFT_OUT, ZERO_IF_PREDICTED
from analysis.schema.shared import CLASS, RUN, decided_difference


def _models(score: str, difference: str, verdict: str) -> Table:
    """Declare a table of differences between two models of a study."""
    return Table(
        ("method", "model", "other_model", "class"),
        {
            "method": text("label of the method"),
            "model": text("label of the model"),
            "other_model": text("label of the model it is compared with"),
            "class": text("as in comparisons.csv"),
            "unit": text("what is independent: group or image"),
            "n_units": integer("as in comparisons.csv"),
            "n_seeds": integer("seeds that all compared runs have finished"),
            "of_model": number(score, "Dice"),
            "of_model_low": number("lower end of its 95 % interval", "Dice"),
            "of_model_high": number("upper end of it", "Dice"),
            "of_other": number("the same with the other model", "Dice"),
            "of_other_low": number("lower end of its 95 % interval", "Dice"),
            "of_other_high": number("upper end of it", "Dice"),
            **decided_difference(
                difference,
                "p after Holm: macro rows over methods and pairs of models; class rows likewise",
                verdict,
            ),
        },
    )


TABLES: dict[str, Table] = {
    "runs": Table(
        ("run_id",),
        {
            "run_id": text("first 12 hex digits of the run's hash"),
            **RUN,
            "state": text("done, running, failed, missing (planned, no folder) or damaged (records unreadable)"),
            "seconds": number("wall time of the training, s", "s"),
            "steps": integer("optimiser steps done"),
            "steps_per_second": number("throughput", "1/s"),
            "error": text("why the run failed, empty otherwise"),
        },
    ),
    "environments": Table(
        ("property", "value"),
        {
            "property": text("a library, imbalance-bench itself, device, precision, threads or deterministic"),
            "value": text("its version or setting; of imbalance-bench with the commit where it is known"),
            "n_runs": integer("finished runs that were made with it"),
            "methods": text("labels of the methods of these runs"),
        },
    ),
    "class_scores": Table(
        (
            "run_id",
            "class",
            "aggregation",
            "metric",
        ),
        {
            "run_id": text("the run"),
            **RUN,
            **CLASS,
            "aggregation": text(
                "pooled: one ratio of counts summed over all images; per_image, per_group: mean of the ratios "
                "of the images or groups in which the class occurs"
            ),
            "metric": text("dice, iou, recall or precision"),
            "value": number("score of this run, 0 to 1; NaN if the class does not occur in the scored images"),
            "n_present": integer("images (pooled, per_image) or groups (per_group) in which the class occurs"),
        },
    ),
    "method_scores": Table(
        (
            "method",
            "aggregation",
            "metric",
            "class",
        ),
        {
            "method": text("label of the method"),
            "aggregation": text("as in class_scores.csv"),
            "metric": text("as in class_scores.csv"),
            "class": text(
                "class name, or macro: mean over the classes that occur, each weighing the same; images or groups "
                "without a class are left out of its score, whatever was predicted there"
            ),
            "mean": number("mean over seeds; over folds, the images of all folds are scored together"),
            "low": number("lower end of the 95 % interval over units, seeds and folds (jackknife and Student's t)"),
            "high": number("upper end of that interval"),
            "sd_over_seeds": number("standard deviation over seeds; NaN with one seed"),
            "n_units": integer("units (images or groups) in which the class occurs; for macro, any class"),
            "n_seeds": integer("seeds with every fold finished"),
        },
    ),
    "unit_scores": Table(
        (
            "method",
            "unit",
            "class",
        ),
        {
            "method": text("label of the method"),
            "unit": text("group id, or image id where groups are unknown"),
            "class": text(
                "class name, or macro: mean over the classes that occur in this unit (comparisons.csv weighs "
                "classes equally instead, so that rare classes count fully)"
            ),
            "dice": number(
                "Dice of the unit's summed counts, mean over seeds; NaN if the class does not occur in the unit"
            ),
        },
    ),
    "comparisons": Table(
        (
            "method",
            "class",
        ),
        {
            "method": text("label of the method"),
            "control": text("label of the method it is compared with"),
            "class": text("class name, or macro: mean over classes of the class's mean over units"),
            "metric": text("always dice, of each unit's summed counts"),
            "unit": text("what is independent: group or image"),
            "n_units": integer("units in which the class occurs; for macro, any class"),
            "n_seeds": integer("seeds that both methods have finished"),
            "difference": number(
                "method minus control: mean over units of the difference, seeds averaged first", "Dice"
            ),
            "low": number("lower end of the 95 % interval over units, seeds and folds (jackknife and Student's t)"),
            "high": number("upper end of that interval"),
            "p": number("two-sided: 1 minus the level at which that interval touches 0"),
            "p_holm": number("p after Holm: macro rows over methods; class rows over methods x classes"),
            "level": number("level that Holm gives the interval of this row; 1 - alpha without a correction"),
            "low_holm": number("lower end of the interval of that level: above 0 exactly where `better`", "Dice"),
            "high_holm": number("upper end of it: below 0 exactly where `worse`", "Dice"),
            "family": integer("tests corrected together"),
            "influential": text("units without which the verdict would be another, those that move it most first"),
            "p_sign_flip": number(
                "two-sided sign-flip permutation p over units, of symmetry about 0; secondary, not corrected"
            ),
            "wilcoxon_p": number("two-sided Wilcoxon signed-rank p, secondary, not corrected"),
            "cliffs_delta": number(
                "P(method > control) - P(method < control) over all pairs of units, -1 to 1; unpaired, so that it may "
                "have another sign than the difference"
            ),
            "superiority": number("share of units in which the method is ahead, ties half (paired)"),
            "skewness": number("of the units' differences; far from 0, an interval of their mean is too optimistic"),
            "verdict": text("better, worse, equivalent, undecided or not_testable"),
        },
    ),
    "equivalence": Table(
        (
            "method",
            "class",
        ),
        {
            "method": text("label of the method"),
            "control": text("label of the method it is compared with"),
            "class": text("as in comparisons.csv"),
            "n_units": integer("as in comparisons.csv"),
            "difference": number("as in comparisons.csv", "Dice"),
            "margin": number("half width of the region of practical equivalence, Dice, fixed in the plan", "Dice"),
            "low_tost": number(
                "lower end of the interval that the corrected two one-sided tests invert: inside the region exactly "
                "where `equivalent`"
            ),
            "high_tost": number("upper end of that interval"),
            "p_tost": number("two one-sided tests by the same interval, not corrected"),
            "p_tost_holm": number("p_tost after Holm, in the same families as comparisons.csv; decides `equivalent`"),
            "p_tost_units": number("two one-sided Student t tests over units alone, secondary, not corrected"),
            "p_worse": number(
                "Bayesian signed-rank test over units alone: posterior probability that the difference lies below "
                "the region"
            ),
            "p_equivalent": number("that it lies inside"),
            "p_better": number("that it lies above"),
            "verdict": text("as in comparisons.csv"),
        },
    ),
    "model_differences": _models(
        "Dice with it: mean over units, seeds averaged first; for macro, over classes",
        "Dice with `model` minus Dice with `other_model`, paired by unit and seed",
        "better, worse (`model` against `other_model`), equivalent, undecided or not_testable",
    ),
    "model_interactions": _models(
        "effect of the method with it: its Dice minus that of its control",
        "effect with `model` minus effect with `other_model`, paired by unit and seed",
        "supported (the effect depends on the model), equivalent, undecided or not_testable",
    ),
    "tradeoffs": Table(
        ("method", "class"),
        {
            "method": text("label of the method"),
            "control": text("label of the method it is compared with"),
            "class": text("class name, or macro: mean over classes of the class's mean over units"),
            "n_units": integer("units in which the class occurs; for macro, any class"),
            "recall": number("recall gained: method minus control, mean over units, seeds averaged first"),
            "recall_low": number("lower end of its 95 % interval, not corrected"),
            "recall_high": number("upper end of that interval"),
            "precision": number("precision gained, negative: lost; of a class that is never predicted it is 0"),
            "precision_low": number("lower end of its 95 % interval, not corrected"),
            "precision_high": number("upper end of that interval"),
            "dice": number("Dice gained, as in comparisons.csv"),
            "hurt": truth("precision is shown to be lost, and Dice did not gain: what recall gained did not pay"),
        },
    ),
    "pairwise": Table(
        ("model", "method_a", "method_b"),
        {
            "model": text(
                "label of the model, or its architecture where the study has one; methods are compared within one"
            ),
            "method_a": text("label of a method, better macro mean first"),
            "method_b": text("label of another one with a smaller mean"),
            "difference": number("macro Dice of a minus b: mean over classes of the class's mean over units", "Dice"),
            "low": number("lower end of its 95 % interval, not corrected"),
            "high": number("upper end of that interval"),
            "p": number("two-sided, over units, seeds and folds, as in comparisons.csv"),
            "p_holm": number("p after Holm over all pairs of the model"),
        },
    ),
    "profiles": Table(
        ("method", "threshold", "class"),
        {
            "method": text("label of the method"),
            "threshold": number("Dice"),
            "class": text("class name, or macro: mean over the classes of the unit"),
            "share": number("share of units whose Dice reaches the threshold, seeds averaged"),
            "low": number("lower end of its 95 % interval over units, seeds and folds"),
            "high": number("upper end of that interval"),
            "n_units": integer("units in which the class occurs"),
        },
    ),
    "iqm": Table(
        ("method", "class"),
        {
            "method": text("label of the method"),
            "iqm": number("mean of the middle half of the units' Dice, seeds averaged"),
            "class": text("class name, or macro: mean over the classes of the unit"),
            "low": number("lower end of its 95 % interval over units, seeds and folds"),
            "high": number("upper end of that interval"),
            "n_units": integer("units in which the class occurs"),
            "n_seeds": integer("seeds with every fold finished"),
        },
    ),
    "rankings": Table(
        (
            "aggregation",
            "class",
            "method",
        ),
        {
            "aggregation": text("as in class_scores.csv"),
            "metric": text("always dice"),
            "class": text("class name, or macro: mean over the classes that occur"),
            "method": text("label of the method, best first"),
            "score": number("mean over seeds that every method has finished"),
            "rank": number("1 is the best, mean ranks for ties"),
            "rank_low": number(
                "lower end of the 95 % percentile interval over resampled units x seeds; describes, tests nothing"
            ),
            "rank_high": number("upper end of that interval"),
            "p_best": number("share of resamples in which the method ranks best; ties share it"),
            "kendall_tau": number(
                "mean over resamples of Kendall's tau-b to the observed order; 1: the order never changes"
            ),
            "n_units": integer("units resampled"),
            "n_seeds": integer("seeds resampled"),
        },
    ),
    "sensitivity": Table(
        (
            "method",
            "aggregation",
            "absent_class",
        ),
        {
            "method": text("label of the method"),
            "aggregation": text("per_image or per_group"),
            "absent_class": text(
                f"{LEFT_OUT}: units without the class are left out (used everywhere else); {ZERO_IF_PREDICTED}: they "
                "count 0 where the class was predicted"
            ),
            "macro_dice": number("macro Dice, mean over seeds"),
        },
    ),
    "leaders": Table(
        (
            "model",
            "class",
            "method",
        ),
        {
            "model": text(
                "label of the model, or its architecture where the study has one; methods are compared within one"
            ),
            "class": text("class name, or macro: mean over classes of the class's mean over units"),
            "method": text("label of the method, best mean first within each class"),
            "mean": number("Dice, mean over units, seeds averaged first, over the runs that all methods share"),
            "leader": text("method with the greatest mean of its tier, against which it was tested"),
            "n_units": integer("units in which the class occurs; empty for the leader itself, as are the next columns"),
            "difference": number("method minus leader", "Dice"),
            "low": number("lower end of its 95 % interval, not corrected"),
            "high": number("upper end of that interval"),
            "p": number("two-sided, over units, seeds and folds, as in comparisons.csv"),
            "p_corrected": number("p times `family`, at most 1, because the leader was chosen after looking"),
            "family": integer("pairs of methods of the model"),
            "mark": text(
                "best or second: every method below is shown to be behind; shared_best, shared_second: some are not "
                "(they share the mark); behind: shown to be behind its leader; absent: the class does not occur; "
                "alone: there is no other method"
            ),
        },
    ),
}
