"""Methods of other distributions: found by their entry points, imported only when somebody asks for one.

A distribution offers a method through an entry point in the group `imbalance_bench.methods`, whose name is the method's
and whose object is its `MethodConfig`. `examples/plugin` is a whole one.
"""

import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata

from methods.config import Card, MethodConfig
from methods.registry import REGISTRY

GROUP = "imbalance_bench.methods"
METHOD_NAME = re.compile(r"[a-z][a-z0-9_]*")


class PluginError(ValueError):
    """A plug-in cannot be used; the message names it and the fix."""


class UnknownMethodError(LookupError):
    """No built-in method and no plug-in has this name."""


@dataclass(frozen=True)
class Plugin:
    """A method that another distribution offers.

    Attributes:
        name: Of the method.
        origin: Distribution and version, such as "imbalance-label-smoothing 0.1.0".
        entry: Where its configuration is.
    """

    name: str
    origin: str
    entry: metadata.EntryPoint

    def load(self) -> type[MethodConfig]:
        """Import the configuration.

        Raises:
            PluginError: It cannot be imported, or is no method.
        """
        try:
            config = self.entry.load()
        except Exception as error:
            raise PluginError(
                f"{self} cannot be imported: {type(error).__name__}: {error}. Mend or uninstall it."
            ) from error
        if not (isinstance(config, type) and issubclass(config, MethodConfig)):
            raise PluginError(f"{self}: `{self.entry.value}` is no subclass of methods.base.MethodConfig.")
        if not isinstance(getattr(config, "card", None), Card):
            raise PluginError(f"{self}: `{self.entry.value}` has no `card`. Add one (methods.base.Card).")
        return config

    def __str__(self) -> str:
        return f"Plug-in '{self.name}' of {self.origin}"


def installed_plugins() -> tuple[Plugin, ...]:
    """Find what is offered, by name and then distribution; nothing is imported."""
    return _plugins_on(tuple(sys.path))


@lru_cache(maxsize=8)
def _plugins_on(path: tuple[str, ...]) -> tuple[Plugin, ...]:  # noqa: ARG001 - the entry points depend on the path
    plugins = []
    for entry in metadata.entry_points(group=GROUP):
        origin = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unnamed distribution"
        plugins.append(Plugin(entry.name, origin, entry))
    return tuple(sorted(plugins, key=lambda plugin: (plugin.name, plugin.origin)))


def known_names() -> list[str]:
    """Names of all methods: built-in ones, then plug-ins."""
    return list(dict.fromkeys([*REGISTRY, *(plugin.name for plugin in installed_plugins())]))


def plugin_named(name: str) -> Plugin | None:
    """Return the plug-in of this name; None if the method is built in or unknown.

    Raises:
        PluginError: The name is not free, or no name of a method.
    """
    offers = [plugin for plugin in installed_plugins() if plugin.name == name]
    if not offers:
        return None
    if not METHOD_NAME.fullmatch(name):
        raise PluginError(f"{offers[0]}: a method's name holds a-z, 0-9 and '_' and starts with a letter. Rename it.")
    owners = ["imbalance-bench"] * (name in REGISTRY) + [plugin.origin for plugin in offers]
    if len(owners) > 1:
        raise PluginError(f"Method '{name}' is offered by {' and '.join(owners)}. Uninstall or rename all but one.")
    return offers[0]


def find_method(name: str) -> type[MethodConfig]:
    """Return the configuration of a built-in method or of a plug-in, which is imported now.

    Raises:
        UnknownMethodError: Nothing has this name.
        PluginError: A plug-in has it and cannot be used.
    """
    plugin = require_known(name)
    return REGISTRY[name] if plugin is None else plugin.load()


def require_known(name: str) -> Plugin | None:
    """Return the plug-in of this name, or None for a built-in method; nothing is imported.

    Raises:
        UnknownMethodError: Nothing has this name.
        PluginError: A plug-in has it, and the name is not free or no name of a method.
    """
    plugin = plugin_named(name)
    if plugin is None and name not in REGISTRY:
        raise UnknownMethodError(name)
    return plugin


def origin_of(name: str) -> str | None:
    """Return distribution and version of a plug-in; None for a built-in method."""
    plugin = plugin_named(name)
    return plugin.origin if plugin is not None else None
