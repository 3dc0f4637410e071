"""Types of arguments and options that several commands share: every path of the command line is one of these."""

import os
from pathlib import Path
from typing import Any

import click

from imbalance_bench.file_access import refusal, require_writable
from imbalance_bench.places import CACHE_VARIABLE, DEFAULT_CACHE


class PathType(click.Path):
    """A path that the file system takes; one to be written is tried before anything is computed.

    Args:
        folder: It must be no file.
        file: It must be no folder.
        written: The command writes it.
    """

    def __init__(self, *, folder: bool = False, file: bool = False, written: bool = False) -> None:
        super().__init__(path_type=Path, file_okay=not folder, dir_okay=not file)
        self._written = written

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path.

        Raises:
            UserError: It cannot be reached, or not be written where that is wanted.
        """
        if "\0" in str(value):
            self.fail(f"{str(value)!r} holds a NUL character, which a path cannot hold.", param, ctx)
        if not str(value):
            self.fail("The path must not be empty. Write . for the working directory.", param, ctx)
        try:
            Path(value).stat()
        except FileNotFoundError:
            pass  # what reads it says what it should be; what writes it makes it
        except OSError as error:
            refused = refusal(error, value)
            if refused is None:
                raise
            raise refused from None
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if self._written:
            require_writable(path)
        return path


ANY = PathType()
FOLDER = PathType(folder=True)
FILE = PathType(file=True)
OUT_FOLDER = PathType(folder=True, written=True)
OUT_FILE = PathType(file=True, written=True)


def _cache_option(kind: PathType) -> Any:
    return click.option(
        "--cache",
        type=kind,
        default=DEFAULT_CACHE,
        envvar=CACHE_VARIABLE,
        show_default=True,
        show_envvar=True,
        help="Tiles and frozen features, shared by all studies.",
    )


TRACKERS = ("tensorboard", "mlflow", "wandb")  # `tracking.PACKAGES`, which imports pandas
JSON_OPTION = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on standard output (docs/json.md)."
)
CACHE_OPTION = _cache_option(OUT_FOLDER)
CACHE_READ_OPTION = _cache_option(FOLDER)
