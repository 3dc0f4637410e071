"""docs/study_file.md: every key of a study file, from the classes that validate it.

A key's meaning is the comment at its field: behind it, or on the lines above it.
"""

import ast
import inspect
import io
import json
import tokenize
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from imbalance_bench.config import StudyConfig
from imbalance_bench.method_entry import MethodEntry, Recipe

HEAD = """\
# The study file

A study file is YAML. Unknown keys are refused with the nearest known name, and values out of range with the allowed
range, before any image is read. `imbalance-bench run study.yaml --set training.steps=300` overrides a key for one
command, and `imbalance-bench run study.yaml --dry-run` checks everything and trains nothing. Relative paths start at
the working directory.

The smallest study names its data set and its methods:

```yaml
name: my-study
dataset: {path: data/mine}
model: {encoder_weights: imagenet}
methods: [cross_entropy, focal, dfa]
```

This page is written by `make pages` from the classes that validate the file.

"""
METHODS = """\
## `methods:`

Each entry is the name of a method, a mapping with `name` and options, or a composition with `label` and `parts`. The
options of every method are in the [catalogue](methods.md). A method whose settings were chosen for each fold
([tuning](tuning.md)) has a `label` and a list `by_fold` with such an entry, without a label, for each fold.

```yaml
methods:
  - cross_entropy
  - {name: focal, gamma: 1, label: focal_1}
  - {label: dfa_focal, parts: [{name: dfa}, {name: focal}]}
  - {label: focal_2, by_fold: [{name: focal, gamma: 1}, {name: focal, gamma: 3}]}  # of a study of two folds
```

| key | type | default | meaning |
|---|---|---|---|
| `name` | text | required | a registered method, or one of a plug-in |
| `label` | text | name of the method | what the method is called in records, tables and figures; unique in a study |
| `parts` | list | | methods that are composed; takes the place of `name` |
| `by_fold` | list | | settings of each fold, in their order; takes the place of all other keys but `label` |
"""


def page() -> str:
    """Return the page."""
    own = [row for row in _rows(MethodEntry, "") if row.startswith("| `steps_fraction`")] + _rows(Recipe, "recipe.")
    return HEAD + "\n".join(_sections(StudyConfig, "")) + "\n" + METHODS + "\n".join(own) + "\n"


def comments(section: type[BaseModel]) -> dict[str, str]:
    """Return the comment at each field that the class itself declares: behind it, or above it."""
    source = inspect.getsource(section)
    lines = source.splitlines()
    said = {
        token.start[0]: (token.string.lstrip("# ").rstrip(), lines[token.start[0] - 1].lstrip().startswith("#"))
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found = {}
    for node in ast.parse(source).body[0].body:  # pyright: ignore[reportAttributeAccessIssue] - a class
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        above, line = [], node.lineno - 1
        while line in said and said[line][1]:
            above.insert(0, said[line][0])
            line -= 1
        behind = [said[line][0] for line in range(node.lineno, (node.end_lineno or node.lineno) + 1) if line in said]
        found[node.target.id] = "; ".join(filter(None, (" ".join(above), *behind)))
    return found


def _sections(section: type[BaseModel], prefix: str) -> list[str]:
    """A heading, what the class says of itself, and a table; then the same for the sections in it."""
    title = "Top level" if not prefix else f"`{prefix.rstrip('.')}:`"
    lines = [f"## {title}", "", *_introduction(section, prefix), *_table(section, prefix)]
    for name, field in section.model_fields.items():
        inner = section_of(field.annotation)
        if inner is not None and name not in ("models", "methods"):
            lines += _sections(inner, f"{prefix}{field.alias or name}.")
    return lines


def _introduction(section: type[BaseModel], prefix: str) -> list[str]:
    return [" ".join((inspect.getdoc(section) or "").split()), ""] if prefix else []


def _table(section: type[BaseModel], prefix: str) -> list[str]:
    return ["| key | type | default | meaning |", "|---|---|---|---|", *_rows(section, prefix), ""]


def _rows(section: type[BaseModel], prefix: str) -> list[str]:
    said: dict[str, str] = {}
    for base in reversed(section.__mro__):
        if issubclass(base, BaseModel) and base.__module__.startswith("imbalance_bench"):
            said |= comments(base)
    rows = []
    for name, field in section.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        inner = section_of(field.annotation)
        if inner is not None:
            listed = name in ("models", "methods")
            kind = "list of sections" if listed else "section"
            default = "required" if field.is_required() else ""
            meaning = said.get(name, "") or (
                f"see [below](#{key.replace('.', '')})" if not listed or name == "methods" else ""
            )
        else:
            whole = section.model_json_schema()
            described = whole["$defs"][section.__name__] if "$ref" in whole else whole  # a section that holds itself
            kind = kind_of(described["properties"][field.alias or name], whole)
            default = (
                "required" if field.is_required() else f"`{_default(field.get_default(call_default_factory=True))}`"
            )
            meaning = said.get(name, "")
        rows.append("| " + " | ".join(_cell(text) for text in (f"`{key}`", kind, default, meaning)) + " |")
    return rows


def section_of(annotation: Any) -> type[BaseModel] | None:
    """Return the section that an annotation holds, such as that of `SlurmSection | None`; none for plain values."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    if getattr(annotation, "__origin__", None) is dict:
        return None
    return next((found for inner in get_args(annotation) if (found := section_of(inner)) is not None), None)


def kind_of(schema: dict[str, Any], whole: dict[str, Any]) -> str:
    """Say in words what a JSON schema allows.

    Args:
        schema: Of one key.
        whole: Of its section, which holds the definitions that are referred to.
    """
    if "$ref" in schema:
        return kind_of(whole["$defs"][schema["$ref"].rsplit("/", 1)[-1]], whole)
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(kind_of(each, whole) for each in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        items = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
        return f"list of {kind_of(items, whole)}"
    names = {
        "integer": "integer", "number": "number", "string": "text", "boolean": "true or false", "null": "null",
        "object": "mapping",
    }  # fmt: skip
    return names.get(schema.get("type", ""), "value") + _bounds(schema)


def _bounds(schema: dict[str, Any]) -> str:
    marks = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = [f"{mark} {schema[key]:,}" for key, mark in marks.items() if abs(schema.get(key, 2**31)) < 2**31 - 1]
    if "multipleOf" in schema:
        bounds.append(f"a multiple of {schema['multipleOf']}")
    return f" {', '.join(bounds)}" if bounds else ""


def _default(value: Any) -> str:
    if value is PydanticUndefined or isinstance(value, BaseModel):
        return ""
    return json.dumps(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
