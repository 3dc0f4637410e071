"""Which files a pattern with {image_id}, {fold} and {seed} stands for."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

from imbalance_bench.errors import UserError

_PLACE = re.compile(r"\{(image_id|fold|seed)\}")
Values = Mapping[str, str]


@dataclass(frozen=True)
class PatternFiles:
    """The files of one pattern.

    Attributes:
        pattern: As written.
        files: (fold, seed) -> image id -> file; fold and seed are None where the pattern does not name them.
    """

    pattern: str
    files: Mapping[tuple[int | None, int | None], Mapping[str, Path]]

    @classmethod
    def find(cls, pattern: str) -> "PatternFiles":
        """List the files that match a pattern.

        Raises:
            UserError: Two files stand for the same image, fold and seed, such as fold_0 and fold_00.
        """
        files: dict[tuple[int | None, int | None], dict[str, Path]] = {}
        start = Path(pattern).anchor or "."
        parts = Path(pattern).parts[1 if Path(pattern).anchor else 0 :]
        for path, values in _matching(Path(start), parts, {}):
            fold, seed = (int(values[name]) if name in values else None for name in ("fold", "seed"))
            images = files.setdefault((fold, seed), {})
            image_id = normalize("NFC", values["image_id"])
            if image_id in images:
                raise UserError(f"{path} and {images[image_id]} must not stand for the same prediction. Remove one.")
            images[image_id] = path
        return cls(pattern, files)

    @property
    def has_fold(self) -> bool:
        """Whether the pattern distinguishes folds."""
        return "{fold}" in self.pattern

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds that there are files of, ascending; none where the pattern does not name them."""
        return tuple(sorted({seed for _, seed in self.files if seed is not None}))

    def of(self, fold: int, seed: int) -> Mapping[str, Path]:
        """Return the files of a run by image id; without {fold} or {seed} they are the same for all."""
        key = fold if self.has_fold else None, seed if "{seed}" in self.pattern else None
        return self.files.get(key, {})

    def expected(self, image_id: str, fold: int, seed: int) -> str:
        """Return the path at which a file is looked for."""
        return self.pattern.format(image_id=image_id, fold=fold, seed=seed)


def _matching(folder: Path, parts: tuple[str, ...], values: Values) -> Iterator[tuple[Path, Values]]:
    """Yield files below `folder` whose path matches the parts of a pattern, with the values of its placeholders."""
    if not parts:
        if folder.is_file():
            yield folder, values
        return
    first, *deeper = parts
    if not _PLACE.search(first):
        yield from _matching(folder / first, tuple(deeper), values)
        return
    expression = _expression(first, values)
    try:
        children = sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise UserError(f"{folder} must be a readable folder. Got: {error.strerror}.") from None
    for child in children:
        match = None if child.name.startswith(".") else expression.fullmatch(child.name)
        if match:
            yield from _matching(child, tuple(deeper), {**values, **match.groupdict()})


def _expression(part: str, values: Values) -> re.Pattern[str]:
    """Return what a part of a path must match; a placeholder that is known, or comes again, must be the same."""
    text, end, seen = "", 0, set[str]()
    for match in _PLACE.finditer(part):
        name = match[1]
        text += re.escape(part[end : match.start()])
        if name in values:
            text += re.escape(values[name])
        elif name in seen:
            text += f"(?P={name})"
        else:
            text += f"(?P<{name}>{'.+' if name == 'image_id' else '[0-9]+'})"
        seen.add(name)
        end = match.end()
    return re.compile(text + re.escape(part[end:]))
