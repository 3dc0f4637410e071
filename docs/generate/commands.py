"""docs/commands.md: every command with its arguments and options, from the commands themselves."""

from collections.abc import Iterator

import click

from imbalance_bench.cli.main import main

HEAD = """\
# Commands

`imbalance-bench COMMAND --help` prints the same at a terminal. Exit codes: 0, done; 1, something that was asked for
failed or was found; 2, wrong input, named in one line; 130, 138 and 143, stopped by a signal after saving
([running](running.md)).

This page is written by `make pages` from the commands themselves.
"""
COLUMNS = 110  # as `max_content_width` of the command line


def page() -> str:
    """Return the page."""
    lines = [HEAD]
    for names, command in commands():
        lines += [f"## `{' '.join(names)}`", "", "```text", help_text(names, command), "```", ""]
    return "\n".join(lines)


def commands(group: click.Group = main, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield the names and the command of each leaf of a group, in order of name."""
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from commands(command, (*names, name))
        elif not command.hidden:
            yield (*names, name), command


def help_text(names: tuple[str, ...], command: click.Command) -> str:
    """Return what `--help` prints, at a fixed width."""
    context = click.Context(
        command,
        info_name=" ".join(("imbalance-bench", *names)),
        terminal_width=COLUMNS,
        help_option_names=["-h", "--help"],
    )
    return command.get_help(context)
