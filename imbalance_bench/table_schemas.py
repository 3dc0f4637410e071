"""The tables of a run: their columns, types and units. No torch.

Counts are integers and no ratio is stored: Dice and IoU exist only in `analysis`, so a new metric needs no retraining.
Tables that a run need not have (`OPTIONAL_TABLES`) read as None where it has none.
"""

from enum import StrEnum

import pyarrow as pa

TABLES_VERSION = 1
PROBABILITY_BINS = 15  # as Guo et al. 2017
PROBABILITY_UNIT = 1_000_000  # sums of probabilities and margins are stored in whole millionths

COUNTS = pa.schema(
    [
        ("image_id", pa.string()),
        ("group_id", pa.string()),
        ("split", pa.string()),  # val | test
        ("class_id", pa.int16()),
        ("tp", pa.int64()),  # pixels
        ("fp", pa.int64()),
        ("fn", pa.int64()),
        ("n_valid", pa.int64()),  # labelled pixels of the image, the same for each of its classes
    ]
)
EPOCHS = pa.schema(
    [
        ("stage", pa.int8()),
        ("step", pa.int32()),  # optimiser steps done
        ("split", pa.string()),  # train | val
        ("quantity", pa.string()),  # loss, <loss part>, learning_rate, tp, fp, fn
        ("class_id", pa.int16()),  # -1: not per class
        ("value", pa.float64()),
    ]
)
CLASS_PARAMETERS = pa.schema(
    [
        ("stage", pa.int8()),
        ("step", pa.int32()),
        ("class_id", pa.int16()),
        ("parameter", pa.string()),  # attention_bias, attention_bias_initial, effective_offset, loss_weight, ...
        ("value", pa.float64()),
    ]
)
CONFUSION = pa.schema(
    [
        ("image_id", pa.string()),
        ("group_id", pa.string()),
        ("split", pa.string()),  # val | test
        ("true_id", pa.int16()),
        ("predicted_id", pa.int16()),  # K, one past the last class: as none of them
        ("pixels", pa.int64()),  # labelled pixels, > 0: pairs that do not occur have no row
    ]
)
BOUNDARY = pa.schema(
    [
        ("image_id", pa.string()),
        ("group_id", pa.string()),
        ("split", pa.string()),  # val | test
        ("class_id", pa.int16()),
        ("measure", pa.string()),  # a BoundaryMeasure
        ("distance_um", pa.float64()),  # null where the measure has none; inf: beyond the last band
        ("numerator", pa.int64()),
        ("denominator", pa.int64()),  # > 0: a class that is neither labelled nor predicted has no row
    ]
)
INTERVENTIONS = pa.schema(
    [
        ("image_id", pa.string()),
        ("group_id", pa.string()),
        ("split", pa.string()),  # val | test
        (
            "intervention",
            pa.string(),
        ),  # learned, zeroed, permuted_<i>, shifted_<class_id>: see evaluation.interventions
        ("class_id", pa.int16()),
        ("tp", pa.int64()),  # pixels
        ("fp", pa.int64()),
        ("fn", pa.int64()),
        ("n_valid", pa.int64()),
    ]
)
PATH_CONTROLS = pa.schema(
    [
        ("image_id", pa.string()),
        ("group_id", pa.string()),
        ("split", pa.string()),  # test
        ("control", pa.string()),  # a PathControl
        ("target_id", pa.int16()),  # the dosed class; -1: none
        ("dose", pa.float64()),  # natural log-odds; 0: none
        ("class_id", pa.int16()),
        ("tp", pa.int64()),  # pixels
        ("fp", pa.int64()),
        ("fn", pa.int64()),
        ("n_valid", pa.int64()),
    ]
)
PROBABILITIES = pa.schema(
    [
        ("image_id", pa.string()),
        ("group_id", pa.string()),
        ("split", pa.string()),  # val | test
        ("class_id", pa.int16()),  # whose probability is looked at
        ("predicted", pa.bool_()),  # the pixels are predicted as the class
        ("bin", pa.int16()),  # of its probability, from 0 to PROBABILITY_BINS - 1, equally wide
        ("pixels", pa.int64()),  # labelled pixels, > 0
        ("true_pixels", pa.int64()),  # those labelled as the class
        ("p_millionths", pa.int64()),  # sum of the probability over the pixels
        ("true_p_millionths", pa.int64()),  # over those labelled as the class
        ("p_squared_millionths", pa.int64()),  # sum of its square over the pixels
    ]
)
DYNAMICS = pa.schema(
    [
        ("stage", pa.int8()),
        ("image_id", pa.string()),  # of the training split
        ("group_id", pa.string()),
        ("class_id", pa.int16()),  # the true class
        ("looks", pa.int32()),  # times that the pixels were predicted during the stage
        ("pixels", pa.int64()),  # watched pixels, > 0
        ("learned", pa.int64()),  # pixels that were right at least once
        ("forgotten", pa.int64()),  # pixels that were right and wrong at the next look at least once
        ("forgettings", pa.int64()),  # changes from right to wrong, over all pixels
        ("probability_millionths", pa.int64()),  # sum over pixels and looks of the true class's probability
        ("margin_millionths", pa.int64()),  # sum over pixels and looks of its logit minus the largest other one
    ]
)
TABLES = {
    "counts": COUNTS,
    "epochs": EPOCHS,
    "class_parameters": CLASS_PARAMETERS,
    "confusion": CONFUSION,
    "boundary": BOUNDARY,
    "interventions": INTERVENTIONS,
    "path_controls": PATH_CONTROLS,
    "dynamics": DYNAMICS,
    "probabilities": PROBABILITIES,
}
# runs of earlier versions have none
OPTIONAL_TABLES = ("confusion", "boundary", "interventions", "path_controls", "dynamics", "probabilities")


