"""Methods by name, built in or from plug-ins, with errors for people."""

from imbalance_bench.errors import UserError, nearest
from methods.base import MethodConfig
from methods.plugins import PluginError, UnknownMethodError, find_method, known_names


def method_named(name: str, source: str = "") -> type[MethodConfig]:
    """Return the configuration of a method.

    Args:
        name: Of the method.
        source: File that names it, for the error.

    Raises:
        UserError: No such method, or a plug-in that cannot be used.
    """
    place = f"{source}: " if source else ""
    try:
        return find_method(name)
    except UnknownMethodError as error:
        hint = nearest(name, known_names())
        raise UserError(f"{place}unknown method '{name}'.{hint} `imbalance-bench methods` lists all.") from error
    except PluginError as error:
        raise UserError(f"{place}{error}") from error
