"""Tables for studies on phantom tissue: what was planted, and what the analysis found."""

from analysis.schema.column import Table, number, text

TABLES: dict[str, Table] = {
    "planted_factors": Table(
        (
            "factor",
            "class",
        ),
        {
            "factor": text("share, ambiguity, morphology or context"),
            "class": text("class name"),
            "planted": number("level in the description of the phantom; of share, the share of labelled pixels"),
            "measure": text("the measure that must follow the factor"),
            "measured": number("its value in measures.csv; empty where it was not measured"),
        },
    ),
    "planted_and_found": Table(
        (
            "subject",
            "planted",
        ),
        {
            "subject": text("a factor of the tissue, a method, or a per-class quantity of a method"),
            "planted": text("what is true by construction"),
            "found": text("what the analysis says, in its own words"),
            "verdict": text("its word; empty for a factor"),
            "agrees": text("yes, no, or open if the analysis decides nothing"),
        },
    ),
}
