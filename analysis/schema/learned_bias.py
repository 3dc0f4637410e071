"""Tables of what the methods learned about the classes, and of what that follows."""

from analysis.schema.column import Table, integer, number, text, truth
from analysis.schema.shared import CLASS, INTERVAL, RUN

TABLES: dict[str, Table] = {
    "learned_bias": Table(
        (
            "method",
            "fold",
            "seed",
            "class",
            "estimand",
        ),
        {
            **RUN,
            **CLASS,
            "estimand": text(
                "learned: final attention bias; change: final minus initial; effective_offset; attention_mass"
            ),
            "value": number("at the last step; all but attention_mass centred over the classes that occur in training"),
            "start": number(
                "the same before training: of learned and of change the bias that training began with; empty if unknown"
            ),
            "start_of": text(
                "first method that differs from this one in the start of its bias only, or the method itself"
            ),
        },
    ),
    "ledger_quantities": Table(
        (
            "method",
            "fold",
            "seed",
            "class",
            "estimand",
        ),
        {
            **RUN,
            **CLASS,
            "estimand": text(
                "any other entry of the class-parameter ledger: loss_weight, difficulty, observed_loss, margin, "
                "logit_gradient_norm, classifier_norm, ...; given_bias: an attention bias that never changed"
            ),
            "value": number("as last recorded, not centred; empty for a class without training pixels"),
            "start": number("as first recorded; empty where it never changed, or is only observed"),
            "start_of": text("the method itself"),
        },
    ),
    "bias_trajectories": Table(
        (
            "method",
            "fold",
            "seed",
            "stage",
            "step",
            "class",
            "parameter",
        ),
        {
            **RUN,
            "stage": integer("training stage, from 0"),
            "step": integer("optimiser steps done"),
            **CLASS,
            "parameter": text("name in the class-parameter ledger"),
            "value": number("as recorded, not centred"),
        },
    ),
    "associations": Table(
        (
            "method",
            "estimand",
            "measure",
        ),
        {
            "method": text("label of the method"),
            "estimand": text(
                "as in learned_bias.csv, where change and effective_offset are primary; or as in ledger_quantities.csv"
            ),
            "construct": text("frequency, boundary, morphology or context"),
            "measure": text("name of the measure"),
            "primary": truth("True for the primary measure of its construct with a primary estimand"),
            "given": text("start, where all runs had one that tells classes apart; the association is then partial"),
            "n_classes": integer("distinct classes with both a bias and a measure: a name in several data sets is one"),
            "spearman": number("Spearman's rho over classes, seeds and folds averaged first; given the start, partial"),
            "kendall": number("Kendall's tau-b"),
            "p_spearman": number("two-sided permutation p, exact over all pairings up to 10 classes, else Monte Carlo"),
            "p_kendall": number("the same for tau-b"),
            "min_p": number("smallest p_spearman that these numbers could have given in any order"),
            "rho_needed": number("smallest |rho| with p below alpha before correction; NaN: none reaches it"),
            "p_holm": number(
                "p_spearman after Holm over the primary measures of this method and estimand, or in the order of the "
                "plan's hypotheses; NaN if exploratory (of ledger_quantities.csv: only if merely observed)"
            ),
            "p_bh": number("p_spearman after Benjamini-Hochberg over all exploratory rows; NaN if primary"),
            "reliability": number("reliability of the measure; empty where it is not known"),
            "verdict": text(
                "supported, not_supported, not_testable, not_separable or unreliable; inert where the class attention "
                "of the method is not read (path_controls.csv)"
            ),
        },
    ),
    "reliability": Table(
        (
            "method",
            "estimand",
            "over",
        ),
        {
            "method": text("label of the method"),
            "estimand": text("as in learned_bias.csv or ledger_quantities.csv"),
            "over": text(
                "seeds: with the training sets unchanged; folds: training sets that overlap; training_sets: corrected "
                "for the images that folds share"
            ),
            "icc": number("ICC(3,k): share of the variance of class averages that is reproducible over it"),
            **INTERVAL,
            "p": number("one-sided p of the hypothesis that none of it is reproducible"),
            "without_best": number("icc without the data set that agrees most; empty with one data set"),
            "n_seeds": integer(
                "seeds averaged, k, of all folds, the mean over several starts counting once; over folds and training "
                "sets, folds"
            ),
            "n_classes": integer("classes"),
            "verdict": text("reliable, unreliable or not_testable"),
        },
    ),
}
