"""Training dynamics: how often fixed training pixels are right, forgotten, and how surely, while a model trains.

Every ledger step looks at the same crops of the training images, as they are (no augmentation, no inference-time
correction), in evaluation mode. Nothing here draws from a run's random streams: all methods and seeds of a fold look at
the same pixels, and watching changes no result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from imbalance_bench.evaluation.finite import NotFiniteError, require_finite
from imbalance_bench.models.segmenter import Segmenter
from imbalance_bench.seeding import generator
from imbalance_bench.table_schemas import PROBABILITY_UNIT
from imbalance_bench.training.tile_data import TileData

PIXEL_STEP_PX = 4  # every fourth row and column is watched: closer pixels share the decoder's logits
DynamicsRow = tuple[int | str, ...]  # columns of `table_schemas.DYNAMICS` but group_id


@dataclass(frozen=True)
class WatchedCrops:
    """Crops of training tiles that are looked at again and again.

    Attributes:
        image_ids: N image of each crop.
        tiles: (N,) int64, rows of the tile store.
        tops: (N,) int64, first row in the tile, px.
        lefts: (N,) int64, first column, px.
        size_px: Edge of the crops.
        n_classes: K.
    """

    image_ids: tuple[str, ...]
    tiles: np.ndarray
    tops: np.ndarray
    lefts: np.ndarray
    size_px: int
    n_classes: int

    @classmethod
    def draw(cls, data: TileData, rows: Sequence[int], *, n_classes: int, limit: int) -> Self:
        """Draw at most `limit` crops of the tiles `rows` that hold every class in as many crops as possible.

        Args:
            data: The tiles.
            rows: Those of the training split.
            n_classes: K.
            limit: N at most.
        """
        size, edge = data.config.training.crop_px, data.config.dataset.tile_px
        corners = list(product(range(0, edge - size + 1, size), repeat=2))
        cells = np.array([(row, top, left) for row in rows for top, left in corners], dtype=np.int64).reshape(-1, 3)
        pixels = np.stack([data.crop_pixels(row, top, left, size, n_classes) for row, top, left in cells.tolist()])
        names, image_of = np.unique([data.tiles.tiles[row].image_id for row in cells[:, 0]], return_inverse=True)
        drawn = draw_cells(pixels, image_of, limit, generator(0, "watched crops"))
        chosen = cells[drawn]
        image_ids = tuple(names[image_of[drawn]].tolist())
        return cls(image_ids, chosen[:, 0], chosen[:, 1], chosen[:, 2], size, n_classes)


def draw_cells(pixels: np.ndarray, image_of: np.ndarray, limit: int, rng: np.random.Generator) -> np.ndarray:
    """Choose cells one by one: the class that is in fewest of them so far, from the image that gave fewest so far.

    Args:
        pixels: (n, K) int, labelled pixels of each class in each cell.
        image_of: (n,) int, number of each cell's image.
        limit: Cells wanted.
        rng: Breaks ties.

    Returns:
        (at most `limit`,) int64 ascending, rows of `pixels`; cells without a labelled pixel are never among them.
    """
    order = rng.permutation(len(pixels))
    occurs: np.ndarray = pixels[order] > 0
    free = np.logical_or.reduce(occurs, axis=1)
    n_cells = np.zeros(pixels.shape[1], dtype=np.int64)
    images, used = image_of[order], np.zeros(int(image_of.max(initial=-1)) + 1, dtype=np.int64)
    chosen: list[int] = []
    while len(chosen) < limit and free.any():
        offered = occurs[free].any(axis=0)
        rarest = np.flatnonzero(offered)[n_cells[offered].argmin()]
        candidates = np.flatnonzero(free & occurs[:, rarest])
        cell = candidates[used[images[candidates]].argmin()]
        chosen.append(int(order[cell]))
        free[cell] = False
        used[images[cell]] += 1
        n_cells += occurs[cell]
    return np.array(sorted(chosen), dtype=np.int64)


def _millionths(sums: np.ndarray) -> np.ndarray:
    """Round to whole millionths, int64, and refuse sums that do not fit."""
    scaled = np.rint(sums * PROBABILITY_UNIT)
    if not np.all(np.abs(scaled) < 2.0**63):  # NaN does not fit either
        raise NotFiniteError("The margins of watched pixels")
    return scaled.astype(np.int64)


class TrainingDynamics:
    """What the watched pixels went through in one stage.

    Forgetting is a change from right at one look to wrong at the next (Toneva et al. 2019, where looks are the times an
    example is in a batch); confidence is the mean probability of the true class (Swayamdipta et al. 2020); the area
    under the margin is the mean of its logit minus the largest other logit (Pleiss et al. 2020).

    Args:
        crops: What is looked at.
        data: The tiles.
        batch_size: Crops per forward pass.
    """

    def __init__(self, crops: WatchedCrops, data: TileData, batch_size: int) -> None:
        self._crops, self._data, self._batch_size = crops, data, batch_size
        grid = slice(PIXEL_STEP_PX // 2, None, PIXEL_STEP_PX)
        corners = zip(crops.tiles.tolist(), crops.tops.tolist(), crops.lefts.tolist(), strict=True)
        labels = np.stack([data.crop_labels(*corner, crops.size_px)[grid, grid] for corner in corners])
        self._grid, self._labels = grid, labels
        self._valid = labels < crops.n_classes
        n_pixels = int(self._valid.sum())
        self._looks = 0
        self._right = np.zeros(n_pixels, dtype=bool)
        self._learned = np.zeros(n_pixels, dtype=bool)
        self._forgettings = np.zeros(n_pixels, dtype=np.int32)
        self._probability, self._margin = np.zeros((2, n_pixels))

    @torch.inference_mode()
    def look(self, segmenter: Segmenter) -> None:
        """Predict the watched pixels with the model as it stands; the caller sees to evaluation mode and precision."""
        parts = []
        for start in range(0, len(self._crops.tiles), self._batch_size):
            part = slice(start, start + self._batch_size)
            places = self._crops.tiles[part], self._crops.tops[part], self._crops.lefts[part]
            logits = self._data.crop_logits(segmenter, *places, self._crops.size_px)
            parts.append(logits[:, :, self._grid, self._grid].float().cpu())
        logits = torch.cat(parts).permute(0, 2, 3, 1)[torch.from_numpy(self._valid)]
        require_finite("The logits of watched pixels", logits)
        self.add(logits)

    def add(self, logits: Tensor) -> None:
        """Add one look at the labelled pixels, (P, K) float32 in their order."""
        target = torch.from_numpy(self._labels[self._valid].astype(np.int64))[:, None]
        own = logits.gather(1, target)
        margin = (own - logits.scatter(1, target, -torch.inf).amax(1, keepdim=True)).squeeze(1).double().numpy()
        right = margin > 0  # a tie is wrong
        self._forgettings += self._right & ~right
        self._right, self._learned = right, self._learned | right
        self._probability += logits.softmax(1).gather(1, target).squeeze(1).double().numpy()
        self._margin += margin
        self._looks += 1

    def rows(self, stage: int) -> list[DynamicsRow]:
        """Sums over the pixels of each image and class that has any."""
        names, image_of = np.unique(self._crops.image_ids, return_inverse=True)
        k = self._crops.n_classes
        key = (image_of[:, None, None] * k + self._labels)[self._valid]
        counted = (np.ones_like(self._right), self._learned, self._forgettings > 0, self._forgettings)
        sums = [np.bincount(key, values, minlength=len(names) * k).astype(np.int64) for values in counted]
        sums += [
            _millionths(np.bincount(key, values, minlength=len(names) * k))
            for values in (self._probability, self._margin)
        ]
        return [
            (stage, str(names[cell // k]), cell % k, self._looks, *(int(total[cell]) for total in sums))
            for cell in np.flatnonzero(sums[0]).tolist()
        ]

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes, as tensors and plain values."""
        arrays = (self._right, self._learned, self._forgettings, self._probability, self._margin)
        return {"looks": self._looks, "arrays": [torch.from_numpy(array) for array in arrays]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._looks = state["looks"]
        arrays = (array.cpu().numpy().copy() for array in state["arrays"])
        self._right, self._learned, self._forgettings, self._probability, self._margin = arrays
