"""Which method a name means: built in, of another distribution, or of nobody."""

from pathlib import Path

import pytest

from methods import REGISTRY
from methods.focal import FocalConfig
from methods.plugins import (
    PluginError,
    UnknownMethodError,
    find_method,
    installed_plugins,
    known_names,
    origin_of,
    plugin_named,
)
from tests.methods.plugin_site import add_site, install

MODULE = """
from typing import ClassVar
from methods.base import Card, MethodConfig
from methods.focal import FocalConfig

class Mine(FocalConfig):
    pass

class Cardless(MethodConfig):
    pass

class Misnamed(MethodConfig):
    card: ClassVar[str] = "a card"

number = 1
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = add_site(tmp_path, monkeypatch)
    (folder / "offered.py").write_text(MODULE)
    return folder


def offer(site: Path, where: str, name: str = "mine") -> None:
    install(site, {name: f"offered:{where}"})


def test_a_plugin_is_found_loaded_and_named_with_its_origin(site: Path):
    offer(site, "Mine")
    (plugin,) = (each for each in installed_plugins() if each.name == "mine")
    assert str(plugin) == "Plug-in 'mine' of other-package 1.0"
    assert plugin_named("mine") == plugin
    assert origin_of("mine") == "other-package 1.0"
    found = find_method("mine")
    assert issubclass(found, FocalConfig)
    assert found.__name__ == "Mine"
    assert known_names()[: len(REGISTRY)] == list(REGISTRY)
    assert known_names().count("mine") == 1


@pytest.mark.usefixtures("site")
def test_a_built_in_method_has_no_other_origin():
    assert find_method("focal") is REGISTRY["focal"]
    assert plugin_named("focal") is None
    assert origin_of("focal") is None
    with pytest.raises(UnknownMethodError, match="nobody"):
        find_method("nobody")


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("Nothing", "cannot be imported: AttributeError"),
        ("number", "`offered:number` is no subclass of methods.base.MethodConfig"),
        ("Path", "cannot be imported"),
        ("Card", "`offered:Card` is no subclass"),
        ("Cardless", "`offered:Cardless` has no `card`"),
        ("Misnamed", "`offered:Misnamed` has no `card`"),
    ],
)
def test_what_is_no_method_is_refused_when_it_is_loaded(site: Path, where: str, message: str):
    offer(site, where)
    plugin = plugin_named("mine")
    assert plugin is not None
    with pytest.raises(PluginError, match=message):
        plugin.load()


def test_a_name_must_be_one_and_be_free(site: Path):
    install(site, {"Bad Name": "offered:Mine", "focal": "offered:Mine"})
    with pytest.raises(PluginError, match="starts with a letter"):
        plugin_named("Bad Name")
    with pytest.raises(PluginError, match=r"offered by imbalance-bench and other-package 1\.0"):
        find_method("focal")


def test_two_distributions_are_named_in_order(site: Path):
    install(site, {"mine": "offered:Mine"}, name="second", version="2.0")
    install(site, {"mine": "offered:Mine"}, name="first")
    assert [plugin.origin for plugin in installed_plugins() if plugin.name == "mine"] == ["first 1.0", "second 2.0"]
    with pytest.raises(PluginError, match=r"offered by first 1\.0 and second 2\.0"):
        plugin_named("mine")
