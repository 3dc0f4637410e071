"""How long a model takes here: one step, one tile decoded, one tile encoded, timed on made-up features.

Weights do not change the time, so none are loaded.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from imbalance_bench.config import StudyConfig
from imbalance_bench.models.encoders import choices
from imbalance_bench.models.segmenter import Segmenter, build_segmenter

PATIENCE_S = 1.5  # once so much time was spent on one number, it is not timed again
MOST_REPEATS = 3


@dataclass(frozen=True)
class ModelTimes:
    """What a model of a study costs on this machine.

    Args:
        step_s: One optimiser step, all crops and passes of it, s.
        tile_s: One tile from its features (or, of a trained encoder, its image) to logits, s.
        encode_s: One tile encoded, s; 0 without a cache of features.
        feature_bytes: Cached features of one tile, bytes; 0 without.
        model_bytes: Weights that a run stores, bytes.
        trained_bytes: Weights that it trains, bytes.
    """

    step_s: float
    tile_s: float
    encode_s: float
    feature_bytes: int
    model_bytes: int
    trained_bytes: int


def time_model(config: StudyConfig, n_classes: int, device: torch.device) -> ModelTimes:
    """Time the one model of a study: on a CPU one crop of the batch, elsewhere the whole batch.

    Args:
        config: A study of one model.
        n_classes: K.
        device: Where runs execute.
    """
    encoders = choices(config.model)
    bare = config.model.model_copy(
        update={"encoder_weights": ("none",) * len(encoders) if len(encoders) > 1 else "none"}
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(config.compute.threads)
    try:
        return _timed(build_segmenter(bare, n_classes=n_classes, seed=0).to(device), config, device)
    finally:
        torch.set_num_threads(threads)


def _timed(segmenter: Segmenter, config: StudyConfig, device: torch.device) -> ModelTimes:
    training, tile_px = config.training, config.dataset.tile_px
    cached = config.uses_feature_cache
    crops = 1 if device.type == "cpu" else training.batch_size

    def inputs(n: int, size_px: int) -> list[torch.Tensor]:
        if not cached:
            return [255 * torch.rand(n, 3, size_px, size_px, device=device)]
        shapes = [
            (channels, size_px // stride)
            for encoder in segmenter.encoders
            for channels, stride in zip(encoder.level_channels, encoder.strides(tile_px), strict=True)
        ]
        return [torch.rand(n, channels, edge, edge, device=device) for channels, edge in shapes]

    def logits(batch: list[torch.Tensor], size_px: int) -> torch.Tensor:
        return segmenter.decode(batch, size_px) if cached else segmenter(batch[0])

    crop, tile = inputs(crops, training.crop_px), inputs(1, tile_px)
    image = 255 * torch.rand(1, 3, tile_px, tile_px, device=device)
    target = torch.zeros(crops, training.crop_px, training.crop_px, dtype=torch.int64, device=device)

    def step() -> None:
        functional.cross_entropy(logits(crop, training.crop_px).float(), target).backward()
        segmenter.zero_grad(set_to_none=True)

    @torch.inference_mode()
    def decode() -> None:
        logits(tile, tile_px)

    @torch.inference_mode()
    def encode() -> None:
        segmenter.encode(image)

    segmenter.train()
    step_s = _seconds(step, device) * training.batch_size / crops * training.accumulate
    segmenter.eval()
    features = sum(tensor.numel() for tensor in tile) if cached else 0
    return ModelTimes(
        step_s=step_s,
        tile_s=_seconds(decode, device),
        encode_s=_seconds(encode, device) if cached else 0.0,
        feature_bytes=2 * features,  # half precision
        model_bytes=sum(tensor.numel() * tensor.element_size() for tensor in segmenter.stored_state().values()),
        trained_bytes=sum(
            tensor.numel() * tensor.element_size() for tensor in segmenter.parameters() if tensor.requires_grad
        ),
    )


def _seconds(action: Callable[[], None], device: torch.device) -> float:
    """Return the least time of a few repeats after one that warms up; of a slow one, the first."""
    durations: list[float] = []
    while len(durations) <= MOST_REPEATS and sum(durations) < PATIENCE_S:
        started = time.perf_counter()
        action()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        durations.append(time.perf_counter() - started)
    return min(durations[1:] or durations)
