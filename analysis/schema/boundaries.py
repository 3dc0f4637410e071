"""Tables of scores at borders, of confusion between classes, and of predicted probabilities."""

from analysis.schema.column import Table, integer, number, text

INTERVAL = {
    "low": number("lower end of the 95 % interval over units, seeds and folds (jackknife and Student's t)"),
    "high": number("upper end of that interval"),
}

TABLES: dict[str, Table] = {
    "boundary_scores": Table(
        (
            "method",
            "class",
            "measure",
            "distance_um",
            "aggregation",
        ),
        {
            "method": text("label of the method"),
            "class": text("class name, or macro: mean over the classes that occur, each class weighing the same"),
            "measure": text(
                "boundary_iou: IoU of the bands of distance_um inside the predicted and the true border; "
                "boundary_iou_diagonal: the same with a share of the image's diagonal (study file, `evaluation`); "
                "surface_dice: share of both borders' length that lies within distance_um of the other border; "
                "hausdorff_95: distance within which 95 % of each border lies from the other, um"
            ),
            "distance_um": number("width of the band or tolerance, um; empty where the measure has none", "um"),
            "aggregation": text(
                "as in class_scores.csv: pooled (counts summed over all images), per_image or per_group (mean of the "
                "ratios of images, or of the sums of a group); hausdorff_95, a distance, has no pooled one"
            ),
            "value": number(
                "mean over seeds; macro of hausdorff_95 is empty where a class that occurs has no distance in any "
                "image, because the mean of the others would reward missing it"
            ),
            **INTERVAL,
            "sd_over_seeds": number("standard deviation over seeds; NaN with one seed"),
            "n_units": integer(
                "units (images or groups) in which the class occurs with a border; for hausdorff_95, those with an "
                "image in which every seed also predicts it; for macro, any class; 0 without a value"
            ),
            "missed": integer(
                "of hausdorff_95: images in which the class occurs and some seed does not predict it, so that they "
                "have no distance and are left out; for macro, summed over classes; 0 for the other measures"
            ),
            "n_seeds": integer("seeds with every fold finished"),
        },
    ),
    "trimap_curves": Table(
        (
            "method",
            "class",
            "inner_um",
        ),
        {
            "method": text("label of the method"),
            "class": text("true class, or all: every labelled pixel"),
            "inner_um": number("inner end of the ring around true borders, um; the image's edge is no border", "um"),
            "outer_um": number("outer end of the ring; inf: whatever is farther away", "um"),
            "value": number(
                "share of the class's pixels in the ring that are wrongly predicted, summed over the scored images, "
                "mean over seeds"
            ),
            **INTERVAL,
            "n_units": integer("units (images or groups) with such pixels"),
            "n_pixels": integer("such pixels in the scored images"),
        },
    ),
    "confusion": Table(
        (
            "method",
            "true",
            "predicted",
        ),
        {
            "method": text("label of the method"),
            "true": text("class name of the truth"),
            "predicted": text("class name of the prediction"),
            "share": number(
                "share of the true class's pixels in the scored images that were predicted so, seeds pooled; NaN if "
                "the class does not occur there"
            ),
            "pixels": integer("pixels, summed over scored images and seeds"),
        },
    ),
    "calibration": Table(
        (
            "method",
            "class",
            "measure",
        ),
        {
            "method": text("label of the method"),
            "class": text(
                "class name; macro: mean over the classes that occur; all: every pixel by its predicted class (for "
                "brier: squared differences summed over classes)"
            ),
            "measure": text(
                "calibration_error: expected calibration error of the class over all labelled pixels, 15 equal "
                "bins; top_label_error: the same over the pixels predicted as the class; overconfidence: over these, "
                "mean probability minus share that is right; prevalence_error: over all pixels, mean probability minus "
                "share of the class; brier: mean squared difference of probability and truth"
            ),
            "value": number("mean over seeds; sums are pooled over the scored images first"),
            **INTERVAL,
            "sd_over_seeds": number("standard deviation over seeds; NaN with one seed"),
            "n_units": integer(
                "units (images or groups) in which the class occurs; for top_label_error and overconfidence, in "
                "which every seed predicts it; for macro, all units"
            ),
            "n_seeds": integer("seeds with every fold finished"),
        },
    ),
    "reliability_diagram": Table(
        (
            "method",
            "class",
            "bin_low",
        ),
        {
            "method": text("label of the method"),
            "class": text(
                "class name: all labelled pixels by the probability of the class; all: by that of the predicted class"
            ),
            "bin_low": number("lower end of the bin of the probability"),
            "bin_high": number("upper end of the bin, which belongs to the next one (1 to the last one)"),
            "probability": number("mean probability of the pixels in the bin, seeds pooled"),
            "value": number("share of them that are labelled as the class (all: as predicted), mean over seeds"),
            **INTERVAL,
            "n_units": integer("units (images or groups) that have such pixels under every seed"),
            "pixels": integer("pixels, summed over scored images and seeds; bins without any have no row"),
        },
    ),
}
