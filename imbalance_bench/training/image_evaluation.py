"""Whole images through a model as it stands: predicted masks, with other attention biases too, and attention maps."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from imbalance_bench.data.tiling import Stitcher
from imbalance_bench.evaluation.counts import Counts, count_pixels
from imbalance_bench.evaluation.path_controls import class_shares
from imbalance_bench.evaluation.prediction import logit_bands, most_likely, passes
from imbalance_bench.models.class_query import ClassQueryDecoder, DecoderInput
from imbalance_bench.models.segmenter import Segmenter, enlarge
from imbalance_bench.study import Study
from imbalance_bench.training.optimisation import autocast
from imbalance_bench.training.tile_data import TileData
from methods.base import AttentionBias, Components

TileWeights = Callable[[Sequence[int]], Tensor]
PREPARED_PX = 2**24  # of an image in tiles, whose decoder inputs are kept; of larger ones they are computed again


@dataclass(frozen=True)
class ImageEvaluation:
    """Predicts and counts whole images with the model as it stands."""

    study: Study
    data: TileData
    rows: Mapping[str, Sequence[int]]
    segmenter: Segmenter
    components: Components
    precision: str

    def predict(self, image_id: str) -> np.ndarray:
        """Return the predicted mask, (H, W) uint8."""
        return np.concatenate([most_likely(band) for band in self.logit_bands(image_id)])

    def logit_bands(self, image_id: str) -> Iterator[np.ndarray]:
        """Set evaluation mode and yield the logits of one image from its top, (K, h, W) float32."""
        self.segmenter.eval()
        return self.stitch(image_id, lambda rows: self.data.tile_logits(self.segmenter, rows))

    def counts(self, image_id: str) -> Counts:
        """Return the pixel counts of one image."""
        return count_pixels(self.predict(image_id), self.target(image_id), self.n_classes)

    def target(self, image_id: str) -> np.ndarray:
        """Return the true mask after merging, (H, W) uint8 in 0..K-1 or UNLABELLED."""
        return self.study.taxonomy.apply(self.study.dataset.read_mask(image_id))

    @property
    def n_classes(self) -> int:
        """K."""
        return len(self.study.taxonomy.names)

    def query(self, image_id: str) -> "QueriedImage | None":
        """Set evaluation mode and return the image ready to be decoded; None for a model without class tokens."""
        decoder = self.segmenter.class_query
        if decoder is None:
            return None
        self.segmenter.eval()
        return QueriedImage(self, image_id, decoder)

    def stitch(self, image_id: str, tile_logits: Callable[[Sequence[int]], Tensor]) -> Iterator[np.ndarray]:
        """Put the logits of an image's tiles together and yield them from its top, (K, h, W) float32.

        Args:
            image_id: The image.
            tile_logits: Of a model in evaluation mode: rows -> (n, K, tile, tile).
        """
        entry = self.study.dataset.entry(image_id)

        def of_tiles(rows: Sequence[int]) -> Tensor:
            with autocast(self.precision, self.data.device):
                return tile_logits(rows)

        return logit_bands(
            of_tiles,
            self.data.tiles.tiles,
            self.rows[image_id],
            n_classes=self.n_classes,
            height_px=entry.height_px,
            width_px=entry.width_px,
            adjust_logits=self.components.adjust_logits,
        )


@dataclass(frozen=True)
class QueriedImage:
    """One image up to where the class tokens meet it.

    Attributes:
        evaluation: The model.
        image_id: The image.
        decoder: Of the model.
    """

    evaluation: ImageEvaluation
    image_id: str
    decoder: ClassQueryDecoder
    _kept: dict[tuple[int, ...], DecoderInput] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def passes(self) -> list[tuple[int, ...]]:
        """Rows of the image's tiles that go through the decoder at once."""
        return passes(self.evaluation.rows[self.image_id])

    def prepared(self, rows: tuple[int, ...]) -> DecoderInput:
        """Return what the decoder reads of the tiles of a pass."""
        if rows in self._kept:
            return self._kept[rows]
        evaluation = self.evaluation
        tile_px = evaluation.study.config.dataset.tile_px
        with torch.inference_mode(), autocast(evaluation.precision, evaluation.data.device):
            features = evaluation.data.tile_features(evaluation.segmenter, rows)
            prepared = self.decoder.prepare(evaluation.segmenter.maps(features, tile_px))
        if sum(map(len, self.passes)) * tile_px**2 <= PREPARED_PX:
            self._kept[rows] = prepared
        return prepared

    def predict(self, bias: AttentionBias | None = None, weights: TileWeights | None = None) -> np.ndarray:
        """Return the predicted mask, (H, W) uint8; arguments as of `logit_bands`."""
        return np.concatenate([most_likely(band) for band in self.logit_bands(bias, weights)])

    def logit_bands(
        self, bias: AttentionBias | None = None, weights: TileWeights | None = None
    ) -> Iterator[np.ndarray]:
        """Yield the logits from the top of the image, (K, h, W) float32.

        Args:
            bias: Another attention bias than the trained one.
            weights: Other image->token weights than those of the attention: rows -> (n, N, K).
        """
        size_px, two_way = self.evaluation.study.config.dataset.tile_px, self.decoder.two_way

        def of_tiles(rows: Sequence[int]) -> Tensor:
            with self._changed(bias):
                if weights is not None:
                    two_way.given_weights = weights(rows).to(self.evaluation.data.device)
                return enlarge(self.decoder.finish(self.prepared(tuple(rows))), size_px)

        return self.evaluation.stitch(self.image_id, of_tiles)

    def class_shares(self, rows: Sequence[int]) -> Tensor:
        """Return the true share of each class in the place of each image token of some tiles, (n, N, K)."""
        data, size_px = self.evaluation.data, self.evaluation.study.config.dataset.tile_px
        labels = np.stack([data.crop_labels(row, 0, 0, size_px) for row in rows])
        return class_shares(labels, self.evaluation.n_classes, self.decoder.size.token_stride_px)

    @torch.inference_mode()
    def attention(self) -> np.ndarray:
        """Return how much each place attends to each class, (K, ceil(H / s), ceil(W / s)) float32; s = token stride.

        Tiles are averaged where they overlap; their tokens need not lie on the image's grid, so they meet at pixels.
        """
        evaluation, stride = self.evaluation, self.decoder.size.token_stride_px
        entry = evaluation.study.dataset.entry(self.image_id)
        stitcher = Stitcher(evaluation.n_classes, entry.height_px, entry.width_px)
        means, top = [], 0
        for rows in self.passes:
            with autocast(evaluation.precision, evaluation.data.device):
                maps = self.decoder.attention_maps(self.prepared(rows))
            for row, weights in zip(rows, maps.cpu().numpy(), strict=True):
                tile = evaluation.data.tiles.tiles[row]
                whole = tile.top - tile.top % stride  # rows of blocks that no further tile reaches
                if whole > top:
                    means.append(block_means(stitcher.take(whole), stride))
                    top = whole
                stitcher.add(tile.top, tile.left, weights.repeat(stride, axis=1).repeat(stride, axis=2))
        return np.concatenate([*means, block_means(stitcher.result(), stride)], axis=1)

    @contextmanager
    def _changed(self, bias: AttentionBias | None) -> Iterator[None]:
        """Put another bias into the decoder's hook for a while; afterwards no weights are given either."""
        two_way = self.decoder.two_way
        trained = two_way.attention_bias
        if bias is not None:
            two_way.attention_bias = bias
        try:
            yield
        finally:
            two_way.attention_bias, two_way.given_weights = trained, None


def block_means(values: np.ndarray, edge: int) -> np.ndarray:
    """Average over blocks of `edge` x `edge` pixels, (K, H, W) -> (K, ceil(H / edge), ceil(W / edge)).

    Blocks that reach beyond the image are averaged over what lies within.
    """
    starts = [np.arange(0, length, edge) for length in values.shape[1:]]
    sums = np.add.reduceat(np.add.reduceat(values, starts[0], axis=1), starts[1], axis=2)
    heights, widths = (np.bincount(np.arange(length) // edge) for length in values.shape[1:])
    return sums / np.outer(heights, widths).astype(values.dtype)
