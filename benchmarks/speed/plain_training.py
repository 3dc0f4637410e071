"""A study as a plain script trains it: every run encodes the crops of every step for itself."""

import numpy as np
import torch
from torch import Tensor, nn

from imbalance_bench.models.segmenter import Segmenter, build_segmenter
from imbalance_bench.records import RunRecord
from imbalance_bench.seeding import generator
from imbalance_bench.study import PlannedRun, Study, build_context
from imbalance_bench.training.material import choose_precision
from imbalance_bench.training.optimisation import autocast
from methods.composition import compose
from methods.cross_entropy import CrossEntropyDice

GRAD_CLIP = 1.0


def train_all(study: Study, device: torch.device) -> list[float]:
    """Train every run of a study of one-stage methods and return its macro Dice of the test images, 0..1."""
    return [_train_one(study, run, device) for run in study.runs]


def _train_one(study: Study, run: PlannedRun, device: torch.device) -> float:
    section, fold, n_classes = study.config.training, study.splits.folds[run.fold], len(study.taxonomy.names)
    components = compose(run.method.parts, build_context(study, run, stage=0, finished=()))
    bias = components.attention_bias
    extra_tokens = bias.extra_tokens if bias is not None else 0
    model = build_segmenter(study.config.model, n_classes=n_classes, seed=run.seed, extra_tokens=extra_tokens)
    model.install(components)
    model.to(device).train()
    loss = (components.loss or CrossEntropyDice()).to(device)
    trained = [p for p in [*model.parameters(), *loss.parameters()] if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=section.learning_rate, weight_decay=section.weight_decay)
    images, masks = _read(study, fold.train)
    rng, precision = generator(run.seed, "plain"), choose_precision(section, device)
    for step in range(section.steps):
        crops, target = draw_crops(images, masks, rng, section.batch_size, section.crop_px)
        batch = crops.to(device), target.to(device), step
        take_step(model, loss, optimiser, batch, precision)
    return _dice_of_test_images(study, model, fold.test, precision, device)


def take_step(
    model: Segmenter,
    loss: nn.Module,
    optimiser: torch.optim.Optimizer,
    batch: tuple[Tensor, Tensor, int],
    precision: str,
) -> None:
    """Encode the crops of a batch, decode them, and update what is trained.

    Args:
        model: With a frozen encoder.
        loss: Of a method.
        optimiser: Of all that is trained.
        batch: Crops, labels, and the number of the step.
        precision: `float32` or `bfloat16`.
    """
    crops, target, step = batch
    with autocast(precision, crops.device):
        with torch.no_grad():
            features = model.encode(crops)
        logits = model.decode(features, crops.shape[-1])
    loss(logits, target, torch.ones_like(target, dtype=torch.bool), step).total.backward()
    nn.utils.clip_grad_norm_([p for group in optimiser.param_groups for p in group["params"]], GRAD_CLIP)
    optimiser.step()
    optimiser.zero_grad()


def draw_crops(
    images: Tensor, masks: Tensor, rng: np.random.Generator, batch_size: int, crop_px: int
) -> tuple[Tensor, Tensor]:
    """Draw crops with quarter turns and flips: (B, 3, crop, crop) uint8 and (B, crop, crop) int64."""
    crops, labels = [], []
    for number in rng.integers(len(images), size=batch_size):
        top, left = rng.integers(images.shape[-1] - crop_px + 1, size=2)
        turns, flips = int(rng.integers(4)), bool(rng.integers(2))
        for drawn, whole in ((crops, images), (labels, masks)):
            part = torch.rot90(whole[number, ..., top : top + crop_px, left : left + crop_px], turns, (-2, -1))
            drawn.append(part.flip(-1) if flips else part)
    return torch.stack(crops), torch.stack(labels).long()


def _read(study: Study, image_ids: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Images, (n, 3, H, W) uint8, and masks, (n, H, W) uint8."""
    images = [torch.from_numpy(study.dataset.read_image(name)).permute(2, 0, 1) for name in image_ids]
    masks = [torch.from_numpy(study.taxonomy.apply(study.dataset.read_mask(name))) for name in image_ids]
    return torch.stack(images), torch.stack(masks)


@torch.no_grad()
def _dice_of_test_images(
    study: Study, model: Segmenter, image_ids: tuple[str, ...], precision: str, device: torch.device
) -> float:
    model.eval()
    n_classes = len(study.taxonomy.names)
    counts = np.zeros((3, n_classes), np.int64)
    for image, mask in zip(*_read(study, image_ids), strict=True):
        with autocast(precision, device):
            predicted = model(image[None].to(device))[0].argmax(0).cpu()
        counts += pixel_counts(predicted.numpy(), mask.numpy(), n_classes)
    return macro_dice(*counts)


def pixel_counts(predicted: np.ndarray, target: np.ndarray, n_classes: int) -> np.ndarray:
    """True positives, predicted and true pixels of each class, (3, K) int64."""
    agreed = np.bincount(target[predicted == target].ravel(), minlength=n_classes)
    found, there = (np.bincount(mask.ravel(), minlength=n_classes) for mask in (predicted, target))
    return np.stack([agreed, found, there])


def macro_dice(agreed: np.ndarray, found: np.ndarray, there: np.ndarray) -> float:
    """Mean over the classes that occur of Dice pooled over images, 0..1."""
    occurs = there > 0
    return float((2 * agreed[occurs] / (found[occurs] + there[occurs])).mean())


def recorded_dice(run: RunRecord) -> float:
    """Macro Dice of the test images of a finished run, likewise."""
    counts = run.counts()
    summed = counts[counts["split"] == "test"].groupby("class_id")[["tp", "fp", "fn"]].sum()
    tp, fp, fn = (summed[name].to_numpy() for name in ("tp", "fp", "fn"))
    return macro_dice(tp, tp + fp, tp + fn)
