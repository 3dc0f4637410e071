"""Tables of why: rare or hard, whether the start still shows, and what the bias does."""

from analysis.schema.shared import INTERVAL

_WHAT = {
    "method": "label of the method",
    "estimand": "as in learned_bias.csv: change or effective_offset",
}
_TESTED = {
    "construct": "frequency, boundary, morphology, context, or difficulty: all of them but frequency together",
    "measure": "primary measure of the construct; of difficulty, all that are tested together",
}

TABLES: dict[str, dict[str, str]] = {
    "partial_associations": {
        **_WHAT,
        **_TESTED,
        "given": "what the association is given: frequency, or the constructs of difficulty",
        "n_classes": "classes with a bias and every measure",
        "residual_df": "classes minus intercept, given and tested measures",
        "partial_rho": "partial rank correlation, descriptive; NaN where several measures are tested at once",
        "r2": "partial R squared of the ranks: share of what the given ones leave that the tested ones explain",
        "p": "Freedman-Lane permutation p, over all orders up to 10 classes, else Monte Carlo",
        "min_p": "smallest p that any order of these residuals could have given",
        "p_holm": "p after Holm: frequency and difficulty together; the single constructs of difficulty together",
        "vif": "variance inflation of the tested measure by the given ones; above 5 they cannot be told apart",
        "verdict": "supported, not_supported, not_testable, not_separable or unreliable",
    },
    "mixed_models": {
        **_WHAT,
        **_TESTED,
        "estimate": "slope of the standardised bias on the standardised measure (frequency: its logarithm), given the "
        "others; empty where the model is refused",
        "error": "standard error",
        **INTERVAL,
        "t": "estimate / error",
        "df": "classes minus intercept and measures; seeds are repeats of a class and add none",
        "p": "two-sided, Student's t",
        "p_holm": "p after Holm over the slopes of this model",
        "class_sd": "standard deviation of the random intercept of classes",
        "residual_sd": "standard deviation between runs of a class",
        "n_classes": "classes",
        "n_rows": "classes x runs",
        "converged": "True if the optimiser converged",
        "singular": "True if classes do not differ beyond their measures and their runs: class_sd is 0",
        "messages": "warnings of the fit, word by word",
        "verdict": "supported, not_supported, not_testable or unreliable",
    },
    "partition": {
        **_WHAT,
        "kind": "share: frequency against difficulty; dominance: general dominance weight; commonality: common parts",
        "component": "what the part belongs to; a common part names the constructs that share it",
        "value": "share of the variation of the ranked bias within the data set, raw",
        "adjusted": "the same from R squared adjusted for the number of measures; empty without residual df",
        "low": "lower end of the nominal 95 % percentile interval of adjusted (docs/explanation.md: what it covers)",
        "high": "upper end of that interval",
        "resampled": "what the interval resamples: classes; runs (it then speaks of these classes only); or nothing",
        "n_classes": "classes with a bias and every measure",
        "residual_df": "classes minus intercept and measures",
        "vif": "variance inflation of this construct by all others, in rows of kind dominance",
    },
    "inertia": {
        "method": "label of the method; of several starts, the first",
        "starts": "methods that are compared: one, or several that differ in their start only",
        "estimand": "learned or effective_offset",
        "view": "one_start, or several_starts of one method",
        "n_starts": "starts",
        "n_runs": "seeds x folds of each",
        "n_classes": "classes",
        "kept": "slope of the final on the initial bias over classes; several_starts: share of the difference between "
        "starts that is left, each class with its own intercept",
        "low": "lower end of its 95 % t interval over runs",
        "high": "upper end of that interval",
        "correlation": "correlation of final and initial bias over classes, mean over runs",
        "moved": "spread of the change over classes / spread of the start, mean over runs",
        "moved_low": "lower end of its 95 % t interval over runs",
        "moved_high": "upper end of that interval",
        "decay": "correlation of the change with the start, mean over runs; -1: the change takes the start back",
        "verdict": "inertia, not_supported, undecided or not_testable",
    },
    "interventions": {
        "method": "label of the method",
        "intervention": "what was done to the bias of the trained model: zeroed; permuted among classes (mean over "
        "several permutations); shifted: the bias of this one class raised by 1",
        "class": "class name, or macro: mean over classes of the class's mean over units",
        "unit": "what is resampled and sign-flipped: group or image",
        "n_units": "units in which the class occurs; for macro, all units",
        "n_seeds": "runs that were re-predicted, per fold",
        "difference": "Dice with the changed bias minus Dice as trained: mean over units, seeds averaged first",
        **INTERVAL,
        "p": "two-sided sign-flip permutation p over units",
        "p_seeds": "1 minus the level at which the interval, which knows the variation over seeds, touches 0",
        "p_holm": "the larger of both after Holm: macro rows together; the classes of one intervention together",
        "verdict": "worse (the bias as trained was better), better, equivalent, undecided or not_testable",
    },
}
