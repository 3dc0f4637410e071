"""Methods by name, built in or from plug-ins, with errors for people."""

from collections.abc import Iterator
from contextlib import contextmanager

from imbalance_bench.errors import UserError, nearest
from methods.config import MethodConfig
from methods.plugins import PluginError, UnknownMethodError, find_method, known_names, require_known


def method_named(name: str, source: str = "") -> type[MethodConfig]:
    """Return the configuration of a method.

    Args:
        name: Of the method.
        source: File that names it, for the error.

    Raises:
        UserError: No such method, or a plug-in that cannot be used.
    """
    with _told_to_people(name, source):
        return find_method(name)


def require_method(name: str, source: str = "") -> None:
    """Refuse a name that no method has; nothing is imported.

    Args:
        name: Of the method.
        source: File that names it, for the error.

    Raises:
        UserError: No such method, or a plug-in that cannot have this name.
    """
    with _told_to_people(name, source):
        require_known(name)


@contextmanager
def _told_to_people(name: str, source: str) -> Iterator[None]:
    place = f"{source}: " if source else ""
    try:
        yield
    except UnknownMethodError as error:
        hint = nearest(name, known_names())
        raise UserError(f"{place}unknown method '{name}'.{hint} `imbalance-bench methods` lists all.") from error
    except PluginError as error:
        raise UserError(f"{place}{error}") from error
