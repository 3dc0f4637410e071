"""Tables of what the methods learned about the classes, and what it follows."""

from analysis.schema.shared import CLASS, INTERVAL, RUN

TABLES: dict[str, dict[str, str]] = {
    "learned_bias": {
        **RUN,
        **CLASS,
        "estimand": "learned: final attention bias; change: final minus initial; effective_offset; attention_mass",
        "value": "at the last step; all but attention_mass centred over the classes that occur in training",
    },
    "bias_trajectories": {
        **RUN,
        "stage": "training stage, from 0",
        "step": "optimiser steps done",
        **CLASS,
        "parameter": "name in the class-parameter ledger",
        "value": "as recorded, not centred",
    },
    "associations": {
        "method": "label of the method",
        "estimand": "as in learned_bias.csv; change and effective_offset are primary",
        "construct": "frequency, boundary, morphology or context",
        "measure": "name of the measure",
        "primary": "True for the primary measure of its construct with a primary estimand",
        "n_classes": "classes with both a bias and a measure",
        "spearman": "Spearman's rho over classes, seeds and folds averaged first",
        "kendall": "Kendall's tau-b",
        "p_spearman": "two-sided permutation p, exact over all pairings up to 10 classes, else Monte Carlo",
        "p_kendall": "the same for tau-b",
        "min_p": "smallest p_spearman that these numbers could have given in any order",
        "rho_needed": "smallest |rho| with p below alpha before correction; NaN: none reaches it",
        "p_holm": "p_spearman after Holm over the primary measures of this method and estimand; NaN if exploratory",
        "p_bh": "p_spearman after Benjamini-Hochberg over all exploratory rows; NaN if primary",
        "verdict": "supported, not_supported, not_testable or unreliable",
    },
    "reliability": {
        "method": "label of the method",
        "estimand": "as in learned_bias.csv",
        "icc": "ICC(3,k): consistency of the average over k runs (folds x seeds), classes as targets",
        **INTERVAL,
        "n_seeds": "runs averaged, k",
        "n_classes": "classes",
    },
}
