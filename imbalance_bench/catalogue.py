"""The catalogue of methods for people: what each does, its options, its source.

`python -m imbalance_bench.catalogue` prints docs/methods.md.
"""

import click
from rich.console import Console
from rich.table import Table

from imbalance_bench.errors import UserError, nearest
from methods import REGISTRY
from methods.base import Group, MethodConfig


def print_catalogue() -> None:
    """List every method by family."""
    console = Console()
    table = Table("name", "title", "needs", box=None, pad_edge=False)
    for group in Group:
        members = [(name, method.card) for name, method in REGISTRY.items() if method.card.group == group]
        if members:
            table.add_row(f"[bold]{group.value}")
        for name, card in members:
            table.add_row(f"  {name}", card.title, ", ".join(sorted(card.requires)))
    console.print(table, highlight=False)


def print_card(name: str) -> None:
    """Print formula, options with their defaults, source and deviations of one method.

    Raises:
        UserError: No such method.
    """
    if name not in REGISTRY:
        raise UserError(f"unknown method '{name}'.{nearest(name, REGISTRY)} `imbalance-bench methods` lists all.")
    console, method = Console(), REGISTRY[name]
    card = method.card
    console.print(f"[bold]{name}[/bold]: {card.title} ({card.group.value})", highlight=False)
    facts = {"formula": card.formula, "source": card.source, "deviations": card.deviations}
    facts |= {"needs": ", ".join(sorted(card.requires)) or "nothing"}
    table = Table(box=None, show_header=False, pad_edge=False)
    for key, value in facts.items():
        table.add_row(f"[bold]{key}", value)
    console.print(table, highlight=False, markup=True)
    if method.model_fields:
        options = Table("option", "default", "meaning", box=None, pad_edge=False)
        for option, field in method.model_fields.items():
            options.add_row(option, str(field.default), field.description or "")
        console.print(options, highlight=False)


def catalogue_markdown() -> str:
    """Return docs/methods.md: every card, by family."""
    lines = [
        "# Methods",
        "",
        "Generated from the registry by `make docs`; `imbalance-bench methods NAME` prints one card.",
        "p = pixel share in the training split, n = count, z = logits, y = label, K classes.",
    ]
    for group in Group:
        members = {name: method for name, method in REGISTRY.items() if method.card.group == group}
        if members:
            lines += ["", f"## {group.value.capitalize()}"]
        for name, method in members.items():
            lines += ["", *_card_markdown(name, method)]
    return "\n".join(lines) + "\n"


def _card_markdown(name: str, method: type[MethodConfig]) -> list[str]:
    card = method.card
    lines = [
        f"### `{name}`",
        f"{card.title}. Needs: {', '.join(f'`{need}`' for need in sorted(card.requires)) or 'nothing'}.",
        "",
        f"- Formula: {card.formula}",
        f"- Source: {card.source}",
        f"- Deviations: {card.deviations}",
    ]
    if method.model_fields:
        lines += ["", "| option | default | meaning |", "|---|---|---|"]
        for option, field in method.model_fields.items():
            meaning = (field.description or "").replace("|", "\\|")
            lines.append(f"| `{option}` | `{field.default}` | {meaning} |")
    return lines


if __name__ == "__main__":
    click.echo(catalogue_markdown(), nl=False)
