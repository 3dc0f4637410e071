"""`--json`: one document on standard output and nothing else."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from imbalance_bench.cli.main import main
from imbalance_bench.method_facts import allowed_values, method_options
from imbalance_bench.records import StudyRecords
from imbalance_bench.status import study_status
from methods import REGISTRY
from tests.small_study import CLASSES

PAGE = Path(__file__).parents[2] / "docs" / "json.md"


def document(*arguments: str, exit_code: int = 0) -> dict:
    done = CliRunner().invoke(main, [*arguments, "--json"])
    assert done.exit_code == exit_code, done.output

    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(done.stdout, parse_constant=refuse)


def test_status(finished_study: Path) -> None:
    content = document("status", str(finished_study))
    assert content["states"] == {"done": 10}
    assert content["run_seconds_left"] is None
    rows = study_status(StudyRecords(finished_study))
    assert [row["run_id"] for row in content["runs"]] == [row.run_id for row in rows]
    assert content["runs"][0] == vars(rows[0])


def test_methods() -> None:
    every = document("methods")
    assert [each["name"] for each in every["methods"]] == list(REGISTRY)
    (dfa,) = document("methods", "dfa")["methods"]
    assert dfa == next(each for each in every["methods"] if each["name"] == "dfa")
    options = {each["option"]: each for each in dfa["options"]}
    assert options["mode"] == {
        "option": "mode",
        "default": "learned",
        "values": "learned | anchored | fixed",
        "search_space": "",
        "meaning": "b = delta | log pi + delta | log pi, nothing trained",
    }
    assert options["grad_clip"]["values"] == "number > 0 | null"


def test_data(dataset: Path, tmp_path: Path) -> None:
    content = document("data", "audit", str(dataset))
    assert content["leaks"] is False
    assert {"check", "verdict", "sentence", "counts", "examples"} == set(content["findings"][0])
    described = document("data", "describe", str(dataset), "--out", str(tmp_path / "cards"))
    assert [each["name"] for each in described["classes"]] == list(CLASSES)
    assert described == json.loads((tmp_path / "cards" / "describe.json").read_text())


def test_every_command_with_json_is_on_the_page() -> None:
    def commands(group: object, above: str = "") -> list[str]:
        found = []
        for name, command in group.commands.items():  # pyright: ignore[reportAttributeAccessIssue]
            if hasattr(command, "commands"):
                found += commands(command, f"{above}{name} ")
            elif any("--json" in each.opts for each in command.params):
                found.append(f"{above}{name}")
        return found

    names = commands(main)
    assert {"status", "methods", "data audit", "data describe", "power"} <= set(names)
    page = PAGE.read_text()
    assert [name for name in names if f"`{name}" not in page] == []


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_option_says_what_may_be_written(name: str) -> None:
    for option in method_options(REGISTRY[name]):
        assert option["values"], option
        assert option["meaning"], option
        shown = str(option["default"])
        if "|" in option["values"] and "number" not in option["values"] and option["default"] is not None:
            assert shown.lower() in [each.lower() for each in option["values"].split(" | ")]


def test_values_are_those_of_the_schema() -> None:
    assert allowed_values({"type": "number", "minimum": 0, "exclusiveMaximum": 1}) == "number >= 0 and < 1"
    assert allowed_values({"type": "integer", "minimum": 1, "maximum": 9}) == "whole number >= 1 and <= 9"
    assert allowed_values({"anyOf": [{"type": "boolean"}, {"type": "null"}]}) == "true | false | null"
    assert allowed_values({"type": "object", "additionalProperties": {"type": "number"}}) == "{class: number}"


def test_a_card_lists_the_values() -> None:
    printed = CliRunner(env={"COLUMNS": "120"}).invoke(main, ["methods", "dfa"]).output
    assert "values: learned | anchored | fixed; default: learned" in printed
    assert "values: share | image_share | components | component_size | null; default: null" in printed
