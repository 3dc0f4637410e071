"""Class copy-paste: what is labelled as a rare class in one crop is put into another, with its label."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from methods.base import (
    BuildContext,
    Card,
    ClassStatistics,
    Components,
    Group,
    MethodConfig,
    Requirement,
    normalised_to_mean_one,
)
from methods.late_torch import F, torch
from methods.search_space import Range
from methods.slots import TrainingBatch

if TYPE_CHECKING:
    from torch import Tensor


def rarity_weights(statistics: ClassStatistics, rarity: float) -> Tensor:
    """Return p^-rarity, mean 1 over the classes that occur and 0 for others, (K,) float32."""
    share = torch.where(statistics.present, statistics.frequency, 1.0)
    return normalised_to_mean_one(share**-rarity, statistics.present)


def enlarged(mask: Tensor, factor: int) -> Tensor:
    """Repeat each element of a map, (h, w) -> (factor h, factor w)."""
    return mask.repeat_interleave(factor, 0).repeat_interleave(factor, 1)


class ClassCopyPaste:
    """Pastes one class of another crop of the batch into each crop, at the same place.

    Images take the very pixels of the class. Cached features cannot be cut finer than their coarsest level, so they
    take whole cells of that stride: all levels and all labels of a cell together.

    Args:
        config: Options.
        weight: (K,) float >= 0, relative odds of the classes.
    """

    def __init__(self, config: ClassCopyPasteConfig, weight: Tensor) -> None:
        self.config, self.weight = config, weight

    def __call__(self, batch: TrainingBatch, rng: np.random.Generator) -> TrainingBatch:
        """Mix one batch; see `methods.slots.BatchTransform`.

        Raises:
            ValueError: The batch holds a single crop, so there is nothing to copy from.
        """
        size = len(batch.target)
        if size < 2:
            raise ValueError("`class_copy_paste` copies between the crops of a batch. Got a batch of one crop.")
        maps = [level.clone() for level in batch.maps]
        target, valid = batch.target.clone(), batch.valid.clone()
        distance = int(rng.integers(1, size))
        pasted = rng.random(size) < self.config.probability
        positions = rng.random(size)
        for crop in np.flatnonzero(pasted):
            source = (int(crop) + distance) % size
            chosen = self.choose_class(batch.target[source][batch.valid[source]], positions[crop])
            if chosen is None:
                continue
            cells, cell_px = self.cells_of(batch, source, chosen)
            for level, stride in enumerate(batch.strides_px):
                where = enlarged(cells, cell_px // stride)
                maps[level][crop] = torch.where(where, batch.maps[level][source], maps[level][crop])
            where = enlarged(cells, cell_px)
            target[crop] = torch.where(where, batch.target[source], target[crop])
            valid[crop] = torch.where(where, batch.valid[source], valid[crop])
        return replace(batch, maps=maps, target=target, valid=valid)

    def choose_class(self, labels: Tensor, position: float) -> int | None:
        """Choose among the classes of a crop by their odds, or return None where no class of it has any.

        Args:
            labels: (n,) int64, the labelled pixels of the crop.
            position: In [0, 1), where on the line of summed odds the choice falls.
        """
        occurs = torch.bincount(labels, minlength=len(self.weight)).cpu().numpy() > 0
        odds = np.where(occurs, self.weight.double().numpy(), 0.0).cumsum()
        return int(np.searchsorted(odds, position * odds[-1], side="right")) if odds[-1] > 0 else None

    def cells_of(self, batch: TrainingBatch, source: int, chosen: int) -> tuple[Tensor, int]:
        """Return where the class is, (S / cell, S / cell) bool, and the edge of a cell in image pixels."""
        cell_px = math.lcm(*batch.strides_px)
        of_class = (batch.target[source] == chosen) & batch.valid[source]
        cover = F.avg_pool2d(of_class[None].float(), cell_px)[0]
        return (cover > 0) & (cover >= self.config.least_cover), cell_px

    def class_parameters(self) -> dict[str, Tensor]:
        """Return `paste_weight`, (K,): relative odds of a class wherever it is in the crop that is copied from."""
        return {"paste_weight": self.weight.clone()}


class ClassCopyPasteConfig(MethodConfig):
    """Copy-paste of rare classes between the crops of a batch + the base loss."""

    probability: Annotated[float, Range(0.1, 1.0)] = Field(
        default=0.5, ge=0, le=1, description="that something is pasted into a crop; 0 is the base"
    )
    rarity: float = Field(default=1.0, ge=0, description="odds of class c are p_c^-rarity; 0: all that are there alike")
    least_cover: float = Field(
        default=0.1, ge=0, le=1, description="share of a cell that the class must cover; for cached features only"
    )

    card: ClassVar[Card] = Card(
        group=Group.SAMPLING,
        title="Class copy-paste",
        formula="into half of the crops, at the same place, the pixels of one class of another crop of the batch, with "
        "their labels; the class with odds 1 / p_c among those of that crop; base loss",
        source="Ghiasi 2021 (CVPR, simple copy-paste) and, for whole classes at the same place, Olsson 2021 (WACV, "
        "ClassMix, arXiv 2007.07936)",
        deviations="true labels where ClassMix has predictions; one class with odds by rarity, where ClassMix takes "
        "half of the classes and Ghiasi random instances; no rescaling and no blending of edges. With cached features "
        "whole cells of the coarsest stride are pasted, every level and label of a cell where the class covers at "
        "least .1 of it: features keep their own context, as if two feature maps were cut together. Set "
        "`training.augmentation.cached_views: 0` to paste pixels",
        requires=frozenset({Requirement.SEVERAL_CROPS}),
    )

    def build(self, context: BuildContext) -> Components:
        """Build the transform."""
        return Components(batch_transform=ClassCopyPaste(self, rarity_weights(context.statistics, self.rarity)))
