"""Details on the comparison of methods: ranks, leaders, equivalence, models, borders and probabilities."""

from analysis.report.details.cells import Detail, name, number, p, span, text, verdict
from analysis.schema.names import MACRO

DETAILS = (
    Detail(
        "leaders",
        "Who leads, and who cannot be told from the leader",
        "Each method against the one with the greatest mean of its tier. p is corrected for all pairs of methods, "
        "because the leader is chosen after seeing the results.",
        {
            "method": name("method"),
            "class": name("class"),
            "Dice": number("mean", 3),
            "difference to the leader": span("difference", "low", "high", with_sign=True),
            "p (all pairs)": p("p_corrected"),
            "place": text("mark"),
        },
    ),
    Detail(
        "equivalence",
        "Equivalence",
        "Two one-sided tests against the margin of the plan, and the Bayesian signed-rank test over units alone.",
        {
            "method": name("method"),
            "class": name("class"),
            "difference in Dice": span("difference", "low_tost", "high_tost", with_sign=True),
            "margin": number("margin", 3),
            "p (TOST, Holm)": p("p_tost_holm"),
            "probability worse": number("p_worse", 3),
            "probability equivalent": number("p_equivalent", 3),
            "probability better": number("p_better", 3),
            "verdict": verdict,
        },
    ),
    Detail(
        "rankings",
        "Stability of the order",
        "Ranks over resampled units and seeds, for the aggregation of the tests. They are a description, not a test.",
        {
            "method": name("method"),
            "class": name("class"),
            "rank": span("rank", "rank_low", "rank_high", 1),
            "share of resamples that it leads": number("p_best", 3),
            "Kendall's tau": number("kendall_tau", 2),
        },
    ),
    Detail(
        "boundary_scores",
        "Scores at borders",
        "Boundary IoU, surface Dice and Hausdorff distance, each with its distance.",
        {
            "method": name("method"),
            "class": name("class"),
            "measure": text("measure"),
            "distance (um)": number("distance_um", 2),
            "aggregation": text("aggregation"),
            "value": span("value", "low", "high"),
            "units": number("n_units", 0),
            "images missed": number("missed", 0),
        },
        keep=lambda rows: rows[rows["class"] == MACRO],
    ),
    Detail(
        "calibration",
        "Calibration errors and Brier scores",
        "Errors are 0 for perfect probabilities. Over all pixels, the error of a rare class is always small; over the "
        "pixels predicted as the class, it need not be.",
        {
            "method": name("method"),
            "class": name("class"),
            "measure": text("measure"),
            "value": span("value", "low", "high"),
            "units": number("n_units", 0),
        },
    ),
    Detail(
        "collapsed_classes",
        "Classes that were learned and lost again",
        "By validation Dice during training, pooled over images.",
        {
            "method": name("method"),
            "fold": number("fold", 0),
            "seed": number("seed", 0),
            "class": name("class"),
            "best Dice": number("best", 3),
            "at step": number("best_step", 0),
            "Dice at the end": number("last", 3),
        },
    ),
    *(
        Detail(
            table,
            title,
            "Paired by unit and seed; the p values are corrected over all methods and pairs of models.",
            {
                "method": name("method"),
                "model": name("model"),
                "other model": name("other_model"),
                "class": name("class"),
                "with the model": span("of_model", "of_model_low", "of_model_high", with_sign=effect),
                "with the other": span("of_other", "of_other_low", "of_other_high", with_sign=effect),
                "difference": span("difference", "low", "high", with_sign=True),
                "p (Holm)": p("p_holm"),
                "verdict": verdict,
            },
        )
        for table, title, effect in (
            ("model_differences", "Dice of every method with one model and with another", False),
            ("model_interactions", "Does the effect of a method depend on the model?", True),
        )
    ),
)
