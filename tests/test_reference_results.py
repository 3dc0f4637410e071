"""The committed records give the numbers that the README states."""

import re
import shutil
from pathlib import Path

import pytest

from analysis.pipeline import analyze_study
from analysis.verdicts import Word

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "results" / "reference" / "consep"


def readme_scores() -> dict[str, dict[str, float]]:
    """Method -> class -> Dice per image, as the README's table has them."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("| Dice per image |"))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[begin:] if line.startswith("|")]
    names = rows[0][1:]
    return {row[0]: dict(zip(names, map(float, row[1:]), strict=True)) for row in rows[2:7]}


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory):
    return analyze_study(shutil.copytree(REFERENCE, tmp_path_factory.mktemp("reference") / "consep"))


def test_the_table_of_the_readme(analysed):
    scores = analysed.tables["method_scores"].query("metric == 'dice' and aggregation == 'per_image'")
    found = scores.set_index(["method", "class"])["mean"]
    stated = readme_scores()
    assert set(stated) == {"cross_entropy", "inverse_sqrt", "focal", "cdb", "dfa"}
    for method, of_class in stated.items():
        assert {name: round(found[method, name], 3) for name in of_class} == of_class


def test_the_verdicts_that_the_readme_tells(analysed):
    verdicts = {each.id: each for each in analysed.verdicts}
    for method in ("inverse_sqrt", "focal", "cdb", "dfa"):
        assert verdicts[f"comparison/{method}/macro"].word == Word.UNDECIDED
    for change in ("zeroed", "permuted"):
        assert verdicts[f"intervention/{change}/dfa/macro"].word == Word.EQUIVALENT


def test_no_path_of_a_machine_is_committed():
    for path in REFERENCE.rglob("*"):
        if path.suffix in (".json", ".yaml"):
            assert not re.search(r"[\"' ](/|[A-Z]:\\)", path.read_text(encoding="utf-8")), path
