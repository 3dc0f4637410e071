"""Validation of what a person wrote, and what is wrong with it in one sentence."""

from collections.abc import Sequence
from reprlib import Repr
from typing import Any, TypeVar, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from imbalance_bench.errors import UserError, nearest
from imbalance_bench.yaml_files import Mark, YamlList, YamlMapping

Checked = TypeVar("Checked")

_LIMITS = {"greater_than_equal": (">=", "ge"), "greater_than": (">", "gt"), "less_than_equal": ("<=", "le")}
_LIMITS |= {"less_than": ("<", "lt"), "multiple_of": ("a multiple of", "multiple_of")}
_UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")
_TEXT_EXPECTED = ("string_type", "path_type")
_NOTHING = (None, "", "~")
_value = Repr()
_value.maxstring, _value.maxother = 120, 120


def validated(model: type[Checked], content: Any, source: str) -> Checked:
    """Check the content of a file against a model.

    Where the model wants text, a value counts as it is written: `no`, `01`, `null` and `1e3` are names there.

    Args:
        model: A pydantic model or dataclass.
        content: As `read_yaml` returns it, or plain objects; names are corrected in place.
        source: The file, for errors.

    Raises:
        UserError: The first thing wrong, with its line where it is known.
    """
    adapter = TypeAdapter(model)
    while True:
        try:
            return adapter.validate_python(content)
        except ValidationError as error:
            if not _take_as_written(error, content):
                line = _line(content, _most_telling(error)["loc"])
                where = f"{source} line {line}" if line else source
                raise UserError(f"{where}: {first_error(error, model)}") from None


def first_error(error: ValidationError, model: type[Any], *, of: str = "") -> str:
    """Turn the first of pydantic's errors into one sentence: "`steps` must be >= 1. Got 0."."""
    first = _most_telling(error)
    kind, location, context = first["type"], [str(part) for part in first["loc"]], first.get("ctx", {})
    key, value = "`" + ".".join(location) + "`" + (f" of {of}" if of else ""), _value.repr(first["input"])
    if kind in _UNKNOWN_KEY:
        return f"unknown key {key}.{nearest(location[-1], _keys_beside(model, location))}"
    fix = f" {_fix(model, location)}".rstrip()
    if kind in ("missing", "missing_argument"):
        return f"{key} is required.{fix}"
    if kind == "value_error":
        sentence = str(context.get("error", first["msg"]))
        return f"{key} {sentence}{fix}" if sentence.startswith("must ") else sentence
    if kind in _LIMITS:
        symbol, name = _LIMITS[kind]
        return f"{key} must be {symbol} {context[name]}. Got {value}.{fix}"
    if kind == "literal_error":
        return f"{key} must be one of {context['expected']}. Got {value}.{fix}"
    if kind == "string_pattern_mismatch":
        return f"{key} must hold letters, digits, '_', '.', '+' or '-' only. Got {value}.{fix}"
    expectation = first["msg"].removeprefix("Input ").removeprefix("Value ")
    return f"{key}: {expectation}. Got {value}.{fix}"


def _most_telling(error: ValidationError) -> ErrorDetails:
    """Return the first unknown key, which is often the misspelt one that is missing, else the first of all."""
    errors = error.errors(include_url=False)
    return next((detail for detail in errors if detail["type"] in _UNKNOWN_KEY), errors[0])


def _take_as_written(failure: ValidationError, content: Any) -> bool:
    """Put the written text where text is expected and YAML made something else of it; False if there is none."""
    changed = False
    for error in failure.errors(include_url=False, include_context=False):
        *above, last = error["loc"] or ("",)
        parent = _at(content, above)
        mark = _mark(parent, last)
        if error["type"] in _TEXT_EXPECTED and mark is not None and mark.text not in _NOTHING:
            changed |= parent[last] is not mark.text
            parent[last] = mark.text
    return changed


def _line(content: Any, location: Sequence[int | str]) -> int | None:
    """Return the line of a value, or of the nearest thing around it."""
    for length in range(len(location), 0, -1):
        mark = _mark(_at(content, location[: length - 1]), location[length - 1])
        if mark is not None:
            return mark.line
    return None


def _at(content: Any, location: Sequence[int | str]) -> Any:
    for part in location:
        try:
            content = content[part]
        except (KeyError, IndexError, TypeError):
            return None
    return content


def _mark(parent: Any, key: int | str) -> Mark | None:
    return parent.marks.get(key) if isinstance(parent, YamlMapping | YamlList) else None


def _keys_beside(model: type[Any], location: list[str]) -> list[str]:
    """Names that the section at `location` knows."""
    return [field.alias or key for key, field in _fields(_section(model, location)).items()]


def _fix(model: type[Any], location: list[str]) -> str:
    """What the field at `location` says on how to correct it, if it says anything: its extra `fix`."""
    field = _fields(_section(model, location)).get(location[-1]) if location else None
    extra = field.json_schema_extra if field is not None else None
    return str(extra.get("fix", "")) if isinstance(extra, dict) else ""


def _section(model: type[Any], location: list[str]) -> type[Any]:
    """Return the model of the section that holds the value at `location`."""
    for name in location[:-1]:
        field = next((field for key, field in _fields(model).items() if name in (key, field.alias)), None)
        annotation = None if field is None else field.annotation
        for candidate in (annotation, *get_args(annotation)):  # a section, or a list of them
            if isinstance(candidate, type) and _fields(candidate):
                model = candidate
    return model


def _fields(model: type[Any]) -> dict[str, Any]:
    """Fields of a pydantic model or dataclass."""
    return getattr(model, "__pydantic_fields__", {})
