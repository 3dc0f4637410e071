"""Table of posterior probabilities of a practical difference."""

from analysis.schema.column import Table, integer, number, text

TABLES = {
    "practical_differences": Table(
        ("method", "class"),
        {
            "method": text("label of the method"),
            "control": text("label of the method it is compared with"),
            "class": text("as in comparisons.csv"),
            "unit": text("what is independent: group or image"),
            "n_units": integer("as in comparisons.csv"),
            "n_seeds": integer("as in comparisons.csv"),
            "margin": number("half width of the region of practical equivalence, fixed in the plan", "Dice"),
            "centre": number("of Student's t that stands for the posterior of the difference", "Dice"),
            "error": number("its scale: units, seeds and folds together, so that its interval is the 95 % one", "Dice"),
            "degrees": number("its degrees of freedom; 1e6 is as good as normal"),
            "p_worse": number("posterior probability that the difference lies below the region; no prior is added"),
            "p_equivalent": number("that it lies inside"),
            "p_better": number("that it lies above; describes, decides no verdict"),
        },
    ),
}
