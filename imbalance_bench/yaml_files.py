"""The one way into YAML: the plain safe subset, keys are text and occur once, and every value knows its line.

YAML 1.1 reads `no` as false, `010` as 8 and `1:30` as 90. Here a value keeps how it is written beside what YAML makes
of it, so that a name stays as written (see `config_errors.validated`), and numbers that readers of YAML disagree on are
no numbers. Dates are text.
"""

import re
import unicodedata
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.nodes import MappingNode, Node, ScalarNode
from yaml.reader import ReaderError

from imbalance_bench.errors import UserError
from imbalance_bench.text_files import line_of, read_text

_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = {_TAG + name for name in ("str", "timestamp", "value")}
_MERGE = _TAG + "merge"
_DEEPEST = 40
_MOST_VALUES = 100_000
_LARGEST = 2**63
_EXPONENT = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)[eE][-+]?\d+")  # a float to YAML 1.2 and to people
_AMBIGUOUS = re.compile(r"[-+]?(0[0-7_]+|\d[\d_]*(:[0-5]?\d)+(\.[\d_]*)?)")  # octal to some, base 60 to some
_LOST_COLOUR = re.compile(r"(?:[\[{,]\s*|[:-][ \t]+)(#[0-9a-fA-F]{6})\b")


@dataclass(frozen=True)
class Mark:
    """Where a value is written, and how.

    Attributes:
        line: From 1.
        text: As written, where YAML makes something else than text of it; None elsewhere.
    """

    line: int
    text: str | None = None


class YamlMapping(dict[str, Any]):
    """A mapping that knows the mark of each of its values."""

    marks: dict[Hashable, Mark]


class YamlList(list[Any]):
    """A list that knows the mark of each of its values."""

    marks: dict[Hashable, Mark]


@dataclass(frozen=True)
class AmbiguousNumber:
    """`010` or `1:30`: neither a number nor a text before somebody says which."""

    text: str

    def __repr__(self) -> str:
        """Return it as written, with the reason."""
        return f"{self.text}, which some programs read as octal or base 60"


def read_yaml(path: Path, fix: str = "Check the path.") -> YamlMapping:
    """Read a YAML file of `key: value` lines.

    Args:
        path: The file.
        fix: What to do where there is no such file.

    Raises:
        UserError: It cannot be read, is no YAML, holds a key twice, or holds no mapping.
    """
    content = parse_yaml(read_text(path, fix), str(path))
    if not isinstance(content, YamlMapping):
        kind = "nothing" if content is None else type(content).__name__.removeprefix("Yaml").lower()
        raise UserError(f"{path} must be a mapping of `key: value` lines. Got {kind}. Begin with `name: ...`.")
    return content


def parse_yaml(text: str, source: str) -> Any:
    """Parse one YAML document.

    Args:
        text: YAML.
        source: Names it in errors.

    Returns:
        None, bool, int, float, str, `AmbiguousNumber`, `YamlList` or `YamlMapping`.

    Raises:
        UserError: It is no YAML of the safe subset, or a mapping holds a key twice.
    """
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        _refuse_lost_colours(text, source)
        return None if node is None else _Builder(loader, source).build(node)
    except yaml.YAMLError as error:
        _refuse_lost_colours(text, source, parsed=False)
        raise UserError(
            f"{source}{_place(error)} must be YAML. Got: {_problem(error)}. Correct the syntax there."
        ) from None
    finally:
        if loader is not None:
            loader.dispose()


