"""Tables of what happens at borders and of which classes are taken for which."""

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
}
