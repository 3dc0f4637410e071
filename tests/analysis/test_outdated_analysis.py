"""An analysis that is not of the records as they are: who reads its tables refuses it, or says what is not in it."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import imbalance_bench as ib
from analysis.compare import compare_studies
from analysis.study.analysed_records import RECORDS_FILE, AnalysedRecords
from imbalance_bench.cli.main import main
from imbalance_bench.config import AnalysisSection
from imbalance_bench.manifest import write_json
from imbalance_bench.record_documents import read_document
from imbalance_bench.records import RunState, StudyRecords
from tests.analysis.contract_study import write_analysis, write_bare_study

NAMES = ("tumour", "stroma", "gland")


def finish(root: Path, run_id: str, seconds: float = 1.0) -> None:
    """Let a run of a study without records end, as far as plan, status and manifest tell."""
    run = StudyRecords(root).run(run_id)
    run.path.mkdir(parents=True, exist_ok=True)
    write_json(run.path / "manifest.json", {"schema": 1, "run_id": run_id, "seconds": seconds})
    run.write_status(RunState.DONE, step=4, steps=4)


def planned(root: Path) -> list[str]:
    return [run["run_id"] for run in StudyRecords(root).plan()["runs"]]


def write_study(root: Path) -> Path:
    write_bare_study(root, NAMES)
    change_plan(
        root, lambda plan: plan["analysis"].update(AnalysisSection().model_dump(mode="json") | plan["analysis"])
    )
    return root


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """An analysed study, of which the last run has not finished."""
    root = write_study(tmp_path / "study")
    for run_id in planned(root)[:-1]:
        finish(root, run_id)
    return write_analysis(root, StudyRecords(root).plan(), StudyRecords(root).dataset(), failed=planned(root)[-1:])


def change_plan(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    plan = read_document(root / "plan.json")
    change(plan)
    write_json(root / "plan.json", plan)


def train_one_again(root: Path) -> None:
    finish(root, planned(root)[2], seconds=2.0)


def lose_one(root: Path) -> None:
    (StudyRecords(root).run(planned(root)[2]).path / "status.json").unlink()


def lose_a_manifest(root: Path) -> None:
    (StudyRecords(root).run(planned(root)[2]).path / "manifest.json").unlink()


def ask_for_another_margin(root: Path) -> None:
    change_plan(root, lambda plan: plan["analysis"].update(rope_dice=0.02))


def ask_for_another_run(root: Path) -> None:
    change_plan(root, lambda plan: plan["runs"].append(plan["runs"][-1] | {"run_id": "f" * 12, "seed": 9}))


def stop_before_the_end(root: Path) -> None:
    (root / "analysis" / RECORDS_FILE).unlink()


def lose_a_table(root: Path) -> None:
    (root / "analysis" / "comparisons.csv").unlink()


def lose_the_verdicts(root: Path) -> None:
    (root / "analysis" / "verdicts.json").unlink()


def state_families(root: Path) -> None:
    facts = read_document(root / "dataset.json")
    write_json(root / "dataset.json", facts | {"families": {NAMES[0]: "epithelium"}})


def analyse_with_an_earlier_version(root: Path) -> None:
    path = root / "analysis" / RECORDS_FILE
    write_json(path, read_document(path) | {"made_by": "0.1.0 " + "0" * 64})


def damage(root: Path) -> None:
    (root / "analysis" / RECORDS_FILE).write_text(json.dumps({"plan": "p", "runs": ["of another form"]}))


CHANGES = {
    train_one_again: "1 of its 14 runs",
    lose_one: "1 of its 14 runs",
    lose_a_manifest: "1 of its 14 runs",
    ask_for_another_margin: "plan.json or dataset.json",
    ask_for_another_run: "plan.json or dataset.json",
    state_families: "plan.json or dataset.json",
    analyse_with_an_earlier_version: "another version",
    stop_before_the_end: "not complete",
    lose_a_table: "lacks comparisons.csv",
    lose_the_verdicts: "lacks verdicts.json",
    damage: "not complete",
}


@pytest.mark.parametrize(("change", "reason"), CHANGES.items(), ids=lambda part: getattr(part, "__name__", ""))
def test_tables_of_other_records_are_refused_by_every_reader(
    study: Path, tmp_path: Path, change: Callable[[Path], None], reason: str
) -> None:
    other = write_study(tmp_path / "other")
    write_analysis(other, StudyRecords(other).plan(), StudyRecords(other).dataset())
    change(study)
    for arguments in (["report", study], ["plot", study, "class_dice"], ["compare", study, other]):
        result = CliRunner().invoke(main, [str(each) for each in arguments])
        assert result.exit_code == 1, arguments
        assert reason in result.output.replace("\n", " ")
        assert f"imbalance-bench analyze {study}" in result.output.replace("\n", " ")
    assert not (study / "report").exists()
    assert not (study / "figures").exists()


def test_runs_that_finished_since_are_counted_where_tables_are_shown(study: Path, tmp_path: Path) -> None:
    other = write_study(tmp_path / "other")
    write_analysis(other, StudyRecords(other).plan(), StudyRecords(other).dataset())
    runner, sentence = CliRunner(), "1 more run has finished since"
    assert sentence not in runner.invoke(main, ["report", str(study)]).stderr
    finish(study, planned(study)[-1])
    for command in (["report", str(study)], ["plot", str(study), "class_dice"]):
        result = runner.invoke(main, command)
        assert result.exit_code == 0, result.output
        assert sentence in result.stderr
    page = (study / "report" / "index.html").read_text(encoding="utf-8")
    assert re.search(rf'<p class="notice" role="note">{sentence}', page)
    assert any(sentence in note for note in compare_studies([study, other]).notes)


def test_python_analyses_again_what_is_outdated(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    analysed: list[int] = []

    def analyze(root: Path, **_: object) -> None:
        analysed.append(len(AnalysedRecords.of(StudyRecords(root)).runs))
        AnalysedRecords.of(StudyRecords(root)).write(root / "analysis")

    monkeypatch.setattr("imbalance_bench.python.analyze_study", analyze)
    opened = ib.load_study(study)
    opened.scores()
    assert analysed == []
    train_one_again(study)
    opened.scores()
    assert analysed == [14]
    finish(study, planned(study)[-1])
    opened.scores()
    opened.scores()
    assert analysed == [14, 15]
    (study / "analysis").rename(study / "analysis of before")
    write_analysis(study, StudyRecords(study).plan(), StudyRecords(study).dataset())
    (study / "analysis" / RECORDS_FILE).unlink()
    opened.scores()
    assert analysed == [14, 15, 15]
