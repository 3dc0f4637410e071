"""Which settings are tried: the same quasi-random points for every method."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel
from scipy.stats import qmc

from imbalance_bench.method_entry import MethodEntry, Recipe
from imbalance_bench.tuning.section import SHARED_OPTIONS, Draws, TuningSection
from methods.base import MethodConfig
from methods.search_space import Range, Search, search_space

DIMENSIONS = 32  # of every point: the first belong to shared options, whether or not they are drawn


@dataclass(frozen=True)
class Trial:
    """One setting of one method.

    Attributes:
        number: 0 is the method as the study file has it.
        entry: The method with this setting, under a label of its own.
        draw: Option -> value of what was drawn; `part.option` in a composed method. Empty for trial 0.
        recipe: Shared option -> value of what was drawn; without those that the method's own recipe sets.
    """

    number: int
    entry: MethodEntry
    draw: dict[str, Any]
    recipe: dict[str, float]


def points(draws: Draws, n: int, seed: int) -> np.ndarray:
    """Return n points of the unit cube, (n, DIMENSIONS) float64 in [0, 1).

    The first points of a longer Sobol or random sequence are those of a shorter one, so that trials can be added.

    Args:
        draws: `sobol`, scrambled; `random`; `latin`, centred: n levels of each option, in an order of its own.
        n: Points.
        seed: Of scrambling, numbers or orders.
    """
    rng = np.random.default_rng(seed)
    if draws == "random":
        return rng.random((n, DIMENSIONS))
    if draws == "latin":
        return qmc.LatinHypercube(DIMENSIONS, scramble=False, rng=rng).random(n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # balance needs a power of two; the rest of it is left out
        return qmc.Sobol(DIMENSIONS, scramble=True, rng=rng).random_base2(int(np.ceil(np.log2(max(n, 1)))))[:n]


def tunable(entry: MethodEntry) -> dict[tuple[str, str], Search]:
    """Return (part, option) -> search space of what the study file leaves open, in the order of parts and fields.

    An option that the study file gives is kept.
    """
    return {
        (part, option): search
        for part, config in entry.parts.items()
        for option, search in search_space(type(config)).items()
        if option not in config.model_fields_set
    }


def trials_of(entry: MethodEntry, section: TuningSection) -> list[Trial]:
    """Return the trials of a method, trial 0 first; equal settings share the label of the first."""
    drawn = points(section.draws, section.trials - 1, section.seed)
    own = entry.recipe.changes()  # kept, as every option that the study file gives
    trials = [Trial(0, _labelled(entry, 0), {}, {})]
    for number, point in enumerate(drawn, start=1):
        recipe = {
            name: _shared(section, name, point[k])
            for k, name in enumerate(SHARED_OPTIONS)
            if name in section.shared and name not in own
        }
        values = {
            key: search.at(float(point[len(SHARED_OPTIONS) + k]))
            for k, (key, search) in enumerate(tunable(entry).items())
        }
        parts = {name: _with_values(config, name, values) for name, config in entry.parts.items()}
        changed = entry.model_copy(update={"parts": parts, "recipe": Recipe.model_validate(own | recipe)})
        twin = next((t for t in trials if _setting(t.entry) == _setting(changed)), None)
        draw = {option if len(parts) == 1 else f"{part}.{option}": value for (part, option), value in values.items()}
        trials.append(Trial(number, twin.entry if twin else _labelled(changed, number, entry.label), draw, recipe))
    return trials


def _shared(section: TuningSection, name: Any, quantile: float) -> float:
    span = section.shared[name]
    return float(Range(span.low, span.high, log=span.log).at(float(quantile)))


def _with_values(config: MethodConfig, part: str, values: dict[tuple[str, str], Any]) -> MethodConfig:
    """Validate the configuration anew with the values that belong to it."""
    own = {option: value for (name, option), value in values.items() if name == part}
    return type(config).model_validate(config.model_dump() | own)


def _labelled(entry: MethodEntry, number: int, label: str | None = None) -> MethodEntry:
    return entry.model_copy(update={"label": f"{label or entry.label}.t{number}"})


def _setting(entry: MethodEntry) -> tuple[dict[str, BaseModel], Recipe]:
    return dict(entry.parts), entry.recipe
