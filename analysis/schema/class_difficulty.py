"""Tables of the classes: what makes them rare or hard."""

from analysis.schema.shared import CLASS, INTERVAL

TABLES: dict[str, dict[str, str]] = {
    "measures": {
        **CLASS,
        "construct": "frequency, size, boundary, morphology, context, learnability or model",
        "measure": "name of the measure",
        "primary": "True for the one measure per construct that was fixed in advance; the others are exploratory",
        "value": "from images and truth of the training split, learnability and model from the runs of the control; "
        "NaN if the class has too little to measure",
        "low": "lower end of the 95 % interval, training groups resampled; of the control: docs/measures.md",
        "high": "upper end of that interval",
        "standard_error": "standard deviation over resamples of the training groups; of the control's empty",
        "reliability": "of the measure over the classes: mean rank correlation of two halves of the training groups, "
        "stepped up (Spearman-Brown), 0 to 1; the same in every row of a measure; of the control's empty",
        "n": "what the value rests on: images, pixels, instances, feature cells, pixel edges or runs; of primary "
        "measures of difficulty the same for every class, as they rest on equally much of each",
        "unit": "unit of the value",
    },
    "border_profiles": {
        **CLASS,
        "stain": "haematoxylin or eosin",
        "distance": "signed distance to the nearest border of the class, middle of the step; negative outside",
        "value": "mean optical density (natural log) of labelled pixels at that distance whose nearest border it is",
        **INTERVAL,
        "n": "pixels",
        "unit": "unit of the distance: um, or px where um per pixel are unknown",
    },
    "adjacency": {
        **CLASS,
        "other_id": "class index of another class",
        "other": "name of the other class",
        "border_length": "pixel edges between the two classes, times the edge of a pixel",
        "border_share": "their share of the border of the class",
        "border_share_low": "lower end of the 95 % interval",
        "border_share_high": "upper end of that interval",
        "stain_overlap": "1 - Jensen-Shannon distance of the stain histograms of the two classes",
        "stain_overlap_low": "lower end of the 95 % interval",
        "stain_overlap_high": "upper end of that interval",
        "feature_overlap": "Bhattacharyya coefficient of Gaussian fits of frozen features; NaN without features",
        "feature_overlap_low": "lower end of the 95 % interval",
        "feature_overlap_high": "upper end of that interval",
        "nearest_rival": "True for the other class with the largest feature overlap, without features stain overlap",
        "unit": "unit of the length: um, or px where um per pixel are unknown",
    },
}
