"""`advise`: each rule holds in its regime alone, and nothing is claimed without a source."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from analysis.advice import evidence
from analysis.advice.evidence import reference_results
from analysis.advice.regime import Regime
from analysis.advice.rules import RULES
from analysis.pipeline import analyze_study
from analysis.schema.files import read_table
from imbalance_bench.cli.advice_view import shortlist
from imbalance_bench.cli.main import main
from methods import REGISTRY
from tests.small_study import write_dataset

MILD = Regime(
    classes=3,
    groups=20,
    groups_known=True,
    rarest="rare",
    rarest_share=0.2,
    imbalance=2.0,
    most_frequent="common",
    largest_share=0.4,
    rarest_image_share=0.9,
    most_pieces="common",
    pieces=2.0,
    piece_spread=0.5,
    most_exposed="rare",
    exposure=0.1,
    hardest="rare",
    hardest_overlap=0.5,
    hardest_is_another=False,
)
REGIMES = {
    "mild": ({}, set()),
    "strong": ({"imbalance": 20.0}, {"inverse_sqrt", "logit_adjustment"}),
    "strong and in few images": (
        {"imbalance": 20.0, "rarest_image_share": 0.2},
        {"inverse_sqrt", "logit_adjustment", "class_present"},
    ),
    "extreme and in few images": (
        {"imbalance": 500.0, "rarest_image_share": 0.2},
        {"inverse_sqrt", "logit_adjustment", "class_present", "class_copy_paste", "boundary_loss"},
    ),
    "a dominant class": ({"largest_share": 0.9}, {"focal"}),
    "many unequal pieces": ({"pieces": 30.0, "piece_spread": 2.0}, {"blob_loss"}),
    "pieces that were not measured": ({"pieces": 30.0, "piece_spread": float("nan")}, set()),
    "thin": ({"exposure": 0.8}, {"boundary_loss"}),
    "hard, not rare": ({"hardest": "common", "hardest_is_another": True}, {"cdb", "dfa"}),
}


@pytest.mark.parametrize("name", REGIMES)
def test_rules_hold_in_their_regime_alone(name: str) -> None:
    change, wanted = REGIMES[name]
    advice = shortlist(replace(MILD, **change), [])
    assert {each["method"] for each in advice["shortlist"]} == {"cross_entropy", *wanted}
    assert {each["method"] for each in advice["others"]} == {rule.method for rule in RULES} - {"cross_entropy", *wanted}


def test_every_rule_names_a_known_method_and_a_source_with_a_year() -> None:
    for rule in RULES:
        assert rule.method in REGISTRY
        assert any(part.strip("():,").isdecimal() and len(part.strip("():,")) == 4 for part in rule.source.split())
        assert "nan" not in rule.because(MILD)


def test_reference_results_are_those_of_analyze(finished_study: Path) -> None:
    found = reference_results([finished_study])
    table = analyze_study(finished_study).tables["comparisons"]
    rows = table[table["class"] == "macro"].set_index("method")
    assert {each.method for each in found} == set(rows.index)
    for each in found:
        assert each.difference == rows.loc[each.method, "difference"]
        assert each.verdict == rows.loc[each.method, "verdict"]


def test_the_reference_study_of_the_readme_is_evidence() -> None:
    found = {each.method: each for each in reference_results(evidence.reference_studies()) if each.dataset == "consep"}
    committed = read_table(evidence.REFERENCE / "consep" / "answers" / "tables", "comparisons").query(
        "`class` == 'macro'"
    )
    assert {method: each.verdict for method, each in found.items()} == committed.set_index("method")[
        "verdict"
    ].to_dict()
    assert len(found) == 5
    assert found["focal"].low < found["focal"].difference < found["focal"].high


def test_advise_prints_its_reasons_and_the_same_as_json(tmp_path: Path, finished_study: Path) -> None:
    dataset = write_dataset(tmp_path / "discs")
    words = ["advise", str(dataset), "--workers", "1", "--evidence", str(finished_study)]
    printed = CliRunner().invoke(main, words)
    assert printed.exit_code == 0, printed.output
    coded = CliRunner().invoke(main, [*words, "--json"])
    advice = json.loads(coded.stdout)
    regime = advice["regime"]
    assert (regime["classes"], regime["rarest"], regime["most_frequent"]) == (3, "rare", "background")
    assert np.isclose(regime["imbalance"], regime["largest_share"] / regime["rarest_share"])
    for each in advice["shortlist"]:
        assert each["because"]
        assert each["source"] in printed.output
        assert each["card"] == REGISTRY[each["method"]].card.source
        for study in each["studies"]:
            assert f"{100 * study['difference']:+.1f} points of macro Dice" in printed.output
    assert any(study["study"] == str(finished_study) for each in advice["shortlist"] for study in each["studies"])
