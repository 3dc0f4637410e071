"""Cross-entropy + Dice on a frozen encoder, as a user of SMP and MONAI writes it.

    python -m benchmarks.speed.monai_script DATASET --steps 60 --crop 128 --batch 8 --seeds 3 [--weights FILE]

Images are decoded once (CacheDataset); workers of a DataLoader cut and turn crops. Encoder, optimiser, schedule and
augmentation are those of the study that it is compared with; nothing of this project is imported. Prints the macro
Dice of the test images, pooled over images, of each seed as JSON.
"""

import argparse
import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import timm
import torch
import yaml
from monai.data.dataloader import DataLoader
from monai.data.dataset import CacheDataset
from monai.inferers.utils import sliding_window_inference
from monai.losses.dice import DiceCELoss
from monai.transforms.compose import Compose
from monai.transforms.croppad.dictionary import RandSpatialCropd
from monai.transforms.intensity.dictionary import NormalizeIntensityd
from monai.transforms.io.dictionary import LoadImaged
from monai.transforms.spatial.dictionary import RandFlipd, RandRotate90d
from monai.transforms.utility.dictionary import EnsureChannelFirstd, EnsureTyped
from monai.utils.misc import set_determinism
from safetensors.torch import load_file
from torch.utils.data import RandomSampler

KEYS = ["image", "mask"]
LEARNING_RATE, WEIGHT_DECAY, WARM_UP, CLIP, WORKERS = 1e-3, 1e-2, 5, 1.0, 2


def files_of(folder: Path, split: str) -> list[dict[str, str]]:
    """Image and mask of every row of a split."""
    with (folder / "index.csv").open(encoding="utf-8", newline="") as stream:
        names = [row["image_id"] for row in csv.DictReader(stream) if row["split"] == split]
    return [{key: str(next((folder / f"{key}s").glob(f"{name}.*"))) for key in KEYS} for name in names]


def transforms(encoder: str, crop_px: int | None) -> Compose:
    """Read and normalise; for training cut and turn as well."""
    published: Any = timm.get_pretrained_cfg(encoder.removeprefix("tu-"))
    mean, std = (255 * np.asarray(each) for each in (published.mean, published.std))
    always = [
        LoadImaged(KEYS, reader="PILReader"),
        EnsureChannelFirstd(KEYS),
        NormalizeIntensityd(["image"], subtrahend=mean, divisor=std, channel_wise=True),
        EnsureTyped(KEYS, track_meta=False),
    ]
    if crop_px is None:
        return Compose(always)
    drawn = [
        RandSpatialCropd(KEYS, (crop_px, crop_px), random_size=False),
        RandFlipd(KEYS, prob=0.5, spatial_axis=0),
        RandRotate90d(KEYS, prob=0.75),
    ]
    return Compose([*always, *drawn])


def build(options: argparse.Namespace, n_classes: int) -> Any:
    """Make the model, its encoder frozen."""
    model: Any = smp.Unet(options.encoder, encoder_weights=None, classes=n_classes)
    if options.weights:
        missing = model.encoder.model.load_state_dict(load_file(options.weights), strict=False).missing_keys
        if missing:
            raise KeyError(missing[0])
    model.encoder.requires_grad_(False)
    return model.to(options.device)


def train(model: Any, loader: Any, options: argparse.Namespace) -> None:
    """Take the steps."""
    model.train()
    model.encoder.eval()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min((step + 1) / WARM_UP, 1.0) * 0.5 * (1 + math.cos(math.pi * min(step / options.steps, 1.0))),
    )
    criterion = DiceCELoss(softmax=True, to_onehot_y=True, batch=True)
    for batch in loader:
        image, mask = (batch[key].to(options.device, non_blocking=True) for key in KEYS)
        with torch.autocast(options.device, torch.bfloat16, enabled=options.device == "cuda"):
            logits = model(image)
        criterion(logits.float(), mask).backward()
        torch.nn.utils.clip_grad_norm_(trained, CLIP)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()


@torch.no_grad()
def test(model: Any, loader: Any, options: argparse.Namespace, n_classes: int) -> float:
    """Return the mean over classes of Dice pooled over images."""
    model.eval()
    counts = np.zeros((3, n_classes))
    for batch in loader:
        with torch.autocast(options.device, torch.bfloat16, enabled=options.device == "cuda"):
            roi = (options.tile, options.tile)
            logits: Any = sliding_window_inference(batch["image"].to(options.device), roi, 4, model, overlap=0.0)
        predicted, target = logits.argmax(1).cpu().numpy().ravel(), batch["mask"].numpy().ravel().astype(int)
        for row, each in enumerate((target[predicted == target], predicted, target)):
            counts[row] += np.bincount(each, minlength=n_classes)
    occurs = counts[2] > 0
    return float((2 * counts[0] / (counts[1] + counts[2]))[occurs].mean())


def main() -> None:
    """Train and test once for each seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--encoder", default="tu-tf_efficientnet_lite0")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--device", default="cpu")
    for name in ("steps", "crop", "batch", "seeds", "tile"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    n_classes = len(yaml.safe_load((options.dataset / "dataset.yaml").read_text(encoding="utf-8"))["classes"])
    training = CacheDataset(
        files_of(options.dataset, "train"), transforms(options.encoder, options.crop), progress=False
    )
    testing = CacheDataset(files_of(options.dataset, "test"), transforms(options.encoder, None), progress=False)
    found = []
    for seed in range(options.seeds):
        set_determinism(seed)
        sampler = RandomSampler(training, num_samples=options.steps * options.batch)
        pinned = options.device == "cuda"
        loader = DataLoader(training, batch_size=options.batch, sampler=sampler, num_workers=WORKERS, pin_memory=pinned)
        model = build(options, n_classes)
        train(model, loader, options)
        found.append(test(model, DataLoader(testing, batch_size=1), options, n_classes))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
