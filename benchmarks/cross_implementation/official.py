"""Run the authors' own code on the cases and write official.json. Needs checkouts; none of that code is kept here.

`python -m benchmarks.cross_implementation.official FOLDER [--only COMPARISON ..]`, where FOLDER holds
owner+name/path for each file that `SOURCES` names, as it stands at the commit named there. Code for Keras and
TensorFlow runs on stand-ins for the few array functions that it calls, which compute with torch; code for CUDA runs on
the CPU.
"""

import ast
import importlib
import json
import sys
import types
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.cross_implementation import official_regions
from benchmarks.cross_implementation.cases import CASES, IGNORED, Case
from benchmarks.cross_implementation.official_comparisons import OFFICIAL, RECORDS, SOURCES
from benchmarks.cross_implementation.ours import Outcome, outcome_of, outcome_of_weights, seen_gradients

SMALL = 1e-7  # Keras' epsilon
Runner = Callable[[Case], Outcome]


class Checkouts:
    """Definitions out of the files in a folder.

    Args:
        folder: Holds owner+name/path.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def definitions(self, source: str, names: tuple[str, ...], given: Mapping[str, Any]) -> dict[str, Any]:
        """Run the named functions and classes of a file, and nothing else of it.

        Args:
            source: Key of `SOURCES`.
            names: Top-level functions and classes.
            given: What the file would import.
        """
        repository, _, path = SOURCES[source]
        text = (self.folder / repository.replace("/", "+") / path).read_text(encoding="utf-8")
        if source == "unified focal":
            text = with_docstring_inside(text)
        tree = ast.parse(text)
        tree.body = [node for node in tree.body if getattr(node, "name", None) in names]
        for node in tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                node.decorator_list = []
        space = {"torch": torch, "nn": nn, "F": F, "np": np, "Tensor": Tensor} | dict(given)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(tree, path, "exec"), space)
        return space


def with_docstring_inside(text: str) -> str:
    """Indent the one docstring because of which the unified focal file does not parse."""
    begin = text.index('    """For Imbalanced datasets')
    end = text.index('"""', begin + 10) + 3
    return text[:begin] + "        0\n" + text[end:]


def keras() -> types.SimpleNamespace:
    """Stand-in for keras.backend."""
    return types.SimpleNamespace(
        epsilon=lambda: SMALL,
        flatten=lambda x: x.flatten(),
        sum=lambda x, axis=None: x.sum() if axis is None else x.sum(axis),
        mean=lambda x, axis=None: x.mean() if axis is None else x.mean(axis),
        clip=lambda x, low, high: x.clamp(low, high),
        log=torch.log,
        pow=torch.pow,
    )


def tensorflow() -> types.SimpleNamespace:
    """Stand-in for tensorflow."""
    return types.SimpleNamespace(
        float32=torch.float32,
        math=types.SimpleNamespace(log=torch.log),
        cast=lambda x, dtype: x.to(dtype),
        stack=lambda values, axis: torch.stack(values, dim=axis),
        reduce_mean=lambda x, axis: x.mean(axis),
        nn=types.SimpleNamespace(
            sparse_softmax_cross_entropy_with_logits=lambda labels, logits: F.cross_entropy(
                logits, labels, reduction="none"
            )
        ),
    )


