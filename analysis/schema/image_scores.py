"""The table of single images, for statistics that are computed elsewhere."""

from analysis.schema.column import Table, integer, number, text
from analysis.schema.shared import CLASS, RUN

TABLES: dict[str, Table] = {
    "image_scores": Table(
        ("method", "fold", "seed", "image", "class"),
        {
            **RUN,
            "image": text("image id"),
            "group": text("patient or slide; where these are unknown, the image id"),
            **CLASS,
            "dice": number(
                "2 tp / (2 tp + fp + fn), also called F1; as every score here empty where the class does not "
                "occur in the image, whatever was predicted"
            ),
            "iou": number("tp / (tp + fp + fn), also called Jaccard"),
            "recall": number("tp / (tp + fn), sensitivity"),
            "precision": number("tp / (tp + fp); 0 where the class occurs and is never predicted"),
            "boundary_iou": number("boundary IoU (Cheng et al. 2021) with a band of boundary_um"),
            "boundary_um": number(
                "width of that band: of those recorded, the nearest to `boundary_band_um` of the plan", "um"
            ),
            "surface_dice": number(
                "share of the length of both borders within surface_um of the other; empty without a border"
            ),
            "surface_um": number("that tolerance, chosen likewise", "um"),
            "hd95_um": number(
                "distance within which 95 % of each border lies from the other; empty where the class is not "
                "predicted, so that a mean over the others rewards missing it",
                "um",
            ),
            "tp": integer("pixels of the class predicted as the class", "px"),
            "fp": integer("labelled pixels of other classes predicted as the class", "px"),
            "fn": integer("pixels of the class predicted as another, or as none", "px"),
        },
    ),
}