class _Loader(yaml.SafeLoader):
    """Composes nodes to a limited depth."""

    depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        self.depth += 1
        if self.depth > _DEEPEST:
            mark = self.peek_event().start_mark
            raise ComposerError(None, None, f"more than {_DEEPEST} levels of nesting", mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Builder:
    """Makes values of nodes; an alias gives the same object again, and few aliases can stand for billions of values."""

    def __init__(self, loader: _Loader, source: str) -> None:
        self._loader, self._source = loader, source
        self._built: dict[int, Any] = {}
        self._sizes: dict[int, int] = {}  # of what is built, with all aliases unfolded

    def build(self, node: Node) -> Any:
        """Return the value of a node."""
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if id(node) not in self._built:
            self._built[id(node)] = value = YamlMapping() if isinstance(node, MappingNode) else YamlList()
            self._fill(value, node)
            self._sizes[id(value)] = 1 + sum(self._sizes.get(id(child), 1) for child in _values(value))
            if self._sizes[id(value)] > _MOST_VALUES:
                raise self._error(node, f"holds more than {_MOST_VALUES} values, with its aliases. Write fewer")
        return self._built[id(node)]

    def _fill(self, value: YamlMapping | YamlList, node: Node) -> None:
        if node.tag not in (_TAG + "map", _TAG + "seq"):
            raise self._error(node, f"holds the tag {node.tag}. Remove it; only plain YAML is read")
        value.marks = {}
        if isinstance(value, YamlList):
            value.extend(map(self.build, node.value))
            value.marks |= {place: _mark(value_node, value[place]) for place, value_node in enumerate(node.value)}
        elif isinstance(node, MappingNode):
            self._refuse_second_keys(node)
            self._loader.flatten_mapping(node)  # `<<: *anchor`, whose keys come first and are overruled
            for key_node, value_node in node.value:
                key = self._key(key_node)
                value[key] = self.build(value_node)
                value.marks[key] = _mark(value_node, value[key])

    def _key(self, node: Node) -> str:
        """Return a key as it is written, whatever YAML makes of it: `no`, `01` and `null` are names."""
        if not isinstance(node, ScalarNode) or not node.value:
            raise self._error(node, "holds a key that is no text. Write `key: value`")
        return unicodedata.normalize("NFC", node.value)

    def _refuse_second_keys(self, node: Node) -> None:
        first: dict[str, int] = {}
        for key_node, _ in node.value:
            key, line = self._key(key_node), key_node.start_mark.line + 1
            if key in first:
                raise UserError(
                    f"{self._source} line {line}: the key `{key}` must occur once. Got it in line {first[key]}, too. "
                    "Remove one of them."
                )
            first[key] = line

    def _scalar(self, node: ScalarNode) -> Any:
        text = node.value
        if node.tag in _TEXT_TAGS:
            return float(text) if node.style is None and _EXPONENT.fullmatch(text) else text
        if node.tag not in {_TAG + name for name in ("null", "bool", "int", "float")}:
            raise self._error(node, f"holds the tag {node.tag}. Remove it; only plain YAML is read")
        if _AMBIGUOUS.fullmatch(text):
            return AmbiguousNumber(text)
        try:
            value = self._loader.construct_object(node)
        except (ValueError, KeyError, yaml.YAMLError):  # Python reads no integer of more than 4300 digits
            value = _LARGEST if node.tag == _TAG + "int" and text.strip("-+").isdigit() else ...
        if value is ...:
            raise self._error(node, f"holds a value that cannot be read ({_shortened(text)}). Correct it")
        if isinstance(value, int) and abs(value) >= _LARGEST:
            raise self._error(node, f"holds an integer beyond 64 bits ({_shortened(text)}). Write a smaller one")
        return value

    def _error(self, node: Node, problem: str) -> UserError:
        return UserError(f"{self._source} line {node.start_mark.line + 1} {problem}.")


def _values(value: YamlMapping | YamlList) -> Iterable[Any]:
    return value.values() if isinstance(value, YamlMapping) else value


def _mark(node: Node, value: Any) -> Mark:
    written = isinstance(node, ScalarNode) and node.style is None and not isinstance(value, str)
    return Mark(node.start_mark.line + 1, node.value if written and isinstance(node, ScalarNode) else None)


def _refuse_lost_colours(text: str, source: str, *, parsed: bool = True) -> None:
    """Refuse `colour: #ff0000`, which is an empty value and a comment."""
    matches = list(_LOST_COLOUR.finditer(text))
    if not matches:
        return
    tokens = yaml.scan(text, Loader=yaml.SafeLoader) if parsed else ()
    spans = [(token.start_mark.index, token.end_mark.index) for token in tokens if isinstance(token, yaml.ScalarToken)]
    for match in matches:
        place = match.start(1)
        if not any(start <= place < end for start, end in spans):
            line = line_of(text[:place])
            raise UserError(
                f"{source} line {line}: `{match[1]}` begins a comment there. Put the colour in quotation marks: "
                f"'{match[1]}'."
            )


def _place(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f" line {mark.line + 1}" if mark is not None else ""


def _problem(error: yaml.YAMLError) -> str:
    if isinstance(error, ReaderError):
        return f"a control character (U+{int(error.character):04X})"
    return str(getattr(error, "problem", None) or error)


def _shortened(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:12]}..., {len(text)} characters"
