"""SVG of Matplotlib in fewer bytes, drawn alike: numbers, paths, styles and ids are written shorter."""

import re
from collections import Counter
from collections.abc import Callable

_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_DRAWN = re.compile(r'\b(d|x|y|points|width|height|viewBox)="([^"]*)"')
_STEP = re.compile(r"([MLCQZz])([^MLCQZz]*)")
_NOT_TURNED = re.compile(r' transform="rotate\(-?0 [^)]*\)"')
_EMPTY = re.compile(r"<g(?: [^>]*)?/>|<g(?: [^>]*)?></g>")
_STYLE = re.compile(r' style="([^"]*)"')
_LEAST_USES = 3  # of a style that becomes a class


def compact(svg: str, name: str) -> str:
    """Return an SVG element with short ids and classes that begin with `name`, so that a page can contain several.

    Args:
        svg: From `<svg` on, without pictures, as Matplotlib writes it.
        name: Prefix of every id and class.
    """
    text = in_tags(svg, lambda tag: _NOT_TURNED.sub("", _short_numbers(tag)))
    while _EMPTY.search(text):
        text = _EMPTY.sub("", text)
    return _with_classes(_with_own_ids(text, name), name)


def in_tags(text: str, change: Callable[[str], str]) -> str:
    """Change tags only: the text between them is a name and is left unchanged."""
    return re.sub(r"<[^>]+>", lambda tag: change(tag.group()), text)


def _short_numbers(tag: str) -> str:
    """Round numbers to hundredths of a point, which is finer than a screen shows, and shorten paths."""

    def attribute(match: re.Match[str]) -> str:
        value = _NUMBER.sub(_hundredths, match[2])
        return f'{match[1]}="{short_path(value) if match[1] == "d" else value}"'

    return _DRAWN.sub(attribute, tag)


def _hundredths(number: re.Match[str]) -> str:
    text = f"{float(number.group()):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def short_path(path: str) -> str:
    """Return the `d` of a path of absolute steps with H and V for level and upright lines."""
    at, parts = ["", ""], []
    for step, numbers in _STEP.findall(path):
        values = numbers.split()
        if step == "L" and values == at:
            continue
        if step == "L" and values[1] == at[1]:
            parts.append(f"H{values[0]}")
        elif step == "L" and values[0] == at[0]:
            parts.append(f"V{values[1]}")
        else:
            parts.append(step + " ".join(values))
        at = values[-2:] if values else at
    return "".join(parts)


def _with_own_ids(text: str, name: str) -> str:
    """Number the ids that something refers to, and the first; drop all others."""
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    names: dict[str, str] = {}
    for found in re.findall(r'\sid="([^"]*)"', text):
        if found in used or not names:
            names[found] = f"{name}-{len(names)}"

    def own(tag: str) -> str:
        tag = re.sub(r'\sid="([^"]*)"', lambda m: f' id="{names[m[1]]}"' if m[1] in names else "", tag)
        return re.sub(r'(href="#|url\(#)([^")]+)', lambda m: m[1] + names.get(m[2], m[2]), tag)

    return in_tags(text, own)


def _with_classes(text: str, name: str) -> str:
    """Write styles without spaces, and those of several elements once, as classes."""
    text = in_tags(text, lambda tag: _STYLE.sub(lambda m: re.sub("([:;,]) ", r"\1", m[0]), tag))
    often = [style for style, uses in Counter(_STYLE.findall(text)).items() if uses >= _LEAST_USES]
    classes = {style: f"{name}-s{number}" for number, style in enumerate(often)}
    shorter = lambda m: f' class="{classes[m[1]]}"' if m[1] in classes else m[0]  # noqa: E731
    text = in_tags(text, lambda tag: _STYLE.sub(shorter, tag))
    rules = "".join(f".{label}{{{style}}}" for style, label in classes.items())
    return text.replace("</style>", f"{rules}</style>", 1)
