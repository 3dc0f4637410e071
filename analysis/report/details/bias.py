"""Details on rare or hard: explanation, inertia, interventions, and the path of the class attention."""

from analysis.report.details.cells import Detail, construct, name, number, p, percent, span, text, verdict

DETAILS = (
    Detail(
        "partial_associations",
        "Rare given hard, hard given rare",
        "What a construct explains of the ranked bias beyond the given ones (Freedman-Lane permutation).",
        {
            "method": name("method"),
            "learned quantity": text("estimand"),
            "class measure": construct,
            "given": text("given"),
            "partial R squared": number("r2", 2),
            "p": p("p"),
            "p (corrected)": p("p_adjusted"),
            "smallest p possible": p("min_p"),
            "variance inflation": number("vif", 1),
            "verdict": verdict,
        },
    ),
    Detail(
        "partition",
        "Partition of the explained variation",
        "Shares of the variation of the ranked bias. A negative adjusted share means that nothing is explained.",
        {
            "method": name("method"),
            "learned quantity": text("estimand"),
            "component": text("component"),
            "kind": text("kind"),
            "share": number("value", 2, with_sign=True),
            "adjusted": span("adjusted", "low", "high", 2, with_sign=True),
            "interval resamples": text("resampled"),
            "variance inflation": number("vif", 1),
        },
    ),
    Detail(
        "inertia",
        "Inertia: does the final bias still show its start?",
        "`kept` is the slope of the final on the initial bias: 1 means that training moved nothing, 0 that the start "
        "left no trace.",
        {
            "starts": name("starts"),
            "learned quantity": text("estimand"),
            "view": text("view"),
            "kept": span("kept", "low", "high", 2),
            "correlation with the start": number("correlation", 2),
            "change against spread of the start": span("moved", "moved_low", "moved_high", 2),
            "verdict": verdict,
        },
    ),
    Detail(
        "interventions",
        "What the bias does",
        "Dice with the bias of the trained model changed, minus Dice as trained, on the same images.",
        {
            "method": name("method"),
            "intervention": text("intervention"),
            "class": name("class"),
            "difference in Dice": span("difference", "low_holm", "high_holm", with_sign=True),
            "mean |difference| over models": number("magnitude", 3),
            "share of the ceiling": percent("share_of_ceiling"),
            "p (Holm)": p("p_holm"),
            "units": number("n_units", 0),
            "verdict": verdict,
        },
    ),
    Detail(
        "path_controls",
        "What each change of the class attention does",
        "Dice under the control minus Dice as trained, on the same images; doses are in the figure and in the "
        "download. Uniform weights are the ceiling: they remove everything that the attention learned about positions. "
        "In the mean |difference|, opposite signs of different models do not cancel; it is above 0 by chance alone.",
        {
            "method": name("method"),
            "control": text("control"),
            "class": name("class"),
            "difference in Dice": span("difference", "low", "high", with_sign=True),
            "mean |difference| over models": number("magnitude", 3),
            "share of the ceiling": percent("share_of_ceiling"),
            "p (equivalence, Holm)": p("p_tost_holm"),
            "units": number("n_units", 0),
            "verdict": verdict,
        },
        keep=lambda rows: rows[rows["target"] == ""],
    ),
)
