"""Comparisons with the authors' own code, whose numbers `official.py` wrote to official.json."""

import json
import math
from pathlib import Path

from benchmarks.cross_implementation.cases import CASES
from benchmarks.cross_implementation.comparison import Comparison
from benchmarks.cross_implementation.ours import Outcome

RECORDS = Path(__file__).with_name("official.json")

EVERY = tuple(CASES)
WITHOUT_IGNORED = tuple(name for name in CASES if name != "ignored pixels")
BINARY = ("K = 2",)

# file -> repository, commit, path
SOURCES: dict[str, tuple[str, str, str]] = {
    "lovasz": ("bermanmaxim/LovaszSoftmax", "7d48792", "pytorch/lovasz_losses.py"),
    "ldam": ("kaidic/LDAM-DRW", "2536330", "losses.py"),
    "balanced softmax": (
        "jiawei-ren/BalancedMetaSoftmax-Classification", "34a61e4", "loss/BalancedSoftmaxLoss.py",
    ),
    "logit adjustment": ("google-research/google-research", "1d4d2f1", "logit_adjustment/utils.py"),
    "seesaw": ("open-mmlab/mmdetection", "08282a6", "mmdet/models/losses/seesaw_loss.py"),
    "ghm": ("tztztztztz/eqlv2", "907fad9", "mmdet/models/losses/ghm_loss.py"),
    "eqlv2": ("tztztztztz/eqlv2", "907fad9", "mmdet/models/losses/eqlv2.py"),
    "poly1": ("abhuse/polyloss-pytorch", "b9b2fb3", "polyloss.py"),
    "class balanced": ("vandit15/Class-balanced-loss-pytorch", "921ccb8", "class_balanced_loss.py"),
    "cdb cifar": ("hitachi-rd-cv/CDB-loss", "82b0119", "CIFAR-LT/losses/cdb_loss.py"),
    "cdb imagenet": ("hitachi-rd-cv/CDB-loss", "82b0119", "ImageNet-LT/loss/CDBSoftmaxLoss.py"),
    "recall": ("PotatoTian/recall-semseg", "a3f7fc3", "ptsemseg/loss/recall_loss.py"),
    "topk": ("MIC-DKFZ/nnUNet", "0e49508", "nnunetv2/training/loss/robust_ce_loss.py"),
    "nnunet dice": ("MIC-DKFZ/nnUNet", "0e49508", "nnunetv2/training/loss/dice.py"),
    "ohem": ("open-mmlab/mmsegmentation", "230246f", "mmseg/structures/sampler/ohem_pixel_sampler.py"),
    "label marginal": ("by-liu/SegLossBias", "81fb0a4", "seglossbias/modeling/compound_losses.py"),
    "unified focal": ("mlyg/unified-focal-loss", "411c9c5", "loss_functions.py"),
    "combo": ("asgsaeid/ComboLoss", "86d6247", "combo_loss.py"),
    "focal tversky": ("nabsabraham/focal-tversky-unet", "347d391", "losses.py"),
    "dhc": ("xmed-lab/DHC", "b3dee97", "code/train_dhc.py"),
    "dhc dice": ("xmed-lab/DHC", "b3dee97", "code/utils/loss.py"),
    "boundary": ("LIVIAETS/boundary-loss", "171c32d", "losses.py"),
    "boundary distances": ("LIVIAETS/boundary-loss", "171c32d", "utils.py"),
    "contour": ("huangzyong/Contour-weighted-Loss-Seg", "9467ce2", "losses/BoundaryWeightedLoss.py"),
    "blob": ("neuronflow/blob_loss", "bee911a", "blob_loss.py"),
    "rmi": ("ZJULearning/RMI", "10a40cd", "losses/rmi/rmi.py"),
    "rmi pairs": ("ZJULearning/RMI", "10a40cd", "losses/rmi/rmi_utils.py"),
    "vs": ("orparask/VS-Loss", "7ade9c9", "class_imbalance/losses.py"),
    "blv": ("grantword8/BLV", "e08cc6c", "fully_sup/mmseg/models/losses/blv_loss.py"),
    "asymmetric": (
        "ZerojumpLine/OverfittingUnderClassImbalance", "1d4e4fe",
        "Unet/nnunet/training/loss_functions/mND_Crossentropy.py",
    ),
    "tvmf": ("usagisukisuki/Adaptive_t-vMF_Dice_loss", "75ed575", "ACDC/loss.py"),
    "adaptive focal": ("torrvision/focal_calibration", "475422a", "Losses/focal_loss_adaptive_gamma.py"),
    "rankseg": ("rankseg/rankseg", "a99affc", "rankseg/_rankseg_algo.py"),
    "dhc mean": ("xmed-lab/DHC", "b3dee97", "code/utils/__init__.py"),
}  # fmt: skip

ABSENT = ("absent class",)
WITH_EASY_PIXELS = tuple(name for name in CASES if name not in ("K = 20", "confident, wrong"))  # there, all are hard
ONE_SIGMOID_EACH = (
    "one sigmoid per class, as detectors need it; segmentation has one label a pixel, so that we use the "
)
ONE_SIGMOID_EACH += "softmax that the other methods start from"

