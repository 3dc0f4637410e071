"""What is wrong with a configuration, in one sentence."""

from typing import get_args

from pydantic import BaseModel, ValidationError

from imbalance_bench.errors import nearest

_LIMITS = {"greater_than_equal": (">=", "ge"), "greater_than": (">", "gt"), "less_than_equal": ("<=", "le")}
_LIMITS |= {"less_than": ("<", "lt"), "multiple_of": ("a multiple of", "multiple_of")}


def first_error(error: ValidationError, model: type[BaseModel], *, of: str = "") -> str:
    """Turn the first of pydantic's errors into one sentence: "`steps` must be >= 1. Got 0."."""
    first = error.errors(include_url=False)[0]
    kind, location, context = first["type"], [str(part) for part in first["loc"]], first.get("ctx", {})
    key = "`" + ".".join(location) + "`" + (f" of {of}" if of else "")
    if kind == "extra_forbidden":
        return f"unknown key {key}.{nearest(location[-1], _keys_beside(model, location))}"
    if kind == "missing":
        return f"{key} is required."
    if kind == "value_error":
        return str(context.get("error", first["msg"]))
    if kind in _LIMITS:
        symbol, name = _LIMITS[kind]
        return f"{key} must be {symbol} {context[name]}. Got {first['input']!r}."
    if kind == "literal_error":
        return f"{key} must be one of {context['expected']}. Got {first['input']!r}."
    if kind == "string_pattern_mismatch":
        return f"{key} must hold letters, digits, '_', '.', '+' or '-' only. Got {first['input']!r}."
    expectation = first["msg"].removeprefix("Input ").removeprefix("Value ")
    return f"{key}: {expectation}. Got {first['input']!r}."


def _keys_beside(model: type[BaseModel], location: list[str]) -> list[str]:
    """Names that the section at `location` knows."""
    for name in location[:-1]:
        annotation = model.model_fields[name].annotation if name in model.model_fields else None
        for section in get_args(annotation) or (annotation,):  # a section that may be left out is `Section | None`
            if isinstance(section, type) and issubclass(section, BaseModel):
                model = section
    return list(model.model_fields)
