"""Features of a frozen encoder, computed once per data set and encoder, shared by every method, fold and seed."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from imbalance_bench.config import AugmentationSection, StudyConfig
from imbalance_bench.data.array_store import ArrayStore
from imbalance_bench.data.augmentation import ELEMENTS, Views, draw_views, jitter, turn
from imbalance_bench.data.caches import features_folder
from imbalance_bench.data.tile_store import TileStore
from imbalance_bench.errors import UserError
from imbalance_bench.manifest import canonical_hash
from imbalance_bench.models.encoders import Encoder
from imbalance_bench.models.segmenter import CLASS_QUERY
from imbalance_bench.seeding import generator

_CHUNK = 8  # rows encoded at a time


def drawn_view(tiles: TileStore, tile: int, view: int, config: StudyConfig) -> Views:
    """Draw view `view` of a tile: 0 is the tile itself; others run through the dihedral group with jitter.

    The draw depends on the place of the tile and on nothing of a run, so that all runs share it.
    """
    augmentation, place = config.training.augmentation, tiles.tiles[tile]
    own = generator(0, "cached view", place.image_id, place.top, place.left, view)
    strength = 1.0 if view else 0.0
    drawn = draw_views(
        own,
        1,
        dihedral=augmentation.dihedral,
        stain_strength=strength * augmentation.stain_strength,
        colour_strength=strength * augmentation.colour_strength,
        hue_strength=strength * augmentation.hue_strength,
    )
    return replace(drawn, element=cached_element(np.array([view]), config))


def cached_element(views: np.ndarray, config: StudyConfig) -> np.ndarray:
    """Element of the dihedral group that each cached view was turned by, (n,) int64."""
    return views % ELEMENTS if config.training.augmentation.dihedral else np.zeros_like(views)


def _format(augmentation: AugmentationSection) -> int:
    """Raise it where the bytes for the same configuration change."""
    no_colour = augmentation.colour_strength == augmentation.hue_strength == 0
    left_out = augmentation.stain_strength == 0 or no_colour  # of `jitter`, since format 2
    return 2 if left_out and augmentation.cached_views > 1 else 1


class FeatureCache:
    """Encoded tiles, read through memory maps, in half precision.

    Args:
        store: One array per feature level, (rows, C, h, w) float16.
        rows: (tile, view) -> row.
        strides: Of each level, px.
        key: Hash of everything that its content depends on.

    Attributes:
        key: Likewise.
        levels: One array per feature level, (rows, C, h, w) float16.
        strides: Of each level, px.
        folder: Where they lie.
    """

    def __init__(self, store: ArrayStore, rows: dict[tuple[int, int], int], strides: Sequence[int], key: str) -> None:
        self.levels = tuple(store[f"level_{level}"] for level in range(len(strides)))
        self._rows, self.strides = rows, tuple(strides)
        self.folder, self.key = store.folder, key

    @classmethod
    def open(
        cls,
        encoder: Encoder,
        load: Callable[[], Encoder],
        tiles: TileStore,
        training_tiles: Sequence[int],
        config: StudyConfig,
        *,
        cache_dir: Path,
        data_hash: str,
        workers: int = 1,
        stored_at_once: int = 1,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> "FeatureCache":
        """Open the cache of this data set and encoder, encoding what is missing first.

        Args:
            encoder: Frozen, with the levels that the head reads; its weights may be absent, but their hash is known.
            load: Gives it with its weights; called if something is missing.
            tiles: All tiles.
            training_tiles: Rows of `tiles` that any fold trains on; they are encoded in every view, others as they are.
            config: The study; tiling and augmentation decide what is encoded.
            cache_dir: Where caches lie.
            data_hash: Content hash of the data set.
            workers: Chunks that are encoded side by side, each by as many threads as PyTorch is set to; what is cached
                does not depend on it.
            stored_at_once: Rows after which the disk is waited for, at least; a kill loses no more than those.
            on_progress: Called with (rows done, rows in all).
        """
        views = config.training.augmentation.cached_views
        wanted = [(tile, 0) for tile in range(len(tiles.tiles))]
        wanted += [(tile, view) for tile in training_tiles for view in range(1, views)]
        size = config.dataset.tile_px
        strides = encoder.strides(size)
        shapes = [(c, size // s, size // s) for c, s in zip(encoder.level_channels, strides, strict=True)]
        described = {
            "format": _format(config.training.augmentation),
            "data": data_hash,
            "tiling": [size, config.dataset.stride_px],
            "encoder": [encoder.choice.name, encoder.weights_hash],
            **encoder.choice.description,
            "mean": list(encoder.mean),
            "std": list(encoder.std),
            # other architectures may change the strides inside the encoder
            "architecture": None if config.model.architecture == CLASS_QUERY else config.model.architecture,
            "strides": strides,
            "augmentation": config.training.augmentation.model_dump(mode="json"),
        }
        key = canonical_hash(described | {"rows": wanted})

        def fill(rows: Sequence[int]) -> dict[str, np.ndarray]:
            loaded = load()
            chunks = [[wanted[row] for row in rows[start : start + _CHUNK]] for start in range(0, len(rows), _CHUNK)]
            with ThreadPoolExecutor(workers) as pool:
                encoded = pool.map(lambda chunk: _encode(loaded, tiles, chunk, config), chunks)
                levels = zip(*encoded, strict=True)
            return {f"level_{level}": np.concatenate(parts) for level, parts in enumerate(levels)}

        store = ArrayStore.open_or_fill(
            cache_dir / features_folder(key),
            arrays={f"level_{level}": (shape, np.float16) for level, shape in enumerate(shapes)},
            rows=len(wanted),
            fill=fill,
            chunk=max(_CHUNK * workers, stored_at_once),
            on_progress=on_progress,
            description=described,
            key=key,
        )
        return cls(store, {place: row for row, place in enumerate(wanted)}, strides, key)

    def rows_of(self, tiles: np.ndarray, views: np.ndarray) -> list[int]:
        """Return the rows of n tiles in given views."""
        return [self._rows[int(tile), int(view)] for tile, view in zip(tiles, views, strict=True)]

    def read(
        self, tiles: np.ndarray, views: np.ndarray, tops: np.ndarray, lefts: np.ndarray, size_px: int
    ) -> list[Tensor]:
        """Read crops, one tensor per level, (B, C, size / stride, size / stride) float32 on the CPU.

        Args:
            tiles: (B,) rows of the tile store.
            views: (B,) cached views.
            tops: (B,) first row of each crop, px, a multiple of every stride.
            lefts: (B,) first column, likewise.
            size_px: Edge of the crops, likewise.
        """
        rows = self.rows_of(tiles, views)
        features = []
        for array, stride in zip(self.levels, self.strides, strict=True):
            edge = size_px // stride
            crops = np.empty((len(rows), array.shape[1], edge, edge), dtype=np.float32)
            for i, (row, top, left) in enumerate(zip(rows, tops // stride, lefts // stride, strict=True)):
                crops[i] = array[row, :, top : top + edge, left : left + edge]
            features.append(torch.from_numpy(crops).contiguous(memory_format=torch.channels_last))
        return features


class CachedFeatures:
    """Features of every encoder of a model, each from its own cache, one after the other.

    Args:
        caches: One for each encoder.

    Attributes:
        caches: One for each encoder.
        keys: Of each of them.
        strides: Of each level of all of them, px.
        folders: Where they lie.
    """

    def __init__(self, caches: Sequence[FeatureCache]) -> None:
        self.caches = tuple(caches)
        self.folders = tuple(cache.folder for cache in caches)
        self.keys = tuple(cache.key for cache in caches)
        self.strides = tuple(stride for cache in caches for stride in cache.strides)

    def read(
        self, tiles: np.ndarray, views: np.ndarray, tops: np.ndarray, lefts: np.ndarray, size_px: int
    ) -> list[Tensor]:
        """Read crops as `FeatureCache.read` does, for all encoders."""
        return [level for cache in self.caches for level in cache.read(tiles, views, tops, lefts, size_px)]


@torch.inference_mode()
def _encode(
    encoder: Encoder,
    tiles: TileStore,
    wanted: Sequence[tuple[int, int]],
    config: StudyConfig,
) -> list[np.ndarray]:
    """Encode tiles in given views; one array per level, (n, C, h, w) float16."""
    device, prepared = next(encoder.module.parameters()).device, []
    for tile, view in wanted:
        image = torch.from_numpy(np.array(tiles.images[tile])).to(device).permute(2, 0, 1)[None]
        drawn = drawn_view(tiles, tile, view, config)
        image = jitter(image, drawn) if view else image.float()
        prepared.append(turn(image, int(drawn.element[0])))
    features = [feature.half() for feature in encoder.encode(torch.cat(prepared))]
    if not all(bool(feature.isfinite().all()) for feature in features):
        raise UserError(
            f"Features of `model.encoder` {encoder.choice.name} exceed half precision. Set `encoder_frozen: false`, "
            "or `training.augmentation.cached_views: 0` to encode afresh in every step.",
            exit_code=1,
        )
    return [feature.cpu().numpy() for feature in features]
