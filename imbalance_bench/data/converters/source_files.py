"""The files below a folder as people really have them: links, hidden files, endings in capitals, composed letters."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import normalize

from imbalance_bench.errors import UserError
from imbalance_bench.names import is_left_by_a_system


@dataclass
class SourceFiles:
    """Every file below a folder, by its path relative to it with "/" and composed letters (NFC).

    Hidden files (`._a.png`, `.DS_Store`) and what file managers leave behind (`Thumbs.db`) are not there.

    Attributes:
        root: The folder.
        files: Relative path -> file, sorted.
        broken_links: Relative paths of links to nothing.
        loops: Relative paths of links to a folder that holds them; they are not followed.
    """

    root: Path
    files: dict[str, Path] = field(default_factory=dict)
    broken_links: list[str] = field(default_factory=list)
    loops: list[str] = field(default_factory=list)
    _without_case: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def below(cls, root: Path) -> "SourceFiles":
        """List a folder; links to files and folders are followed.

        Raises:
            UserError: A folder cannot be read, or two names differ by their Unicode form only.
        """
        files = cls(root)
        for path in sorted(files._walk(root, ())):
            name = normalize("NFC", path.relative_to(root).as_posix())
            if name in files.files:
                raise UserError(
                    f"{path} and {files.files[name]} must not have one name in two Unicode forms. Rename one."
                )
            files.files[name] = path
            files._without_case.setdefault(_with_small_ending(name), []).append(name)
        return files

    def find(self, relative: str) -> Path | None:
        """Return the file at a relative path; its ending may be in other letters, such as `.PNG`."""
        relative = normalize("NFC", relative).removeprefix("./")
        alike = self._without_case.get(_with_small_ending(relative), ())
        name = relative if relative in self.files else alike[0] if len(alike) == 1 else None
        if name is not None:
            return self.files[name]
        elsewhere = self.root / relative  # a template may lead out of the folder
        return elsewhere if elsewhere.is_file() else None

    def _walk(self, folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
        here = folder.resolve()
        try:
            children = sorted(folder.iterdir())
        except OSError as error:
            raise UserError(f"{folder} must be a readable folder. Got: {error.strerror}. Check SOURCE.") from None
        for path in children:
            if path.name.startswith(".") or is_left_by_a_system(path.name):
                continue
            if path.is_dir():
                if path.is_symlink() and path.resolve() in (here, *above):
                    self.loops.append(path.relative_to(self.root).as_posix())
                else:
                    yield from self._walk(path, (here, *above))
            elif path.is_file():
                yield path
            elif path.is_symlink():
                self.broken_links.append(normalize("NFC", path.relative_to(self.root).as_posix()))


def spellings(relative: str) -> tuple[str, ...]:
    """Return a path as it is, and with its ending in small and in capital letters."""
    stem, dot, ending = relative.rpartition(".")
    return (relative,) if not dot else (relative, stem + dot + ending.lower(), stem + dot + ending.upper())


def _with_small_ending(relative: str) -> str:
    return spellings(relative)[min(1, len(spellings(relative)) - 1)]
