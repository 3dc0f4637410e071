"""From nothing to a report through the command line, as a user types it."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from imbalance_bench.cli.main import main
from imbalance_bench.execution import Execution, execute_study
from imbalance_bench.records import StudyRecords
from tests.small_study import small_config, write_dataset, write_study


def invoke(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def analysed(tmp_path: Path, finished_study: Path) -> Path:
    """A copy of the finished study, analysed."""
    copy = tmp_path / "study"
    shutil.copytree(finished_study, copy)
    result = invoke("analyze", copy)
    assert result.exit_code == 0, result.output
    return copy


def test_analyze_prints_a_table_and_verdicts_and_writes_tables(tmp_path: Path, finished_study: Path) -> None:
    copy = tmp_path / "study"
    shutil.copytree(finished_study, copy)
    result = invoke("analyze", copy)
    assert result.exit_code == 0, result.output
    for method in ("cross_entropy", "inverse_sqrt", "focal", "cdb", "dfa"):
        assert method in result.output
    assert "not testable" in result.output  # three classes cannot carry a correlation
    names = {path.name for path in (copy / "analysis").iterdir()}
    assert {"README.md", "verdicts.json", "method_scores.csv", "associations.csv", "learned_bias.csv"} <= names


def test_analysed_dice_is_the_dice_of_the_counts(analysed: Path, finished_study: Path) -> None:
    run = StudyRecords.open(finished_study).finished()[0]
    test = run.counts().query("split == 'test'")
    pooled = test.groupby("class_id")[["tp", "fp", "fn"]].sum()
    expected = 2 * pooled.tp / (2 * pooled.tp + pooled.fp + pooled.fn)
    scores = pd.read_csv(analysed / "analysis" / "class_scores.csv")
    mine = scores.query("run_id == @run.run_id and aggregation == 'pooled' and metric == 'dice'")
    assert mine.sort_values("class_id").value.tolist() == pytest.approx(expected.tolist(), abs=1e-9)


def test_report_is_one_file_that_needs_no_network(analysed: Path) -> None:
    result = invoke("report", analysed)
    assert result.exit_code == 0, result.output
    page = (analysed / "report" / "index.html").read_text()
    for outside in ('src="http', "src='http", "@import", 'link rel="stylesheet"', "url(http"):
        assert outside not in page
    assert "dfa" in page


def test_plot_lists_its_kinds_and_draws_one(analysed: Path, tmp_path: Path) -> None:
    kinds = invoke("plot", analysed, "list").output.split()
    assert {"bias_vs_difficulty", "bias_trajectory", "class_dice", "gallery"} <= set(kinds)
    for ending in ("svg", "png", "pdf"):
        target = tmp_path / f"dice.{ending}"
        result = invoke("plot", analysed, "class_dice", "--out", target)
        assert result.exit_code == 0, result.output
        assert target.stat().st_size > 1000


def test_runs_of_another_data_order_are_not_paired(
    tmp_path: Path, dataset: Path, shared_cache: Path, analysed: Path
) -> None:
    study = write_study(tmp_path / "other.yaml", dataset, methods=["focal"], training={"data_order_seed": 5})
    out = tmp_path / "other"
    assert invoke("run", study, "--out", out, "--cache", shared_cache, "--engine", "serial").exit_code == 0
    planned = StudyRecords.open(analysed).plan()["runs"]
    replaced = next(run["run_id"] for run in planned if run["method"] == "focal" and run["seed"] == 0)
    shutil.rmtree(analysed / "runs" / replaced)
    shutil.copytree(next((out / "runs").iterdir()), analysed / "runs" / replaced)
    path = analysed / "runs" / replaced / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"run_id": replaced}))
    result = invoke("analyze", analysed)
    assert result.exit_code == 1, result.output
    errors = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert "batch" in errors[0]


def test_a_study_with_missing_runs_is_analysed_and_says_so(analysed: Path) -> None:
    shutil.rmtree(next((analysed / "runs").iterdir()))
    result = invoke("analyze", analysed)
    assert result.exit_code == 0, result.output
    runs = pd.read_csv(analysed / "analysis" / "runs.csv")
    assert (runs.state == "missing").sum() == 1


def test_quickstart_sends_nobody_on_to_what_it_does_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Execution] = []
    monkeypatch.setattr("imbalance_bench.quickstart.make_phantom", lambda dest, **_: dest)
    monkeypatch.setattr("imbalance_bench.quickstart.execute_study", lambda _config, _root, how: given.append(how))
    monkeypatch.setattr("imbalance_bench.quickstart.analyze_and_print", lambda *_: None)
    monkeypatch.setattr("analysis.report.build_report", lambda root: root / "report" / "index.html")
    result = invoke("quickstart", "--out", tmp_path / "q", "--cache", tmp_path / "cache")
    assert result.exit_code == 0, result.output
    assert [how.what_next for how in given] == [False]
    assert "next:" not in result.output


def test_a_run_says_what_comes_next_where_that_is_wanted(
    tmp_path: Path, shared_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = small_config(write_dataset(tmp_path / "discs"), methods=["cross_entropy"])
    execute_study(config, tmp_path / "a", Execution(cache=shared_cache, engine="serial"))
    assert f"next: imbalance-bench analyze {tmp_path / 'a'}" in capsys.readouterr().out
    execute_study(config, tmp_path / "b", Execution(cache=shared_cache, engine="serial", what_next=False))
    assert "next:" not in capsys.readouterr().out


def test_a_resumed_study_shows_the_runs_that_were_done_before(
    tmp_path: Path, shared_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_dataset(tmp_path / "discs")
    for seeds in ([0], [0, 1]):
        config = small_config(data, methods=["cross_entropy"], seeds=seeds)
        execute_study(config, tmp_path / "s", Execution(cache=shared_cache, engine="serial"))
    assert "cross_entropy, 2 runs, validation Dice: macro" in capsys.readouterr().out
