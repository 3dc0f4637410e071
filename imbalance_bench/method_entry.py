"""One entry of `methods:` in the study file: which registered methods it is composed of, with which options."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, ValidationError

from imbalance_bench.config_errors import first_error
from imbalance_bench.config_section import PLAIN_NAME, Section
from imbalance_bench.errors import UserError
from imbalance_bench.method_lookup import method_named, require_method
from imbalance_bench.run_ids import without_label
from methods.config import MethodConfig, Requirement
from methods.plugins import origin_of


class Recipe(Section):
    """What one method has of its own in the recipe that all share: what tuning chose. None: as the others."""

    learning_rate: Annotated[float, Field(gt=0)] | None = None
    weight_decay: Annotated[float, Field(ge=0)] | None = None

    def changes(self) -> dict[str, float]:
        """Return the keys of `training` that differ."""
        return self.model_dump(exclude_none=True)


class MethodEntry(Section):
    """One method of the study: a label, and the registered methods that it is composed of (usually one).

    An entry with `by_fold` has its settings there alone: `parts` is empty, and `of_fold` says what is trained.
    """

    label: Annotated[str, Field(pattern=PLAIN_NAME, max_length=200)]
    parts: dict[str, MethodConfig]
    recipe: Recipe = Recipe()
    # of `training.steps`; below 1 for a control that must come out worse, since it is trained for less
    steps_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    by_fold: tuple["MethodEntry", ...] = ()  # settings of each fold, in order; empty: the same in all folds

    @property
    def settings(self) -> tuple["MethodEntry", ...]:
        """Settings of each fold, or the one that all folds share."""
        return self.by_fold or (self,)

    def of_fold(self, fold: int) -> "MethodEntry":
        """Return what is trained in a fold."""
        return self.by_fold[fold] if self.by_fold else self

    def resolved(self) -> dict[str, Any]:
        """Label and parts with every option spelled out; the label is no part of a run's id."""
        if self.by_fold:
            return {"label": self.label, "by_fold": [without_label(entry.resolved()) for entry in self.by_fold]}
        parts = [_resolved_part(name, config) for name, config in self.parts.items()]
        own = self.recipe.changes()
        content = {"label": self.label, "parts": parts} | ({"recipe": own} if own else {})
        return content | ({"steps_fraction": self.steps_fraction} if self.steps_fraction < 1 else {})

    def steps(self, of_study: int) -> int:
        """Optimiser steps of a training of the study's steps, at least 1."""
        return max(round(self.steps_fraction * of_study), 1)

    def requirements(self) -> frozenset[Requirement]:
        """Needs of all parts."""
        parts = (config for entry in self.settings for config in entry.parts.values())
        return frozenset().union(*(config.requirements() for config in parts))


@dataclass(frozen=True)
class _Outline:
    """An entry as it is written.

    Attributes:
        content: Label, recipe and share of the steps.
        parts: Name of each registered method -> its options.
    """

    content: dict[str, Any]
    parts: dict[str, dict[str, Any]]

    def entry(self, source: str, configs: Mapping[str, MethodConfig]) -> MethodEntry:
        """Return the entry with the configurations of its parts."""
        try:
            return MethodEntry.model_validate(self.content | {"parts": configs})
        except ValidationError as error:
            raise UserError(f"{source}: {first_error(error, MethodEntry)}") from error


def outlined_method(entry: object, source: str) -> MethodEntry:
    """Check all of an entry but the options of its parts, which it leaves out: nothing heavy is imported.

    Raises:
        UserError: An unknown method, a part that occurs twice, or a label, recipe or share that is not allowed.
    """
    if (folds := _of_folds(entry, source, outlined_method)) is not None:
        return folds
    return _outline(entry, source).entry(source, {})


def parse_method(entry: object, source: str) -> MethodEntry:
    """Accept `focal`, `{name: focal, gamma: 1, label: x}` or `{label: x, parts: [...]}`; `recipe`, `steps_fraction`.

    `{label: x, by_fold: [...]}` holds such an entry for each fold.
    """
    if (folds := _of_folds(entry, source, parse_method)) is not None:
        return folds
    outline = _outline(entry, source)
    return outline.entry(source, {name: _configured(name, options, source) for name, options in outline.parts.items()})


def _of_folds(entry: object, source: str, read: Callable[[object, str], MethodEntry]) -> MethodEntry | None:
    """Read an entry with settings by fold; None for any other."""
    if not isinstance(entry, Mapping) or "by_fold" not in entry:
        return None
    label, folds = entry.get("label"), entry["by_fold"]
    if {*entry} != {"label", "by_fold"} or not isinstance(folds, list) or not folds:
        raise UserError(
            f"{source}: a method with settings by fold must hold `label` and a list `by_fold`, and nothing else. "
            f"Got {entry!r}."
        )
    for fold in folds:
        if isinstance(fold, Mapping) and ("by_fold" in fold or "label" in fold):
            raise UserError(
                f"{source}: `by_fold` of '{label}' must hold methods without `label` and `by_fold`. Got {fold!r}."
            )
    settings = tuple(read(_options_of(fold, source) | {"label": label}, source) for fold in folds)
    try:
        return MethodEntry.model_validate({"label": label, "parts": {}, "by_fold": settings})
    except ValidationError as error:
        raise UserError(f"{source}: {first_error(error, MethodEntry)}") from error


def _outline(entry: object, source: str) -> _Outline:
    options = _options_of(entry, source)
    label, recipe = options.pop("label", None), options.pop("recipe", None) or {}
    steps = options.pop("steps_fraction", 1.0)
    part_entries = [options]
    if "parts" in options:
        part_entries = options.pop("parts")
        if options or not isinstance(part_entries, list) or not part_entries:
            raise UserError(f"{source}: a composed method must hold `label` and a list `parts`. Got {entry!r}.")
    parts: dict[str, dict[str, Any]] = {}
    for part in part_entries:
        options = _options_of(part, source)
        name = options.pop("name", None)
        if not isinstance(name, str):
            raise UserError(f"{source}: a method must be a name or a mapping with `name`. Got {part!r}.")
        require_method(name, source)
        if name in parts:
            raise UserError(f"{source}: `parts` must name each method once. Got '{name}' twice. Remove one of them.")
        parts[name] = options
    return _Outline({"label": label or "+".join(parts), "recipe": recipe, "steps_fraction": steps}, parts)


def _options_of(entry: object, source: str) -> dict[str, Any]:
    if isinstance(entry, str):
        return {"name": entry}
    if not isinstance(entry, Mapping):
        raise UserError(f"{source}: a method must be a name or a mapping with `name`. Got {entry!r}.")
    return dict(entry)


def _configured(name: str, raw_options: Mapping[str, Any], source: str) -> MethodConfig:
    """Return the validated options of a part."""
    options = dict(raw_options)
    method, recorded = method_named(name, source), options.pop("plugin", None)
    if recorded != origin_of(name) and recorded is not None:
        raise UserError(
            f"{source}: method '{name}' was recorded from {recorded}, and {origin_of(name) or 'none'} is installed. "
            "Install the one that is named, or give another --out."
        )
    try:
        return method.model_validate(options)
    except ValidationError as error:
        raise UserError(f"{source}: {first_error(error, method, of=name)}") from error


def _resolved_part(name: str, config: MethodConfig) -> dict[str, Any]:
    """Every option of a part and, of a plug-in, distribution and version: another version is another method."""
    origin = origin_of(name)
    return {"name": name} | ({"plugin": origin} if origin else {}) | config.model_dump(mode="json")