class BoundaryMeasure(StrEnum):
    """Measures of boundary.parquet, each a ratio whose sums over images stay exact; `evaluation.boundary` defines them.

    BOUNDARY_IOU: pixels in both bands / pixels in either; the band is `distance_um` wide.
    BOUNDARY_IOU_DIAGONAL: the same with a band of a share of the image's diagonal; no distance in um.
    SURFACE_DICE: border length within `distance_um` of the other border / length of both borders, pm.
    HAUSDORFF_95: distance, pm / 1; a row only where the class is both labelled and predicted.
    TRIMAP: wrongly predicted pixels of the class / its labelled pixels, between the next smaller `distance_um` and this
        one from the true border; the last band has no outer end (inf).
    """

    BOUNDARY_IOU = "boundary_iou"
    BOUNDARY_IOU_DIAGONAL = "boundary_iou_diagonal"
    SURFACE_DICE = "surface_dice"
    HAUSDORFF_95 = "hausdorff_95"
    TRIMAP = "trimap"


class PathControl(StrEnum):
    """What path_controls.parquet changes in a trained model, in every layer and head of the image->token attention.

    LEARNED: nothing.
    UNIFORM: each place attends equally to every class.
    REMOVED: no class reaches any place: all weights are 0.
    ORACLE: each place attends to the classes by their shares in the true mask.
    ROLLED: the same, each class getting the share of the one before it, the first that of the last.
    BIAS_DOSE: `dose` is added to the attention bias of `target_id`.
    LOGIT_DOSE: `dose` is added to the output logit of `target_id`; the attention is as trained.
    LOGIT_MATCHED: what predicts `target_id` as often in the image as after BIAS_DOSE of `dose` is added to its logit.
    """

    LEARNED = "learned"
    UNIFORM = "uniform"
    REMOVED = "removed"
    ORACLE = "oracle"
    ROLLED = "rolled"
    BIAS_DOSE = "bias_dose"
    LOGIT_DOSE = "logit_dose"
    LOGIT_MATCHED = "logit_matched"
