"""Every command in README and docs is one that exists, with options that it has.

Commands in blocks must be complete. Those within a sentence (`imbalance-bench plot`) may leave arguments out.
"""

import click
import pytest

from imbalance_bench.cli.main import main
from tests.docs.typed_commands import ROOT, TYPED, Typed


def parsed(typed: Typed) -> tuple[click.Command, dict[str, object]]:
    """Find the command, and give it its words without executing it.

    Raises:
        click.UsageError: There is no such command, option or value, or an argument too many or too few.
    """
    command: click.Command = main
    context = click.Context(main, info_name="imbalance-bench", help_option_names=["-h", "--help"])  # as main says
    words = typed.words
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, *words = words
        inner = command.get_command(context, name)
        if inner is None:
            raise click.UsageError(f"No such command '{name}'.")
        command, context = inner, click.Context(inner, parent=context, info_name=name)
    values, left, _ = command.make_parser(context).parse_args(list(words))
    if left and not isinstance(command, click.Group):
        raise click.UsageError(f"Too many arguments: {left}.")
    for parameter in command.params:
        value = values.get(parameter.name)
        given = isinstance(value, str) or (isinstance(value, (list, tuple)) and bool(value))
        if typed.complete and parameter.required and not given:
            raise click.UsageError(f"Nothing given for {parameter.name}.")
        if isinstance(value, str) and not isinstance(parameter.type, click.Path) and not value.isupper():
            parameter.type.convert(value, parameter, context)
    return command, values


@pytest.mark.parametrize("typed", TYPED, ids=str)
def test_the_command_is_one_that_can_be_typed(typed: Typed) -> None:
    parsed(typed)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("anlyze results", "No such command"),
        ("analyze results --fast", "No such option"),
        ("analyze", "Nothing given"),
        ("analyze one two", "unexpected extra argument|Too many arguments"),
        ("run study.yaml --engine carrier-pigeon", "is not one of"),
        ("run study.yaml --workers many", "not a valid integer"),
    ],
)
def test_a_command_that_cannot_be_typed_is_noticed(text: str, complaint: str) -> None:
    with pytest.raises(click.UsageError, match=complaint):
        parsed(Typed(ROOT / "README.md", text, complete=True))


def test_commands_are_found_on_every_page_that_has_some() -> None:
    assert len(TYPED) > 90
    assert {"README.md", "tutorial.md", "running.md", "sharing.md", "score.md"} <= {each.page.name for each in TYPED}
