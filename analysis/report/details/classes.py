"""Details on the classes: their neighbours, and the planted truth of a phantom."""

from analysis.report.details.cells import Detail, agreement, measured, name, rival, span, text

DETAILS = (
    Detail(
        "adjacency",
        "Neighbours and rivals",
        "The classes with which each class shares its border, and how similar they look.",
        {
            "class": name("class"),
            "other class": name("other"),
            "share of the border": span("border_share", "border_share_low", "border_share_high", 2),
            "overlap of stains": span("stain_overlap", "stain_overlap_low", "stain_overlap_high", 2),
            "overlap of features": span("feature_overlap", "feature_overlap_low", "feature_overlap_high", 2),
            "": rival,
        },
    ),
    Detail(
        "planted_and_found",
        "What is true, and what was found",
        "The truth by construction of the phantom and of the methods, and the findings of the analysis, which does not "
        "know it.",
        {
            "subject": name("subject"),
            "planted": name("planted"),
            "": agreement,
            "found": name("found"),
        },
    ),
    Detail(
        "planted_factors",
        "What was planted in each class",
        "The level of each factor, and the primary measure that should follow it.",
        {
            "factor": text("factor"),
            "class": name("class"),
            "planted": measured("planted"),
            "measure": text("measure"),
            "measured": measured("measured"),
        },
    ),
)