def rows(case: Case, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits, (n, K), and labels, (n,), of the valid pixels."""
    return logits.movedim(1, -1)[case.valid], case.target[case.valid]


def channels_last(case: Case, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return one-hot labels and probabilities, (B, H, W, K), for Keras."""
    return F.one_hot(case.target, case.n_classes).float(), logits.softmax(1).movedim(1, -1)


def on_rows(loss: Callable[[Tensor, Tensor, Case], Tensor], last: int = 0) -> Runner:
    """Evaluate a loss of (n, K) logits and (n,) labels at a step."""
    return lambda case: outcome_of(lambda logits: loss(*rows(case, logits), case), case.logits_at(last))


def on_channels_last(loss: Callable[[Tensor, Tensor], Tensor]) -> Runner:
    """Evaluate a loss of Keras form, averaged over what it leaves."""
    return lambda case: outcome_of(lambda logits: loss(*channels_last(case, logits)).mean(), case.logits_at(0))


def class_level(code: Checkouts) -> dict[str, Runner]:
    """Losses of classification, which see the valid pixels as samples."""
    ldam = code.definitions("ldam", ("LDAMLoss",), {})["LDAMLoss"]
    balanced = code.definitions("balanced softmax", ("balanced_softmax_loss",), {})["balanced_softmax_loss"]
    adjusted = code.definitions("logit adjustment", ("build_loss_fn",), {"tf": tensorflow()})["build_loss_fn"]
    poly = code.definitions("poly1", ("Poly1CrossEntropyLoss",), {})["Poly1CrossEntropyLoss"]
    weighted = code.definitions("class balanced", ("focal_loss", "CB_loss"), {})["CB_loss"]
    logistic = {"sigmoid": lambda x: 1 / (1 + np.exp(-x))}
    cifar = code.definitions("cdb cifar", ("CDB_loss",), logistic)["CDB_loss"]
    imagenet = code.definitions("cdb imagenet", ("create_loss",), logistic)["create_loss"]
    return {
        "ldam": on_rows(lambda z, y, case: ldam(case.counts.numpy())(z, y)),
        "balanced softmax": on_rows(lambda z, y, case: balanced(y, z, case.counts, "mean")),
        "logit adjustment": on_rows(
            lambda z, y, case: adjusted(True, case.statistics.frequency)(labels=y, logits=z)
        ),
        "poly1": on_rows(lambda z, y, case: poly(case.n_classes, reduction="mean")(z, y)),
        "class-balanced focal": on_rows(
            lambda z, y, case: weighted(y, z, case.counts.numpy(), case.n_classes, "focal", 0.9999, 2.0)
        ),
        "cdb fixed": on_rows(lambda z, y, case: cifar(difficulty(case), 1.5)(z, y).mean()),
        "cdb sigmoid": on_rows(lambda z, y, case: cifar(difficulty(case), "dynamic")(z, y).mean()),
        "cdb double sigmoid": on_rows(
            lambda z, y, case: imagenet(difficulty(case), ("dynamic", None, True))(z, y)
        ),
    }  # fmt: skip


def difficulty(case: Case) -> np.ndarray:
    """1 - recall."""
    return (1 - case.feedback.recall).numpy()


def detection(code: Checkouts) -> dict[str, Runner]:
    """Losses of detectors."""
    mean = {"weight_reduce_loss": lambda loss, weight, **_: (loss * weight).mean()}
    seesaw = code.definitions("seesaw", ("seesaw_ce_loss",), mean)["seesaw_ce_loss"]
    ghm = code.definitions("ghm", ("GHMC", "_expand_onehot_labels"), {})["GHMC"]

    def of_seesaw(z: Tensor, y: Tensor, case: Case) -> Tensor:
        counts = case.counts + torch.bincount(y, minlength=case.n_classes)
        return seesaw(z, y, torch.ones(len(y)), counts.float(), case.n_classes, 0.8, 2.0, 1e-2)

    def of_ghm_as_one_sigmoid(z: Tensor, y: Tensor, _: Case) -> Tensor:
        return ghm()((z[:, 1] - z[:, 0]).unsqueeze(1), y.unsqueeze(1), torch.ones(len(y), 1))

    return {
        "seesaw": on_rows(of_seesaw),
        "ghm": on_rows(lambda z, y, _: ghm()(z, y, torch.ones(len(y)))),
        "ghm as one sigmoid": on_rows(of_ghm_as_one_sigmoid),
        "eqlv2": lambda case: equalization(code, case),
    }


def equalization(code: Checkouts, case: Case) -> Outcome:
    """Three steps; the background channel gets a logit at which its term is 0."""
    quiet = types.SimpleNamespace(info=lambda _: None)
    given = {
        "get_root_logger": lambda: quiet,
        "dist": types.SimpleNamespace(all_reduce=lambda _: None),
        "partial": importlib.import_module("functools").partial,
    }
    loss = code.definitions("eqlv2", ("EQLv2",), given)["EQLv2"](num_classes=case.n_classes)
    loss.pos_grad, loss.neg_grad = seen_gradients(case)
    loss.pos_neg = loss.pos_grad / (loss.neg_grad + 1e-10)

    def at(logits: Tensor) -> Tensor:
        z, y = rows(case, logits)
        return loss(torch.cat([z, torch.full((len(z), 1), -1e4)], 1), y)

    for step in range(2):
        at(case.logits_at(step))
    return outcome_of(at, case.logits_at(2))


def segmentation(code: Checkouts) -> dict[str, Runner]:
    """Losses of segmentation, written for torch."""
    lovasz = code.definitions(
        "lovasz",
        ("lovasz_grad", "lovasz_softmax", "lovasz_softmax_flat", "flatten_probas", "mean", "isnan"),
        {"Variable": lambda x: x},
    )["lovasz_softmax"]
    recall = code.definitions("recall", ("RecallCrossEntropy",), {})["RecallCrossEntropy"]
    topk = code.definitions("topk", ("RobustCrossEntropyLoss", "TopKLoss"), {})["TopKLoss"]
    dice = code.definitions("nnunet dice", ("SoftDiceLoss", "get_tp_fp_fn_tn"), {"Callable": Callable})["SoftDiceLoss"]

    def of_dice(logits: Tensor, case: Case) -> Tensor:
        loss = dice(batch_dice=True, smooth=1e-5, ddp=False)
        return 1 + loss(logits.softmax(1), case.target.unsqueeze(1), case.valid.unsqueeze(1).float())

    def of_topk(logits: Tensor, case: Case) -> Tensor:
        return topk(ignore_index=IGNORED)(logits, case.labels.unsqueeze(1))

    return {
        "lovasz": whole(lambda z, case: lovasz(z.softmax(1), case.labels, ignore=IGNORED)),
        "recall": whole(lambda z, case: recall(case.n_classes)(z, case.labels)),
        "topk": whole(of_topk),
        "nnunet dice": whole(of_dice),
        "ohem": whole(lambda z, case: mined(code, z, case, share=0.1)[0]),
        "ohem divided by all": whole(lambda z, case: mined(code, z, case, share=0.1)[1]),
        "ohem of 100 000": whole(lambda z, case: mined(code, z, case, share=None)[0]),
        "label marginal": whole(lambda z, case: marginal(code)(z, case.labels)[0]),
    }


def whole(loss: Callable[[Tensor, Case], Tensor]) -> Runner:
    """Evaluate a loss of whole images."""
    return lambda case: outcome_of(lambda logits: loss(logits, case), case.logits_at(0))


def mined(code: Checkouts, logits: Tensor, case: Case, *, share: float | None) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the pixels that OHEM keeps, over the kept ones and over all."""
    sampler = code.definitions("ohem", ("OHEMPixelSampler",), {"BasePixelSampler": object})["OHEMPixelSampler"]
    kept = {} if share is None else {"min_kept": round(share * int(case.valid.sum()) / len(case.target))}
    context = types.SimpleNamespace(ignore_index=IGNORED)
    weight = sampler(context, thresh=0.7, **kept).sample(logits, case.labels.unsqueeze(1))
    total = (weight * F.cross_entropy(logits, case.labels, ignore_index=IGNORED, reduction="none")).sum()
    return total / weight.sum(), total / weight.numel()


def marginal(code: Checkouts) -> Callable[[Tensor, Tensor], tuple[Tensor, ...]]:
    """Cross-entropy with an L1 penalty on region sizes; labels and masks are made float for today's einsum."""
    as_float = types.SimpleNamespace(**vars(torch))
    as_float.einsum = lambda equation, *tensors: torch.einsum(equation, *(tensor.float() for tensor in tensors))
    names = ("expand_onehot_labels", "get_region_proportion", "CompoundLoss", "CrossEntropyWithL1")
    modes = {"BINARY_MODE": "binary", "MULTICLASS_MODE": "multiclass", "MULTILABEL_MODE": "multilabel"}
    given = modes | {
        "EPS": 1e-10,
        "torch": as_float,
        "logger": None,
        "Optional": importlib.import_module("typing").Optional,
    }
    return code.definitions("label marginal", names, given)["CrossEntropyWithL1"]("multiclass", alpha=0.1)


def keras_losses(code: Checkouts) -> dict[str, Runner]:
    """Losses written for Keras."""
    names = ("identify_axis", "asymmetric_focal_loss", "asymmetric_focal_tversky_loss", "asym_unified_focal_loss")
    names += ("symmetric_focal_loss", "symmetric_focal_tversky_loss", "sym_unified_focal_loss")
    unified = code.definitions("unified focal", names, {"K": keras(), "tf": tensorflow()})
    constants = {"ce_w": 0.5, "ce_d_w": 0.5, "e": SMALL, "smooth": 1, "K": keras()}
    combo = code.definitions("combo", ("Combo_loss",), constants)["Combo_loss"]
    tversky = code.definitions("focal tversky", ("tversky", "focal_tversky"), {"K": keras(), "smooth": 1})
    return {
        "unified focal": on_channels_last(unified["asym_unified_focal_loss"]()),
        "symmetric unified focal": on_channels_last(unified["sym_unified_focal_loss"]()),
        "combo": on_channels_last(lambda y, p: combo(y, p) + 0.5),
        "focal tversky": on_channels_last(lambda y, p: tversky["focal_tversky"](y[..., 1], p[..., 1])),
    }


def class_weights(code: Checkouts) -> dict[str, Runner]:
    """The weights of DHC."""
    dice = code.definitions("dhc dice", ("SoftDiceLoss", "get_tp_fp_fn_tn", "sum_tensor"), {})["SoftDiceLoss"]
    ema = code.definitions("dhc mean", ("EMA",), {})["EMA"]
    dhc = code.definitions("dhc", ("DistDW", "DiffDW"), {"SoftDiceLoss": dice, "EMA": ema})

    def by_dice(case: Case) -> Outcome:
        estimator, weights = dhc["DiffDW"](case.n_classes, accumulate_iters=50), torch.empty(0)
        for step in range(5):
            weights = estimator.cal_weights(case.logits_at(step), case.target.unsqueeze(1))
        return outcome_of_weights(weights)

    return {
        "distdw": lambda case: outcome_of_weights(dhc["DistDW"](case.n_classes)._cal_weights(case.counts.numpy())),
        "diffdw": by_dice,
    }


def regions(code: Checkouts) -> dict[str, Runner]:
    """Boundaries, regions, rarity in the logits, decisions."""
    return official_regions.runners(code.definitions)


FAMILIES = (class_level, detection, segmentation, keras_losses, class_weights, regions)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--only", multiple=True, type=click.Choice(list(OFFICIAL)), help="Keep the records of the others.")
def main(folder: Path, only: tuple[str, ...]) -> None:
    """Run every implementation of the checkouts in FOLDER."""
    torch.cuda.FloatTensor = torch.FloatTensor  # pyright: ignore[reportAttributeAccessIssue]
    Tensor.cuda = lambda self, *_: self  # pyright: ignore[reportAttributeAccessIssue]
    nn.Module.cuda = lambda self, *_: self  # pyright: ignore[reportAttributeAccessIssue]
    Tensor.get_shape = lambda self: self.shape  # pyright: ignore[reportAttributeAccessIssue]
    code = Checkouts(folder)
    runners: dict[str, Runner] = {}
    for family in FAMILIES:
        try:
            runners |= family(code)
        except FileNotFoundError:
            if not only:
                raise
    warnings.simplefilter("ignore")  # of code written for other versions
    kept = json.loads(RECORDS.read_text(encoding="utf-8")) if only else {}
    records = kept | {
        name: {case: recorded(runners[name], CASES[case]) for case in OFFICIAL[name].cases} for name in only or OFFICIAL
    }
    RECORDS.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    print(f"{len(records)} implementations -> {RECORDS}", file=sys.stderr)


def recorded(run: Runner, case: Case) -> dict[str, Any]:
    """Return an outcome, or the error with which the implementation stops."""
    try:
        outcome = run(case)
    except (IndexError, RuntimeError, ValueError) as error:
        return {"stops": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
    if not np.isfinite([outcome.value, *outcome.per_class]).all():
        return {"stops": "the loss or its gradient is not finite"}
    return {"value": outcome.value, "per_class": list(outcome.per_class)}


if __name__ == "__main__":
    main()
