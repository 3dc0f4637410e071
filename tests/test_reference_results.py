"""The committed records give the numbers that the README states."""

import re
import shutil
from pathlib import Path

import pytest

from analysis.pipeline import analyze_study
from analysis.schema import rows_of
from analysis.schema.files import read_table
from analysis.verdicts import Word
from imbalance_bench.records import StudyRecords

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = ROOT / "results" / "reference" / "consep"


def readme_scores() -> dict[str, dict[str, float]]:
    """Method -> class -> Dice per image, as the README's table has them."""
    lines = README[README.index("| Dice per image |") :].partition("\n\n")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    names = rows[0][1:]
    return {row[0]: dict(zip(names, map(float, row[1:]), strict=True)) for row in rows[2:]}


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory):
    return analyze_study(shutil.copytree(REFERENCE, tmp_path_factory.mktemp("reference") / "consep"))


def test_the_table_of_the_readme(analysed):
    scores = analysed.tables["method_scores"].query("metric == 'dice' and aggregation == 'per_image'")
    found = scores.set_index(["method", "class"])["mean"]
    stated = readme_scores()
    assert set(stated) == {run.manifest()["method"]["label"] for run in StudyRecords.open(REFERENCE).finished()}
    for method, of_class in stated.items():
        assert {name: round(found[method, name], 3) for name in of_class} == of_class


def test_what_the_readme_quotes_are_verdicts(analysed):
    quoted = [line.removeprefix("> ") for line in README.splitlines() if line.startswith("> ")]
    assert len(quoted) == 4
    for sentence in quoted:
        assert sum(each.sentence.startswith(sentence) for each in analysed.verdicts) == 1, sentence


def test_the_correlation_that_the_readme_states():
    rows = read_table(REFERENCE / "answers" / "tables", "associations")
    (row,) = rows_of(rows.query("method == 'dfa' and estimand == 'change' and measure == 'pixel_share'"))
    stated = f"rho = {row['spearman']:+.2f} with the pixel share".replace("0.", ".")
    assert stated in README.replace("\n", " ")
    assert row["verdict"] == Word.NOT_TESTABLE


def test_no_path_of_a_machine_is_committed():
    for path in REFERENCE.rglob("*"):
        if path.suffix in (".json", ".yaml"):
            assert not re.search(r"[\"' ](/|[A-Z]:\\)", path.read_text(encoding="utf-8")), path
