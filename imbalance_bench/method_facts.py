"""What is known of each method, as plain values: the catalogue, `methods --json` and `imbalance_bench.methods()`."""

from collections.abc import Mapping
from typing import Any

from methods.config import MethodConfig
from methods.plugins import PluginError, find_method, known_names, origin_of
from methods.search_space import search_space

_BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def usable_methods() -> tuple[dict[str, type[MethodConfig]], list[str]]:
    """Import every method, those of plug-ins too.

    Returns:
        Name -> method, and one sentence for each plug-in that cannot be used, so that it does not hide the rest.
    """
    usable, unusable = {}, []
    for name in known_names():
        try:
            usable[name] = find_method(name)
        except PluginError as error:
            unusable.append(str(error))
    return usable, unusable


def method_facts(name: str, method: type[MethodConfig]) -> dict[str, Any]:
    """Return the card of a method and its options as JSON values.

    Returns:
        `name`, `title`, `family`, `formula`, `source`, `deviations`, `needs` (a list), `cost`, `same_as`,
        `nothing_to_tune` and `plugin` (the distribution that brings it), empty texts where there is nothing to say; and
        `options`, see `method_options`.
    """
    card = method.card
    return {
        "name": name,
        "title": card.title,
        "family": card.group.value,
        "formula": card.formula,
        "source": card.source,
        "deviations": card.deviations,
        "needs": sorted(card.requires),
        "cost": card.cost,
        "same_as": card.same_as,
        "nothing_to_tune": method.nothing_to_tune,
        "plugin": origin_of(name) or "",
        "options": method_options(method),
    }


def method_options(method: type[MethodConfig]) -> list[dict[str, Any]]:
    """Return the options of a method.

    Returns:
        Of each: `option`, `default`, `values` (what may be written, for a person), `search_space` (what `tuning` draws
        from; empty where it is not tuned) and `meaning`.
    """
    space, schema = search_space(method), method.model_json_schema()["properties"] if method.model_fields else {}
    return [
        {
            "option": option,
            "default": field.get_default(),
            "values": allowed_values(schema[option]),
            "search_space": str(space.get(option, "")),
            "meaning": field.description or "",
        }
        for option, field in method.model_fields.items()
    ]


def as_typed(value: object) -> str:
    """Write a default as a study file has it, such as `null` and `true`."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def allowed_values(schema: Mapping[str, Any]) -> str:
    """Write what the JSON schema of an option allows as a person types it, such as `mean | weighted_mean` or `>= 0`."""
    if "anyOf" in schema:
        return " | ".join(allowed_values(option) for option in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    kind = schema.get("type", "")
    if kind == "object":
        return f"{{class: {allowed_values(schema['additionalProperties'])}}}"
    bounds = [f"{sign} {schema[key]:g}" for key, sign in _BOUNDS.items() if key in schema]
    words = {"null": "null", "boolean": "true | false", "integer": "whole number"}
    return " ".join([words.get(kind, str(kind)), " and ".join(bounds)]).strip()
