"""Tables that explain the learned bias: rare or hard, what is left of its start, and what it does."""

from analysis.schema.column import Table, integer, number, text, truth
from analysis.schema.shared import INTERVAL

_WHAT = {
    "method": text("label of the method"),
    "estimand": text("as in learned_bias.csv: change or effective_offset; or as in ledger_quantities.csv"),
}
_TESTED = {
    "construct": text("frequency, boundary, morphology, context, or difficulty: all of them but frequency together"),
    "measure": text("primary measure of the construct; of difficulty, all that are tested together"),
}

TABLES: dict[str, Table] = {
    "partial_associations": Table(
        (
            "method",
            "estimand",
            "construct",
        ),
        {
            **_WHAT,
            **_TESTED,
            "given": text(
                "what the association is given: frequency, or the constructs of difficulty; and the start, where all "
                "runs had one that tells classes apart"
            ),
            "n_classes": integer("distinct classes with a bias and every measure: a name in several data sets is one"),
            "residual_df": integer("classes minus intercepts, given and tested measures, and a start"),
            "partial_rho": number(
                "partial rank correlation, descriptive; NaN where several measures are tested at once"
            ),
            "r2": number(
                "partial R squared of the ranks: share of the variation left by the given measures that the tested "
                "ones explain"
            ),
            "p_uncalibrated": number(
                "Freedman-Lane permutation p, over all orders up to 10 classes, else Monte Carlo, measures as they are"
            ),
            "p": number("the larger of that p and of the p given measures calibrated for their reliability"),
            "min_p": number("smallest p that any order of these residuals could have given"),
            "p_adjusted": number(
                "p after correction: frequency and difficulty of all methods and estimands together, by Holm or in the "
                "order of the plan's hypotheses; the single constructs of difficulty together, by Holm"
            ),
            "reliability": number("least reliability of the given measures; empty where it is not known of one"),
            "explained_below": number(
                "reliability of the given measures up to which measurement error explains the association; 0: none; "
                "empty where p_uncalibrated is not below alpha"
            ),
            "vif": number(
                "variance inflation of the tested measure by the given ones; above 5, with 10 residual df or more, "
                "they cannot be told apart"
            ),
            "verdict": text(
                "supported, not_supported, undecided, not_testable, not_separable or unreliable; inert where the class "
                "attention of the method is not read (path_controls.csv)"
            ),
        },
    ),
    "mixed_models": Table(
        (
            "method",
            "estimand",
            "construct",
        ),
        {
            **_WHAT,
            **_TESTED,
            "estimate": number(
                "slope of the standardised bias on the standardised measure (frequency: its logarithm), given the "
                "others; empty where the model is refused"
            ),
            "error": number("standard error"),
            **INTERVAL,
            "t": number("estimate / error"),
            "df": integer("distinct classes minus intercepts and measures; seeds, and data sets of one name, add none"),
            "p": number("two-sided, Student's t; the larger of those of the measures as they are and as calibrated"),
            "p_holm": number("p after Holm over the slopes of this model"),
            "name_sd": number(
                "standard deviation of the random intercept of names; empty where no two data sets share one"
            ),
            "class_sd": number("standard deviation of the random intercept of a class in a data set"),
            "residual_sd": number("standard deviation between runs of a class"),
            "n_names": integer("distinct classes: a name in several data sets is one"),
            "n_classes": integer("classes of all data sets"),
            "n_rows": integer("classes x runs"),
            "converged": truth("True if the optimiser converged"),
            "singular": truth("True if classes do not differ beyond their measures and their runs: both are 0"),
            "vif": number("variance inflation of the measure by the others, and by a start"),
            "reliability": number("reliability of the measure; empty where it is not known"),
            "verdict": text(
                "supported, not_supported, not_testable, not_separable or unreliable; inert where the class attention "
                "of the method is not read (path_controls.csv)"
            ),
        },
    ),
    "partition": Table(
        (
            "method",
            "estimand",
            "kind",
            "component",
        ),
        {
            **_WHAT,
            "kind": text(
                "share: frequency against difficulty; dominance: general dominance weight; commonality: common parts"
            ),
            "component": text("what the part belongs to; a common part names the constructs that share it"),
            "value": number("share of the variation of the ranked bias within the data set, raw"),
            "adjusted": number(
                "the same from R squared adjusted for the number of measures; empty without residual df"
            ),
            "low": number(
                "lower end of the nominal 95 % percentile interval of adjusted (docs/explanation.md: what it covers)"
            ),
            "high": number("upper end of that interval"),
            "resampled": text(
                "what the interval resamples: classes; runs (it then speaks of these classes only); or nothing"
            ),
            "n_classes": integer("distinct classes with a bias and every measure"),
            "residual_df": integer("classes minus intercepts and measures"),
            "vif": number("variance inflation of this construct by all others, in rows of kind dominance"),
        },
    ),
    "inertia": Table(
        (
            "method",
            "starts",
            "estimand",
            "view",
        ),
        {
            "method": text("label of the method; of several that differ in their start only, the first"),
            "starts": text("the start, or all that are compared"),
            "estimand": text("learned or effective_offset; or as in ledger_quantities.csv"),
            "view": text("one_start, or several_starts of one method"),
            "n_starts": integer("starts"),
            "n_runs": integer("seeds x folds; several_starts: those that every start has"),
            "n_classes": integer("classes"),
            "kept": number(
                "slope of the final on the initial bias over classes; several_starts: share of the difference between "
                "starts that is left, each class with its own intercept"
            ),
            "low": number("lower end of its 95 % t interval over runs"),
            "high": number("upper end of that interval"),
            "correlation": number("correlation of final and initial bias over classes, mean over runs"),
            "moved": number("spread of the change over classes / spread of the start, mean over runs"),
            "moved_low": number("lower end of its 95 % t interval over runs"),
            "moved_high": number("upper end of that interval"),
            "decay": number(
                "correlation of the change with the start, mean over runs; -1: the change takes the start back"
            ),
            "taken_back": number("share of the variation of the change that takes the start back, mean over runs"),
            "taken_back_low": number("lower end of its 95 % t interval over runs"),
            "taken_back_high": number("upper end of that interval"),
            "agreement": number(
                "several_starts: least correlation of what is learned from one start with the mean of the others"
            ),
            "verdict": text("inertia, decay, not_supported, undecided or not_testable"),
        },
    ),
    "interventions": Table(
        (
            "method",
            "intervention",
            "class",
        ),
        {
            "method": text("label of the method"),
            "intervention": text(
                "what was done to the bias of the trained model: zeroed; permuted among classes (mean over "
                "several permutations); shifted: the bias of this one class raised by 1"
            ),
            "class": text("class name, or macro: mean over classes of the class's mean over units"),
            "unit": text("what is independent: group or image"),
            "n_units": integer("units in which the class occurs; for macro, any class"),
            "n_seeds": integer("runs that were re-predicted, per fold"),
            "difference": number(
                "Dice with the changed bias minus Dice as trained: mean over units, seeds averaged first", "Dice"
            ),
            **INTERVAL,
            "p": number("two-sided: 1 minus the level at which that interval, over units, seeds and folds, touches 0"),
            "p_holm": number("p after Holm: macro rows together; the classes of one intervention together"),
            "low_holm": number(
                "lower end of the interval at the level that Holm gives: above 0 where `better`", "Dice"
            ),
            "high_holm": number("upper end of it: below 0 where `worse`", "Dice"),
            "p_sign_flip": number("two-sided sign-flip permutation p over units, secondary, not corrected"),
            "magnitude": number(
                "mean over models of |difference of the model|: signs that differ between models do not cancel; above "
                "0 by chance alone",
                "Dice",
            ),
            "share_of_ceiling": number(
                "difference / |difference under uniform attention weights| (path_controls.csv); empty unless that is "
                "`live`"
            ),
            "verdict": text(
                "worse (the bias as trained was better), better, equivalent, undecided or not_testable; inert instead "
                "of the last three where path_controls.csv says so of the method and class"
            ),
        },
    ),
}
