"""Opens what all runs of a study share: tiles on disk and, for a frozen encoder, their features."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch

from imbalance_bench.config import ComputeSection, TrainingSection
from imbalance_bench.data.tile_store import TileStore
from imbalance_bench.data.tiling import tile_dataset
from imbalance_bench.errors import UserError
from imbalance_bench.models.encoders import Encoder
from imbalance_bench.models.resolved_encoders import ResolvedEncoder, require_same, resolve_encoders
from imbalance_bench.models.segmenter import Segmenter, build_segmenter
from imbalance_bench.models.size_check import described_encoders
from imbalance_bench.study import OnProgress, Study
from imbalance_bench.training.feature_cache import CachedFeatures, FeatureCache
from imbalance_bench.training.tile_data import TileData


def stored_at_once(device: torch.device) -> int:
    """Return how many encoded tiles are gathered, at least, before the disk is waited for, which keeps a GPU idle."""
    return 64 if device.type == "cuda" else 1


def choose_device(section: ComputeSection) -> torch.device:
    """Resolve `compute.device`.

    Raises:
        UserError: The device does not exist here.
    """
    if section.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(section.device)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"`compute.device` {section.device} is not available here. Use auto or cpu.") from error
    return device


def choose_precision(section: TrainingSection, device: torch.device) -> str:
    """Resolve `training.precision`: bfloat16 on CUDA, float32 elsewhere, unless the study says otherwise."""
    if section.precision != "auto":
        return section.precision
    return "bfloat16" if device.type == "cuda" else "float32"


def rows_by_image(tiles: TileStore) -> dict[str, list[int]]:
    """Rows of each image's tiles."""
    rows: dict[str, list[int]] = {}
    for row, tile in enumerate(tiles.tiles):
        rows.setdefault(tile.image_id, []).append(row)
    return rows


def rows_of(image_ids: Sequence[str], by_image: dict[str, list[int]]) -> list[int]:
    """Rows of the tiles of some images."""
    return [row for image_id in image_ids for row in by_image[image_id]]


def open_material(
    study: Study, cache_dir: Path, device: torch.device, on_progress: OnProgress = lambda *_: None, *, workers: int = 1
) -> TileData:
    """Cut tiles and encode them where that has not been done yet; otherwise open what is there.

    Args:
        study: The study.
        cache_dir: Where tiles and features are cached.
        device: Encodes, and receives tensors.
        on_progress: Called while something is made.
        workers: Chunks of tiles that are encoded side by side.

    Raises:
        UserError: The disk is too small, or the data has been damaged since it was checked.
    """
    config = study.config
    tiles = TileStore.open(
        study.dataset,
        tile_dataset(study.dataset, config.dataset.tile_px, config.dataset.stride_px),
        config.dataset.tile_px,
        cache_dir,
        study.data_hash,
        on_progress=lambda n_done, total: on_progress("cutting tiles", n_done, total),
    )
    features = None
    if config.uses_feature_cache:
        features = _open_features(study, tiles, cache_dir, device, on_progress, workers)
    return TileData(config, tiles, np.asarray(study.taxonomy.lookup), features, device)


def _open_features(
    study: Study, tiles: TileStore, cache_dir: Path, device: torch.device, on_progress: OnProgress, workers: int
) -> CachedFeatures:
    """Open the features of every encoder; the encoders get weights only where something has to be encoded."""
    config, n_classes = study.config, len(study.taxonomy.names)
    resolved = study.resolved
    if any(encoder.weights is None for encoder in resolved):  # the study was only checked
        resolved = resolve_encoders(config.model, load=True, shared=True)
    described = described_encoders(config.model, n_classes)
    require_same(resolved, [ResolvedEncoder.of(encoder) for encoder in described], str(study.root))
    views = config.training.augmentation.cached_views
    phase = f"encoding tiles in {views} view{'s' if views > 1 else ''}"

    @cache
    def encoders() -> tuple[Encoder, ...]:
        built = build_segmenter(config.model, n_classes=n_classes, seed=0).to(device).encoders
        require_same(resolved, [ResolvedEncoder.of(encoder) for encoder in built], str(study.root))
        return built

    return CachedFeatures(
        [
            FeatureCache.open(
                replace(encoder, weights_hash=resolved[number].weights),
                lambda number=number: encoders()[number],
                tiles,
                _training_tiles(study, tiles),
                config,
                cache_dir=cache_dir,
                data_hash=study.data_hash,
                workers=workers,
                stored_at_once=stored_at_once(device),
                on_progress=lambda n_done, total: on_progress(phase, n_done, total),
            )
            for number, encoder in enumerate(described)
        ]
    )


def initial_segmenter(study: Study, seed: int, extra_tokens: int, device: torch.device) -> Segmenter:
    """Build the model of a run as it stands before training; of one that reads cached features, what decodes them."""
    model = build_segmenter(
        study.config.model,
        n_classes=len(study.taxonomy.names),
        seed=seed,
        extra_tokens=extra_tokens,
        with_encoders=not study.config.uses_feature_cache,
    )
    if not study.config.uses_feature_cache:
        require_same(study.resolved, [ResolvedEncoder.of(encoder) for encoder in model.encoders], str(study.root))
    return model.place(device)


def _training_tiles(study: Study, tiles: TileStore) -> list[int]:
    """Rows that any fold trains on, ascending."""
    trained = {image_id for fold in study.splits.folds for image_id in fold.train}
    return [row for row, tile in enumerate(tiles.tiles) if tile.image_id in trained]
