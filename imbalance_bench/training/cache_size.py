"""How large the caches of a study become, known before anything is made, and the views that a budget has room for."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from imbalance_bench.config import ModelSection, StudyConfig
from imbalance_bench.data.prepared import PreparedDataset
from imbalance_bench.data.tiling import tile_dataset
from imbalance_bench.errors import UserError
from imbalance_bench.models.size_check import described_encoders

_TILE_CHANNELS = 4  # RGB and mask, a byte each
_FEATURE_BYTES = 2  # half precision
GIB = 2**30


@dataclass(frozen=True)
class CacheSize:
    """One cache of a study.

    Attributes:
        fixed_bytes: Of the tiles themselves, which are always kept.
        view_bytes: Of one further view of every training tile; 0 for the images of tiles.
        views: Views of each training tile; 1: the tile itself.
    """

    fixed_bytes: int
    view_bytes: int
    views: int

    @property
    def bytes(self) -> int:
        """On disk, apart from a few kB of checksums."""
        return self.fixed_bytes + max(self.views - 1, 0) * self.view_bytes


def cache_sizes(config: StudyConfig, dataset: PreparedDataset, n_training_tiles: int | None = None) -> list[CacheSize]:
    """Return what the caches of a study take on disk; nothing is read but the index, nothing is encoded.

    Args:
        config: The study.
        dataset: Its data set.
        n_training_tiles: Tiles that any fold trains on; None: at most, before the images are divided.

    Returns:
        Tiles first, then features of each frozen encoder; models that share an encoder share its features.
    """
    section = config.dataset
    tiles = tile_dataset(dataset, section.tile_px, section.stride_px)
    if n_training_tiles is None:
        published = config.splits.kind == "published"
        tested = {entry.image_id for entry in dataset.entries if published and entry.split == "test"}
        n_training_tiles = sum(tile.image_id not in tested for tile in tiles)
    sizes = {"tiles": CacheSize(len(tiles) * _TILE_CHANNELS * section.tile_px**2, 0, 1)}
    views = config.training.augmentation.cached_views
    for model in config.each_model if views else ():
        for name, row_bytes in _row_bytes(model, section.tile_px) if model.encoder_frozen else ():
            size = CacheSize(len(tiles) * row_bytes, n_training_tiles * row_bytes, views)
            sizes.setdefault(f"{name} {row_bytes}", size)
    return list(sizes.values())


def within_budget(config: StudyConfig) -> tuple[StudyConfig, str]:
    """Return the study with no more cached views than `compute.cache_gib` has room for, and a line that says so.

    The number of views is part of what a run is, so that the study that is planned holds the lower number.

    Raises:
        UserError: Not even the tiles as they are fit.
    """
    budget, augmentation = config.compute.cache_gib, config.training.augmentation
    if budget is None:
        return config, ""
    sizes = cache_sizes(config, PreparedDataset.open(config.dataset.path))
    fixed, view = sum(size.fixed_bytes for size in sizes), sum(size.view_bytes for size in sizes)
    if fixed > budget * GIB:
        fix = f"Set at least {fixed / GIB:.2g}" + (
            ", or `training.augmentation.cached_views: 0` to encode afresh in every step." if view else "."
        )
        raise UserError(f"`compute.cache_gib` must hold every tile once, {fixed / GIB:.2g} GiB. Got {budget:g}. {fix}")
    views = augmentation.cached_views
    room = views if not view else 1 + int((budget * GIB - fixed) // view)
    if room >= views:
        return config, ""
    lowered = config.training.model_copy(
        update={"augmentation": augmentation.model_copy(update={"cached_views": room})}
    )
    whole = (fixed + (views - 1) * view) / GIB
    line = (
        f"`compute.cache_gib: {budget:g}` has room for {room} of {views} cached views of each training tile "
        f"({whole:.3g} GiB); the study is planned with `training.augmentation.cached_views: {room}`."
    )
    return config.model_copy(update={"training": lowered}), line


def _row_bytes(model: ModelSection, tile_px: int) -> Iterator[tuple[str, int]]:
    """Yield each encoder's name and the bytes of one view of a tile."""
    for encoder in described_encoders(model, n_classes=2):
        shapes = zip(encoder.level_channels, encoder.strides(tile_px), strict=True)
        cells = sum(prod((channels, tile_px // stride, tile_px // stride)) for channels, stride in shapes)
        yield encoder.choice.name, cells * _FEATURE_BYTES