OFFICIAL: dict[str, Comparison] = {
    "lovasz": Comparison(
        "lovasz_softmax", "lovasz", EVERY, {"cross_entropy_weight": 0.0}, quantity="total",
        diverges=("confident, wrong",),
        reason="the values agree, the gradients do not: 1 - 2e-9 is 1 in float32, and the order of equal errors, on "
        "which each pixel's share of the gradient rests, is arbitrary",
    ),
    "ldam": Comparison(
        "ldam_drw", "ldam", EVERY, {"scale": 30.0, "count": "images"}, diverges=ABSENT,
        reason="a count of 0 makes the official margin infinite and the loss NaN; here such a class has no margin. "
        "Before the weights set in; the official classifier is a cosine, ours the decoder's logits",
    ),
    "balanced softmax": Comparison(
        "balanced_softmax", "balanced softmax", EVERY, diverges=ABSENT,
        reason="the official code takes log 0 of a class that the training split lacks, which removes it from the "
        "softmax: it is then never trained away and can be predicted. Here it is treated like the most frequent class",
    ),
    "logit adjustment": Comparison(
        "logit_adjustment", "logit adjustment", EVERY, diverges=(*ABSENT, "counts of 1e9"),
        reason="the official code adds 1e-12 to each share, which matters for a class with one pixel in 1e9, and "
        "lowers the logit of an absent class by 28; here an absent class is treated like the most frequent one",
    ),
    "poly1": Comparison("poly1", "poly1", EVERY, reason="not by the authors, who published no code"),
    "class-balanced focal": Comparison(
        "class_balanced_focal", "class balanced", EVERY, {"count": "images"}, diverges=EVERY,
        reason=ONE_SIGMOID_EACH + ". Not by the authors. A count of 0 makes its weights infinite",
    ),
    "cdb fixed": Comparison(
        "cdb", "cdb cifar", EVERY, {"reduction": "mean"}, diverges=ABSENT,
        reason="tau 1.5. The official weights sum to K over all classes, ours over those that occur, so that the scale "
        "differs by the absent one",
    ),
    "cdb sigmoid": Comparison(
        "cdb", "cdb cifar", EVERY, {"reduction": "mean", "schedule": "sigmoid"}, diverges=ABSENT,
        reason="tau `dynamic`; the absent class as with a fixed tau",
    ),
    "cdb double sigmoid": Comparison(
        "cdb", "cdb imagenet", EVERY, {"schedule": "double_sigmoid"}, reason="tau `dynamic`, divided by the weights",
    ),
    "seesaw": Comparison(
        "seesaw", "seesaw", EVERY, reason="of the classes alone: no objectness branch, no normalised classifier",
    ),
    "ghm": Comparison(
        "ghm_c", "ghm", EVERY, diverges=EVERY, reason=ONE_SIGMOID_EACH + ". mmdetection's file, from a fork",
    ),
    "ghm as one sigmoid": Comparison(
        "ghm_c", "ghm", BINARY, reason="given the difference of two logits as its one channel, it is our softmax form",
    ),
    "eqlv2": Comparison(
        "equalization_v2", "eqlv2", EVERY, steps=3,
        reason="third step; the background channel is given a logit at which its term is 0, as we have no background",
    ),
    "recall": Comparison(
        "recall_loss", "recall", EVERY, diverges=("ignored pixels",),
        reason="the official code looks up a weight for label 255 and stops with an index error; ignored pixels are "
        "left out here",
    ),
    "topk": Comparison(
        "topk", "topk", EVERY, diverges=("ignored pixels", "absent class"),
        reason="nnU-Net takes 10 % of all pixels, ignored ones included, and rounds down (72 pixels: 7); we take it of "
        "the valid ones and round up, so that a mostly unlabelled crop does not train on easy pixels",
    ),
    "nnunet dice": Comparison(
        "dice", "nnunet dice", EVERY, diverges=ABSENT, quantity="total",
        reason="`batch_dice`, smooth 1e-5, plus 1. An absent class counts with a loss of nearly 1 if it is predicted "
        "at all; we leave out classes that do not occur in the batch",
    ),
    "ohem": Comparison(
        "ohem", "ohem", EVERY,
        reason="`min_kept` set to 10 % of the valid pixels, and the loss divided by the kept pixels",
    ),
    "ohem divided by all": Comparison(
        "ohem", "ohem", EVERY, diverges=WITH_EASY_PIXELS,
        reason="divided by all pixels, mmsegmentation's default: the loss then shrinks as training succeeds, which "
        "changes the learning rate more than the choice of pixels does",
    ),
    "ohem of 100 000": Comparison(
        "ohem", "ohem", EVERY, diverges=WITH_EASY_PIXELS,
        reason="the default `min_kept` of 100 000 an image keeps all pixels of a smaller crop but the easiest one: no "
        "mining at all. Ours is a share",
    ),
    "label marginal": Comparison("label_marginal_l1", "label marginal", EVERY, quantity="total"),
    "unified focal": Comparison(
        "unified_focal", "unified focal", BINARY, quantity="total",
        reason="one image; the official sums are of each image. At lambda .5; elsewhere the official lambda weighs the "
        "Tversky part, the paper's and ours the focal part. The file does not parse until a docstring is indented",
    ),
    "symmetric unified focal": Comparison(
        "unified_focal", "unified focal", BINARY, {"form": "symmetric"}, quantity="total", reason="one image",
    ),
    "combo": Comparison(
        "combo", "combo", WITHOUT_IGNORED, diverges=WITHOUT_IGNORED, quantity="total",
        reason="plus .5. The official code has a wrong sign at (1 - g) log(1 - p): it rewards false positives, against "
        "its paper. Ours follows the paper, and takes Dice of each class instead of one over all",
    ),
    "focal tversky": Comparison(
        "focal_tversky", "focal tversky", BINARY, {"cross_entropy_weight": 0.0}, diverges=BINARY, quantity="total",
        reason="the official loss is of one foreground class with a smoothing of one pixel; ours is the mean over the "
        "classes, with 1e-5",
    ),
    "distdw": Comparison(
        "distdw", "dhc", EVERY, {"floor": 1e-9}, diverges=ABSENT, quantity="weights",
        reason="weights scaled to mean 1, without our floor of .1. The official code gives a class that does not occur "
        "the largest weight; here it weighs 0",
    ),
    "diffdw": Comparison(
        "diffdw", "dhc", WITHOUT_IGNORED, diverges=ABSENT, quantity="weights", steps=5,
        reason="weights scaled to mean 1, after five steps. The official Dice of an absent class is .5 or about 0 as "
        "its smoothing decides; here the class keeps its state",
    ),
    "boundary": Comparison(
        "boundary_loss", "boundary", WITHOUT_IGNORED, {"schedule": "constant", "weight": 1.0},
        reason="SurfaceLoss of all classes, less its value for a perfect prediction, plus cross-entropy; weight 1",
    ),
    "contour": Comparison(
        "contour_weighted", "contour", tuple(name for name in WITHOUT_IGNORED if name != "K = 2"),
        quantity="total",
        reason="images as slices of one volume, and a class 0 that nothing has, because the official Dice leaves class "
        "0 out; the official code stops at a volume of one slice (K = 2)",
    ),
    "blob": Comparison(
        "blob_loss", "blob", WITHOUT_IGNORED,
        reason="each class of the softmax against the rest, averaged over classes; Dice as the criterion",
    ),
    "rmi": Comparison(
        "rmi", "rmi", ("K = 2", "K = 20"), quantity="total",
        reason="the official lower bound for softmax probabilities, less its value for the labels themselves, plus "
        "cross-entropy. The other cases are too small for a 3 x 3 square after pooling",
    ),
    "rmi without pooling": Comparison(
        "rmi", "rmi", EVERY, {"pool_px": 1}, quantity="total", reason="the same without pooling",
    ),
    "vs": Comparison(
        "vs_loss", "vs", EVERY, diverges=ABSENT,
        reason="a count of 0 gives an infinite temperature and log 0; here such a class is treated like the most "
        "frequent one",
    ),
    "cdt": Comparison("cdt", "vs", EVERY, diverges=ABSENT, reason="tau 0; the absent class as with `vs_loss`"),
    "blv": Comparison(
        "blv", "blv", WITHOUT_IGNORED, diverges=ABSENT,
        reason="given our noise. A count of 0 makes the official scale infinite over infinite",
    ),
    "asymmetric focal": Comparison(
        "asymmetric_focal", "asymmetric", BINARY,
        reason="the official code knows three classes: given a third one that nothing has. It adds 1e-6 to p",
    ),
    "asymmetric margin": Comparison(
        "asymmetric_margin", "asymmetric", BINARY, diverges=BINARY,
        reason="a third class as for the focal loss; the official code adds 1e-6 to p, which changes the gradient by "
        "one part in 100 000",
    ),
    "tvmf": Comparison(
        "adaptive_tvmf_dice", "tvmf", WITHOUT_IGNORED, {"cross_entropy_weight": 0.0}, diverges=ABSENT,
        quantity="total",
        reason="the official code gives a class that does not occur a constant loss and divides by K; it is left out "
        "here",
    ),
    "adaptive focal": Comparison("adaptive_focal", "adaptive focal", EVERY, reason="mean over pixels"),
    "rankseg": Comparison("rankseg", "rankseg", EVERY, quantity="decision", reason="labels of each image"),
    "rankseg iou": Comparison(
        "rankseg", "rankseg", EVERY, {"metric": "iou", "pruning": 0.0}, quantity="decision",
        reason="IoU, without pruning",
    ),
}  # fmt: skip


def recorded_outcomes() -> dict[str, dict[str, Outcome]]:
    """Return what the authors' code gave: comparison -> case -> outcome; NaN where it stopped."""
    content = json.loads(RECORDS.read_text(encoding="utf-8"))
    return {
        name: {
            case: Outcome(record.get("value", math.nan), tuple(record.get("per_class", ())))
            for case, record in cases.items()
        }
        for name, cases in content.items()
    }
