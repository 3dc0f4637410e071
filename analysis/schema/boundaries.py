"""Tables of what happens at borders, of which classes are taken for which, and of predicted probabilities."""

INTERVAL = {
    "low": "lower end of the 95 % interval (units resampled: BCa, expanded for few units; seeds: t; joined)",
    "high": "upper end of that interval",
}

TABLES: dict[str, dict[str, str]] = {
    "boundary_scores": {
        "method": "label of the method",
        "class": "class name, or macro: mean over the classes that occur, each class weighing the same",
        "measure": "boundary_iou: IoU of the bands of distance_um inside the predicted and the true border; "
        "boundary_iou_diagonal: the same with a share of the image's diagonal (study file, `evaluation`); "
        "surface_dice: share of both borders' length that lies within distance_um of the other border; "
        "hausdorff_95: distance within which 95 % of each border lies from the other, um",
        "distance_um": "width of the band or tolerance, um; empty where the measure has none",
        "value": "mean over seeds; counts are summed over the scored images first, hausdorff_95 is a mean over images",
        **INTERVAL,
        "sd_over_seeds": "standard deviation over seeds; NaN with one seed",
        "n_units": "units (images or groups) in which the class occurs with a border; for hausdorff_95, those with an "
        "image in which every seed also predicts it: images where it is missed have no distance; for macro, all units",
        "n_seeds": "seeds with every fold finished",
    },
    "trimap_curves": {
        "method": "label of the method",
        "class": "true class, or all: every labelled pixel",
        "inner_um": "inner end of the ring around true borders, um; the image's edge is no border",
        "outer_um": "outer end of the ring; inf: whatever is farther away",
        "value": "share of the class's pixels in the ring that are wrongly predicted, summed over the scored images, "
        "mean over seeds",
        **INTERVAL,
        "n_units": "units (images or groups) with such pixels",
        "n_pixels": "such pixels in the scored images",
    },
    "confusion": {
        "method": "label of the method",
        "true": "class name of the truth",
        "predicted": "class name of the prediction",
        "share": "share of the true class's pixels in the scored images that were predicted so, seeds pooled; NaN if "
        "the class does not occur there",
        "pixels": "pixels, summed over scored images and seeds",
    },
    "calibration": {
        "method": "label of the method",
        "class": "class name; macro: mean over the classes that occur; all: every pixel by its predicted class (for "
        "brier: squared differences summed over classes)",
        "measure": "calibration_error: expected calibration error of the class over all labelled pixels, 15 equal "
        "bins; top_label_error: the same over the pixels predicted as the class; overconfidence: over these, mean "
        "probability minus share that is right; prevalence_error: over all pixels, mean probability minus share of "
        "the class; brier: mean squared difference of probability and truth",
        "value": "mean over seeds; sums are pooled over the scored images first",
        **INTERVAL,
        "sd_over_seeds": "standard deviation over seeds; NaN with one seed",
        "n_units": "units (images or groups) in which the class occurs; for top_label_error and overconfidence, in "
        "which every seed predicts it; for macro, all units",
        "n_seeds": "seeds with every fold finished",
    },
    "reliability_diagram": {
        "method": "label of the method",
        "class": "class name: all labelled pixels by the probability of the class; all: by that of the predicted class",
        "bin_low": "lower end of the bin of the probability",
        "bin_high": "upper end of the bin, which belongs to the next one (1 to the last one)",
        "probability": "mean probability of the pixels in the bin, seeds pooled",
        "value": "share of them that are labelled as the class (all: as predicted), mean over seeds",
        **INTERVAL,
        "n_units": "units (images or groups) that have such pixels under every seed",
        "pixels": "pixels, summed over scored images and seeds; bins without any have no row",
    },
}
