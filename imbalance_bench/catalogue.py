"""The catalogue of methods for people: what each does, its options, its source.

`python -m imbalance_bench.catalogue` prints docs/methods.md.
"""

import json

import click
from rich.padding import Padding
from rich.table import Table

from imbalance_bench.method_facts import as_typed, method_facts, method_options, usable_methods
from imbalance_bench.method_lookup import method_named
from imbalance_bench.terminal import Terminal, styled
from methods import REGISTRY, distinct_methods
from methods.base import Group, MethodConfig
from methods.plugins import origin_of


def print_catalogue() -> None:
    """List every method by family, those of plug-ins with their distribution, and plug-ins that cannot be used."""
    console = Terminal()
    table = Table("name", "title", "needs", box=None, pad_edge=False)
    methods, unusable = usable_methods()
    for group in Group:
        members = {name: method.card for name, method in methods.items() if method.card.group == group}
        if members:
            table.add_row(styled((group.value, "bold")))
        for name, card in members.items():
            origin = origin_of(name)
            title = f"{card.title} (plug-in: {origin})" if origin else card.title
            title += f" (second name of {card.same_as})" if card.same_as else ""
            table.add_row(f"  {name}", title, ", ".join(sorted(card.requires)))
    console.print(table, highlight=False)
    seconds = sum(bool(method.card.same_as) for method in methods.values())
    console.print(f"{len(methods) - seconds} distinct methods, {seconds} second names of them", highlight=False)
    for error in unusable:
        console.print(f"not usable: {error}", highlight=False, soft_wrap=True)


def print_catalogue_json(name: str | None = None) -> None:
    """Print the facts of every method, or of one, as JSON: {"methods": [...], "unusable": [...]}.

    Raises:
        UserError: No such method, or a plug-in that cannot be used.
    """
    methods, unusable = usable_methods() if name is None else ({name: method_named(name)}, [])
    facts = [method_facts(method_name, method) for method_name, method in methods.items()]
    click.echo(json.dumps({"methods": facts, "unusable": unusable}, indent=2))


def print_card(name: str) -> None:
    """Print formula, options with their defaults, source and deviations of one method.

    Raises:
        UserError: No such method, or a plug-in that cannot be used.
    """
    console, method, origin = Terminal(), method_named(name), origin_of(name)
    card = method.card
    console.print(styled((name, "bold"), f": {card.title} ({card.group.value})"))
    facts = {"formula": card.formula, "source": card.source, "deviations": card.deviations}
    facts |= {"cost": card.cost} if card.cost else {}
    facts |= {"same as": card.same_as} if card.same_as else {}
    facts |= {"nothing to tune": method.nothing_to_tune} if method.nothing_to_tune else {}
    facts |= {"needs": ", ".join(sorted(card.requires)) or "nothing"} | ({"plug-in": origin} if origin else {})
    table = Table(box=None, show_header=False, pad_edge=False)
    for key, value in facts.items():
        table.add_row(styled((key, "bold")), value)
    console.print(table)
    for option in method_options(method):
        console.print()
        console.print(styled((option["option"], "bold"), f": {option['meaning']}"), highlight=False)
        facts = {"values": option["values"], "default": as_typed(option["default"])}
        facts |= {"search space": option["search_space"]}
        line = "; ".join(f"{key}: {value}" for key, value in facts.items() if value)
        console.print(Padding(styled(line), (0, 0, 0, 4)), highlight=False)


def catalogue_markdown() -> str:
    """Return docs/methods.md: every card, by family."""
    lines = [
        "# Methods",
        "",
        "Generated from the registry by `make pages`; `imbalance-bench methods NAME` prints one card.",
        "p = pixel share in the training split, n = count, z = logits, y = label, K classes.",
        f"{len(distinct_methods())} distinct methods under {len(REGISTRY)} names. `tuning:` draws an option from its "
        "search space; options without one keep their value.",
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
    if card.cost:
        lines.append(f"- Cost: {card.cost}")
    if card.same_as:
        lines.append(f"- Second name of: `{card.same_as}`")
    if method.nothing_to_tune:
        lines.append(f"- Nothing to tune: {method.nothing_to_tune}")
    if method.model_fields:
        lines += ["", "| option | default | values | search space | meaning |", "|---|---|---|---|---|"]
        for option in method_options(method):
            values, searched, meaning = (
                option[key].replace("|", "\\|") for key in ("values", "search_space", "meaning")
            )
            lines.append(
                f"| `{option['option']}` | `{as_typed(option['default'])}` | {values} | {searched} | {meaning} |"
            )
    return lines


if __name__ == "__main__":
    click.echo(catalogue_markdown(), nl=False)
