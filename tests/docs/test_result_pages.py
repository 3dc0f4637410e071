"""Pages of results quote committed tables: a number that no table holds cannot stand on them."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.causal_bench.answers import Answers, answers
from docs.generate import claims, findings, leaderboard
from docs.generate.pages import PAGES
from docs.generate.results import COMMITTED, MissingResultError, Results
from imbalance_bench.csv_cells import csv_text
from tests.benchmarks.causal_evidence import evidence

TEMPLATE = Path(findings.__file__).with_name(findings.TEMPLATE)


def commit(found: Answers, root: Path) -> Results:
    """Write answers as the bench does."""
    folder = root / "causal_bench" / "answers" / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    for name in Answers.__dataclass_fields__:
        (folder / f"{name}.csv").write_text(csv_text(getattr(found, name)))
    return Results(root)


@pytest.fixture(scope="module")
def known() -> Answers:
    return answers(evidence())


@pytest.fixture
def results(known: Answers, tmp_path: Path) -> Results:
    return commit(known, tmp_path)


def test_findings_follow_the_tables(results: Results, known: Answers) -> None:
    page = findings.page(results)
    effect = known.effects.query("method == 'cross_entropy' and factor == 'context'").iloc[0]
    assert f"| context | 50 | {effect['slope']:+.1f} | {effect['low']:+.1f} to {effect['high']:+.1f} | worse |" in page
    assert "is called *supported* (difficulty)" in page
    other = known.effects.assign(slope=known.effects["slope"] - 1)
    changed = commit(replace(known, effects=other), results.root)
    assert findings.page(changed) != page


def test_findings_are_withheld_where_a_known_cause_was_missed(results: Results, known: Answers) -> None:
    controls = known.controls.assign(holds=False, found="nothing")
    page = findings.page(commit(replace(known, controls=controls), results.root))
    assert "given_context by planted was attributed to nothing" in page
    assert "is called *" not in page
    assert "## What is followed" in page
    assert "| dfa | change |" not in page


def test_the_template_states_no_number_of_its_own() -> None:
    text = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", TEMPLATE.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = text.replace("95 % interval", "")
    assert re.findall(r"\d+", text) == []


def test_nothing_is_reported_before_it_was_measured(tmp_path: Path) -> None:
    with pytest.raises(MissingResultError, match="causal bench"):
        findings.page(Results(tmp_path))
    assert ("findings.md" in PAGES) == Results().has("causal_bench")
    committed = Path(findings.__file__).parents[1] / "findings.md"
    assert committed.exists() == Results().has("causal_bench")
    assert claims.page(Results(tmp_path)).count("| abstract |") == 2  # those that need no result


def test_claims_of_a_study_follow_its_tables(tmp_path: Path) -> None:
    shutil.copytree(COMMITTED / claims.CONSEP, tmp_path / claims.CONSEP)
    path = tmp_path / claims.CONSEP / "answers" / "tables" / "comparisons.csv"
    table = pd.read_csv(path, keep_default_na=False)
    for verdict, word in (("better", "confirmed"), ("equivalent", "refuted"), ("undecided", "undecided")):
        changed = (table["method"] == "dfa") & (table["class"] == "macro")
        path.write_text(csv_text(table.assign(verdict=table["verdict"].mask(changed, verdict))))
        row = next(
            line for line in claims.page(Results(tmp_path)).splitlines() if "DFA improves Dice on CoNSeP" in line
        )
        assert f"| {word} |" in row
        assert f"*{verdict}*" in row


def test_every_claim_has_a_row_once_the_bench_is_committed(results: Results, known: Answers) -> None:
    sam = known.path.assign(decoder="sam", inert=10, live=0)
    ranks = pd.concat([known.ranks, known.ranks.assign(decoder="sam")])
    with_sam = replace(known, path=pd.concat([known.path, sam]), ranks=ranks)
    shutil.copytree(COMMITTED / claims.CONSEP, results.root / claims.CONSEP)
    page = claims.page(commit(with_sam, results.root))
    for claim in claims.CLAIMS:
        assert f"| {claim.text} |" in page
    assert "| The learned bias captures difficulty | abstract | confirmed |" in page
    assert "inert in 10 and live in 0 of 10 phantoms" in page
    poor = pd.concat([known.ranks, known.ranks.assign(decoder="sam", mean_score=20.0)])
    assert "hardly learned the task" in claims.page(commit(replace(with_sam, ranks=poor), results.root))
    controls = known.controls.assign(holds=False)
    withheld = claims.page(commit(replace(known, controls=controls), results.root))
    assert "| The learned bias captures difficulty | abstract | withheld |" in withheld


@pytest.mark.parametrize("claim", [claim for claim in claims.CLAIMS if claim.command.startswith("pytest")])
def test_the_test_that_a_claim_names_exists(claim: claims.Claim) -> None:
    _, file, option, name = claim.command.split()
    assert option == "-k"
    root = Path(findings.__file__).parents[2]
    assert re.search(rf"def test_\w*{name}", (root / file).read_text(encoding="utf-8"))


def test_a_cell_that_is_not_there_is_not_quoted(results: Results) -> None:
    with pytest.raises(MissingResultError, match="0 rows"):
        results.value("causal_bench", "effects", "slope", method="none", factor="share")
    with pytest.raises(MissingResultError, match="no table"):
        results.table("causal_bench", "nothing")


def test_the_leaderboard_orders_data_sets_that_are_enough_and_no_fewer(results: Results, known: Answers) -> None:
    page = leaderboard.page(results)
    assert "Over 10 data sets" in page
    rows = re.findall(r"^\| (\w+) \| ([\d.]+) \| (\d) \| (\d) to (\d) \|", page, flags=re.MULTILINE)
    assert rows[0][0] == "inverse_sqrt"
    assert rows[0][2:] == ("1", "1", "1")
    few = known.scores[known.scores["dataset"].isin(known.scores["dataset"].unique()[:4])]
    assert "4 data sets: too few" in leaderboard.page(commit(replace(known, scores=few), results.root))


def test_rank_intervals_cover_both_places_of_equal_methods() -> None:
    rng = np.random.default_rng(0)
    grid = pd.DataFrame(rng.normal(size=(12, 2)), columns=["one", "other"])
    found = leaderboard.rank_intervals(grid)
    assert (found["low"] == 1).all()
    assert (found["high"] == 2).all()
    assert found["p_best"].sum() == pytest.approx(1)
