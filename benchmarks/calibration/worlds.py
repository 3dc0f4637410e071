"""Studies whose truth is known, as the tidy frames that `explain` takes: what it must survive, what it must find."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from imbalance_bench.preregistration import PRIMARY_MEASURES

METHOD = "dfa"
TIMES_START = {"prior": 1.0, "cold": 0.0, "inverted": -1.0}


@dataclass(frozen=True)
class World:
    """How classes, biases and measures come about; noise and slopes are in units of the spread of a measure.

    Args:
        classes: Classes of each data set.
        same_names: The data sets share as many names as they can.
        families: Families into which the classes of each data set fall by turns; 0: none.
        family_share: Share of the variance between classes, of biases and of measures, that families have in common.
        name_share: Share of the variance between classes that belongs to the name where names are shared.
        slopes: Of what is learned on true log frequency, boundary ambiguity, dispersion of shape and overlap.
        correlation: Of true log frequency with true boundary ambiguity.
        reliability: Share of the variance of the measured difficulties that is true.
        errors_known: Whether standard errors say so.
        class_noise: What a class learns beside.
        seed_noise: What a run learns beside.
        fold_noise: What the training set of a fold makes of a class beside.
        start: Slope of the start on log frequency.
        kept: Share of the start that is left.
        starts: Names in TIMES_START.
        folds: Training sets.
        seeds: Runs on each.
        scales: Factor on the biases of each data set.
        noisy: In which data sets nothing is learned but noise of the run.
        families_given: Whether the frame names families.
    """

    classes: tuple[int, ...]
    same_names: bool = False
    families: int = 0
    family_share: float = 0.0
    name_share: float = 1.0
    slopes: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    correlation: float = 0.0
    reliability: float = 1.0
    errors_known: bool = True
    class_noise: float = 0.3
    seed_noise: float = 0.3
    fold_noise: float = 0.0
    start: float = 0.0
    kept: float = 1.0
    starts: tuple[str, ...] = ("prior",)
    folds: int = 1
    seeds: int = 4
    scales: tuple[float, ...] = ()
    noisy: tuple[int, ...] = ()
    families_given: bool = True


def draw(world: World, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw one study: the frames `quantities` and `measures`."""
    quantities, measures = [], []
    of_names = _effects(max(world.classes), 5, world, rng)  # four measures and what is learned beside them
    for number, k in enumerate(world.classes):
        own = _effects(k, 5, world, rng)
        if world.same_names:
            own = np.sqrt(world.name_share) * of_names[:k] + np.sqrt(1 - world.name_share) * own
        names = [f"class {c}" if world.same_names else f"class {number}.{c}" for c in range(k)]
        families = [f"family {c % world.families}" if world.families and world.families_given else "" for c in range(k)]
        true = own[:, :4].copy()
        true[:, 1] = world.correlation * true[:, 0] + np.sqrt(1 - world.correlation**2) * true[:, 1]
        learned = true @ np.array(world.slopes) + world.class_noise * own[:, 4]
        quantities.append(_runs(world, number, names, families, true[:, 0], learned, rng))
        measures.append(_measured(world, number, names, true, rng))
    return pd.concat(quantities, ignore_index=True), pd.concat(measures, ignore_index=True)


def _effects(k: int, columns: int, world: World, rng: np.random.Generator) -> np.ndarray:
    """Return (k, columns) standard normal effects of classes, correlated within families."""
    own = rng.normal(size=(k, columns))
    if not world.families:
        return own
    of_family = rng.normal(size=(world.families, columns))[np.arange(k) % world.families]
    return np.sqrt(world.family_share) * of_family + np.sqrt(1 - world.family_share) * own


def _runs(
    world: World,
    number: int,
    names: Sequence[str],
    families: Sequence[str],
    log_frequency: np.ndarray,
    learned: np.ndarray,
    rng: np.random.Generator,
) -> pd.DataFrame:
    scale = world.scales[number] if world.scales else 1.0
    learned = 0 * learned if number in world.noisy else learned
    frames = []
    for fold in range(world.folds):
        of_fold = learned + world.fold_noise * rng.normal(size=len(names))
        for name in world.starts:
            start = TIMES_START[name] * world.start * log_frequency
            for seed in range(world.seeds):
                end = world.kept * start + of_fold + world.seed_noise * rng.normal(size=len(names))
                run = {"data_set": f"data set {number}", "method": METHOD, "fold": fold, "seed": seed}
                columns = {"class": names, "family": families, "start": scale * start, "value": scale * end}
                frames.append(pd.DataFrame(run | {"start_name": name} | columns))
    return pd.concat(frames, ignore_index=True)


def _measured(
    world: World, number: int, names: Sequence[str], true: np.ndarray, rng: np.random.Generator
) -> pd.DataFrame:
    error = np.sqrt(1 / world.reliability - 1)
    measured = true + error * rng.normal(size=true.shape) * np.array([0, 1, 1, 1])
    measured[:, 0] = np.exp(true[:, 0] - 3)
    frames = []
    for column, (construct, measure) in enumerate(PRIMARY_MEASURES.items()):
        said = error if column and world.errors_known and error > 0 else np.nan
        row = {"data_set": f"data set {number}", "construct": construct, "measure": measure, "standard_error": said}
        frames.append(pd.DataFrame(row | {"class": names, "value": measured[:, column]}))
    return pd.concat(frames, ignore_index=True)
