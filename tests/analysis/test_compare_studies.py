"""Studies side by side: a data set counts once, and what cannot be compared is refused in one line."""

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from analysis.compare import compare_studies
from analysis.study.analysed_records import AnalysedRecords
from imbalance_bench.cli.main import main
from imbalance_bench.errors import UserError
from imbalance_bench.manifest import write_json
from imbalance_bench.records import StudyRecords
from tests.analysis.contract_study import write_analysis, write_bare_study
from tests.analysis.synthetic import ANALYSIS

NAMES = ("tumour", "stroma", "fat", "nerve")
METHODS = ("cross_entropy", "focal", "dfa")


def study(root: Path, *, data: str = "", methods: tuple[str, ...] = METHODS) -> Path:
    write_bare_study(root, NAMES, methods=methods, seeds=2, dataset=f"data of {root.name}")
    plan, dataset = (json.loads((root / f"{name}.json").read_text()) for name in ("plan", "dataset"))
    plan["analysis"] = ANALYSIS | {"permutations": 200, "resamples": 100, "control": methods[0]}
    dataset["data_hash"] = data or root.name
    write_json(root / "plan.json", plan)
    write_json(root / "dataset.json", dataset)
    return write_analysis(root, plan, dataset)


def set_scores(root: Path, scores: dict[str, float]) -> None:
    path = root / "analysis" / "method_scores.csv"
    rows = pd.read_csv(path)
    rows["mean"] = rows["method"].map(scores)
    rows.to_csv(path, index=False)


def test_scores_and_verdicts_are_those_of_the_studies(tmp_path: Path) -> None:
    roots = [study(tmp_path / name) for name in ("one", "other")]
    found = compare_studies(roots)
    for root in roots:
        expected = pd.read_csv(root / "analysis" / "method_scores.csv")
        expected = expected.query("aggregation == 'per_image' and `class` == 'macro'").set_index("method")["mean"]
        mine = found.scores[found.scores["study"] == root.name].set_index("method")["mean"]
        assert mine.to_dict() == pytest.approx(expected.to_dict())
    assert found.differences["study"].tolist() == ["one"] * 2 + ["other"] * 2
    assert found.ranks is not None
    assert not found.ranks.tested  # two data sets describe
    associations = found.explanation["associations"]
    assert set(associations["n_classes"]) == {len(NAMES)}  # both data sets have the same names
    assert found.verdicts[0].id.startswith("explanation/")


def test_a_study_that_learned_no_bias_stands_beside_others(tmp_path: Path) -> None:
    """Such as one of predictions that were made elsewhere; it ended in a traceback."""
    roots = [study(tmp_path / name) for name in ("one", "other")]
    path = roots[1] / "analysis" / "learned_bias.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    found = compare_studies(roots)
    assert found.differences["study"].tolist() == ["one"] * 2 + ["other"] * 2
    assert set(found.explanation["associations"]["n_classes"]) == {len(NAMES)}


def test_learned_biases_are_explained_by_the_measures_of_the_first_plan(tmp_path: Path) -> None:
    roots = [study(tmp_path / name) for name in ("one", "other")]
    plan = json.loads((roots[1] / "plan.json").read_text())
    plan["analysis"]["primary_measures"] = {"context": "rival_stain_overlap"}
    write_json(roots[1] / "plan.json", plan)
    AnalysedRecords.of(StudyRecords(roots[1])).write(roots[1] / "analysis")
    found = compare_studies(roots)
    assert any("other names other primary measures than one" in note for note in found.notes)
    primary = found.explanation["associations"].query("primary and construct == 'context'")
    assert set(primary["measure"]) <= {"nearest_rival_overlap"}


def test_names_are_classes_of_their_own_where_levels_were_dealt_anew(tmp_path: Path) -> None:
    roots = [study(tmp_path / name) for name in ("one", "other")]
    together, apart = (compare_studies(roots, classes_apart=apart) for apart in (False, True))
    assert set(together.explanation["associations"]["n_classes"]) == {len(NAMES)}
    assert set(apart.explanation["associations"]["n_classes"]) == {2 * len(NAMES)}
    assert any("another class in each data set" in note for note in apart.notes)
    assert not any("another class in each data set" in note for note in together.notes)


