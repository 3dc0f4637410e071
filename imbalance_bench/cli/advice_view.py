"""What `imbalance-bench advise` measures and prints."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from analysis.advice.evidence import ReferenceResult, reference_results, reference_studies
from analysis.advice.regime import Regime, regime_of
from analysis.advice.rules import RULES
from analysis.cards.description import CardOptions, describe_dataset
from analysis.verdicts import points
from imbalance_bench.cli.progress import ProgressDisplay
from imbalance_bench.terminal import Terminal
from methods import REGISTRY


def advise_and_print(data: Path, split: str, evidence: Sequence[Path], workers: int | None, *, as_json: bool) -> None:
    """Measure a prepared data set and print the methods that are worth a try."""
    with ProgressDisplay(Terminal(stderr=True)) as display:
        described = describe_dataset(data, CardOptions(split=split, workers=workers), on_progress=display.on_phase)
    regime = regime_of(described)
    results = reference_results([*reference_studies(), *evidence])
    advice = {"dataset": described.dataset.info.name, "regime": asdict(regime), **shortlist(regime, results)}
    if as_json:
        click.echo(json.dumps(_plain(advice), indent=1))
    else:
        _print(regime, advice, described.dataset.info.name)


def shortlist(regime: Regime, results: Sequence[ReferenceResult]) -> dict[str, list[dict[str, Any]]]:
    """Apply the rules.

    Args:
        regime: Of the data set.
        results: Of finished studies.

    Returns:
        `shortlist`: method, because, when, source, card (the source of the method itself), studies; `others`: method
        and when, of the rules that do not hold.
    """
    chosen = [
        {
            "method": rule.method,
            "because": rule.because(regime),
            "when": rule.when,
            "source": rule.source,
            "card": REGISTRY[rule.method].card.source,
            "studies": [asdict(result) for result in results if result.method == rule.method],
        }
        for rule in RULES
        if rule.holds(regime)
    ]
    others = [{"method": rule.method, "when": rule.when} for rule in RULES if not rule.holds(regime)]
    return {"shortlist": chosen, "others": others}


def _print(regime: Regime, advice: dict[str, Any], name: str) -> None:
    console = Terminal()
    unit = "patients or slides" if regime.groups_known else "images (slides unknown)"
    _say(
        console,
        f"{name}: {regime.classes} classes, {regime.groups} {unit}; {regime.rarest} is {regime.imbalance:.3g} times "
        f"rarer than {regime.most_frequent}",
    )
    for candidate in advice["shortlist"]:
        _say(console, "")
        console.print(candidate["method"], style="bold", highlight=False)
        _say(console, f"  because    {candidate['because']}")
        _say(console, f"  published  {candidate['source']}")
        for study in candidate["studies"]:
            _say(console, f"  measured   {_measured(study)}")
        if not candidate["studies"] and candidate["method"] != "cross_entropy":
            _say(console, "  measured   in no available study")
    _say(console, "")
    for other in advice["others"]:
        _say(console, f"not suggested: {other['method']} ({other['when']})")
    names = ", ".join(candidate["method"] for candidate in advice["shortlist"])
    _say(console, f"try: methods: [{names}]")
    _say(console, "Thresholds are this project's. Published gains are from other data; only a study on yours decides.")


def _measured(study: dict[str, Any]) -> str:
    low, high, difference = (points(study[key]) for key in ("low", "high", "difference"))
    return (
        f"{study['dataset']}: {difference} points of macro Dice against {study['control']} ({low} to {high}): "
        f"{study['verdict'].replace('_', ' ')}"
    )


def _say(console: Terminal, line: str) -> None:
    console.print(line, highlight=False, soft_wrap=True)


def _plain(value: Any) -> Any:
    """Return JSON content; what was not measured is null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and value != value else value
