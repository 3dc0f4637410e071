"""Sampling: which training tiles are drawn, and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from methods.base import BuildContext, Card, Components, Group, MethodConfig
from methods.late_torch import torch
from methods.search_space import Range

if TYPE_CHECKING:
    from torch import Tensor


class TileSampler:
    """Draws the tiles of an epoch, and remembers what that does to the classes.

    Subclasses give `expected_draws` and `draw`. The class's state follows from the tiles alone, so a resumed run needs
    none of it.
    """

    def __init__(self) -> None:
        self._ledger_values: dict[str, Tensor] = {}

    def expected_draws(self, tile_pixels: np.ndarray) -> np.ndarray:
        """Return how often each tile is drawn in an epoch, on average, (n_tiles,) float64."""
        raise NotImplementedError

    def draw(self, tile_pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the tile indices of one epoch, in the order of training, (n,) int64."""
        raise NotImplementedError

    def ledger_values(self, tile_pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Return per-class numbers for the ledger: name -> (K,) float64.

        `sampling_factor` is the class's share of the pixels that are drawn over its share of the tiles' pixels: what
        sampling changes of a class, which tiles that hold several classes keep near 1. NaN for a class without pixels.
        """
        pixels = tile_pixels.sum(0)
        drawn = self.expected_draws(tile_pixels) @ tile_pixels
        share, drawn_share = pixels / pixels.sum(), drawn / drawn.sum()
        factor = np.divide(drawn_share, share, out=np.full(len(share), np.nan), where=share > 0)
        return {"sampling_factor": factor}

    def __call__(self, tile_pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw one epoch; see `methods.slots.Sampler`."""
        if not self._ledger_values:
            self._ledger_values = {
                name: torch.from_numpy(values).float() for name, values in self.ledger_values(tile_pixels).items()
            }
        return self.draw(tile_pixels, rng)

    def class_parameters(self) -> dict[str, Tensor]:
        """Return `ledger_values` of the tiles, (K,) each; nothing before the first epoch is drawn."""
        return {name: value.clone() for name, value in self._ledger_values.items()}


class RepeatFactorSampler(TileSampler):
    """Draws every tile at least once an epoch, and those with a rare class more often.

    Args:
        threshold: t: classes on a smaller share of the tiles are repeated.
    """

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    def class_factors(self, tile_pixels: np.ndarray) -> np.ndarray:
        """Return r_c = max(1, sqrt(t / f_c)), (K,) float64; 1 for a class that no tile holds."""
        share = (tile_pixels > 0).mean(0)
        return np.sqrt(np.maximum(1, self.threshold / np.where(share > 0, share, np.inf)))

    def expected_draws(self, tile_pixels: np.ndarray) -> np.ndarray:
        """Return the factor of each tile's rarest class; see `TileSampler.expected_draws`."""
        return np.where(tile_pixels > 0, self.class_factors(tile_pixels), 1.0).max(1)

    def draw(self, tile_pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Repeat each tile by its factor, rounded up or down at random; see `TileSampler.draw`."""
        factor = self.expected_draws(tile_pixels)
        repeats = np.floor(factor) + (rng.random(len(factor)) < factor % 1)
        return rng.permutation(np.repeat(np.arange(len(factor)), repeats.astype(np.int64)))

    def ledger_values(self, tile_pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Return `repeat_factor` and `sampling_factor`; see `TileSampler.ledger_values`."""
        return {"repeat_factor": self.class_factors(tile_pixels)} | super().ledger_values(tile_pixels)


class RepeatFactorConfig(MethodConfig):
    """Repeat-factor sampling of tiles."""

    threshold: Annotated[float, Range(0.01, 1.0, log=True)] = Field(
        default=1.0, ge=0, description="t: classes on a smaller share of the tiles are repeated; 0 repeats nothing"
    )

    card: ClassVar[Card] = Card(
        group=Group.SAMPLING,
        title="Repeat-factor sampling",
        formula="tile i is drawn r_i times an epoch, r_i = max over its classes of max(1, sqrt(t / f_c)), f_c = share "
        "of the training tiles that hold c; fractions are rounded at random; t 1",
        source="Gupta 2019 (LVIS), repeat factor sampling; rounding as in detectron2's RepeatFactorTrainingSampler",
        deviations="tiles instead of images; t 1 instead of .001: tissue classes are on far more than a thousandth of "
        "the tiles, so that the source's t repeats nothing, and with 1 every class follows f_c^-1/2. That t was chosen "
        "by what it does to training tiles (`sampling_factor` in the ledger), not by a score; tune it to the data",
    )

    def build(self, context: BuildContext) -> Components:  # noqa: ARG002
        """Build the sampler."""
        return Components(sampler=RepeatFactorSampler(self.threshold))


class ClassPresentSampler(TileSampler):
    """Draws some tiles for a class that is drawn first, the others in plain random order.

    Args:
        share: Probability that a tile is drawn for a class.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def tile_odds(self, tile_pixels: np.ndarray) -> np.ndarray:
        """Return the probability of each tile once its class is drawn, (n_tiles, classes that occur) float64."""
        pixels = tile_pixels[:, tile_pixels.sum(0) > 0]
        return pixels / pixels.sum(0)

    def expected_draws(self, tile_pixels: np.ndarray) -> np.ndarray:
        """Return 1 for the plain part and the odds of the other; see `TileSampler.expected_draws`."""
        n_tiles = len(tile_pixels)
        return 1 - self.share + self.share * n_tiles * self.tile_odds(tile_pixels).mean(1)

    def draw(self, tile_pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw as many tiles as there are; see `TileSampler.draw`."""
        n_tiles, odds = len(tile_pixels), self.tile_odds(tile_pixels)
        order = rng.permutation(n_tiles)
        chosen = rng.integers(odds.shape[1], size=n_tiles)
        position = rng.random(n_tiles)
        up_to = odds.cumsum(0)
        for_class = np.array(
            [
                np.searchsorted(up_to[:, c], u * up_to[-1, c], side="right")
                for c, u in zip(chosen, position, strict=True)
            ]
        )
        return np.where(rng.random(n_tiles) < self.share, for_class, order)


class ClassPresentConfig(MethodConfig):
    """Oversampling of tiles in which a randomly drawn class is present."""

    share: Annotated[float, Range(0.1, 1.0)] = Field(
        default=0.33, ge=0, le=1, description="of the tiles that are drawn for a class; 0 for none"
    )

    card: ClassVar[Card] = Card(
        group=Group.SAMPLING,
        title="Oversampling of present classes",
        formula="with probability .33 a tile is drawn for a class: the class uniformly among those that occur, then "
        "the tile of a random pixel of it; else tiles come in random order",
        source="Isensee 2021 (nnU-Net), a third of each batch holds a randomly chosen foreground class; .33 as in its "
        "code, MIC-DKFZ/nnUNet",
        deviations="each draw decides on its own instead of the last third of each batch; the class is drawn over the "
        "data set instead of within a case, and no class is background; the tile holds the class, but a crop smaller "
        "than the tile may miss it",
    )

    def build(self, context: BuildContext) -> Components:  # noqa: ARG002
        """Build the sampler."""
        return Components(sampler=ClassPresentSampler(self.share))
