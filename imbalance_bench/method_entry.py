"""One entry of `methods:` in the study file: which registered methods it is composed of, with which options."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from imbalance_bench.config_errors import first_error
from imbalance_bench.config_section import PLAIN_NAME, Section
from imbalance_bench.errors import UserError
from imbalance_bench.method_lookup import method_named
from methods.base import MethodConfig, Requirement
from methods.plugins import origin_of


class Recipe(Section):
    """What one method has of its own in the recipe that all share: what tuning chose. None: as the others."""

    learning_rate: Annotated[float, Field(gt=0)] | None = None
    weight_decay: Annotated[float, Field(ge=0)] | None = None

    def changes(self) -> dict[str, float]:
        """Return the keys of `training` that differ."""
        return self.model_dump(exclude_none=True)


class MethodEntry(Section):
    """One method of the study: a label, and the registered methods that it is composed of (usually one)."""

    label: Annotated[str, Field(pattern=PLAIN_NAME)]
    parts: dict[str, MethodConfig]
    recipe: Recipe = Recipe()
    # of `training.steps`; below 1 for a control that must come out worse, since it is trained for less
    steps_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0

    def resolved(self) -> dict[str, Any]:
        """Label and parts with every option spelled out; the label is no part of a run's id."""
        parts = [_resolved_part(name, config) for name, config in self.parts.items()]
        own = self.recipe.changes()
        content = {"label": self.label, "parts": parts} | ({"recipe": own} if own else {})
        return content | ({"steps_fraction": self.steps_fraction} if self.steps_fraction < 1 else {})

    def steps(self, of_study: int) -> int:
        """Optimiser steps of a training of the study's steps, at least 1."""
        return max(round(self.steps_fraction * of_study), 1)

    def requirements(self) -> frozenset[Requirement]:
        """Needs of all parts."""
        return frozenset().union(*(config.requirements() for config in self.parts.values()))


def parse_method(entry: object, source: str) -> MethodEntry:
    """Accept `focal`, `{name: focal, gamma: 1, label: x}` or `{label: x, parts: [...]}`; `recipe`, `steps_fraction`."""
    if isinstance(entry, str):
        entry = {"name": entry}
    if not isinstance(entry, Mapping):
        raise UserError(f"{source}: a method must be a name or a mapping with `name`. Got {entry!r}.")
    options = dict(entry)
    label, recipe = options.pop("label", None), options.pop("recipe", None) or {}
    steps = options.pop("steps_fraction", 1.0)
    if "parts" in options:
        parts = options.pop("parts")
        if options or not isinstance(parts, list) or not parts:
            raise UserError(f"{source}: a composed method must hold `label` and a list `parts`. Got {dict(entry)!r}.")
        configs = dict(_parse_part(part, source) for part in parts)
        label = label or "+".join(configs)
    else:
        configs = dict([_parse_part(options, source)])
        label = label or next(iter(configs))
    try:
        return MethodEntry.model_validate({"label": label, "parts": configs, "recipe": recipe, "steps_fraction": steps})
    except ValidationError as error:
        raise UserError(f"{source}: {first_error(error, MethodEntry)}") from error


def _parse_part(part: object, source: str) -> tuple[str, MethodConfig]:
    """Return the registered name and the validated options."""
    options = {"name": part} if isinstance(part, str) else dict(part) if isinstance(part, Mapping) else {}
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise UserError(f"{source}: a method must be a name or a mapping with `name`. Got {part!r}.")
    method, recorded = method_named(name, source), options.pop("plugin", None)
    if recorded != origin_of(name) and recorded is not None:
        raise UserError(
            f"{source}: method '{name}' is of {recorded}, and installed is {origin_of(name) or 'none'}. "
            "Install the one that is named, or give another --out."
        )
    try:
        return name, method.model_validate(options)
    except ValidationError as error:
        raise UserError(f"{source}: {first_error(error, method, of=name)}") from error


def _resolved_part(name: str, config: MethodConfig) -> dict[str, Any]:
    """Every option of a part and, of a plug-in, distribution and version: another version is another method."""
    origin = origin_of(name)
    return {"name": name} | ({"plugin": origin} if origin else {}) | config.model_dump(mode="json")
