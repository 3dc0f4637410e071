"""Options of methods are read without torch; what computes is a `torch.nn.Module` like any other."""

import copy
import io
import pickle
import subprocess
import sys

import pytest
import torch
from torch import nn

from methods.focal import FocalDice
from methods.late_torch import Module
from methods.learned_difficulty import LossPredictor
from tests.methods import method_cases as cases

READ_ALL = """
import sys
from methods import REGISTRY
from methods.search_space import search_space
for method in REGISTRY.values():
    method.card, search_space(method), method.model_json_schema(), method.nothing_to_tune
print(len(REGISTRY), sorted({"torch", "scipy", "skimage"} & set(sys.modules)))
"""


def test_cards_options_and_search_spaces_of_all_methods_are_read_without_torch() -> None:
    found = subprocess.run([sys.executable, "-c", READ_ALL], capture_output=True, text=True, check=True)
    n, _, heavy = found.stdout.strip().partition(" ")
    assert int(n) == len({name for name, _ in cases.configurations()})
    assert heavy == "[]"


class Doubled(FocalDice):
    """A subclass that has no instance before the test."""


def test_an_instance_is_a_module_of_its_class() -> None:
    first, second = Doubled(2.0), Doubled(1.0)
    assert isinstance(first, Doubled)
    assert isinstance(first, nn.Module)
    assert type(first) is type(second)
    assert type(first).__name__ == "Doubled"
    assert type(first).__module__ == Doubled.__module__
    assert type(first).__mro__.index(Module) < type(first).__mro__.index(nn.Module)  # methods of ours first


class Mixed(FocalDice, nn.Module):
    """As a plug-in might write it."""


@pytest.mark.parametrize("module", [LossPredictor(3, channels=4, seed=0), Mixed(1.5)], ids=["late", "mixed"])
@pytest.mark.parametrize("again", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_modules_are_copied_and_pickled_as_any_other(module, again) -> None:
    twin = again(module)
    assert type(twin) is type(module)
    assert twin.state_dict().keys() == module.state_dict().keys()
    assert all(torch.equal(twin.state_dict()[name], value) for name, value in module.state_dict().items())


def test_whole_modules_are_saved_and_loaded() -> None:
    file = io.BytesIO()
    torch.save(FocalDice(1.5), file)
    file.seek(0)
    assert torch.load(file, weights_only=False).gamma == 1.5
