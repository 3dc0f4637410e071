"""Plug-ins: a method of another distribution is listed, shown and trained; a broken one says so in one line."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from imbalance_bench.cli.main import main
from imbalance_bench.config import parse_study
from imbalance_bench.errors import UserError
from methods.base import BuildContext, ClassStatistics
from methods.cross_entropy import CrossEntropyDice
from methods.plugins import find_method
from tests.methods.plugin_site import add_site, install
from tests.small_study import study_content, write_study

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin"
PROJECT = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return add_site(tmp_path, monkeypatch)


@pytest.fixture
def example(site: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The worked example, installed."""
    module = "imbalance_label_smoothing"
    (site / f"{module}.py").write_bytes((EXAMPLE / f"{module}.py").read_bytes())
    offers = PROJECT["entry-points"]["imbalance_bench.methods"]
    install(site, offers, name=PROJECT["name"], version=PROJECT["version"])
    monkeypatch.delitem(sys.modules, module, raising=False)
    return site


def output_of(*words: str) -> str:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def refusal_of(*words: str) -> str:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2, result.output
    lines = result.output.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


@pytest.mark.usefixtures("example")
def test_a_plugin_is_listed_with_its_origin_and_has_a_card():
    assert "label_smoothing" in output_of("methods")
    assert "imbalance-label-smoothing 0.1.0" in output_of("methods")
    card = output_of("methods", "label_smoothing")
    for text in ("Szegedy 2016", "epsilon", "0.1", "imbalance-label-smoothing 0.1.0"):
        assert text in card


@pytest.mark.usefixtures("example")
def test_a_plugin_is_imported_only_when_asked_for():
    output_of("methods", "cross_entropy")
    output_of("--help")
    assert "imbalance_label_smoothing" not in sys.modules
    output_of("methods", "label_smoothing")
    assert "imbalance_label_smoothing" in sys.modules


def test_help_looks_for_no_plugin():
    code = "import sys, imbalance_bench.cli.main; sys.exit('methods.plugins' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.usefixtures("example")
def test_the_example_is_cross_entropy_at_0_and_torchs_label_smoothing_above():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 4, generator=generator)
    target = torch.randint(0, 3, (2, 4, 4), generator=generator)
    valid = torch.rand(2, 4, 4, generator=generator) > 0.2
    same = torch.ones(3, dtype=torch.float64)
    context = BuildContext(ClassStatistics(("a", "b", "c"), same, same, same, same, 1))
    base = CrossEntropyDice()(logits, target, valid, 0)
    for epsilon in (0.0, 0.1):
        loss = find_method("label_smoothing").model_validate({"epsilon": epsilon}).build(context).loss
        assert loss is not None
        ignoring = torch.where(valid, target, -100)
        smoothed = torch.nn.functional.cross_entropy(logits, ignoring, label_smoothing=epsilon)
        torch.testing.assert_close(loss(logits, target, valid, 0).total, smoothed + base.parts["dice"])


@pytest.mark.usefixtures("example")
def test_a_plugin_trains_and_the_manifest_records_where_it_comes_from(tmp_path: Path, dataset: Path):
    study = write_study(tmp_path / "study.yaml", dataset, methods=["cross_entropy", "label_smoothing"])
    out = tmp_path / "out"
    words = ["run", str(study), "--out", str(out), "--cache", str(tmp_path / "cache"), "--engine", "serial"]
    assert "2 done" in output_of(*words)
    manifests = [json.loads(path.read_text()) for path in sorted(out.glob("runs/*/manifest.json"))]
    origins = {m["method"]["label"]: m["method"]["parts"][0].get("plugin") for m in manifests}
    assert origins == {"cross_entropy": None, "label_smoothing": "imbalance-label-smoothing 0.1.0"}
    assert "2 done already" in output_of(*words)


def test_another_version_of_a_plugin_is_another_run(example: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch):
    content = study_content(dataset, methods=["label_smoothing"])
    before = parse_study(content, source="study.yaml").dump()
    other = example.with_name("newer")
    other.mkdir()
    install(other, {"label_smoothing": "imbalance_label_smoothing:LabelSmoothingConfig"}, name=PROJECT["name"],
            version="0.2.0")  # fmt: skip
    monkeypatch.syspath_prepend(other)
    after = parse_study(content, source="study.yaml").dump()
    assert before["methods"] != after["methods"]
    with pytest.raises(UserError, match=r"imbalance-label-smoothing 0\.1\.0, and .* 0\.2\.0 is installed"):
        parse_study(before, source="study.yaml")


@pytest.mark.parametrize(
    ("offers", "name", "message"),
    [
        ({"focal": "somewhere:Focal"}, "focal", "offered by imbalance-bench and other-package 1.0"),
        ({"broken": "no_such_module:Broken"}, "broken", "cannot be imported: ModuleNotFoundError"),
        ({"broken": "json:dumps"}, "broken", "no subclass of methods.base.MethodConfig"),
        ({"broken": "methods.base:MethodConfig"}, "broken", "has no `card`"),
        ({"Bad Name": "json:dumps"}, "Bad Name", "starts with a letter"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_one_line(site: Path, dataset: Path, offers: dict, name: str, message: str):
    install(site, offers)
    assert message in refusal_of("methods", name)
    with pytest.raises(UserError, match=r"study\.yaml: "):
        parse_study(study_content(dataset, methods=[name]), source="study.yaml")
    assert message in output_of("methods")  # the rest is still listed
    assert "cross_entropy" in output_of("methods")


def test_two_distributions_that_offer_one_name_are_both_named(site: Path):
    install(site, {"mine": "somewhere:Mine"}, name="first")
    install(site, {"mine": "elsewhere:Mine"}, name="second", version="2.0")
    assert "offered by first 1.0 and second 2.0" in refusal_of("methods", "mine")


def test_a_misspelt_plugin_is_suggested(example: Path):
    assert example
    assert "Did you mean 'label_smoothing'?" in refusal_of("methods", "label_smothing")