def test_five_data_sets_are_tested(tmp_path: Path) -> None:
    roots = [study(tmp_path / f"study_{number}") for number in range(6)]
    for root in roots:
        set_scores(root, {"cross_entropy": 0.5, "focal": 0.6, "dfa": 0.7})
    found = compare_studies(roots)
    assert found.ranks is not None
    assert found.ranks.tested
    assert found.ranks.ranks.set_index("method")["average_rank"].to_dict() == {"dfa": 1, "focal": 2, "cross_entropy": 3}


def test_a_data_set_counts_once(tmp_path: Path) -> None:
    roots = [study(tmp_path / "one", data="same"), study(tmp_path / "again", data="same"), study(tmp_path / "other")]
    found = compare_studies(roots)
    assert set(found.scores["study"]) == {"one", "again", "other"}
    assert found.ranks is not None
    assert found.ranks.friedman.n_blocks == 2
    assert {each.numbers["n_data_sets"] for each in found.verdicts if each.topic == "partial"} == {2}
    assert "again is on the same data as one" in found.notes[0]


def test_methods_of_one_study_alone_are_shown_but_not_ranked(tmp_path: Path) -> None:
    found = compare_studies([study(tmp_path / "one"), study(tmp_path / "other", methods=("cross_entropy", "dfa"))])
    assert found.ranks is not None
    assert set(found.ranks.ranks["method"]) == {"cross_entropy", "dfa"}
    assert any("lacks them: focal" in note for note in found.notes)


def test_incompatible_studies_are_refused(tmp_path: Path) -> None:
    one, stranger = study(tmp_path / "one"), study(tmp_path / "stranger", methods=("seesaw", "ohem"))
    with pytest.raises(UserError, match="at least two"):
        compare_studies([one])
    with pytest.raises(UserError, match="given once"):
        compare_studies([one, tmp_path / "stranger" / ".." / "one"])
    with pytest.raises(UserError, match="must share a method"):
        compare_studies([one, stranger])
    other = study(tmp_path / "other")
    for root, own in ((one, {"gamma": 2}), (other, {"gamma": 5}), (other, {"gamma": 2, "steps_fraction": 0.25})):
        runs = json.loads((root / "plan.json").read_text())["runs"]
        run_id = next(run["run_id"] for run in runs if run["method"] == "focal")
        manifest = {"schema": 1, "run_id": run_id}
        method = {"label": "focal", "parts": [{"name": "focal", "gamma": own.pop("gamma")}]} | own
        write_json(root / "runs" / run_id / "manifest.json", manifest | {"method": method})
        if root is other:
            with pytest.raises(UserError, match="'focal' must stand for the same method"):
                compare_studies([one, other])


def test_the_command_writes_tables_and_the_figure(tmp_path: Path) -> None:
    roots = [str(study(tmp_path / name)) for name in ("one", "other")]
    done = CliRunner().invoke(main, ["compare", *roots, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "macro Dice per image" in done.output
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"scores.csv", "differences.csv", "ranks.csv", "verdicts.json", "critical_difference.svg"} <= written
    assert {"practical_differences.csv", "practical_differences.svg"} <= written
    rows = pd.read_csv(tmp_path / "out" / "practical_differences.csv")
    assert rows[["method", "control", "n_data_sets"]].to_numpy().tolist() == [
        ["focal", "cross_entropy", 2],
        ["dfa", "cross_entropy", 2],
    ]
    assert "in one more data set: posterior probability" in " ".join(done.output.split())
    refused = CliRunner().invoke(main, ["compare", roots[0], "--out", str(tmp_path / "none")])
    assert refused.exit_code == 2
    assert "at least two" in refused.output
    assert not (tmp_path / "none").exists()
