"""Tables of the classes: how rare and how hard they are."""

from analysis.schema.column import Table, integer, number, text, truth
from analysis.schema.shared import CLASS, INTERVAL

TABLES: dict[str, Table] = {
    "measures": Table(
        (
            "class",
            "measure",
        ),
        {
            **CLASS,
            "construct": text("frequency, size, boundary, morphology, context, learnability or model"),
            "measure": text("name of the measure"),
            "primary": truth(
                "True for the one measure per construct that was fixed in advance; the others are exploratory"
            ),
            "value": number(
                "from images and truth of the training split, learnability and model from the runs of the control; "
                "NaN if the class has too little to measure"
            ),
            "low": number(
                "lower end of the 95 % interval, training groups resampled; of the control: docs/measures.md"
            ),
            "high": number("upper end of that interval"),
            "standard_error": number(
                "standard deviation over resamples of the training groups; of the control's empty"
            ),
            "reliability": number(
                "of the measure over the classes: mean rank correlation of two halves of the training groups, stepped "
                "up (Spearman-Brown), 0 to 1; the same in every row of a measure; of the control's empty"
            ),
            "n": integer(
                "what the value rests on: images, pixels, instances, feature cells, pixel edges or runs; of primary "
                "measures of difficulty the same for every class, as they rest on equally much of each"
            ),
            "unit": text("unit of the value"),
        },
    ),
    "border_profiles": Table(
        (
            "class",
            "stain",
            "distance",
        ),
        {
            **CLASS,
            "stain": text("haematoxylin or eosin"),
            "distance": number(
                "signed distance to the nearest border of the class, middle of the step; negative outside"
            ),
            "value": number(
                "mean optical density (natural log) of labelled pixels at that distance whose nearest border it is"
            ),
            **INTERVAL,
            "n": integer("pixels"),
            "unit": text("unit of the distance: um, or px where um per pixel are unknown"),
        },
    ),
    "adjacency": Table(
        (
            "class",
            "other",
        ),
        {
            **CLASS,
            "other_id": integer("class index of another class"),
            "other": text("name of the other class"),
            "border_length": number("pixel edges between the two classes, times the edge of a pixel"),
            "border_share": number("their share of the border of the class"),
            "border_share_low": number("lower end of the 95 % interval"),
            "border_share_high": number("upper end of that interval"),
            "stain_overlap": number("1 - Jensen-Shannon distance of the stain histograms of the two classes"),
            "stain_overlap_low": number("lower end of the 95 % interval"),
            "stain_overlap_high": number("upper end of that interval"),
            "feature_overlap": number(
                "Bhattacharyya coefficient of Gaussian fits of frozen features; NaN without features"
            ),
            "feature_overlap_low": number("lower end of the 95 % interval"),
            "feature_overlap_high": number("upper end of that interval"),
            "nearest_rival": truth(
                "True for the other class with the largest feature overlap, without features stain overlap"
            ),
            "unit": text("unit of the length: um, or px where um per pixel are unknown"),
        },
    ),
}
